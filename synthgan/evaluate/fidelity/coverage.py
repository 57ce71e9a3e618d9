"""Are synthetic rows where real rows are, does every region have some, and are they different?

References
----------
.. [1] M. F. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML
   2020: density and coverage.
"""

from __future__ import annotations

import numpy as np

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space, nearest, row_budget
from synthgan.evaluate.intervals import clipped, mean_interval, wilson
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

K = 5
MAX_ROWS = 5_000
MIN_ROWS = 2 * K


def measure(setting: Setting, table: Table) -> Measurement:
    """Return density and coverage, with balls to the fifth nearest real neighbour.

    Both tables are cut to the same number of rows, at most 5,000 (fewer if there are more than 20
    columns). Rows that also occur in train would find themselves; that makes copies look perfect,
    which is why the real holdout, not the bootstrap, is the reference to read these against.

    Returns
    -------
    Measurement
        ``density``: mean number of real balls that hold a synthetic row, over K; 1 for real rows,
        below for rows in empty space, above for rows that crowd the middle. ``coverage``: share
        of real balls that hold a synthetic row; 0.97 for as many real rows. ``repeat_rate``:
        share of rows that repeat an earlier row of the same table, on as many rows of both
        tables; `best` is that of train.
    """
    repeats = _repeats(setting, table)
    most = row_budget(len(setting.train.columns), MAX_ROWS)
    n_rows = min(len(setting.train), len(table), most)
    if n_rows < MIN_ROWS:
        reason = f"needs at least {MIN_ROWS} rows in each table, got {n_rows}"
        return Measurement(
            [
                Score.not_computable("density", reason, "near", 1.0),
                Score.not_computable("coverage", reason, "higher", 1.0),
                repeats,
            ]
        )
    real, fake = (
        source.sample(n_rows, numpy_generator(setting.seed, "coverage rows", k))
        for k, source in enumerate((setting.train, table))
    )
    space = Space(setting.train)
    radius = nearest(space, real, real, K, not_itself=True)[0][:, -1]
    inside = np.zeros(n_rows)
    held = np.zeros(n_rows, dtype=bool)
    a, b = space.scaled(real), space.scaled(fake)
    for start in range(0, n_rows, 256):
        rows = slice(start, start + 256)
        within = space.distances(a[rows], b) <= radius[rows, None]
        inside += within.sum(axis=0)
        held[rows] = within.any(axis=1)
    counts, covered = inside / K, float(held.mean())
    density = float(counts.mean())
    return Measurement(
        [
            Score("density", density, "near", 1.0, clipped(mean_interval(counts), density, 0.0)),
            Score("coverage", covered, "higher", 1.0, wilson(covered, n_rows)),
            repeats,
        ]
    )


def _repeats(setting: Setting, table: Table) -> Score:
    n_rows = min(len(setting.train), len(table))
    shares = []
    for k, source in enumerate((setting.train, table)):
        keys = source.sample(n_rows, numpy_generator(setting.seed, "repeats", k)).row_keys()
        shares.append(1 - len(set(keys)) / n_rows)
    return Score("repeat_rate", shares[1], "near", shares[0], wilson(shares[1], n_rows))
