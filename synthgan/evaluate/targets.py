"""Every column as a target: does the table keep all that could be predicted from it?

Utility for one chosen target says little about a table that will be used for others. Here each
column is predicted from the rest, by small boosted trees.

References
----------
.. [1] X. Jiang et al., "TabStruct: Measuring Structural Fidelity of Tabular Data", 2025,
   arXiv:2509.11950: global utility.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.intervals import bootstrap_interval
from synthgan.evaluate.learners import features, make_booster, quietly
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.roc import weighted_auc
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Column, Table

__all__ = ["measure"]

MAX_ROWS = 5_000
MAX_COLUMNS = 30
#: Columns, the targets among them, that targets are predicted from.
MAX_FEATURES = 60
N_TREES = 40
#: The most frequent levels of a target are its classes, the rest share one.
MAX_CLASSES = 5
#: A column that train rows themselves predict no better than this is left out.
MIN_SKILL = 0.1

#: Fewest known values of a target, to learn from and to test on.
MIN_ROWS = 20

Skill = Callable[[npt.NDArray[np.int64]], float]


def measure(setting: Setting, table: Table) -> Measurement:
    """Return how much of the predictability of all columns is kept.

    The skill of a model is 2 AUC - 1 for levels and R2 for numbers, not below 0. At most 30
    targets, 60 features (both drawn at random, the same for all tables) and 5,000 rows are used.

    Returns
    -------
    Measurement
        ``global_utility``: mean over columns of the skill of a model trained on `table` over that
        of one trained on train, at most 1; the interval is a bootstrap over the test rows.
        Details ``targets``: both skills of every column that is not left out.
    """
    name, goal = "global_utility", ("higher", 1.0)
    if setting.control is None:
        return Measurement([Score.not_computable(name, "needs a holdout of real rows", *goal)])  # type: ignore[arg-type]
    real = setting.once("skills of train", lambda: _skills(setting, setting.train))
    fake = _skills(setting, table)
    control = _control(setting)
    ones = np.ones(len(control), dtype=np.int64)
    kept = [k for k in real if real[k](ones) > MIN_SKILL]
    if not kept or len(table) < MIN_ROWS:
        reason = f"needs at least {MIN_ROWS} synthetic rows"
        reason = reason if kept else "no column can be predicted from the others"
        return Measurement([Score.not_computable(name, reason, "higher", 1.0)])

    for k in kept:
        fake.setdefault(k, lambda weights: 0.0)  # of a single value, nothing can be learned

    def utility(weights: npt.NDArray[np.int64]) -> float:
        ratios = [max(fake[k](weights), 0.0) / max(real[k](weights), 1e-9) for k in kept]
        return float(np.mean(np.minimum(ratios, 1.0)))

    interval = bootstrap_interval(
        utility, len(control), numpy_generator(setting.seed, "targets"), 100
    )
    value = utility(ones)
    rows = [
        {"column": k, "train": real[k](ones), "synthetic": max(fake[k](ones), 0.0)} for k in kept
    ]
    rows.sort(key=lambda row: row["synthetic"] / row["train"])
    if interval is not None:
        interval = min(interval[0], value), max(interval[1], value)
    return Measurement([Score(name, value, "higher", 1.0, interval)], {"targets": rows})


def _control(setting: Setting) -> Table:
    assert setting.control is not None
    return setting.control.sample(MAX_ROWS, numpy_generator(setting.seed, "target test rows"))


def _skills(setting: Setting, table: Table) -> dict[str, Skill]:
    """Return the skill of a model for each column, as a function of the weights of test rows."""
    order = numpy_generator(setting.seed, "target columns").permutation(len(table.columns))
    kept = np.sort(order[:MAX_FEATURES])
    train = _columns(table.sample(MAX_ROWS, numpy_generator(setting.seed, "target rows")), kept)
    test = _columns(_control(setting), kept)
    found = {}
    for k in np.sort(order[:MAX_COLUMNS]):
        name = table.names[k]
        skill = _skill(setting, train, test, setting.train.column(name))
        if skill is not None:
            found[name] = skill
    return found


def _columns(table: Table, kept: npt.NDArray[np.int64]) -> Table:
    columns, values = (tuple(part[k] for k in kept) for part in (table.columns, table.values))
    return Table(columns, values)


def _skill(setting: Setting, train: Table, test: Table, column: Column) -> Skill | None:
    if len(train.columns) < 2:
        return None
    x, x_test, codes, _ = features(train.drop(column.name), test.drop(column.name))
    y, y_test = train[column.name], test[column.name]
    task = "classification" if column.kind == "categorical" else "regression"
    if task == "classification":
        y, y_test = (np.where(v < 0, MAX_CLASSES, np.minimum(v, MAX_CLASSES)) for v in (y, y_test))
        present, known = np.ones(len(y), dtype=bool), np.ones(len(y_test), dtype=bool)
    else:
        present, known = ~np.isnan(y), ~np.isnan(y_test)
    y = y[present]
    few = min(len(y), int(known.sum())) < MIN_ROWS
    if few or (y == y[0]).all() or np.ptp(y_test[known]) == 0:
        return None
    model = make_booster(setting.booster, task, codes, setting.seed, N_TREES)  # type: ignore[arg-type]
    with quietly():
        if task == "classification":
            return _class_skill(model, x, y, x_test, y_test)
        return _number_skill(model, x[present], y, x_test, y_test, known)


def _class_skill(model: Any, x: Any, y: Any, x_test: Any, y_test: Any) -> Skill:
    classes, codes = np.unique(y, return_inverse=True)
    model.fit(x, codes)
    chance = np.asarray(model.predict_proba(x_test), dtype=np.float64)
    nothing = np.zeros(len(y_test))  # what is said of a class that training lacks
    by_class = dict(zip(classes, chance.T, strict=True))
    curves = [weighted_auc(by_class.get(c, nothing), y_test == c) for c in np.unique(y_test)]
    return lambda weights: 2 * float(np.nanmean([curve(weights) for curve in curves])) - 1


def _number_skill(model: Any, x: Any, y: Any, x_test: Any, y_test: Any, known: Any) -> Skill:
    # Ranks: a heavy tail would let a handful of rows decide R2.
    places = np.unique(y)
    ranks, truth = (np.searchsorted(places, v, side="right") / len(places) for v in (y, y_test))
    model.fit(x, ranks)
    guess = np.asarray(model.predict(x_test), dtype=np.float64)
    truth = np.where(known, truth, 0.0)

    def r2(weights: npt.NDArray[np.int64]) -> float:
        w = weights * known
        if not w.any():
            return float("nan")
        mean = np.average(truth, weights=w)
        variance = float(np.average((truth - mean) ** 2, weights=w))
        error = float(np.average((truth - guess) ** 2, weights=w))
        return 1 - error / variance if variance > 0 else 0.0

    return r2
