"""Histograms of one column in both tables, coarse enough to show no single train row.

A level is named only if at least 10 train rows hold it, and a histogram ends at the 10th smallest
and 10th largest train value; what lies outside is counted in the outer bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan.evaluate.tables import Column, Table

__all__ = ["MIN_ROWS", "marginal"]

#: Fewest train rows behind a name or an axis end.
MIN_ROWS = 10
MAX_LEVELS = 12
N_BINS = 24
_MAX_UNIT_BINS = 40

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
    if len(present) < 2 * MIN_ROWS:
        return None
    low, high = float(present[MIN_ROWS - 1]), float(present[-MIN_ROWS])
    edges = _edges(low, high, whole=bool((present == np.round(present)).all()))
    inner = edges[1:-1]
    shares = [
        (
            np.bincount(
                np.searchsorted(inner, x[~np.isnan(x)], side="right"), minlength=len(edges) - 1
            )
            / len(x)
        ).tolist()
        for x in (a, b)
    ]
    ends = [_axis_label(column.family, value) for value in (low, high)]
    return {"low": ends[0], "high": ends[1], "train": shares[0], "synthetic": shares[1]}


def _edges(low: float, high: float, *, whole: bool) -> Floats:
    if low == high:
        return np.array([low, high])
    if whole and high - low <= _MAX_UNIT_BINS and abs(low) < 2**52:  # one bin per value
        return np.arange(low, high + 2) - 0.5
    return low + (high / 2 - low / 2) * np.linspace(0, 2, N_BINS + 1)


def _axis_label(family: str | None, value: float) -> str:
    if family is not None and family.startswith("datetime"):
        return str(np.datetime64(int(value), "us").astype("datetime64[m]")).replace("T", " ")
    if family == "duration":
        return f"{value / 1e6:,.6g} s"
    return f"{value:,.0f}" if abs(value) < 1e15 and value == round(value) else f"{value:.4g}"
