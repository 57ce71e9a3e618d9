"""Does this way of making tables leak membership? An attack with shadow models.

Other attacks judge one table. This one judges the recipe: it fits many models on random halves of
a pool of real rows, so that for every target row there are tables made with it and tables made
without, and learns to tell which is which from what the tables look like around the target.

References
----------
.. [1] T. Stadler, B. Oprisanu, C. Troncoso, "Synthetic Data - Anonymisation Groundhog Day", USENIX
   Security 2022.
.. [2] N. Carlini et al., "Membership Inference Attacks From First Principles", IEEE S&P 2022: many
   targets share the same shadow models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space, nearest
from synthgan.evaluate.intervals import bootstrap_interval
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.ranking import auc_with_interval, roc_curve, true_positive_rate
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["MAX_POOL_ROWS", "measure", "shadow_rows"]

MAX_POOL_ROWS = 1_000
MIN_MODELS = 8
N_TARGETS = 200
NAMES = ("shadow_auc", "shadow_tpr_at_1pct_fpr")

Floats = npt.NDArray[np.float64]


def shadow_rows(n_pool: int, n_models: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Return, for each shadow model, the half of the pool that it learns."""
    return [
        np.sort(numpy_generator(seed, "shadow rows", k).choice(n_pool, n_pool // 2, replace=False))
        for k in range(n_models)
    ]


def measure(
    setting: Setting,
    pool: Table,
    rows: Sequence[npt.NDArray[np.int64]],
    made: Sequence[Table],
) -> Measurement:
    """Attack tables made by shadow models.

    The targets are the 100 most isolated rows of the pool and 100 random ones. The attack, a
    random forest, learns on one half of the models and is scored on the other half.

    Parameters
    ----------
    setting : Setting
    pool : Table
        Real rows.
    rows : sequence of ndarray
        Which rows of the pool each shadow model learned.
    made : sequence of Table
        The table that each shadow model made, coded like `pool`.

    Returns
    -------
    Measurement
        ``shadow_auc`` and ``shadow_tpr_at_1pct_fpr`` over (model, target) pairs that the attack
        has not seen; the interval of the AUC is a bootstrap over attacked models. Details
        ``roc_shadow``.
    """
    from sklearn.ensemble import RandomForestClassifier

    if len(made) < MIN_MODELS or len(pool) < 100:
        reason = f"needs {MIN_MODELS} shadow models and 100 real rows"
        goals = zip(NAMES, (0.5, 0.01), strict=True)
        return Measurement([Score.not_computable(n, reason, "near", best) for n, best in goals])
    space = Space(pool)
    targets = _targets(space, pool, setting.seed)
    x = np.array([_features(space, pool.take(targets), table) for table in made])
    y = np.array([np.isin(targets, members) for members in rows])
    # x: (models, targets, features). What a target looks like on average is no sign of
    # membership, so it is taken off.
    x = x - x.mean(axis=0, keepdims=True)
    half = len(made) // 2
    forest = RandomForestClassifier(
        200, min_samples_leaf=10, max_depth=8, random_state=setting.seed % 2**31
    )
    forest.fit(x[:half].reshape(-1, x.shape[2]), y[:half].ravel())
    found = forest.predict_proba(x[half:].reshape(-1, x.shape[2]))[:, 1].reshape(-1, len(targets))
    return _scores(found, y[half:], setting.seed)


def _scores(found: Floats, members: npt.NDArray[np.bool_], seed: int) -> Measurement:
    positive, negative = found[members], found[~members]
    auc, _ = auc_with_interval(positive, negative)

    def resampled(weights: npt.NDArray[np.int64]) -> float:
        rows = np.repeat(np.arange(len(found)), weights)
        return auc_with_interval(found[rows][members[rows]], found[rows][~members[rows]])[0]

    interval = bootstrap_interval(resampled, len(found), numpy_generator(seed, "shadow bootstrap"))
    if interval is not None:
        interval = min(interval[0], auc), max(interval[1], auc)
    rate, rate_interval = true_positive_rate(positive, negative)
    scores = [
        Score(NAMES[0], auc, "near", 0.5, interval),
        Score(NAMES[1], rate, "near", 0.01, rate_interval),
    ]
    return Measurement(scores, {"roc_shadow": roc_curve(positive, negative)})


def _targets(space: Space, pool: Table, seed: int) -> npt.NDArray[np.int64]:
    """Return the rows that lie furthest from all others, and as many at random."""
    n_isolated = min(N_TARGETS, len(pool)) // 2
    lonely = np.argsort(-nearest(space, pool, pool, not_itself=True)[0][:, 0], kind="stable")
    rest = numpy_generator(seed, "shadow targets").permutation(lonely[n_isolated:])
    return np.concatenate([lonely[:n_isolated], rest[:n_isolated]])


def _features(space: Space, targets: Table, made: Table) -> Any:
    """Return what the synthetic table looks like around each target; shape (targets, features)."""
    distance = nearest(space, targets, made, 8)[0].astype(np.float64)
    near = np.log(np.maximum(distance[:, [0, 1, 2, -1]], 1e-3))
    a, b = space.scaled(targets), space.scaled(made)
    close = np.column_stack(
        [(space.distances(a, b, np.array([k])) <= 0.02).mean(axis=1) for k in range(a.shape[1])]
    )
    rarest = np.sort(np.log(close + 1 / len(b)), axis=1)[:, :3]
    return np.column_stack([near, rarest, np.log(close + 1 / len(b)).mean(axis=1)])
