"""Is a model trained on synthetic rows of use on real ones? TSTR beside TRTR.

References
----------
.. [1] C. Esteban, S. Hyland, G. Rätsch, "Real-valued (Medical) Time Series Generation with
   Recurrent Conditional GANs", 2017, which named "train on synthetic, test on real".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.classification import (
    STATISTICS_OF_CLASSES,
    Statistic,
    Weights,
    statistics_of_classes,
)
from synthgan.evaluate.intervals import bootstrap_interval
from synthgan.evaluate.learners import features, make_learner, quietly, row_limit
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Direction, Score
from synthgan.evaluate.tables import Table, Task

__all__ = ["augmented", "groups", "ranking", "trtr", "tstr"]

MAX_TRAIN_ROWS = 50_000
#: Rows that models other than boosted trees and linear ones learn from.
MAX_SLOW_ROWS = 10_000
MAX_CLASSES = 50
#: A group needs this many test rows to be judged by itself.
MIN_GROUP_ROWS = 30
#: A level is named only if this many train rows hold it.
MIN_NAMED_ROWS = 10
MIN_RANKING_ROWS = 100

REPORTED = ("boosting", "linear", "mlp")
RANKED = (*REPORTED, "tree", "forest", "neighbours")
_FAST = ("boosting", "linear")

#: Statistics of a task, the main one first: name, which way is better, best value.
STATISTICS: dict[Task, list[tuple[str, Direction, float]]] = {
    "classification": STATISTICS_OF_CLASSES,
    "regression": [("rmse", "lower", 0.0), ("r2", "higher", 1.0)],
}

Floats = npt.NDArray[np.float64]


# --- measures ------------------------------------------------------------------------------------


def tstr(setting: Setting, table: Table) -> Measurement:
    """Train on `table`, test on the control rows.

    Returns
    -------
    Measurement
        ``tstr_{learner}_{statistic}`` for boosted trees, a linear model and a small MLP:
        ``auc`` (mean of one-versus-rest over the classes of the test rows; a class that training
        lacks counts 0.5), ``log_loss``, ``ece`` (expected calibration error of the likeliest
        class) and ``minority_f1`` (of the class that is rarest in train) for classification;
        ``rmse`` (in units of the target) and ``r2`` for regression. ``utility_ratio_{learner}``:
        AUC over the AUC of the same model trained on train rows (for regression RMSE of the
        latter over RMSE). Intervals come from 200 bootstrap resamples of the test rows, the same
        for both parts of a ratio.
    """
    found = _predict(setting, [table], REPORTED)
    if isinstance(found, str):
        scores = _absent("tstr", setting, found)
        scores += [
            Score.not_computable(f"utility_ratio_{name}", found, "higher", 1.0) for name in REPORTED
        ]
        return Measurement(scores)
    return Measurement(_scores("tstr", setting, found) + _ratios(setting, found))


def trtr(setting: Setting, _: Table) -> Measurement:
    """Train on train rows, test on the control rows: ``trtr_*``, named as in :func:`tstr`."""
    found = _trained_on_train(setting)
    if isinstance(found, str):
        return Measurement(_absent("trtr", setting, found))
    return Measurement(_scores("trtr", setting, found))


def augmented(setting: Setting, table: Table) -> Measurement:
    """Train on train and `table` together: ``augmented_{learner}_{statistic}`` and its gain.

    ``augmentation_gain_{learner}`` is the main statistic minus that of train rows alone (for RMSE
    the other way round), with a paired bootstrap interval.
    """
    found, alone = _predict(setting, [setting.train, table], REPORTED), _trained_on_train(setting)
    if isinstance(found, str) or isinstance(alone, str):
        reason = found if isinstance(found, str) else str(alone)
        return Measurement(_absent("augmented", setting, reason))
    gains = []
    for learner in REPORTED:
        name, direction, _best = STATISTICS[_task(setting)][0]
        sign = 1.0 if direction == "higher" else -1.0
        a, b = found[learner].statistics[name], alone[learner].statistics[name]
        gains.append(
            _scored(
                f"augmentation_gain_{learner}",
                lambda w, a=a, b=b, sign=sign: sign * (a(w) - b(w)),  # type: ignore[misc]
                found[learner].n_rows,
                ("higher", 0.0),
                setting.seed,
            )
        )
    return Measurement(_scores("augmented", setting, found) + gains)


def ranking(setting: Setting, table: Table) -> Measurement:
    """Would a data scientist choose the same model on `table` as on train?

    Returns
    -------
    Measurement
        ``ranking_agreement``: Kendall's tau between the orders of six models by their main
        statistic, trained on `table` and on train and tested on the same real rows. Details
        ``ranking``: the statistic of each model, both ways.
    """
    if min(len(setting.train), len(table)) < MIN_RANKING_ROWS:
        few = f"needs {MIN_RANKING_ROWS} rows in each table"
        return Measurement([Score.not_computable("ranking_agreement", few, "higher", 1.0)])
    rest = RANKED[len(REPORTED) :]
    rest_on_train = setting.once("ranking", lambda: _predict(setting, [setting.train], rest))
    parts = [_predict(setting, [table], RANKED), _trained_on_train(setting), rest_on_train]
    reason = next((part for part in parts if isinstance(part, str)), None)
    if reason is not None:
        return Measurement([Score.not_computable("ranking_agreement", reason, "higher", 1.0)])
    on_table, main_train, rest_train = (part for part in parts if not isinstance(part, str))
    on_train = {**main_train, **{name: rest_train[name] for name in rest}}
    name = STATISTICS[_task(setting)][0][0]
    sides = [[part[k].statistics[name] for k in RANKED] for part in (on_table, on_train)]

    def agreement(weights: Weights) -> float:
        from scipy.stats import kendalltau

        a, b = ([statistic(weights) for statistic in side] for side in sides)
        return float(kendalltau(a, b).statistic)

    n_rows = on_train["boosting"].n_rows
    score = _scored("ranking_agreement", agreement, n_rows, ("higher", 1.0), setting.seed)
    ones = np.ones(n_rows, dtype=np.int64)
    rows = [
        {"model": k, "synthetic": sides[0][i](ones), "train": sides[1][i](ones)}
        for i, k in enumerate(RANKED)
    ]
    return Measurement([score], {"ranking": {"statistic": name, "models": rows}})


def groups(setting: Setting, table: Table) -> Measurement:
    """Split TSTR and TRTR of boosted trees by the groups of sensitive columns.

    Numbers are cut at the quartiles of train. Groups with fewer than 30 test rows, and levels that
    fewer than 10 train rows hold, are left out.

    Returns
    -------
    Measurement
        ``worst_group_loss``: the largest amount by which a group is served worse by training on
        `table` than on train, with the interval of that group. The largest of several differences
        is above 0 by chance alone: read it beside the bootstrap's. Details ``groups``: one row
        per group.
    """
    name, direction, _ = STATISTICS[_task(setting)][0]
    found, alone = _predict(setting, [table], ("boosting",)), _trained_on_train(setting)
    if isinstance(found, str) or isinstance(alone, str) or setting.control is None:
        reason = found if isinstance(found, str) else str(alone)
        return Measurement([Score.not_computable("worst_group_loss", reason, "lower", 0.0)])
    test = _with_target(setting.control, str(setting.target))
    sign = 1.0 if direction == "higher" else -1.0
    sides = [part["boosting"].statistics[name] for part in (found, alone)]
    rows: list[dict[str, Any]] = []
    masks: list[Weights] = []
    for column, label, mask in _groups_of(setting, test):
        if mask.sum() < MIN_GROUP_ROWS:
            continue
        a, b = (side(mask) for side in sides)
        if np.isfinite([a, b]).all():
            size = int(mask.sum())
            rows.append({"column": column, "group": label, "rows": size, "tstr": a, "trtr": b})
            masks.append(mask)
    if not rows:
        reason = f"no group has {MIN_GROUP_ROWS} test rows of more than one class"
        return Measurement([Score.not_computable("worst_group_loss", reason, "lower", 0.0)])

    losses = [sign * (row["trtr"] - row["tstr"]) for row in rows]
    worst = masks[int(np.argmax(losses))]
    score = _scored(
        "worst_group_loss",
        lambda w: sign * (sides[1](w * worst) - sides[0](w * worst)),
        len(test),
        ("lower", 0.0),
        setting.seed,
    )
    return Measurement([score], {"groups": {"statistic": name, "groups": rows}})


def _groups_of(setting: Setting, test: Table) -> list[tuple[str, str, Weights]]:
    result = []
    for column in setting.sensitive:
        values = test[column]
        if setting.train.column(column).kind == "categorical":
            levels = test.column(column).levels
            known = setting.train[column]
            counts = np.bincount(known[known >= 0], minlength=len(levels))
            codes = np.flatnonzero(counts >= MIN_NAMED_ROWS)
            labels = [(levels[code], values == code) for code in codes]
            labels.append(("(missing)", values < 0))
        else:
            known = setting.train[column][~np.isnan(setting.train[column])]
            cuts = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else np.zeros(3)
            quarter = np.searchsorted(cuts, values)
            titles = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
            labels = [(t, (quarter == k) & ~np.isnan(values)) for k, t in enumerate(titles)]
            labels.append(("(missing)", np.isnan(values)))
        result += [(column, label, mask.astype(np.int64)) for label, mask in labels]
    return result


# --- predictions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What one fitted model is worth on the test rows, as functions of their weights."""

    statistics: Mapping[str, Statistic]
    n_rows: int


def _trained_on_train(setting: Setting) -> dict[str, Prediction] | str:
    found: dict[str, Prediction] | str = setting.once(
        "utility of train", lambda: _predict(setting, [setting.train], REPORTED)
    )
    return found


def _task(setting: Setting) -> Task:
    return setting.task or "classification"


def _predict(
    setting: Setting, tables: Sequence[Table], learners: Sequence[str]
) -> dict[str, Prediction] | str:
    """Return the predictions of models trained on all of some tables, or why there are none.

    Of each table as many rows are taken, and the same, as if it were the only one.
    """
    target, task = str(setting.target), _task(setting)
    if setting.control is None:
        return "needs a holdout of real rows"
    limit = row_limit(len(tables[0].columns), MAX_TRAIN_ROWS)
    parts = [
        _with_target(table, target).sample(limit, numpy_generator(setting.seed, "utility rows"))
        for table in tables
    ]
    train, test = functools.reduce(Table.stack, parts), _with_target(setting.control, target)
    reason = _obstacle(train, test, target, task)
    if reason is not None:
        return reason
    x_train, x_test, codes, _ = features(train.drop(target), test.drop(target))
    minority = _minority(setting.train[target]) if task == "classification" else None
    result = {}
    for learner in learners:
        model = make_learner(learner, setting.booster, task, codes, setting.seed)
        most = len(x_train) if learner in _FAST else MAX_SLOW_ROWS
        rows = _some_of_each(parts, most, setting.seed)
        with quietly():
            statistics = _statistics(
                model, task, x_train[rows], train[target][rows], x_test, test[target], minority
            )
        result[learner] = Prediction(statistics, len(test))
    return result


def _some_of_each(parts: Sequence[Table], most: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the numbers of at most so many rows of each part, in the stack of all parts."""
    chosen, start = [], 0
    for part in parts:
        count = min(len(part), most)
        rows = numpy_generator(seed, "slow rows").choice(len(part), count, replace=False)
        chosen.append(start + np.sort(rows))
        start += len(part)
    return np.concatenate(chosen)


def _with_target(table: Table, target: str) -> Table:
    values = table[target]
    present = values >= 0 if table.column(target).kind == "categorical" else ~np.isnan(values)
    return table if present.all() else table.take(present)


def _minority(classes: npt.NDArray[np.int64]) -> int:
    present, counts = np.unique(classes[classes >= 0], return_counts=True)
    return int(present[counts.argmin()]) if len(present) else 0


def _obstacle(train: Table, test: Table, target: str, task: Task) -> str | None:
    """Return why there is nothing to measure, None if there is."""
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
    minority: int | None,
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
    return statistics_of_classes(probability, classes, y_test, minority)


def _regression_statistics(predicted: Floats, y: Floats, scale: float) -> dict[str, Statistic]:
    squared_error = (predicted - y) ** 2

    def rmse(weights: Weights) -> float:
        return scale * float(np.sqrt(np.average(squared_error, weights=weights)))

    def r2(weights: Weights) -> float:
        mean = np.average(y, weights=weights)
        variance = float(np.average((y - mean) ** 2, weights=weights))
        error = float(np.average(squared_error, weights=weights))
        return 1 - error / variance if variance > 0 else float("nan")

    return {"rmse": rmse, "r2": r2}


# --- scores --------------------------------------------------------------------------------------


def _scores(prefix: str, setting: Setting, found: Mapping[str, Prediction]) -> list[Score]:
    return [
        _scored(
            f"{prefix}_{learner}_{name}",
            found[learner].statistics[name],
            found[learner].n_rows,
            (direction, best),
            setting.seed,
        )
        for learner in REPORTED
        for name, direction, best in STATISTICS[_task(setting)]
    ]


def _absent(prefix: str, setting: Setting, reason: str) -> list[Score]:
    return [
        Score.not_computable(f"{prefix}_{learner}_{name}", reason, direction, best)
        for learner in REPORTED
        for name, direction, best in STATISTICS[_task(setting)]
    ]


def _ratios(setting: Setting, found: Mapping[str, Prediction]) -> list[Score]:
    real = _trained_on_train(setting)
    name, direction, _ = STATISTICS[_task(setting)][0]
    scores = []
    for learner in REPORTED:
        title = f"utility_ratio_{learner}"
        if isinstance(real, str):
            scores.append(Score.not_computable(title, real, "higher", 1.0))
            continue
        a, b = found[learner].statistics[name], real[learner].statistics[name]
        if direction == "lower":
            a, b = b, a
        scores.append(
            _scored(
                title,
                lambda w, a=a, b=b: a(w) / b(w) if b(w) else float("nan"),  # type: ignore[misc]
                found[learner].n_rows,
                ("higher", 1.0),
                setting.seed,
            )
        )
    return scores


def _scored(
    name: str, statistic: Statistic, n_rows: int, goal: tuple[Direction, float], seed: int
) -> Score:
    value = statistic(np.ones(n_rows, dtype=np.int64))
    if not np.isfinite(value):
        return Score.not_computable(name, "the models gave no finite figure", *goal)
    interval = bootstrap_interval(statistic, n_rows, numpy_generator(seed, "utility bootstrap"))
    return Score(name, value, goal[0], goal[1], interval)
