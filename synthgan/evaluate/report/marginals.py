"""Histograms of one column in both tables, coarse enough to show no single train row.

A level, or a whole number, is named only if at least 10 train rows hold it. Other histograms end
at round numbers around the 10th smallest and 10th largest train value; what lies outside is
counted in the outer bins. Bins with one to nine train rows are drawn as one with their neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan.evaluate.tables import Column, Table

__all__ = ["MIN_ROWS", "marginal"]

#: Fewest train rows behind a name, an axis end or a cell of the map.
MIN_ROWS = 10
MAX_LEVELS = 12
N_BINS = 24
_MAX_UNIT_BINS = 40
#: Second, minute, hour and day, in microseconds.
_SPANS = np.array([1e6, 6e7, 3.6e9, 8.64e10])

Floats = npt.NDArray[np.float64]


def marginal(train: Table, synthetic: Table, name: str) -> dict[str, Any] | None:
    """Return the histogram of one column as a JSON-able dict.

    Returns
    -------
    dict or None
        ``column``, ``kind``, and shares of rows ``train`` and ``synthetic``, per entry of
        ``labels`` (categorical) or per bin between ``low`` and ``high`` (numerical); shares of
        missing values in ``missing``. None if train has too few values to show.
    """
    column, a, b = train.column(name), train[name], synthetic[name]
    shown = _levels(column, a, b) if column.kind == "categorical" else _bins(column, a, b)
    if shown is None:
        return None
    gone = [np.isnan(x) if column.kind == "numerical" else x < 0 for x in (a, b)]
    missing = [float(g.mean()) for g in gone]
    return {"column": name, "kind": column.kind, **shown, "missing": missing}


def _levels(
    column: Column, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> dict[str, Any] | None:
    n_levels = len(column.levels)
    counts = [np.bincount(x[x >= 0], minlength=n_levels) for x in (a, b)]
    order = np.argsort(-counts[0], kind="stable")
    common = [int(i) for i in order if counts[0][i] >= MIN_ROWS]
    named, other = common[:MAX_LEVELS], common[MAX_LEVELS:]
    rare = [i for i in range(n_levels) if counts[0][i] < MIN_ROWS]
    if counts[0][rare].sum() < MIN_ROWS:  # too few to stand alone
        other, rare = [*other, *rare] if other else [], []
    groups = [(column.levels[i], [i]) for i in named]
    groups += [(f"({len(other)} more levels)", other)] if other else []
    groups += [("(rare)", rare)] if rare else []
    if not groups:
        return None
    shares = [
        [float(c[members].sum()) / len(x) for _, members in groups]
        for c, x in zip(counts, (a, b), strict=True)
    ]
    return {"labels": [label for label, _ in groups], "train": shares[0], "synthetic": shares[1]}


def _bins(column: Column, a: Floats, b: Floats) -> dict[str, Any] | None:
    present = np.sort(a[~np.isnan(a)])
    if len(present) < 3 * MIN_ROWS:  # or fewer than that lie between the ends
        return None
    edges, ends = _unit_edges(column.family, present) or _round_edges(column.family, present)
    places = [np.searchsorted(edges[1:-1], x[~np.isnan(x)], side="right") for x in (a, b)]
    counts = [np.bincount(place, minlength=len(edges) - 1) for place in places]
    together = _joined(counts[0])
    shares = [
        [float(c[together == k].mean()) / len(x) for k in together]
        for c, x in zip(counts, (a, b), strict=True)
    ]
    return {"low": ends[0], "high": ends[1], "train": shares[0], "synthetic": shares[1]}


def _joined(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the group of every bin: alone if empty or full enough, else with the next ones."""
    groups = np.zeros(len(counts), dtype=np.int64)
    group, held = 0, 0
    for k, count in enumerate(counts):
        groups[k] = group
        held += int(count)
        if held == 0 or held >= MIN_ROWS:
            group, held = group + 1, 0
    if held:  # too few rows at the end: back to the last group that has enough
        full = [g for g in range(group) if counts[groups == g].sum() >= MIN_ROWS]
        groups[groups >= full[-1]] = full[-1]
    return groups


def _unit_edges(family: str | None, present: Floats) -> tuple[Floats, tuple[str, str]] | None:
    """Return one bin per whole number, between numbers that enough rows hold."""
    constant = present[0] == present[-1]
    if family != "number" or not (constant or (present == np.round(present)).all()):
        return None
    values, counts = np.unique(present, return_counts=True)
    common = values[counts >= MIN_ROWS]
    if not len(common) or common[-1] - common[0] > _MAX_UNIT_BINS or abs(common[0]) > 2**52:
        return None
    outside = ((present < common[0]) | (present > common[-1])).sum()
    if outside > len(present) / 10:
        return None
    edges = np.arange(common[0], common[-1] + 2) - 0.5
    return edges, (f"{common[0]:,.10g}", f"{common[-1]:,.10g}")


def _round_edges(family: str | None, present: Floats) -> tuple[Floats, tuple[str, str]]:
    """Return at most about 24 bins of the same round width."""
    low, high = float(present[MIN_ROWS - 1]), float(present[-MIN_ROWS])
    moment = family is not None and family.startswith("datetime")
    finest = (
        1e-12 if moment else 1e-6
    )  # of the value: an end has seven digits, and not a whole value
    width = max((high - low) / N_BINS, max(abs(low), abs(high)) * finest, 1e-300)
    unit = 1.0
    if moment or family == "duration":
        unit = float(_SPANS[max(int(np.searchsorted(_SPANS, width, "right")) - 1, 0)])
    step = _round_up(width / unit) * unit
    first = np.floor(low / step)
    edges = (first + np.arange(max(np.ceil(high / step) - first, 1) + 1)) * step
    ends = float(edges[0]), float(edges[-1])
    if moment:
        return edges, (_moment(ends[0], unit), _moment(ends[1], unit))
    if family == "duration":
        return edges, (f"{ends[0] / 1e6:,.6g} s", f"{ends[1] / 1e6:,.6g} s")
    return edges, (_number(ends[0]), _number(ends[1]))


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ..."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(k * power for k in (1.0, 2.0, 5.0, 10.0) if k * power >= value * (1 - 1e-9)))


def _number(value: float) -> str:
    return f"{value:,.10g}" if 1e-4 <= abs(value) < 1e15 or value == 0 else f"{value:.6g}"


def _moment(value: float, unit: float) -> str:
    precision = "D" if unit == _SPANS[-1] else "s"
    moment = np.datetime64(int(value), "us").astype(f"datetime64[{precision}]")
    return str(moment).replace("T", " ")
