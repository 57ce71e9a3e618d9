import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from synthgan.evaluate.tables import read_tables
from synthgan.evaluate.utility import _mean_auc, train_and_test


def use(train, test, target, booster="hist_gradient_boosting", **arguments):
    tables = read_tables(train, train, test, target=target, **arguments)
    return {
        s.name: s
        for s in train_and_test(
            tables.train, tables.holdout, target=target, task=tables.task, booster=booster
        )
    }


@pytest.mark.parametrize("booster", ["hist_gradient_boosting", "xgboost"])
def test_classification(people, other_people, independent, booster):
    real = use(people, other_people, "rich", booster)
    fake = use(independent, other_people, "rich", booster)
    assert list(real) == ["tstr_boosting_auc", "tstr_linear_auc"]
    for name, score in real.items():
        assert score.value > 0.85
        assert score.interval[0] < score.value < score.interval[1]
        assert fake[name].value < 0.65


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
    odd = {"nothing": np.nan, "one": 1.0, "big": 1e200}
    train = people.assign(**odd, id=[f"n{i}" for i in range(len(people))])
    test = other_people.assign(**odd, id="new")
    for score in use(train, test, "rich").values():
        assert score.value is not None
    constant = pd.DataFrame({"x": [1.0] * 30, "y": [True, False] * 15})
    assert use(constant, constant, "y")["tstr_boosting_auc"].value == 0.5
