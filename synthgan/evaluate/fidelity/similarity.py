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

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import numpy_generator
from synthgan.evaluate.intervals import N_FOLDS, clipped, fold_bounds, jackknife_interval
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["Similarity", "measure", "similarity"]

#: Pairs at or below these associations are ignored by sdmetrics >= 0.27 unless told otherwise.
CORRELATION_THRESHOLD = 0.5
ASSOCIATION_THRESHOLD = 0.3

N_BINS = 10
#: Intervals of Trend come from at most this many pairs, drawn at random.
MAX_INTERVAL_PAIRS = 1_000
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
        One row per column, worst first: ``column``; ``metric`` ("ks", the Kolmogorov-Smirnov
        statistic, or "tv", the total variation distance); ``error`` in percent (NaN where a table
        has no values); ``missing_train`` and ``missing_synthetic`` in percent. Missing values are
        left out of ``error``, as in sdmetrics.
    pairs : DataFrame
        One row per pair, worst first: ``column_1``, ``column_2``; ``metric`` ("correlation" for
        two numbers, else "contingency"); ``error`` and ``error_range_matched`` in percent, NaN
        where a correlation is undefined; ``association`` of the real pair and
        ``association_synthetic`` (Pearson's r or Cramér's V); ``counted_by_default``, whether
        sdmetrics' default thresholds keep the pair.
    """

    scores: list[Score]
    columns: pd.DataFrame
    pairs: pd.DataFrame


def measure(setting: Setting, table: Table) -> Measurement:
    """Return Shape and Trend; details ``columns`` and ``pairs`` as in :class:`Similarity`."""
    found = similarity(setting.train, table, seed=setting.seed)
    return Measurement(found.scores, {"columns": found.columns, "pairs": found.pairs})


def similarity(real: Table, synthetic: Table, *, seed: int = 0) -> Similarity:
    """Compare columns and pairs of columns.

    Parameters
    ----------
    real, synthetic : Table
        Tables of one :func:`~synthgan.evaluate.tables.read_tables` call.
    seed : int
        Draws the folds of the intervals; the values do not depend on it.

    Returns
    -------
    Similarity
        ``trend_error`` bins numbers by each table's own range, as papers do;
        ``trend_error_range_matched`` by the range of `real`, so that a single extreme value does
        not decide; ``trend_error_default_thresholds`` is what ``sdmetrics.QualityReport`` (0.27
        and later) reports, which leaves weakly associated pairs of `real` out and therefore
        cannot be compared with published numbers. Intervals are a jackknife over the rows of
        both tables.
    """
    order = [
        numpy_generator(seed, "folds", k).permutation(len(t))
        for k, t in enumerate((real, synthetic))
    ]
    real, synthetic = real.take(order[0]), synthetic.take(order[1])
    columns, column_folds = _column_errors(real, synthetic)
    pairs, pair_folds = _pair_errors(real, synthetic, numpy_generator(seed, "pairs of intervals"))
    no_pair = "no pair of columns can be compared"
    counted = pairs["counted_by_default"].to_numpy()
    sampled = pair_folds.counted
    scores = [
        _mean_score(
            "shape_error",
            columns["error"],
            column_folds,
            "no column has values in both tables",
        ),
        _mean_score("trend_error", pairs["error"], pair_folds.error, no_pair),
        _mean_score(
            "trend_error_range_matched", pairs["error_range_matched"], pair_folds.matched, no_pair
        ),
        _mean_score(
            "trend_error_default_thresholds",
            pairs["error"][counted],
            pair_folds.error[sampled],
            "no pair of columns is associated strongly enough",
            note=f"{counted.sum()} of {len(pairs)} pairs",
        ),
    ]
    return Similarity(scores, _worst_first(columns), _worst_first(pairs))


def _mean_score(
    name: str, errors: pd.Series[Any], folds: Floats, reason: str, note: str = ""
) -> Score:
    """Return the mean error; `folds` has shape (some of the errors, N_FOLDS)."""
    if not errors.notna().any():
        return Score.not_computable(name, reason, "lower", 0.0, note)
    value = float(errors.mean())
    with np.errstate(all="ignore"):
        known = ~np.isnan(folds).any(axis=1) if len(folds) else np.zeros(0, dtype=bool)
        left_out = folds[known].mean(axis=0) if known.any() else np.full(N_FOLDS, np.nan)
    interval = jackknife_interval(value, left_out)
    ends = None if interval is None else clipped(interval, value, 0.0, 100.0)
    return Score(name, value, "lower", 0.0, ends, note=note)


def _worst_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("error", ascending=False, kind="stable", ignore_index=True)


def _with_folds_left_out(cells: Ints, n_cells: int) -> Iterator[Floats]:
    """Yield the counts of all rows, then those without each fold."""
    total = np.bincount(cells, minlength=n_cells).astype(np.float64)
    yield total
    bounds = fold_bounds(len(cells))
    for start, stop in itertools.pairwise(bounds):
        yield total - np.bincount(cells[start:stop], minlength=n_cells)


# --- columns -------------------------------------------------------------------------------------


def _column_errors(real: Table, synthetic: Table) -> tuple[pd.DataFrame, Floats]:
    """Return the frame of column errors in table order, and errors without each fold."""
    rows, folds = [], []
    for column, a, b in zip(real.columns, real.values, synthetic.values, strict=True):
        numerical = column.kind == "numerical"
        gone_a, gone_b = (np.isnan(x) if numerical else x < 0 for x in (a, b))
        distance = _ks_statistics if numerical else _total_variations
        empty = bool(gone_a.all() or gone_b.all())
        error, *left_out = (
            np.full(1 + N_FOLDS, np.nan) if empty else 100 * distance(a[~gone_a], b[~gone_b])
        )
        folds.append(left_out)
        rows.append(
            {
                "column": column.name,
                "metric": "ks" if numerical else "tv",
                "error": float(error),
                "missing_train": 100 * float(gone_a.mean()),
                "missing_synthetic": 100 * float(gone_b.mean()),
            }
        )
    return pd.DataFrame(rows), np.array(folds, dtype=np.float64)


def _ks_statistics(a: Floats, b: Floats) -> Floats:
    points, places = np.unique(np.concatenate([_rounded(a), _rounded(b)]), return_inverse=True)
    pairs = zip(
        _with_folds_left_out(places[: len(a)], len(points)),
        _with_folds_left_out(places[len(a) :], len(points)),
        strict=True,
    )
    with np.errstate(all="ignore"):
        return np.array(
            [np.abs(p.cumsum() / p.sum() - q.cumsum() / q.sum()).max() for p, q in pairs]
        )


def _rounded(values: Floats) -> Floats:
    """Round to 14 decimals as sdmetrics does; large values have no such decimals."""
    small = np.abs(values) < 1e4
    return np.where(small, np.round(np.where(small, values, 0.0), 14), values)


def _total_variations(a: Ints, b: Ints) -> Floats:
    cells = int(max(a.max(), b.max())) + 1
    pairs = zip(_with_folds_left_out(a, cells), _with_folds_left_out(b, cells), strict=True)
    distances = []
    with np.errstate(all="ignore"):
        for count_a, count_b in pairs:
            count_a[(count_a == 0) & (count_b > 0)] = _PSEUDO_COUNT
            gaps = count_a / count_a.sum() - count_b / count_b.sum()
            distances.append(0.5 * float(np.abs(gaps).sum()))
    return np.array(distances)


# --- pairs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Coded:
    """One column of both tables as cell numbers 0 .. cells - 1, missing values included."""

    real: Ints
    synthetic: Ints
    cells: int


@dataclass(frozen=True, slots=True, eq=False)
class _PairFolds:
    """Errors of some pairs without each fold, shape (pairs, N_FOLDS); which count by default."""

    error: Floats
    matched: Floats
    counted: npt.NDArray[np.bool_]


def _pair_errors(
    real: Table, synthetic: Table, generator: np.random.Generator
) -> tuple[pd.DataFrame, _PairFolds]:
    """Return the frame of pairs in table order, and errors of some pairs without each fold."""
    own = [_coded(c.kind, a, b, matched=False) for c, a, b in _aligned(real, synthetic)]
    matched = [_coded(c.kind, a, b, matched=True) for c, a, b in _aligned(real, synthetic)]
    numerical = [i for i, c in enumerate(real.columns) if c.kind == "numerical"]
    place = {i: k for k, i in enumerate(numerical)}
    first, second = np.triu_indices(len(real.columns), 1)
    chosen = np.zeros(len(first), dtype=bool)
    chosen[generator.permutation(len(first))[:MAX_INTERVAL_PAIRS]] = True
    r_real, r_synthetic = (_correlations(table, numerical) for table in (real, synthetic))
    rows, folds = [], []
    for i, j, with_folds in zip(first.tolist(), second.tolist(), chosen, strict=True):
        if i in place and j in place:
            a, b = (r[:, place[i], place[j]] for r in (r_real, r_synthetic))
            errors = matched_errors = 50 * np.abs(a - b)
            strengths, threshold = (float(a[0]), float(b[0])), CORRELATION_THRESHOLD
        else:
            errors = _contingency(own[i], own[j], with_folds)
            mixed = i in place or j in place
            matched_errors = _contingency(matched[i], matched[j], with_folds) if mixed else errors
            strengths, threshold = _cramers_vs(own[i], own[j]), ASSOCIATION_THRESHOLD
        rows.append((threshold, errors[0], matched_errors[0], *strengths))
        if with_folds:
            folds.append((errors[1:], matched_errors[1:]))
    frame = _pair_frame(real.names, first, second, rows)
    empty = np.zeros((0, N_FOLDS))
    left_out = [
        np.array(part) if folds else empty
        for part in (zip(*folds, strict=True) if folds else (empty, empty))
    ]
    return frame, _PairFolds(
        left_out[0], left_out[1], frame["counted_by_default"].to_numpy()[chosen]
    )


def _aligned(real: Table, synthetic: Table) -> Any:
    return zip(real.columns, real.values, synthetic.values, strict=True)


def _pair_frame(
    names: tuple[str, ...], first: Ints, second: Ints, rows: list[tuple[Any, ...]]
) -> pd.DataFrame:
    fields = ["threshold", "error", "error_range_matched", "association", "association_synthetic"]
    frame = pd.DataFrame(rows, columns=fields, dtype=np.float64)
    frame.insert(0, "column_1", np.array(names, dtype=object)[first])
    frame.insert(1, "column_2", np.array(names, dtype=object)[second])
    threshold = frame.pop("threshold")
    kinds = np.where(threshold == CORRELATION_THRESHOLD, "correlation", "contingency")
    frame.insert(2, "metric", kinds)
    frame["counted_by_default"] = frame["association"].abs() > threshold
    return frame


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


def _contingency(a: _Coded | None, b: _Coded | None, with_folds: bool) -> Floats:
    """Return the total variation in percent: of all rows, then without each fold if asked."""
    if a is None or b is None:
        return np.full(1 + N_FOLDS, np.nan)
    cells = a.cells * b.cells
    real, synthetic = a.real * b.cells + b.real, a.synthetic * b.cells + b.synthetic
    if cells > _DENSE_CELLS:
        seen, inverse = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
        real, synthetic, cells = inverse[: len(real)], inverse[len(real) :], len(seen)
    counts = zip(
        _with_folds_left_out(real, cells), _with_folds_left_out(synthetic, cells), strict=True
    )
    errors = []
    with np.errstate(all="ignore"):
        for p, q in counts:
            errors.append(50 * float(np.abs(p / p.sum() - q / q.sum()).sum()))
            if not with_folds:
                break
    return np.array(errors)


def _cramers_vs(a: _Coded | None, b: _Coded | None) -> tuple[float, float]:
    """Return Cramér's V of the real and of the synthetic pair."""
    if a is None or b is None:
        return np.nan, np.nan
    return _cramers_v(a.real, b.real, b.cells), _cramers_v(a.synthetic, b.synthetic, b.cells)


def _cramers_v(a: Ints, b: Ints, cells: int) -> float:
    shares_a, shares_b = (np.bincount(x) / len(x) for x in (a, b))
    smaller = min(np.count_nonzero(shares_a), np.count_nonzero(shares_b))
    if smaller < 2:
        return np.nan
    joint = a * cells + b
    if cells * len(shares_a) > _DENSE_CELLS:
        filled, counts = np.unique(joint, return_counts=True)
    else:
        counts = np.bincount(joint)
        filled = np.flatnonzero(counts)
        counts = counts[filled]
    first, second = np.divmod(filled, cells)
    mean_square = float(((counts / len(a)) ** 2 / (shares_a[first] * shares_b[second])).sum()) - 1
    return float(np.sqrt(max(mean_square, 0.0) / (smaller - 1)))


def _correlations(table: Table, numerical: list[int]) -> Floats:
    """Return Pearson's r of all pairs of numbers over the rows where both are present.

    The shape is (1 + N_FOLDS, numbers, numbers): of all rows, then without each fold.
    """
    columns = [table.values[i] for i in numerical]
    if not columns:
        return np.empty((1 + N_FOLDS, 0, 0))
    x, present = _standardised(columns)
    bounds = fold_bounds(len(x))
    sums = [
        _moments(x[start:stop], present[start:stop]) for start, stop in itertools.pairwise(bounds)
    ]
    total = np.sum(sums, axis=0)
    constant = np.array([not v.any() for v in (x != 0).T])
    result = np.stack(
        [_pearson_of(total, constant), *(_pearson_of(total - s, constant) for s in sums)]
    )
    # The shortcut loses digits where a pair leaves out what made a column vary.
    n, _, _, squares = total
    with np.errstate(all="ignore"):
        doubtful = (squares / n < 1e-4) & (n < len(table))
    for i, j in np.argwhere(np.triu(doubtful | doubtful.T, 1)):
        result[:, i, j] = result[:, j, i] = np.nan
        result[0, i, j] = result[0, j, i] = _pearson(columns[i], columns[j])
    return result


def _moments(x: Floats, present: Floats) -> Floats:
    """Return counts, sums, products and squares of pairs; shape (4, numbers, numbers)."""
    # rows k; columns i, j
    return np.stack([present.T @ present, x.T @ present, x.T @ x, (x * x).T @ present])


def _pearson_of(moments: Floats, constant: npt.NDArray[np.bool_]) -> Floats:
    n, sums, products, squares = moments
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / n
        variance = squares / n - mean**2
        covariance = products / n - mean * mean.T
        result = covariance / np.sqrt(variance * variance.T)
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
