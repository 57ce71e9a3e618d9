import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from synthgan.evaluate.classification import _calibration_error, _f1, _log_loss, _mean_auc
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables
from synthgan.evaluate.utility import (
    augmented,
    groups,
    ranking,
    trtr,
    tstr,
)


def prepare(train, synthetic, test, target, booster="hist_gradient_boosting", **arguments):
    sensitive = arguments.pop("sensitive", ())
    tables = read_tables(train, synthetic, test, target=target, **arguments)
    setting = Setting(tables.train, tables.holdout, target, tables.task, sensitive, booster)
    return setting, tables.synthetic


def by_name(measurement):
    return {score.name: score for score in measurement.scores}


def use(train, test, target, booster="hist_gradient_boosting", **arguments):
    setting, table = prepare(train, train, test, target, booster, **arguments)
    return by_name(tstr(setting, table))


@pytest.mark.parametrize("booster", ["hist_gradient_boosting", "xgboost"])
def test_classification(people, other_people, independent, booster):
    real = use(people, other_people, "rich", booster)
    fake = use(independent, other_people, "rich", booster)
    for learner in ("boosting", "linear", "mlp"):
        score = real[f"tstr_{learner}_auc"]
        assert score.value > 0.85
        assert score.interval[0] < score.value < score.interval[1]
        assert fake[score.name].value < 0.65
        assert real[f"utility_ratio_{learner}"].value == pytest.approx(1, abs=1e-9)
        assert real[f"tstr_{learner}_log_loss"].value < fake[f"tstr_{learner}_log_loss"].value


@pytest.mark.parametrize("booster", ["hist_gradient_boosting", "xgboost"])
def test_regression(people, other_people, booster):
    found = use(people, other_people, "age", booster)
    assert found["tstr_boosting_r2"].value > 0.95
    assert found["tstr_linear_r2"].value > 0.95
    assert found["tstr_linear_rmse"].value < 4
    assert found["tstr_linear_rmse"].direction == "lower"


def test_a_date_can_be_the_target(people, other_people):
    found = use(people, other_people, "day")
    assert found["tstr_linear_r2"].value > 0.95
    assert found["tstr_linear_rmse"].value > 86400e6  # in microseconds


def test_several_classes_agree_with_sklearn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    probability = rng.dirichlet([1, 1, 1], 200) + np.eye(3)[y] * 0.2
    probability /= probability.sum(axis=1, keepdims=True)
    ours = _mean_auc(probability, np.arange(3), y)(np.ones(200, dtype=int))
    assert ours == pytest.approx(roc_auc_score(y, probability, multi_class="ovr"))
    binary = _mean_auc(probability[:, :2], np.arange(2), y % 2)(np.ones(200, dtype=int))
    assert binary == pytest.approx(roc_auc_score(y % 2, probability[:, 1]))


def test_a_class_that_training_lacks_counts_a_half(people, other_people):
    full = use(people, other_people, "city")["tstr_boosting_auc"].value
    lacking = use(people[people["city"] != "Lima"], other_people, "city")
    assert lacking["tstr_boosting_auc"].value == pytest.approx(full, abs=0.1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rich": True}, "training rows have one class"),
        ({"rich": None}, "fewer than 2 rows have a target"),
    ],
)
def test_what_cannot_be_trained_says_why(people, other_people, change, reason):
    for score in use(people.assign(**change), other_people, "rich", task="classification").values():
        assert score.value is None
        assert reason in score.reason


def test_no_holdout_no_feature_too_many_classes(people, other_people):
    found = use(people, None, "rich")
    assert "holdout" in found["tstr_boosting_auc"].reason
    lonely = use(people[["rich"]], other_people[["rich"]], "rich")
    assert "besides" in lonely["tstr_linear_auc"].reason
    names = people.assign(name=[f"n{i}" for i in range(len(people))])
    assert "classes" in use(names, names, "name")["tstr_linear_auc"].reason
    constant = use(people, other_people.assign(age=3), "age")
    assert "constant" in constant["tstr_linear_r2"].reason


def test_odd_features_do_not_stop_it(people, other_people):
    odd = {"nothing": np.nan, "one": 1.0, "big": 1e139}
    train = people.assign(**odd, id=[f"n{i}" for i in range(len(people))])
    test = other_people.assign(**odd, id="new")
    for score in use(train, test, "rich").values():
        assert score.value is not None
    constant = pd.DataFrame({"x": [1.0] * 30, "y": [True, False] * 15})
    assert use(constant, constant, "y")["tstr_boosting_auc"].value == 0.5


def test_boosting_agrees_with_plain_scikit_learn(people, other_people):
    whole = people.dropna(), other_people.dropna()
    found = use(*whole, "rich")
    code = {name: i for i, name in enumerate(["Rome", "Oslo", "Lima", "clerk", "smith"])}
    x, x_test = (
        part.drop(columns="rich").assign(
            job=part["job"].map(code), city=part["city"].map(code), day=part["day"].astype("int64")
        )
        for part in whole
    )
    model = HistGradientBoostingClassifier(
        max_iter=150, categorical_features=["job", "city"], random_state=0
    ).fit(x, whole[0]["rich"])
    chance, truth = model.predict_proba(x_test), whole[1]["rich"]
    auc = roc_auc_score(truth, chance[:, 1])
    score = found["tstr_boosting_auc"]
    assert abs(score.value - auc) < (score.interval[1] - score.interval[0]) / 2
    assert found["tstr_boosting_log_loss"].value == pytest.approx(log_loss(truth, chance), rel=0.15)


def test_statistics_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 300)
    chance = rng.dirichlet([1, 1, 1], 300) + np.eye(3)[y] * 0.4
    chance /= chance.sum(axis=1, keepdims=True)
    ones, classes = np.ones(300, dtype=int), np.arange(3)
    assert _log_loss(chance, classes, y)(ones) == pytest.approx(log_loss(y, chance))
    ours = _f1(chance, classes, y, 2)(ones)
    assert ours == pytest.approx(f1_score(y == 2, chance.argmax(axis=1) == 2))
    weights = rng.integers(0, 3, 300)
    ours = _f1(chance, classes, y, 2)(weights)
    guess = chance.argmax(axis=1) == 2
    assert ours == pytest.approx(f1_score(y == 2, guess, sample_weight=weights))


def test_calibration_counted_by_hand():
    chance = np.array([[0.95, 0.05]] * 4 + [[0.65, 0.35]] * 4)
    y = np.array([0, 0, 0, 1, 0, 0, 1, 1])
    # bin .9-1: right 3 of 4 at confidence .95; bin .6-.7: right 2 of 4 at confidence .65
    error = _calibration_error(chance, np.arange(2), y)(np.ones(8, dtype=int))
    assert error == pytest.approx(0.5 * 0.20 + 0.5 * 0.15)


def test_more_rows_help_and_noise_hurts(people, other_people):
    few = people.head(30)
    setting, more = prepare(few, people.tail(1000), other_people, "rich")
    gain = by_name(augmented(setting, more))["augmentation_gain_boosting"]
    assert gain.interval[0] > 0
    assert by_name(trtr(setting, more))["trtr_boosting_auc"].value < 0.97
    flipped = people.tail(1000).assign(rich=~people["rich"].tail(1000))
    setting, noise = prepare(few, flipped, other_people, "rich")
    assert by_name(augmented(setting, noise))["augmentation_gain_boosting"].interval[1] < 0


def test_regression_ratio_is_below_one_for_a_worse_table(people, other_people, independent):
    setting, table = prepare(people, independent, other_people, "age")
    found = by_name(tstr(setting, table))
    assert found["utility_ratio_boosting"].value < 0.5
    assert by_name(tstr(setting, setting.train))["utility_ratio_boosting"].value == pytest.approx(1)


def test_ranking(people, other_people, independent):
    setting, same = prepare(people, people, other_people, "rich")
    found = ranking(setting, same)
    assert found.scores[0].value == pytest.approx(1)
    assert len(found.details["ranking"]["models"]) == 6
    setting, shuffled = prepare(people, independent, other_people, "rich")
    assert ranking(setting, shuffled).scores[0].value < 0.9


def test_a_group_that_is_served_worse_is_found(people, other_people):
    # In Rome the synthetic target is noise; elsewhere it is real.
    rng = np.random.default_rng(0)
    noise = rng.permutation(people["rich"])
    broken = people.assign(rich=np.where(people["city"] == "Rome", noise, people["rich"]))
    setting, table = prepare(people, broken, other_people, "rich", sensitive=("city", "age"))
    found = groups(setting, table)
    rows = {(row["column"], row["group"]): row for row in found.details["groups"]["groups"]}
    loss = {key: row["trtr"] - row["tstr"] for key, row in rows.items()}
    assert loss["city", "Rome"] > loss["city", "Oslo"] + 0.02
    assert found.scores[0].value == pytest.approx(max(loss.values()))
    assert found.scores[0].interval[0] > 0
    assert ("age", "lowest quarter") in rows
    assert all(row["rows"] >= 30 for row in rows.values())


def test_no_group_is_large_enough(people, other_people):
    setting, table = prepare(people, people, other_people.head(20), "rich", sensitive=("city",))
    assert "no group" in groups(setting, table).scores[0].reason


def test_levels_that_few_train_rows_hold_are_not_named(people, other_people):
    rare = people.assign(city=["Nauru"] * 9 + ["Lima"] * (len(people) - 9))
    test = other_people.assign(city=["Nauru"] * 100 + ["Lima"] * (len(other_people) - 100))
    setting, table = prepare(rare, rare, test, "rich", sensitive=("city",))
    rows = groups(setting, table).details["groups"]["groups"]
    assert {row["group"] for row in rows} == {"Lima"}  # and no empty group of missing values


def test_what_train_is_worth_is_computed_once(people, other_people, monkeypatch):
    setting, table = prepare(people, other_people, other_people, "rich")
    first = trtr(setting, table)
    monkeypatch.setattr("synthgan.evaluate.utility._predict", lambda *_: pytest.fail("again"))
    assert trtr(setting, table) == first
