"""Smoke tests for copied rows. They can raise an alarm; they can never give the all-clear.

References
----------
.. [1] Z. Yao et al., "The DCR Delusion: Measuring the Privacy Risk of Synthetic Data", 2025,
   arXiv:2505.01524: models that leak their training rows pass distance tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space, nearest, row_budget
from synthgan.evaluate.intervals import Z95, difference_of_means, wilson
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.roc import found_at
from synthgan.evaluate.score import Direction, Score
from synthgan.evaluate.tables import Table

__all__ = ["SMOKE_TEST", "exact_match_rate", "measure", "rare_values"]

SMOKE_TEST = "smoke test, not evidence of privacy"

MAX_ROWS = 5_000
#: A synthetic row is a near copy if it lies closer to train than this share of control rows does.
NEAR_SHARE = 0.01
#: Rows that are looked for near copies, and most comparisons with (all) train rows for it.
MAX_LOOKED_AT = 2_000
MAX_COMPARISONS = 1e9
#: A value is rare if fewer train rows than this hold it.
RARE_COUNT = 5
#: Fewest train rows with rare values for a column to count by itself.
MIN_RARE = 20
_TIE = 1e-6

Floats = npt.NDArray[np.float32]


def measure(setting: Setting, table: Table) -> Measurement:
    """Return exact copies, near copies, and shares of distances.

    For the shares of distances, train and control are cut to the same number of rows, all tables
    to 5,000 at most (fewer if there are more than 20 columns, 1,000 at 500 columns): copies of
    rows outside the cut are not seen. Near copies are looked for among 2,000 rows, and in as much
    of train as 1e9 comparisons allow.

    Returns
    -------
    Measurement
        ``exact_match_rate``; ``near_copy_rate``, the share of rows closer to a train row than
        99 % of the control rows are to their nearest train row (real rows score about 0.01);
        ``dcr_share``, the share of rows closer to train than to control: 0.5 is ideal, copies push
        it towards 1, ties count half (the note gives their share); ``nndr_share``, the share of
        rows whose distances to the nearest and second nearest train row are further apart, as a
        ratio, than those to control rows: 0.5 if rows are as close to a single person in train as
        in control. All are smoke tests.
    """
    scores = [exact_match_rate(setting.train, setting.control, table)]
    absent: list[tuple[str, Direction, float]] = [
        ("near_copy_rate", "near", NEAR_SHARE),
        ("dcr_share", "near", 0.5),
        ("nndr_share", "near", 0.5),
    ]
    if setting.control is None or min(map(len, (setting.train, setting.control, table))) < 3:
        reason = "needs a holdout of real rows"
        reason = reason if setting.control is None else "needs three rows in every table"
        gone = [Score.not_computable(*(n, reason, d, b), note=SMOKE_TEST) for n, d, b in absent]
        return Measurement([*scores, *gone])
    scores.append(_near_copies(setting.train, setting.control, table, setting.seed))
    to_train, to_control = _distances(setting.train, setting.control, table, setting.seed)
    scores.append(_share("dcr_share", to_train[:, 0], to_control[:, 0]))
    ratios = [d[:, 0] / np.maximum(d[:, 1], _TIE) for d in (to_train, to_control)]
    scores.append(_share("nndr_share", ratios[0], ratios[1]))
    return Measurement(scores)


def _near_copies(train: Table, control: Table, table: Table, seed: int) -> Score:
    name = "near_copy_rate"
    most = int(MAX_COMPARISONS / (MAX_LOOKED_AT * len(train.columns)))
    train = train.sample(most, numpy_generator(seed, "near copies train"))
    space = Space(train)
    copies, others = (
        nearest(space, part.sample(MAX_LOOKED_AT, numpy_generator(seed, "near copies", k)), train)[
            0
        ][:, 0].astype(np.float64)
        for k, part in enumerate((table, control))
    )
    if float(np.quantile(others, NEAR_SHARE)) <= _TIE:
        reason = "1 % of the control rows equal a train row"
        return Score.not_computable(name, reason, "near", NEAR_SHARE, SMOKE_TEST)
    return found_at(name, -copies, -others, NEAR_SHARE, note=SMOKE_TEST)


def _distances(train: Table, control: Table, table: Table, seed: int) -> tuple[Floats, Floats]:
    """Return two nearest distances of rows to as many train and control rows."""
    most = row_budget(len(train.columns), MAX_ROWS)
    n_rows = min(len(train), len(control), most)
    rows = table.sample(most, numpy_generator(seed, "dcr candidate"))
    cut = [
        part.sample(n_rows, numpy_generator(seed, "dcr reference", k))
        for k, part in enumerate((train, control))
    ]
    space = Space(cut[0])
    to_train, to_control = (nearest(space, rows, part, 2)[0] for part in cut)
    return to_train, to_control


def _share(name: str, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Score:
    """Return how often `a` is smaller than `b`; ties count half."""
    ties = np.abs(a - b) <= _TIE
    smaller = float(np.mean((a < b) & ~ties) + ties.mean() / 2)
    note = f"{SMOKE_TEST}; {100 * float(ties.mean()):.0f} % ties"
    return Score(name, smaller, "near", 0.5, wilson(smaller, len(a)), note=note)


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
    interval = wilson(rate, len(candidate))
    if holdout is None:
        return Score("exact_match_rate", rate, "lower", 0.0, interval, note=SMOKE_TEST)
    best = _share_known(known, holdout)
    return Score("exact_match_rate", rate, "near", best, interval, note=SMOKE_TEST)


def _share_known(known: set[bytes], table: Table) -> float:
    rows = table.row_keys()
    return sum(row in known for row in rows) / len(rows)


def rare_values(setting: Setting, table: Table) -> Measurement:
    """Return how often rare values of train turn up, beyond how often they do in fresh rows.

    A value is rare if 1 to 4 train rows hold it. Real people share rare values by chance; what
    counts is the share of rows that hold one, in `table` and in control.

    Returns
    -------
    Measurement
        ``rare_value_leakage``: share of rows of `table` with a rare value of train minus the share
        of control rows with one, mean over the columns in which at least 20 train rows hold rare
        values (columns with fewer count together); interval normal over rows. Below 0 if rare
        values are pooled, as they should be. Details ``rare_values``: shares per column, worst
        first.
    """
    names, control = ("rare_value_leakage", "rare_value_alarm"), setting.control
    if control is None or min(len(control), len(table)) < 2:
        reason = "needs a holdout of real rows" if control is None else "needs two rows"
        return Measurement([Score.not_computable(n, reason, "lower", 0.0) for n in names])
    found = _rows_with_rare_values(setting.train, table, control)
    if not found:
        reason = f"fewer than {MIN_RARE} train rows hold a value that is rare there"
        return Measurement([Score.not_computable(n, reason, "lower", 0.0) for n in names])
    rows = [
        {"column": column, "synthetic": float(a.mean()), "control": float(b.mean())}
        for column, (a, b) in found.items()
    ]
    excess = np.array([_excess(a, b) for a, b in found.values()])
    # One row has several columns: mean the columns first, so that rows stay independent.
    sides = [np.mean([pair[k] for pair in found.values()], axis=0) for k in (0, 1)]
    value, interval = difference_of_means(sides[0], sides[1])
    worst = float(excess.max())
    scores = [
        Score(names[0], value, "lower", 0.0, interval),
        Score(names[1], worst, "lower", 0.0, (worst - Z95, worst + Z95)),
    ]
    order = np.argsort(-excess, kind="stable")
    return Measurement(scores, {"rare_values": [rows[k] for k in order]})


def _excess(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Return how much oftener `a` is true than `b`, in standard errors of equal shares."""
    pooled = (a.sum() + b.sum() + 1) / (len(a) + len(b) + 2)
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(a) + 1 / len(b)))
    return float((a.mean() - b.mean()) / error)


def _rows_with_rare_values(
    train: Table, table: Table, control: Table
) -> dict[str, list[npt.NDArray[np.bool_]]]:
    """Return per column which rows of `table` and of control hold a rare value of train."""
    found: dict[str, list[npt.NDArray[np.bool_]]] = {}
    rest = [np.zeros(len(table), dtype=bool), np.zeros(len(control), dtype=bool)]
    n_rest = 0
    parts = zip(train.columns, train.values, table.values, control.values, strict=True)
    for column, a, b, c in parts:
        present = a[a >= 0] if column.kind == "categorical" else a[~np.isnan(a)]
        values, counts = np.unique(present, return_counts=True)
        rare = values[counts < RARE_COUNT]
        holders = int(counts[counts < RARE_COUNT].sum())
        hits = [np.isin(b, rare), np.isin(c, rare)]
        if holders >= MIN_RARE:
            found[column.name] = hits
        elif holders:
            rest, n_rest = [x | y for x, y in zip(rest, hits, strict=True)], n_rest + holders
    if n_rest >= MIN_RARE:
        found["(columns with few)"] = rest
    return found
