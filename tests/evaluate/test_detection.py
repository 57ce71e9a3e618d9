import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.fidelity.detection import c2st
from synthgan.evaluate.fidelity.similarity import similarity
from synthgan.evaluate.tables import read_tables

BOOSTERS = ["hist_gradient_boosting", "xgboost"]


def detect(train, synthetic, **arguments):
    tables = read_tables(train, synthetic)
    return c2st(tables.train, tables.synthetic, **arguments)


@pytest.mark.parametrize("booster", BOOSTERS)
def test_independent_columns_are_caught_here_and_by_trend_but_not_by_shape(
    people, other_people, independent, booster
):
    assert detect(people, independent, booster=booster).value > 0.9
    tables = read_tables(people, independent)
    shape, trend, *_ = similarity(tables.train, tables.synthetic).scores
    assert shape.value < 1e-9
    assert trend.value > 5


@pytest.mark.parametrize("booster", BOOSTERS)
def test_fresh_real_rows_are_not_caught(people, other_people, booster):
    score = detect(people, other_people, booster=booster)
    assert score.interval[0] - 0.03 < 0.5 < score.interval[1] + 0.03


def test_copies_do_not_push_the_judge_below_a_half(people):
    bootstrap = people.sample(len(people), replace=True, random_state=0)
    assert 0.45 < detect(people, bootstrap).value < 0.55
    assert 0.4 < detect(people, people).value < 0.6


def test_missing_values_and_unseen_levels_are_seen(people, other_people):
    holes = other_people.assign(wage=other_people["wage"].fillna(1.0))
    assert detect(people, holes).value > 0.53
    assert detect(people, other_people.assign(city="Paris")).value == 1.0


def test_few_levels_are_split_freely():
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"a": rng.random(1000) < 0.5})
    assert 0.4 < detect(train, pd.DataFrame({"a": rng.random(1000) < 0.5})).value < 0.6
    assert detect(train, pd.DataFrame({"a": rng.random(1000) < 0.9})).value > 0.6


def test_same_seed_same_number(people, other_people):
    first = detect(people, other_people, seed=1)
    assert first == detect(people, other_people, seed=1)
    assert first != detect(people, other_people, seed=2)


def test_high_cardinality(people):
    train = people.assign(name=[f"n{i}" for i in range(len(people))])
    for booster in BOOSTERS:
        assert detect(train, train.assign(name="n1"), booster=booster).value is not None


def test_too_few_rows(people):
    score = detect(people, people.head(1))
    assert score.value is None
    assert "20 rows" in score.reason
    one = pd.DataFrame({"a": [1.0] * 20})
    assert detect(one, one).value in (None, 0.5)


def test_equal_rows_of_one_table_are_judged_together(people, make_people):
    rng = np.random.default_rng(0)
    columns = {f"x{k}": rng.normal(size=2000) for k in range(4)}
    real = pd.DataFrame(columns)
    fresh = pd.DataFrame({name: rng.normal(size=500) for name in columns})
    score = detect(real, pd.concat([fresh] * 4, ignore_index=True))
    assert score.value < 0.6  # a split that tore them apart would give 0.9
