"""Can two halves of a record, held by different people, be joined through the synthetic table?

References
----------
.. [1] M. Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data",
   PoPETs 2023.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space, nearest
from synthgan.evaluate.intervals import difference_of_means
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

NAME = "linkability_lift"
MAX_TARGETS = 1_000
MAX_ROWS = 40_000
MAX_COMPARISONS = 2e9
MIN_TARGETS = 20
#: Times the columns are split in two halves at random.
N_SPLITS = 2


def measure(setting: Setting, table: Table) -> Measurement:
    """Look up both halves of up to 1,000 members and 1,000 control rows.

    An attacker who knows one half of the columns of a target finds the nearest synthetic row, and
    one who knows the other half finds theirs. If it is the same row, the halves are linked.

    Returns
    -------
    Measurement
        ``linkability_lift``: share of members that are linked minus share of control rows that
        are, mean over two random splits of the columns; interval normal over targets.
    """
    reason, control = setting.obstacle(MIN_TARGETS, 4), setting.control
    if reason is not None or control is None:
        return Measurement([Score.not_computable(NAME, str(reason), "near", 0.0)])
    n_columns = len(setting.train.columns)
    generator = numpy_generator(setting.seed, "linkability")
    n_targets = min(MAX_TARGETS, len(setting.train), len(control))
    most = int(MAX_COMPARISONS / (2 * N_SPLITS * n_targets * n_columns))
    rows = table.sample(min(MAX_ROWS, max(most, 500)), generator)
    space = Space(setting.train)
    targets = [part.sample(n_targets, generator) for part in (setting.train, control)]
    splits = [np.array_split(generator.permutation(n_columns), 2) for _ in range(N_SPLITS)]
    linked = [_linked(space, part, rows, splits) for part in targets]
    lift, interval = difference_of_means(*linked)
    return Measurement([Score(NAME, lift, "near", 0.0, interval)])


def _linked(
    space: Space, targets: Table, rows: Table, splits: list[list[npt.NDArray[np.int64]]]
) -> npt.NDArray[np.float64]:
    """Return the share of splits in which each target is linked; shape (targets,)."""
    found = np.zeros(len(targets))
    for first, second in splits:
        places = [nearest(space, targets, rows, columns=half)[1] for half in (first, second)]
        found += (places[0] == places[1])[:, 0]
    return found / len(splits)
