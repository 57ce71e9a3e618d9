"""What each column looks like beyond its Shape error: tails, spikes, ranges, rare levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import numpy_generator
from synthgan.evaluate.intervals import (
    clipped,
    folds,
    jackknife_interval,
    wilson,
)
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Direction, Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

#: Intervals, Wasserstein and tails use at most this many cells of a table.
MAX_CELLS = 1_000_000
#: A value that holds this share of the train rows of a numeric column is a spike.
SPIKE_SHARE = 0.005
#: A level is rare if it holds at most this share of the train rows (and at least two of them).
RARE_SHARE = 0.01
#: Quantiles at which tails are compared.
TAILS = (0.005, 0.01, 0.05, 0.95, 0.99, 0.995)

Floats = npt.NDArray[np.float64]

#: Name, direction, best: means over the columns that have the figure.
_MEANS: list[tuple[str, Direction, float]] = [
    ("wasserstein", "lower", 0.0),
    ("missing_rate_error", "lower", 0.0),
    ("spike_error", "lower", 0.0),
    ("tail_error", "lower", 0.0),
    ("range_coverage", "higher", 1.0),
    ("level_recall", "higher", 1.0),
    ("rare_level_recall", "higher", 1.0),
]


def measure(setting: Setting, table: Table) -> Measurement:
    """Return figures of single columns, averaged.

    Returns
    -------
    Measurement
        Scores ``wasserstein`` (in standard deviations of the train column),
        ``missing_rate_error`` (percentage points), ``spike_error`` (largest gap in the share of a
        spike, percentage points), ``tail_error`` (mean gap of six outer quantiles, in standard
        deviations), ``range_coverage`` (share of the train range that is reached),
        ``level_recall`` (share of train cells whose level occurs at all) and
        ``rare_level_recall`` (share of the levels with at most 1 % of the rows that do), each a
        mean over the columns that have such a figure, with a jackknife interval;
        ``violation_rate``, the share of rows with a level that train lacks, a number outside its
        range, a fraction where train has whole numbers, or a gap where train has none. Details
        ``column_figures``: one row per column.
    """
    train, found = setting.train, table
    violations = _violations(train, found)
    share = float(violations.mean())
    scores = [Score("violation_rate", share, "lower", 0.0, wilson(share, len(found)))]
    most = max(MAX_CELLS // len(train.columns), 100)
    train = _shuffled(train.sample(most, numpy_generator(setting.seed, "columns", 0)), setting.seed)
    found = _shuffled(found.sample(most, numpy_generator(setting.seed, "columns", 1)), setting.seed)
    whole = _figures(train, found)
    cuts = zip(folds(len(train)), folds(len(found)), strict=True)
    left_out = [_figures(train.take(a), found.take(b)).mean(numeric_only=True) for a, b in cuts]
    for name, direction, best in _MEANS:
        if not whole[name].notna().any():
            scores.append(Score.not_computable(name, _WHY_NOT[name], direction, best))
            continue
        value = float(whole[name].mean())
        interval = jackknife_interval(value, np.array([means[name] for means in left_out]))
        high = 1.0 if direction == "higher" else np.inf
        ends = None if interval is None else clipped(interval, value, 0.0, high)
        scores.append(Score(name, value, direction, best, ends))
    return Measurement(scores, {"column_figures": whole})


_WHY_NOT = {
    "wasserstein": "no numeric column has values in both tables",
    "missing_rate_error": "no column has missing values",
    "spike_error": "no numeric column has a spike",
    "tail_error": "no numeric column has values in both tables",
    "range_coverage": "no numeric column varies",
    "level_recall": "no column has levels",
    "rare_level_recall": "no column has rare levels",
}


def _shuffled(table: Table, seed: int) -> Table:
    return table.take(numpy_generator(seed, "column folds").permutation(len(table)))


def _violations(train: Table, table: Table) -> npt.NDArray[np.bool_]:
    """Return which rows hold a cell that no train row could."""
    bad = np.zeros(len(table), dtype=bool)
    for column, a, b in zip(train.columns, train.values, table.values, strict=True):
        if column.kind == "categorical":
            known = np.bincount(a[a >= 0], minlength=len(column.levels)) > 0
            bad |= (b >= 0) & ~known[np.maximum(b, 0)] if len(known) else b >= 0
            bad |= (b < 0) & bool((a >= 0).all())
            continue
        present = a[~np.isnan(a)]
        bad |= np.isnan(b) & (len(present) == len(a))
        if len(present):
            bad |= (b < present.min()) | (b > present.max())
            if (present == np.round(present)).all():
                bad |= ~np.isnan(b) & (b != np.round(b))
    return bad


def _figures(train: Table, table: Table) -> pd.DataFrame:
    rows = []
    for column, a, b in zip(train.columns, train.values, table.values, strict=True):
        numerical = column.kind == "numerical"
        gone_a, gone_b = (np.isnan(x) if numerical else x < 0 for x in (a, b))
        row: dict[str, Any] = {"column": column.name, **{name: np.nan for name, _, _ in _MEANS}}
        if gone_a.any() or gone_b.any():
            row["missing_rate_error"] = 100 * abs(float(gone_a.mean() - gone_b.mean()))
        present_a, present_b = a[~gone_a], b[~gone_b]
        if len(present_a) and len(present_b):
            row |= _of_numbers(present_a, present_b) if numerical else _of_levels(a, b)
        rows.append(row)
    return pd.DataFrame(rows)


def _of_numbers(a: Floats, b: Floats) -> dict[str, float]:
    scale = float(np.abs(a).max()) or 1.0
    a, b = np.sort(a / scale), np.sort(b / scale)
    deviation = float(a.std())
    row: dict[str, float] = {}
    if deviation > 1e-12:
        row["wasserstein"] = _wasserstein(a, b) / deviation
        gaps = np.abs(np.quantile(a, TAILS) - np.quantile(b, TAILS))
        row["tail_error"] = float(gaps.mean()) / deviation
        low, high = max(a[0], b[0]), min(a[-1], b[-1])
        row["range_coverage"] = float(max(high - low, 0.0) / (a[-1] - a[0]))
    spikes, counts = np.unique(a, return_counts=True)
    spikes = spikes[(counts > SPIKE_SHARE * len(a)) & (counts > 1)]
    if len(spikes):
        row["spike_error"] = 100 * float(np.abs(_share_of(spikes, a) - _share_of(spikes, b)).max())
    return row


def _wasserstein(a: Floats, b: Floats) -> float:
    """Return the area between the distribution functions of two sorted samples."""
    points = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(x, points[:-1], side="right") / len(x) for x in (a, b)]
    return float((np.abs(below[0] - below[1]) * np.diff(points)).sum())


def _share_of(values: Floats, ordered: Floats) -> Floats:
    ends = [np.searchsorted(ordered, values, side=side) for side in ("left", "right")]
    return np.asarray((ends[1] - ends[0]) / len(ordered))


def _of_levels(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> dict[str, float]:
    n_levels = int(max(a.max(), b.max())) + 1
    counts, found = (np.bincount(x[x >= 0], minlength=n_levels) for x in (a, b))
    rare = (counts >= 2) & (counts <= RARE_SHARE * len(a))
    row = {"level_recall": float(counts[found > 0].sum() / counts.sum())}
    if rare.any():
        row["rare_level_recall"] = float((found[rare] > 0).mean())
    return row
