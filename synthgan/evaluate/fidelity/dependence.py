"""Dependence between two and three columns, measured in quantile cells.

Trend compares numbers by their linear correlation and in ten bins of equal width, where a heavy
tail puts nearly all rows into one. Here every number is cut at quantiles of train.

References
----------
.. [1] N. X. Vinh, J. Epps, J. Bailey, "Information Theoretic Measures for Clusterings
   Comparison", JMLR 11, 2010: mutual information over the geometric mean of the entropies.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import numpy_generator
from synthgan.evaluate.intervals import N_FOLDS, clipped, fold_bounds, jackknife_interval
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

PAIR_BINS = 10
TRIPLE_BINS = 5
#: Levels beyond the most frequent ones share a cell.
MAX_LEVELS = 30
MAX_TRIPLES = 200
MAX_PAIRS = 2_000
MAX_ROWS = 100_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def measure(setting: Setting, table: Table) -> Measurement:
    """Return how well mutual information and three-way tables are kept.

    Returns
    -------
    Measurement
        Scores ``nmi_error``, the mean gap of the normalised mutual information of a pair (0 to
        1), over all pairs or 2,000 drawn at random; ``triple_error``, the mean total variation
        distance of three-way tables in percent, over all triples or 200 drawn at random. Rows are
        cut to 100,000. Jackknife intervals. Details ``nmi``: one row per pair, worst first.
    """
    tables = []
    for k, source in enumerate((setting.train, table)):
        generator = numpy_generator(setting.seed, "dependence rows", k)
        rows = source.sample(MAX_ROWS, generator)
        tables.append(rows.take(generator.permutation(len(rows))))
    names = setting.train.names
    generator = numpy_generator(setting.seed, "dependence columns")
    scores, nmi = [], pd.DataFrame(columns=["column_1", "column_2", "train", "synthetic"])
    if len(names) < 2:
        scores.append(Score.not_computable("nmi_error", "needs two columns", "lower", 0.0))
    else:
        score, nmi = _pairs(tables, names, generator)
        scores.append(score)
    if len(names) < 3:
        scores.append(Score.not_computable("triple_error", "needs three columns", "lower", 0.0))
    else:
        scores.append(_triples(tables, len(names), generator))
    return Measurement(scores, {"nmi": nmi})


def _pairs(
    tables: Sequence[Table], names: Sequence[str], generator: np.random.Generator
) -> tuple[Score, pd.DataFrame]:
    cells = _cells(tables, PAIR_BINS)
    pairs = list(itertools.combinations(range(len(names)), 2))
    if len(pairs) > MAX_PAIRS:
        pairs = [pairs[k] for k in np.sort(generator.choice(len(pairs), MAX_PAIRS, replace=False))]
    values = np.array(
        [[_nmi(_counts((cells[i], cells[j]), side)) for side in (0, 1)] for i, j in pairs]
    )  # (pairs, table, 1 + folds)
    gaps = np.abs(values[:, 0] - values[:, 1])
    frame = pd.DataFrame(
        {
            "column_1": [names[i] for i, _ in pairs],
            "column_2": [names[j] for _, j in pairs],
            "train": values[:, 0, 0],
            "synthetic": values[:, 1, 0],
        }
    )
    order = np.argsort(-gaps[:, 0], kind="stable")
    return _score("nmi_error", gaps, 1.0), frame.iloc[order].reset_index(drop=True)


def _triples(tables: Sequence[Table], n_columns: int, generator: np.random.Generator) -> Score:
    cells = _cells(tables, TRIPLE_BINS)
    wanted: set[tuple[int, ...]] = set()
    if n_columns <= 12:  # at most 220 triples
        wanted = set(itertools.combinations(range(n_columns), 3))
    while len(wanted) < MAX_TRIPLES and n_columns > 12:
        wanted.add(tuple(sorted(generator.choice(n_columns, 3, replace=False).tolist())))
    errors = []
    for triple in sorted(wanted)[:MAX_TRIPLES]:
        a, b = (_counts([cells[i] for i in triple], side) for side in (0, 1))
        shares = [x / x.sum(axis=1, keepdims=True) for x in (a, b)]
        errors.append(50 * np.abs(shares[0] - shares[1]).sum(axis=1))
    return _score("triple_error", np.array(errors), 100.0)


def _score(name: str, errors: Floats, most: float) -> Score:
    """Return the mean; `errors` has shape (pairs or triples, 1 + N_FOLDS)."""
    value, *left_out = errors.mean(axis=0)
    interval = jackknife_interval(float(value), np.array(left_out))
    ends = None if interval is None else clipped(interval, float(value), 0.0, most)
    return Score(name, float(value), "lower", 0.0, ends)


def _cells(tables: Sequence[Table], n_bins: int) -> list[tuple[Ints, Ints, int]]:
    """Return per column the cell of each train row and of each other row, and their number."""
    train, other = tables
    result = []
    for column, a, b in zip(train.columns, train.values, other.values, strict=True):
        if column.kind == "categorical":
            a, b = (np.where(x < 0, MAX_LEVELS + 1, np.minimum(x, MAX_LEVELS)) for x in (a, b))
        else:
            present = a[~np.isnan(a)]
            inner = np.linspace(0, 1, n_bins + 1)[1:-1]
            cuts = np.unique(np.quantile(present, inner)) if len(present) else np.empty(0)
            a, b = (np.where(np.isnan(x), n_bins, np.searchsorted(cuts, x)) for x in (a, b))
        used, inverse = np.unique(np.concatenate([a, b]), return_inverse=True)
        result.append((inverse[: len(a)], inverse[len(a) :], len(used)))
    return result


def _counts(columns: Sequence[tuple[Ints, Ints, int]], side: int) -> Any:
    """Return the joint counts of one table: all rows, then without each fold.

    The shape is (1 + N_FOLDS, cells of the first, ...) with two columns, and flat with three.
    """
    place: Any = columns[0][side]
    for column in columns[1:]:
        place = place * column[2] + column[side]
    n_cells = int(np.prod([column[2] for column in columns]))
    bounds = fold_bounds(len(place))
    parts = np.array(
        [np.bincount(place[bounds[k] : bounds[k + 1]], minlength=n_cells) for k in range(N_FOLDS)]
    )
    total = parts.sum(axis=0)
    counts = np.concatenate([total[None], total[None] - parts]).astype(np.float64)
    return counts.reshape(-1, columns[0][2], columns[1][2]) if len(columns) == 2 else counts


def _nmi(counts: Floats) -> Floats:
    """Return the normalised mutual information of each table of counts; 0 for a constant."""
    joint = counts / counts.sum(axis=(1, 2), keepdims=True)
    h_rows, h_columns = (_entropy(joint.sum(axis=axis)) for axis in (2, 1))
    information = h_rows + h_columns - _entropy(joint.reshape(len(joint), -1))
    size = np.sqrt(np.maximum(h_rows * h_columns, 0.0))
    return np.where(size > 1e-12, information / np.where(size > 1e-12, size, 1.0), 0.0)


def _entropy(shares: Floats) -> Floats:
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return np.asarray(-(shares * logs).sum(axis=1))
