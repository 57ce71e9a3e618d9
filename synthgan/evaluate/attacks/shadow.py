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

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space, nearest
from synthgan.evaluate.intervals import clipped, t_interval
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.roc import auc_with_interval, found_at, roc_curve
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["MAX_POOL_ROWS", "measure", "shadow_rows"]

MAX_POOL_ROWS = 1_000
MIN_MODELS = 16
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
        ``shadow_auc``, the mean over the attacked models, and ``shadow_tpr_at_1pct_fpr``, over
        (model, target) pairs that the attack has not seen. Targets of one model stand and fall
        together, so intervals are Student's over models; that of the TPR is at least as wide as
        that over pairs. Details ``roc_shadow``.
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
    return _scores(found, y[half:])


def _scores(found: Floats, members: npt.NDArray[np.bool_]) -> Measurement:
    """Score what the attack says of (attacked model, target) pairs."""
    pairs = list(zip(found, members, strict=True))
    areas = np.array([auc_with_interval(f[m], f[~m])[0] for f, m in pairs])
    auc, interval = float(areas.mean()), clipped(t_interval(areas), float(areas.mean()), 0.0, 1.0)
    positive, negative = found[members], found[~members]
    rate = found_at(NAMES[1], positive, negative, 0.01)
    if rate.interval is not None and rate.value is not None:
        threshold = np.sort(negative)[len(negative) - 1 - int(0.01 * len(negative))]
        low, high = t_interval(np.array([(f[m] > threshold).mean() for f, m in pairs]))
        ends = min(low, rate.interval[0]), max(high, rate.interval[1])
        rate = dataclasses.replace(rate, interval=clipped(ends, rate.value, 0.0, 1.0))
    scores = [Score(NAMES[0], auc, "near", 0.5, interval), rate]
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
