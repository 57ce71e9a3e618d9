"""Can a boosted classifier tell real rows from synthetic ones? The classifier two-sample test.

References
----------
.. [1] D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import numpy_generator
from synthgan.evaluate.learners import Booster, features, make_booster, quietly, row_limit
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.roc import auc_score, auc_with_interval, roc_curve
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["c2st", "measure"]

NAME = "c2st_auc"
#: Scored rows on which the telling columns are looked for.
MAX_IMPORTANCE_ROWS = 4_000
MIN_ROWS = 20
MAX_ROWS = 50_000
#: Rows that occur up to this often in a table are kept on one side of the split.
MAX_COPIES = 20

_MEMORY = "below 0.5: synthetic rows repeat single values, or rows, that the judge saw in train"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A fitted judge, the unseen rows (real first) and what it says of them."""

    model: Any
    rows: Floats
    n_real: int
    found: Floats
    names: tuple[str, ...]

    def score(self, name: str) -> Score:
        score = auc_score(name, self.found[self.n_real :], self.found[: self.n_real])
        if score.interval is not None and score.interval[1] < 0.5:
            return dataclasses.replace(score, note=_MEMORY)
        return score


def measure(setting: Setting, table: Table) -> Measurement:
    """Return the C2ST and its two parts.

    Returns
    -------
    Measurement
        ``c2st_auc`` as :func:`c2st` gives it; ``c2st_marginal_auc``, the same after each column
        of both tables was shuffled by itself, which leaves only single columns to tell by;
        ``c2st_dependence``, the first minus the second: what relations between columns add.
        Details ``telling_columns`` (how much AUC the judge loses when a column is shuffled among
        the scored rows; empty if it may be guessing) and ``roc_c2st``.
    """
    booster, seed = setting.booster, setting.seed
    judged = _judge(setting.train, table, booster, seed)
    if isinstance(judged, str):
        names = (NAME, "c2st_marginal_auc")
        scores = [Score.not_computable(name, judged, "near", 0.5) for name in names]
        return Measurement([*scores, Score.not_computable("c2st_dependence", judged, "near", 0.0)])
    apart = _judge(_shuffled(setting.train, seed, 0), _shuffled(table, seed, 1), booster, seed)
    scores = [judged.score(NAME)]
    if isinstance(apart, str):
        scores.append(Score.not_computable("c2st_marginal_auc", apart, "near", 0.5))
        scores.append(Score.not_computable("c2st_dependence", apart, "near", 0.0))
    else:
        scores.append(apart.score("c2st_marginal_auc"))
        scores.append(_difference("c2st_dependence", *scores))
    real, fake = np.split(judged.found, [judged.n_real])
    certain = scores[0].interval is not None and scores[0].interval[0] > 0.5
    telling = _telling_columns(judged, seed) if certain else []
    details = {"telling_columns": telling, "roc_c2st": roc_curve(fake, real)}
    return Measurement(scores, details)


def c2st(
    real: Table, synthetic: Table, *, booster: Booster = "hist_gradient_boosting", seed: int = 0
) -> Score:
    """Return the AUC of boosted trees that tell `real` from `synthetic` on unseen rows.

    Both tables are cut to the same number of rows (at most 50,000, drawn at random). One half of
    each trains the judge, the other half is scored. Equal rows, in whichever table, stay in the
    same half: a judge that saw a row as real would otherwise be fooled by its copy, and a
    bootstrap of the real table would score 0.4 instead of 0.5; a judge that saw one of several
    equal synthetic rows would know the others.

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
    judged = _judge(real, synthetic, booster, seed)
    if isinstance(judged, str):
        return Score.not_computable(NAME, judged, "near", 0.5)
    return judged.score(NAME)


def _judge(real: Table, synthetic: Table, booster: Booster, seed: int) -> _Judged | str:
    """Fit the judge on one half; return a sentence if that cannot be done."""
    n_rows = min(len(real), len(synthetic), row_limit(len(real.columns), MAX_ROWS))
    if n_rows < MIN_ROWS:
        return f"needs at least {MIN_ROWS} rows in each table, got {n_rows}"
    real = real.sample(n_rows, numpy_generator(seed, "c2st rows", 0))
    synthetic = synthetic.sample(n_rows, numpy_generator(seed, "c2st rows", 1))
    half_real, half_synthetic = _halves(real, synthetic, numpy_generator(seed, "c2st split"))
    parts = [(real.take(half_real == k), synthetic.take(half_synthetic == k)) for k in (0, 1)]
    if min(len(table) for part in parts for table in part) < 2:
        return "too few distinct rows to split in halves"
    fit, scored = (a.stack(b) for a, b in parts)
    x_fit, x_scored, codes, names = features(fit, scored)
    judge = make_booster(booster, "classification", codes, seed)
    with quietly():
        judge.fit(x_fit, np.repeat([0, 1], [len(table) for table in parts[0]]))
        found = np.asarray(judge.predict_proba(x_scored)[:, 1], dtype=np.float64)
    return _Judged(judge, x_scored, len(parts[1][0]), found, names)


def _shuffled(table: Table, seed: int, side: int) -> Table:
    values = [
        column[numpy_generator(seed, "c2st marginals", side, k).permutation(len(table))]
        for k, column in enumerate(table.values)
    ]
    return Table(table.columns, tuple(values))


def _difference(name: str, a: Score, b: Score) -> Score:
    """Return a - b, the halves of their intervals added in squares."""
    if a.value is None or b.value is None or a.interval is None or b.interval is None:
        return Score.not_computable(name, "a part is not computable", "near", 0.0)
    halves = [(high - low) / 2 for low, high in (a.interval, b.interval)]
    gap, half = a.value - b.value, float(np.hypot(halves[0], halves[1]))
    return Score(name, gap, "near", 0.0, (gap - half, gap + half))


def _telling_columns(judged: _Judged, seed: int) -> list[dict[str, Any]]:
    """Return the columns by the AUC that the judge loses without them, most telling first."""
    n_real, n_rows = judged.n_real, len(judged.rows)
    most = min(MAX_IMPORTANCE_ROWS, max(40_000 // len(judged.names), 200)) // 2
    real = np.linspace(0, n_real - 1, min(most, n_real)).astype(np.int64)
    fake = np.linspace(n_real, n_rows - 1, min(most, n_rows - n_real)).astype(np.int64)
    rows = judged.rows[np.concatenate([real, fake])]
    before = auc_with_interval(judged.found[fake], judged.found[real])[0]
    losses = []
    with quietly():
        for k, name in enumerate(judged.names):
            moved = rows.copy()
            moved[:, k] = rows[numpy_generator(seed, "telling", k).permutation(len(rows)), k]
            found = np.asarray(judged.model.predict_proba(moved)[:, 1], dtype=np.float64)
            after = auc_with_interval(found[len(real) :], found[: len(real)])[0]
            losses.append({"column": name, "auc_lost": before - after})
    return sorted(losses, key=lambda entry: -entry["auc_lost"])


def _halves(
    real: Table, synthetic: Table, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return 0 or 1 for every row: the half it goes to.

    Equal rows go together if they occur at most 20 times in each table; frequent rows, such as
    all rows of a table with few levels, are split freely, as are rows that occur once.
    """
    keys = np.array(real.row_keys() + synthetic.row_keys(), dtype=object)
    content, distinct = pd.factorize(keys)
    content_real, content_synthetic = np.split(content, [len(real)])
    n_real = np.bincount(content_real, minlength=len(distinct))
    n_synthetic = np.bincount(content_synthetic, minlength=len(distinct))
    most = np.maximum(n_real, n_synthetic)
    binding = (n_real + n_synthetic > 1) & (most <= MAX_COPIES)
    side = np.zeros(len(distinct), dtype=np.int64)
    side[binding] = _alternating(int(binding.sum()), generator)
    half_real, half_synthetic = (
        np.where(binding[rows], side[rows], _alternating(len(rows), generator))
        for rows in (content_real, content_synthetic)
    )
    return half_real, half_synthetic


def _alternating(n: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return generator.permutation(np.arange(n) % 2)
