"""Was this person in the training table? Membership inference by a density ratio.

The attacker has the synthetic table, a reference table of other people from the same population,
and the full record of a target. If the synthetic table is denser around the target than the
reference table is, the target was probably a member.

References
----------
.. [1] B. van Breugel et al., "Membership Inference Attacks against Synthetic Data through
   Overfitting Detection", AISTATS 2023 (DOMIAS). Departure: densities come from distances to
   nearest neighbours instead of kernels, which suits tables of mixed type.
.. [2] N. Carlini et al., "Membership Inference Attacks From First Principles", IEEE S&P 2022:
   why the true positive rate at 1 % false positives matters more than the AUC.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space, nearest
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.roc import auc_score, found_at, roc_curve
from synthgan.evaluate.score import Direction, Score
from synthgan.evaluate.tables import Table

__all__ = ["NAMES", "measure"]

MAX_TARGETS = 2_000
#: Most rows of the reference table; of synthetic rows all that the budget allows are used.
MAX_REFERENCE_ROWS = 10_000
MAX_COMPARISONS = 2e9
N_ISOLATED = 50
#: Half of the control rows are targets.
MIN_ROWS = 40
#: Neighbours that the density is taken from.
NEIGHBOURS = (1, 3)
_LEAST_DISTANCE = 1e-3

#: Name, direction, best value.
NAMES: list[tuple[str, Direction, float]] = [
    ("membership_auc", "near", 0.5),
    ("membership_tpr_at_1pct_fpr", "near", 0.01),
    ("membership_auc_isolated", "near", 0.5),
    ("membership_tpr_isolated", "near", 0.1),
]

Floats = npt.NDArray[np.float64]


def measure(setting: Setting, table: Table) -> Measurement:
    """Attack up to 2,000 members and as many control rows.

    Control rows are split in two: one part are the targets that were no members, the other is
    the attacker's reference table. Isolated targets are the 50 members and the 50 control rows
    that lie furthest from the reference table.

    Returns
    -------
    Measurement
        ``membership_auc`` (0.5: the attacker is guessing) and ``membership_tpr_at_1pct_fpr`` (of
        0.01 by chance), over random targets; ``membership_auc_isolated`` and
        ``membership_tpr_isolated`` over the isolated ones, the latter at 10 % false positives:
        of 50 rows, 1 % is none. Intervals: DeLong's and those of
        ``synthgan.evaluate.roc.found_at``. Details ``roc_membership``.
    """
    reason, control = setting.obstacle(MIN_ROWS), setting.control
    if reason is not None or control is None:
        return Measurement([Score.not_computable(n, str(reason), d, b) for n, d, b in NAMES])
    generator = numpy_generator(setting.seed, "membership targets")
    shuffled = control.take(generator.permutation(len(control)))
    n_targets = min(MAX_TARGETS, len(setting.train), len(shuffled) // 2)
    outsiders = shuffled.take(np.arange(n_targets))
    reference = shuffled.take(np.arange(n_targets, len(shuffled)))
    members = setting.train.sample(n_targets, generator)
    most = int(MAX_COMPARISONS / (2 * n_targets * len(setting.train.columns)))
    n_rows = min(MAX_REFERENCE_ROWS, most, len(reference), len(table))
    reference = reference.sample(n_rows, numpy_generator(setting.seed, "membership reference"))
    # More synthetic than reference rows make one density larger everywhere, which leaves the
    # order of the targets as it is.
    n_released = max(most, n_rows)
    released = table.sample(n_released, numpy_generator(setting.seed, "membership release"))
    space = Space(setting.train)
    a, b = (_evidence(space, targets, released, reference) for targets in (members, outsiders))
    lonely = [x[0][np.argsort(-x[1], kind="stable")[:N_ISOLATED]] for x in (a, b)]
    names = [name for name, _, _ in NAMES]
    scores = [
        auc_score(names[0], a[0], b[0]),
        found_at(names[1], a[0], b[0], 0.01),
        auc_score(names[2], lonely[0], lonely[1]),
        found_at(names[3], lonely[0], lonely[1], 0.1),
    ]
    return Measurement(scores, {"roc_membership": roc_curve(a[0], b[0])})


def _evidence(
    space: Space, targets: Table, released: Table, reference: Table
) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Return the log density ratio at every target, and its distance to the reference table."""
    most = max(NEIGHBOURS)
    near, far = (nearest(space, targets, t, most)[0] for t in (released, reference))
    ratios = [
        np.log(np.maximum(far[:, min(k, far.shape[1]) - 1], _LEAST_DISTANCE))
        - np.log(np.maximum(near[:, min(k, near.shape[1]) - 1], _LEAST_DISTANCE))
        for k in NEIGHBOURS
    ]
    return np.mean(ratios, axis=0, dtype=np.float64), far[:, 0]
