"""Smoke tests for copied rows. They can raise an alarm; they can never give the all-clear.

References
----------
.. [1] Z. Yao et al., "The DCR Delusion: Measuring the Privacy Risk of Synthetic Data", 2025,
   arXiv:2505.01524: models that leak their training rows pass distance tests.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.ranking import Z95
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["SMOKE_TEST", "dcr_share", "exact_match_rate"]

SMOKE_TEST = "smoke test, not evidence of privacy"

MAX_ROWS = 5_000
#: Rows of wide tables are cut further, to about this many comparisons of cells.
MAX_COMPARISONS = 5e8
_CHUNK_ROWS = 500

Floats = npt.NDArray[np.float64]


def dcr_share(train: Table, holdout: Table | None, candidate: Table, *, seed: int = 0) -> Score:
    """Return the share of candidate rows that lie strictly closer to train than to holdout.

    The distance of two rows is the sum over columns: numbers differ by their gap over the train
    range, categories by 1 if unequal (papers that take L1 on one-hot codes count 2), a missing
    value from a present one by 1. Train and holdout are cut to the same number of rows, all
    tables to 5,000 at most (fewer if there are more than 20 columns, 1,000 at 500 columns).

    Parameters
    ----------
    train, holdout, candidate : Table
        Tables of one :func:`~synthgan.evaluate.tables.read_tables` call.
    seed : int

    Returns
    -------
    Score
        ``dcr_share``: 0.5 is ideal when ties are rare, copies push it towards 1. The note gives
        the share of ties. The interval is Wilson's over candidate rows.
    """
    if holdout is None:
        return Score.not_computable(
            "dcr_share", "needs a holdout of real rows", "near", 0.5, SMOKE_TEST
        )
    most = min(MAX_ROWS, int((MAX_COMPARISONS / len(train.columns)) ** 0.5))
    n_rows = min(len(train), len(holdout), most)
    rows = candidate.sample(most, numpy_generator(seed, "dcr candidate"))
    near = [
        _nearest(rows, other.sample(n_rows, numpy_generator(seed, "dcr reference", k)), train)
        for k, other in enumerate((train, holdout))
    ]
    closer = float(np.mean(near[0] < near[1] - 1e-12))
    ties = float(np.mean(np.abs(near[0] - near[1]) <= 1e-12))
    note = f"{SMOKE_TEST}; {100 * ties:.0f} % ties"
    return Score("dcr_share", closer, "near", 0.5, _wilson(closer, len(rows)), note=note)


def _wilson(share: float, n: int) -> tuple[float, float]:
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * float(np.sqrt(share * (1 - share) / n + (Z95 / (2 * n)) ** 2))
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)


def _nearest(rows: Table, others: Table, scale: Table) -> Floats:
    """Return the distance of each row to the nearest of `others`; shape (rows,)."""
    from sklearn.metrics import pairwise_distances

    codes = np.array([column.kind == "categorical" for column in rows.columns], dtype=bool)
    a, b = _scaled(rows, scale), _scaled(others, scale)
    gaps = ~codes & (np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
    whole = ~codes & ~gaps
    a[:, codes], b[:, codes] = (
        np.nan_to_num(a[:, codes], nan=-1),
        np.nan_to_num(b[:, codes], nan=-1),
    )
    nearest = np.empty(len(a))
    for start in range(0, len(a), _CHUNK_ROWS):
        part = a[start : start + _CHUNK_ROWS]
        distance = np.zeros((len(part), len(b)))
        if codes.any():
            hamming = pairwise_distances(part[:, codes], b[:, codes], metric="hamming")
            distance += hamming * codes.sum()
        if whole.any():
            distance += pairwise_distances(part[:, whole], b[:, whole], metric="manhattan")
        for k in np.flatnonzero(gaps):
            distance += _gap(part[:, k], b[:, k])
        nearest[start : start + len(part)] = distance.min(axis=1)
    return nearest


def _scaled(table: Table, scale: Table) -> Floats:
    matrix = table.matrix()
    for k, (column, values) in enumerate(zip(scale.columns, scale.values, strict=True)):
        present = values[~np.isnan(values)] if column.kind == "numerical" else values[:0]
        if len(present):
            low, span = float(present.min()), float(np.ptp(present))
            matrix[:, k] = (matrix[:, k] - low) / (span or 1.0)
    return matrix


def _gap(a: Floats, b: Floats) -> Floats:
    """Return |a - b| of every pair, 1 where one is missing and 0 where both are."""
    gap = np.abs(a[:, None] - b[None, :])
    gap[np.isnan(gap)] = 1.0
    gap[np.ix_(np.isnan(a), np.isnan(b))] = 0.0
    return gap


def exact_match_rate(train: Table, holdout: Table | None, candidate: Table) -> Score:
    """Return the share of candidate rows that equal a train row in every column.

    Parameters
    ----------
    train, holdout, candidate : Table
        Tables of one :func:`~synthgan.evaluate.tables.read_tables` call.

    Returns
    -------
    Score
        ``exact_match_rate``: `best` is the holdout's own rate, since real people coincide too,
        or 0 without a holdout. The interval is Wilson's over candidate rows.
    """
    known = set(train.row_keys())
    rate = _share_known(known, candidate)
    interval = _wilson(rate, len(candidate))
    if holdout is None:
        return Score("exact_match_rate", rate, "lower", 0.0, interval, note=SMOKE_TEST)
    best = _share_known(known, holdout)
    return Score("exact_match_rate", rate, "near", best, interval, note=SMOKE_TEST)


def _share_known(known: set[bytes], table: Table) -> float:
    rows = table.row_keys()
    return sum(row in known for row in rows) / len(rows)
