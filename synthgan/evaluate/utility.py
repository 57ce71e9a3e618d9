"""Is a model trained on synthetic rows of use on real ones? TSTR beside TRTR.

References
----------
.. [1] C. Esteban, S. Hyland, G. Rätsch, "Real-valued (Medical) Time Series Generation with
   Recurrent Conditional GANs", 2017, which named "train on synthetic, test on real".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.learners import Booster, features, make_booster, make_linear, quietly
from synthgan.evaluate.ranking import bootstrap_interval, weighted_auc
from synthgan.evaluate.score import Direction, Score
from synthgan.evaluate.tables import Table, Task

__all__ = ["train_and_test"]

MAX_TRAIN_ROWS = 50_000
MAX_CLASSES = 50

#: Statistics of a task: name, which way is better, best value.
STATISTICS: dict[Task, list[tuple[str, Direction, float]]] = {
    "classification": [("auc", "higher", 1.0)],
    "regression": [("rmse", "lower", 0.0), ("r2", "higher", 1.0)],
}
LEARNERS = ("boosting", "linear")

Floats = npt.NDArray[np.float64]
Statistic = Callable[[npt.NDArray[np.int64]], float]


def train_and_test(
    train: Table,
    test: Table | None,
    *,
    target: str,
    task: Task,
    prefix: Literal["tstr", "trtr"] = "tstr",
    booster: Booster = "hist_gradient_boosting",
    seed: int = 0,
) -> list[Score]:
    """Train boosted trees and a linear model on one table and test them on another.

    Parameters
    ----------
    train : Table
        Synthetic (TSTR) or real (TRTR) rows; at most 50,000, drawn at random, are used.
    test : Table or None
        Real rows that no generator saw.
    target : str
        The column to predict; rows that lack it are left out.
    task : {"classification", "regression"}
    prefix : {"tstr", "trtr"}
        Begins the names of the scores.
    booster : {"hist_gradient_boosting", "xgboost"}
    seed : int

    Returns
    -------
    list of Score
        ``{prefix}_{learner}_{statistic}`` for the learners ``boosting`` and ``linear``: ``auc``
        for classification (mean of one-versus-rest over the classes of the test table; a class
        that training lacks counts 0.5), ``rmse`` (in units of the target) and ``r2`` for
        regression. Intervals come from 200 bootstrap resamples of the test rows.
    """
    if test is not None:
        train, test = _with_target(train, target), _with_target(test, target)
        train = train.sample(MAX_TRAIN_ROWS, numpy_generator(seed, "utility rows"))
    reason = _obstacle(train, test, target, task)
    if reason is not None or test is None:
        return [
            Score.not_computable(f"{prefix}_{learner}_{name}", str(reason), direction, best)
            for learner in LEARNERS
            for name, direction, best in STATISTICS[task]
        ]
    x_train, x_test, codes = features(train.drop(target), test.drop(target))
    models = {
        "boosting": make_booster(booster, task, codes, seed),
        "linear": make_linear(task, codes),
    }
    scores = []
    for learner, model in models.items():
        with quietly():
            statistics = _statistics(model, task, x_train, train[target], x_test, test[target])
            for name, direction, best in STATISTICS[task]:
                full_name = f"{prefix}_{learner}_{name}"
                scores.append(
                    _scored(full_name, statistics[name], len(test), direction, best, seed)
                )
    return scores


def _with_target(table: Table, target: str) -> Table:
    values = table[target]
    present = values >= 0 if table.column(target).kind == "categorical" else ~np.isnan(values)
    return table if present.all() else table.take(present)


def _obstacle(train: Table, test: Table | None, target: str, task: Task) -> str | None:
    """Return why there is nothing to measure, None if there is."""
    if test is None:
        return "needs a holdout of real rows"
    if len(train.columns) < 2:
        return "needs a column besides the target"
    if len(train) < 2 or len(test) < 2:
        return "fewer than 2 rows have a target"
    if task == "regression":
        return "the target of the test rows is constant" if np.ptp(test[target]) == 0 else None
    for name, table in (("training", train), ("test", test)):
        n_classes = len(np.unique(table[target]))
        if n_classes < 2:
            return f"the {name} rows have one class only"
        if n_classes > MAX_CLASSES:
            return f"the {name} rows have {n_classes} classes, more than {MAX_CLASSES}"
    return None


def _statistics(
    model: Any,
    task: Task,
    x_train: Floats,
    y_train: npt.NDArray[Any],
    x_test: Floats,
    y_test: npt.NDArray[Any],
) -> dict[str, Statistic]:
    """Fit and return, per name, a function of the weights of the test rows."""
    if task == "regression":
        # Unit scale keeps dates, in microseconds, within what solvers can square.
        centre, scale = float(y_train.mean()), float(y_train.std()) or 1.0
        model.fit(x_train, (y_train - centre) / scale)
        predicted = np.asarray(model.predict(x_test), dtype=np.float64)
        return _regression_statistics(predicted, (y_test - centre) / scale, scale)
    classes, y = np.unique(y_train, return_inverse=True)
    model.fit(x_train, y)
    probability = np.asarray(model.predict_proba(x_test), dtype=np.float64)
    return {"auc": _mean_auc(probability, classes, y_test)}


def _regression_statistics(predicted: Floats, y: Floats, scale: float) -> dict[str, Statistic]:
    squared_error = (predicted - y) ** 2

    def rmse(weights: npt.NDArray[np.int64]) -> float:
        return scale * float(np.sqrt(np.average(squared_error, weights=weights)))

    def r2(weights: npt.NDArray[np.int64]) -> float:
        mean = np.average(y, weights=weights)
        variance = float(np.average((y - mean) ** 2, weights=weights))
        error = float(np.average(squared_error, weights=weights))
        return 1 - error / variance if variance > 0 else float("nan")

    return {"rmse": rmse, "r2": r2}


def _mean_auc(probability: Floats, classes: npt.NDArray[Any], y: npt.NDArray[Any]) -> Statistic:
    """Return the mean one-versus-rest AUC over the classes of `y`."""
    present = list(np.unique(y))
    if len(present) == 2 and set(present) == set(classes):
        present = present[1:]  # the two curves mirror each other
    column = {label: k for k, label in enumerate(classes)}
    curves = [
        weighted_auc(probability[:, column[c]] if c in column else np.zeros(len(y)), y == c)
        for c in present
    ]
    return lambda weights: float(np.mean([curve(weights) for curve in curves]))


def _scored(
    name: str, statistic: Statistic, n_rows: int, direction: Direction, best: float, seed: int
) -> Score:
    value = statistic(np.ones(n_rows, dtype=np.int64))
    if not np.isfinite(value):
        return Score.not_computable(name, "the model gave no finite prediction", direction, best)
    interval = bootstrap_interval(statistic, n_rows, numpy_generator(seed, "utility bootstrap"))
    return Score(name, value, direction, best, interval)
