"""Does the synthetic table tell how to describe exactly one person? Singling out.

The attacker turns a synthetic row into a description ("at least this old, this town, at most that
wage") and hopes that exactly one person in train fits it. Any description of that length fits
exactly one person now and then; what counts is how many more it finds in train than in as many
control rows.

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
from synthgan.evaluate.intervals import mean_interval
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

NAME = "singling_out_lift"
MAX_ROWS = 40_000
MIN_ROWS = 20
N_DESCRIPTIONS = 1_000
N_TRIES = 8_000
#: Columns in a description.
LENGTHS = (3, 4, 6, 8)

Floats = npt.NDArray[np.float64]


def measure(setting: Setting, table: Table) -> Measurement:
    """Try up to 1,000 descriptions of three to eight columns that fit exactly one synthetic row.

    A category must be equal; a number above the median of the synthetic column must be at least
    the value, another at most; a missing value must be missing. At most 40,000 rows of a table
    are looked at; a train table larger than control in parts as large as control.

    Returns
    -------
    Measurement
        ``singling_out_lift``: how many train people a description singles out, on average, minus
        how many strangers it would: the share of descriptions that fit exactly one row of a part
        of train, minus the share that fit exactly one control row, summed over the parts.
        Interval normal over descriptions.
    """
    reason, control = setting.obstacle(MIN_ROWS, 2), setting.control
    if reason is not None or control is None:
        return Measurement([Score.not_computable(NAME, str(reason), "near", 0.0)])
    if len(table) < MIN_ROWS:
        return Measurement([Score.not_computable(NAME, f"needs {MIN_ROWS} rows", "near", 0.0)])
    generator = numpy_generator(setting.seed, "singling out")
    strangers, people = (
        part.take(generator.permutation(len(part))[:MAX_ROWS]).matrix()
        for part in (control, setting.train)
    )
    size = min(len(strangers), len(people))
    n_parts = len(people) // size
    parts = [strangers[:size], *np.split(people[: n_parts * size], n_parts)]
    released = table.sample(MAX_ROWS, generator).matrix()
    codes = np.array([c.kind == "categorical" for c in setting.train.columns], dtype=bool)
    centres = np.array([_median(column) for column in released.T])
    alone = []
    for k in range(N_TRIES):
        row = released[generator.integers(len(released))]
        length = min(LENGTHS[k % len(LENGTHS)], released.shape[1])
        columns = generator.choice(released.shape[1], length, replace=False)
        if _n_fitting(released, row, columns, codes, centres) == 1:
            fits = [_n_fitting(part, row, columns, codes, centres) == 1 for part in parts]
            alone.append(sum(fits[1:]) - n_parts * fits[0])
        if len(alone) == N_DESCRIPTIONS:
            break
    if len(alone) < MIN_ROWS:
        reason = "hardly any description fits exactly one synthetic row"
        return Measurement([Score.not_computable(NAME, reason, "near", 0.0)])
    excess = np.array(alone, dtype=np.float64)
    lift = float(excess.mean())
    return Measurement([Score(NAME, lift, "near", 0.0, mean_interval(excess))])


def _median(column: Floats) -> float:
    present = column[~np.isnan(column)]
    return float(np.median(present)) if len(present) else 0.0


def _n_fitting(
    matrix: Floats,
    row: Floats,
    columns: npt.NDArray[np.int64],
    codes: npt.NDArray[np.bool_],
    centres: Floats,
) -> int:
    """Return how many rows fit the description of `row` by `columns`."""
    fit = np.arange(len(matrix))
    for k in columns:
        values, wanted = matrix[fit, k], row[k]
        if np.isnan(wanted):
            same = np.isnan(values)
        elif codes[k]:
            same = values == wanted
        else:
            same = values >= wanted if wanted > centres[k] else values <= wanted
        fit = fit[same]
    return len(fit)
