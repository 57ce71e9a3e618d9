"""Do columns and pairs of columns look alike? The Shape and Trend errors of the literature.

The definitions are those of sdmetrics (``KSComplement``, ``TVComplement``,
``CorrelationSimilarity``, ``ContingencySimilarity``), as errors in percent. They are computed
from integer codes made once per column, because 500 columns have 124,750 pairs.

References
----------
.. [1] DataCebo, *SDMetrics*, https://docs.sdv.dev/sdmetrics.
.. [2] H. Zhang et al., "Mixed-Type Tabular Data Synthesis with Score-based Diffusion in Latent
   Space", ICLR 2024, which made the mean over all columns and all pairs the custom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["Similarity", "column_errors", "pair_errors", "similarity"]

#: Pairs at or below these associations are ignored by sdmetrics >= 0.27 unless told otherwise.
CORRELATION_THRESHOLD = 0.5
ASSOCIATION_THRESHOLD = 0.3

N_BINS = 10
# sdmetrics gives a level that the real table lacks this pseudo-count.
_PSEUDO_COUNT = 1e-6
# Up to this many cells a contingency table is dense.
_DENSE_CELLS = 1 << 20

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """How alike two tables are.

    Attributes
    ----------
    scores : list of Score
        ``shape_error``, ``trend_error``, ``trend_error_range_matched`` and
        ``trend_error_default_thresholds``, in percent.
    columns : DataFrame
        See :func:`column_errors`.
    pairs : DataFrame
        See :func:`pair_errors`.
    """

    scores: list[Score]
    columns: pd.DataFrame
    pairs: pd.DataFrame


def similarity(real: Table, synthetic: Table) -> Similarity:
    """Compare columns and pairs of columns.

    Parameters
    ----------
    real, synthetic : Table
        Tables of one :func:`~synthgan.evaluate.tables.read_tables` call.

    Returns
    -------
    Similarity
        ``trend_error`` bins numbers by each table's own range, as papers do;
        ``trend_error_range_matched`` by the range of `real`, so that a single extreme value does
        not decide; ``trend_error_default_thresholds`` is what ``sdmetrics.QualityReport`` (0.27
        and later) reports, which leaves weakly associated pairs of `real` out and therefore
        cannot be compared with published numbers.
    """
    columns, pairs = column_errors(real, synthetic), pair_errors(real, synthetic)
    counted = pairs[pairs["counted_by_default"]]
    scores = [
        _mean_score("shape_error", columns["error"], "no column has values in both tables"),
        _mean_score("trend_error", pairs["error"], "no pair of columns can be compared"),
        _mean_score(
            "trend_error_range_matched",
            pairs["error_range_matched"],
            "no pair of columns can be compared",
        ),
        _mean_score(
            "trend_error_default_thresholds",
            counted["error"],
            "no pair of columns is associated strongly enough",
            note=f"{len(counted)} of {len(pairs)} pairs",
        ),
    ]
    return Similarity(scores, columns, pairs)


def _mean_score(name: str, errors: pd.Series[Any], reason: str, note: str = "") -> Score:
    if not errors.notna().any():
        return Score.not_computable(name, reason, "lower", 0.0, note)
    return Score(name, float(errors.mean()), "lower", 0.0, note=note)


# --- columns -------------------------------------------------------------------------------------


def column_errors(real: Table, synthetic: Table) -> pd.DataFrame:
    """Return the Shape error of every column, worst first.

    Returns
    -------
    DataFrame
        ``column``, ``metric`` ("ks", the Kolmogorov-Smirnov statistic, or "tv", the total
        variation distance), ``error`` in percent (NaN where a table has no values),
        ``missing_train`` and ``missing_synthetic`` in percent. Missing values are left out of
        ``error``, as in sdmetrics.
    """
    rows = []
    for column, a, b in zip(real.columns, real.values, synthetic.values, strict=True):
        numerical = column.kind == "numerical"
        gone_a, gone_b = (np.isnan(x) if numerical else x < 0 for x in (a, b))
        distance = _ks_statistic if numerical else _total_variation
        empty = bool(gone_a.all() or gone_b.all())
        rows.append(
            {
                "column": column.name,
                "metric": "ks" if numerical else "tv",
                "error": np.nan if empty else 100 * distance(a[~gone_a], b[~gone_b]),
                "missing_train": 100 * float(gone_a.mean()),
                "missing_synthetic": 100 * float(gone_b.mean()),
            }
        )
    return _worst_first(pd.DataFrame(rows), "error")


def _worst_first(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    return frame.sort_values(by, ascending=False, kind="stable", ignore_index=True)


def _ks_statistic(a: Floats, b: Floats) -> float:
    a, b = np.sort(_rounded(a)), np.sort(_rounded(b))
    points = np.concatenate([a, b])
    below_a = np.searchsorted(a, points, side="right") / len(a)
    below_b = np.searchsorted(b, points, side="right") / len(b)
    return float(np.abs(below_a - below_b).max())


def _rounded(values: Floats) -> Floats:
    """Round to 14 decimals as sdmetrics does; large values have no such decimals."""
    small = np.abs(values) < 1e4
    return np.where(small, np.round(np.where(small, values, 0.0), 14), values)


def _total_variation(a: Ints, b: Ints) -> float:
    cells = int(max(a.max(), b.max())) + 1
    count_a = np.bincount(a, minlength=cells).astype(np.float64)
    count_b = np.bincount(b, minlength=cells)
    count_a[(count_a == 0) & (count_b > 0)] = _PSEUDO_COUNT
    return 0.5 * float(np.abs(count_a / count_a.sum() - count_b / count_b.sum()).sum())


# --- pairs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """One column of both tables as cell numbers 0 .. cells - 1, missing values included."""

    real: Ints
    synthetic: Ints
    cells: int

    def shares(self) -> Floats:
        """Return the share of each cell in the real table."""
        return np.bincount(self.real, minlength=self.cells) / len(self.real)


def pair_errors(real: Table, synthetic: Table) -> pd.DataFrame:
    """Return the Trend error of every pair of columns, worst first.

    Returns
    -------
    DataFrame
        ``column_1``, ``column_2``; ``metric`` ("correlation" for two numbers, else
        "contingency"); ``error`` and ``error_range_matched`` in percent, NaN where a correlation
        is undefined; ``association`` of the real pair (Pearson's r or Cramér's V);
        ``counted_by_default``, whether sdmetrics' default thresholds keep the pair.
    """
    own = [_coded(c.kind, a, b, matched=False) for c, a, b in _aligned(real, synthetic)]
    matched = [_coded(c.kind, a, b, matched=True) for c, a, b in _aligned(real, synthetic)]
    shares = [None if coded is None else coded.shares() for coded in own]
    numerical = [i for i, c in enumerate(real.columns) if c.kind == "numerical"]
    correlations = _correlations(real, numerical), _correlations(synthetic, numerical)
    place = {i: k for k, i in enumerate(numerical)}
    rows = []
    for i in range(len(real.columns)):
        for j in range(i + 1, len(real.columns)):
            if i in place and j in place:
                r_real, r_synthetic = (float(r[place[i], place[j]]) for r in correlations)
                error = matched_error = 50 * abs(r_real - r_synthetic)
                strength, threshold = r_real, CORRELATION_THRESHOLD
            else:
                error, strength = _contingency(own[i], own[j], shares[i], shares[j])
                mixed = i in place or j in place
                matched_error = _contingency(matched[i], matched[j])[0] if mixed else error
                threshold = ASSOCIATION_THRESHOLD
            rows.append((i, j, threshold, error, matched_error, strength))
    return _pair_frame(real.names, rows)


def _aligned(real: Table, synthetic: Table) -> Any:
    return zip(real.columns, real.values, synthetic.values, strict=True)


def _pair_frame(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    fields = ["i", "j", "threshold", "error", "error_range_matched", "association"]
    frame = pd.DataFrame(rows, columns=fields, dtype=np.float64)
    first, second = frame.pop("i").astype(int), frame.pop("j").astype(int)
    frame.insert(0, "column_1", np.array(names, dtype=object)[first])
    frame.insert(1, "column_2", np.array(names, dtype=object)[second])
    threshold = frame.pop("threshold")
    kinds = np.where(threshold == CORRELATION_THRESHOLD, "correlation", "contingency")
    frame.insert(2, "metric", kinds)
    frame["counted_by_default"] = frame["association"].abs() > threshold
    return _worst_first(frame, "error")


def _coded(kind: str, a: npt.NDArray[Any], b: npt.NDArray[Any], *, matched: bool) -> _Coded | None:
    """Return None for numbers too close together, for their size, to be binned."""
    if kind == "categorical":
        levels = int(max(a.max(), b.max())) + 1
        return _Coded(np.where(a < 0, levels, a), np.where(b < 0, levels, b), levels + 1)
    edges_a = _bin_edges(a)
    edges_b = edges_a if matched else _bin_edges(b)
    if edges_a is None or edges_b is None:
        return None
    if matched:
        edges_a[0], edges_a[-1] = -np.inf, np.inf
    # np.digitize puts NaN, and the maximum of a closed range, into cell N_BINS + 1.
    return _Coded(np.digitize(a, edges_a), np.digitize(b, edges_b), N_BINS + 2)


def _bin_edges(values: Floats) -> Floats | None:
    try:
        with np.errstate(all="ignore"):
            edges = np.histogram_bin_edges(values[~np.isnan(values)], bins=N_BINS)
    except ValueError:
        return None
    return edges.astype(np.float64) if np.isfinite(edges).all() else None


def _contingency(
    a: _Coded | None,
    b: _Coded | None,
    shares_a: Floats | None = None,
    shares_b: Floats | None = None,
) -> tuple[float, float]:
    """Return the total variation in percent and, if `shares` are given, Cramér's V of real."""
    if a is None or b is None:
        return np.nan, np.nan
    cells = a.cells * b.cells
    real, synthetic = a.real * b.cells + b.real, a.synthetic * b.cells + b.synthetic
    if cells > _DENSE_CELLS:
        seen, inverse = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
        real, synthetic = inverse[: len(real)], inverse[len(real) :]
    else:
        seen = np.arange(cells)
    p = np.bincount(real, minlength=len(seen)) / len(real)
    q = np.bincount(synthetic, minlength=len(seen)) / len(synthetic)
    error = 50 * float(np.abs(p - q).sum())
    if shares_a is None or shares_b is None:
        return error, np.nan
    return error, _cramers_v(p, seen, shares_a, shares_b)


def _cramers_v(p: Floats, seen: Ints, shares_a: Floats, shares_b: Floats) -> float:
    smaller = min(np.count_nonzero(shares_a), np.count_nonzero(shares_b))
    if smaller < 2:
        return np.nan
    filled = np.flatnonzero(p)
    first, second = np.divmod(seen[filled], len(shares_b))
    mean_square = float((p[filled] ** 2 / (shares_a[first] * shares_b[second])).sum()) - 1
    return float(np.sqrt(max(mean_square, 0.0) / (smaller - 1)))


def _correlations(table: Table, numerical: list[int]) -> Floats:
    """Return Pearson's r of all pairs of numbers over the rows where both are present."""
    columns = [table.values[i] for i in numerical]
    if not columns:
        return np.empty((0, 0))
    x, present = _standardised(columns)
    # rows k; columns i, j
    n = present.T @ present
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (x.T @ present) / n
        variance = ((x * x).T @ present) / n - mean**2
        covariance = (x.T @ x) / n - mean * mean.T
        result = covariance / np.sqrt(variance * variance.T)
    # The shortcut loses digits where a pair leaves out what made a column vary.
    doubtful = (variance < 1e-4) & (n < len(table))
    for i, j in np.argwhere(np.triu(doubtful | doubtful.T, 1)):
        result[i, j] = result[j, i] = _pearson(columns[i], columns[j])
    constant = np.array([not v.any() for v in (x != 0).T])
    result[constant, :] = result[:, constant] = np.nan
    return np.asarray(np.clip(result, -1, 1))


def _standardised(columns: list[Floats]) -> tuple[Floats, Floats]:
    """Return columns of mean 0 and variance 1 with 0 for missing, and 1 where present."""
    x = np.column_stack(columns)
    present = ~np.isnan(x)
    for k in range(x.shape[1]):
        values = x[present[:, k], k]
        x[~present[:, k], k] = 0.0
        if len(values) < 2 or values.min() == values.max():
            x[:, k] = 0.0
            continue
        values = values / np.abs(values).max()
        values = values - values.mean()
        x[present[:, k], k] = values / np.sqrt(np.mean(values**2))
    return x, present.astype(np.float64)


def _pearson(a: Floats, b: Floats) -> float:
    both = ~(np.isnan(a) | np.isnan(b))
    if not both.any() or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return np.nan
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    return float((a @ b) / np.sqrt((a @ a) * (b @ b)))
