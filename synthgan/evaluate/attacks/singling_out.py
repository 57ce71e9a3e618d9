"""Does the synthetic table tell how to describe exactly one person? Singling out.

The attacker turns a synthetic row into a description ("at least this old, this town, at most that
wage") and hopes that exactly one person in train fits it. Any description of that length fits
exactly one person now and then; what counts is how much more often it does in train than in as
many control rows.

References
----------
.. [1] A. Cohen, K. Nissim, "Towards Formalizing the GDPR's Notion of Singling Out", PNAS 2020.
.. [2] M. Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data",
   PoPETs 2023.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.intervals import difference_of_means
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

NAME = "singling_out_lift"
MAX_ROWS = 10_000
MIN_ROWS = 20
N_DESCRIPTIONS = 1_000
N_TRIES = 8_000
#: Columns in a description.
LENGTHS = (3, 4, 6, 8)

Floats = npt.NDArray[np.float64]


def measure(setting: Setting, table: Table) -> Measurement:
    """Try up to 1,000 descriptions of three to eight columns that fit exactly one synthetic row.

    A category must be equal; a number above the median of the synthetic column must be at least
    the value, another at most; a missing value must be missing. All tables are cut to the same
    number of rows, at most 10,000.

    Returns
    -------
    Measurement
        ``singling_out_lift``: share of descriptions that fit exactly one train row minus the share
        that fit exactly one control row; interval normal over descriptions.
    """
    reason, control = setting.obstacle(MIN_ROWS, 2), setting.control
    if reason is not None or control is None:
        return Measurement([Score.not_computable(NAME, str(reason), "near", 0.0)])
    if len(table) < MIN_ROWS:
        return Measurement([Score.not_computable(NAME, f"needs {MIN_ROWS} rows", "near", 0.0)])
    generator = numpy_generator(setting.seed, "singling out")
    n_rows = min(MAX_ROWS, len(setting.train), len(control))
    real = [part.sample(n_rows, generator).matrix() for part in (setting.train, control)]
    codes = np.array([c.kind == "categorical" for c in setting.train.columns], dtype=bool)
    released = table.sample(n_rows, generator).matrix()
    centres = np.array([_median(column) for column in released.T])
    alone = []
    for k in range(N_TRIES):
        row = released[generator.integers(len(released))]
        length = min(LENGTHS[k % len(LENGTHS)], released.shape[1])
        columns = generator.choice(released.shape[1], length, replace=False)
        fits = [_fits(part, row, columns, codes, centres).sum() for part in (released, *real)]
        if fits[0] == 1:
            alone.append([count == 1 for count in fits[1:]])
        if len(alone) == N_DESCRIPTIONS:
            break
    if len(alone) < MIN_ROWS:
        reason = "hardly any description fits exactly one synthetic row"
        return Measurement([Score.not_computable(NAME, reason, "near", 0.0)])
    hits = np.array(alone, dtype=np.float64)
    lift, interval = difference_of_means(hits[:, 0], hits[:, 1])
    return Measurement([Score(NAME, lift, "near", 0.0, interval)])


def _median(column: Floats) -> float:
    present = column[~np.isnan(column)]
    return float(np.median(present)) if len(present) else 0.0


def _fits(
    matrix: Floats,
    row: Floats,
    columns: npt.NDArray[np.int64],
    codes: npt.NDArray[np.bool_],
    centres: Floats,
) -> npt.NDArray[np.bool_]:
    """Return which rows fit the description of `row` by `columns`."""
    fit = np.ones(len(matrix), dtype=bool)
    for k in columns:
        values, wanted = matrix[:, k], row[k]
        if np.isnan(wanted):
            fit &= np.isnan(values)
        elif codes[k]:
            fit &= values == wanted
        else:
            fit &= values >= wanted if wanted > centres[k] else values <= wanted
    return fit
