"""Can a boosted classifier tell real rows from synthetic ones? The classifier two-sample test.

References
----------
.. [1] D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import numpy_generator
from synthgan.evaluate.learners import Booster, features, make_booster, quietly
from synthgan.evaluate.ranking import auc_with_interval
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["c2st"]

NAME = "c2st_auc"
MIN_ROWS = 20
MAX_ROWS = 50_000
#: Rows that occur up to this often in a table are kept on one side of the split.
MAX_COPIES = 20


def c2st(
    real: Table, synthetic: Table, *, booster: Booster = "hist_gradient_boosting", seed: int = 0
) -> Score:
    """Return the AUC of boosted trees that tell `real` from `synthetic` on unseen rows.

    Both tables are cut to the same number of rows (at most 50,000, drawn at random). One half of
    each trains the judge, the other half is scored. Copies of a real row stay in the half of the
    original: a judge that saw the original as real would otherwise be fooled by its copy, and a
    bootstrap of the real table would score 0.4 instead of 0.5.

    Parameters
    ----------
    real, synthetic : Table
        Tables of one :func:`~synthgan.evaluate.tables.read_tables` call.
    booster : {"hist_gradient_boosting", "xgboost"}
    seed : int

    Returns
    -------
    Score
        ``c2st_auc``: 0.5 means that the judge is guessing, 1 that it is always right. The
        interval is DeLong's over scored rows, for this one judge and split. Not computable with
        fewer than 20 rows in a table.
    """
    n_rows = min(len(real), len(synthetic), MAX_ROWS)
    if n_rows < MIN_ROWS:
        reason = f"needs at least {MIN_ROWS} rows in each table, got {n_rows}"
        return Score.not_computable(NAME, reason, "near", 0.5)
    real = real.sample(n_rows, numpy_generator(seed, "c2st rows", 0))
    synthetic = synthetic.sample(n_rows, numpy_generator(seed, "c2st rows", 1))
    half_real, half_synthetic = _halves(real, synthetic, numpy_generator(seed, "c2st split"))
    parts = [(real.take(half_real == k), synthetic.take(half_synthetic == k)) for k in (0, 1)]
    if min(len(table) for part in parts for table in part) < 2:
        return Score.not_computable(NAME, "too few distinct rows to split in halves", "near", 0.5)
    fit, scored = (a.stack(b) for a, b in parts)
    x_fit, x_scored, codes = features(fit, scored)
    judge = make_booster(booster, "classification", codes, seed)
    with quietly():
        judge.fit(x_fit, np.repeat([0, 1], [len(table) for table in parts[0]]))
        found = np.asarray(judge.predict_proba(x_scored)[:, 1], dtype=np.float64)
    negative, positive = np.split(found, [len(parts[1][0])])
    auc, interval = auc_with_interval(positive, negative)
    return Score(NAME, auc, "near", 0.5, interval)


def _halves(
    real: Table, synthetic: Table, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return 0 or 1 for every row: the half it goes to.

    Only rows that occur at most 20 times in each table bind their copies; frequent rows, such as
    all rows of a table with few levels, are split freely.
    """
    keys = np.array(real.row_keys() + synthetic.row_keys(), dtype=object)
    content, distinct = pd.factorize(keys)
    content_real, content_synthetic = np.split(content, [len(real)])
    n_real = np.bincount(content_real, minlength=len(distinct))
    n_synthetic = np.bincount(content_synthetic, minlength=len(distinct))
    binding = (n_real > 0) & (n_real <= MAX_COPIES) & (n_synthetic <= MAX_COPIES)
    side = np.zeros(len(distinct), dtype=np.int64)
    side[binding] = _alternating(int(binding.sum()), generator)
    half_real, half_synthetic = (
        np.where(binding[rows], side[rows], _alternating(len(rows), generator))
        for rows in (content_real, content_synthetic)
    )
    return half_real, half_synthetic


def _alternating(n: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return generator.permutation(np.arange(n) % 2)
