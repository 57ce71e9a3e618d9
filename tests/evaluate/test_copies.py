import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.attacks.copies import SMOKE_TEST, exact_match_rate, measure, rare_values
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables


def read(train, synthetic, holdout=None):
    tables = read_tables(train, synthetic, holdout)
    return tables.train, tables.holdout, tables.synthetic


def by_name(found):
    return {score.name: score for score in found.scores}


def dcr_share(train, holdout, candidate):
    return by_name(measure(Setting(train, holdout), candidate))["dcr_share"]


def test_copies_raise_both_and_say_that_they_are_smoke_tests(people, other_people):
    holdout, fresh = other_people.iloc[:450], other_people.iloc[450:]
    honest = dcr_share(*read(people[:450], fresh, holdout))
    copied = dcr_share(*read(people[:450], people[:450], holdout))
    assert 0.4 < honest.value < 0.6
    assert copied.value > 0.95
    assert honest.interval[0] < honest.value < honest.interval[1]
    honest_matches = exact_match_rate(*read(people, fresh, holdout))
    assert honest_matches.value < 0.02  # people without a wage coincide
    found = exact_match_rate(*read(people, people, holdout))
    assert (found.value, found.best, found.direction) == (1.0, honest_matches.best, "near")
    for score in (honest, copied, found):
        assert SMOKE_TEST in score.note


def test_coincidences_are_allowed_for():
    train = pd.DataFrame({"a": ["x", "y"] * 20})
    score = exact_match_rate(*read(train, train.head(3), train.head(4)))
    assert (score.value, score.best) == (1.0, 1.0)
    share = dcr_share(*read(train, train, train))
    assert share.value == 0.5
    assert "100 % ties" in share.note


def test_part_of_the_rows_match():
    train = pd.DataFrame({"a": [1.0, 2.0, np.nan], "b": ["x", "y", None]})
    synthetic = pd.DataFrame({"a": [1.0, 1.0, np.nan, 5.0], "b": ["x", "y", None, "z"]})
    score = exact_match_rate(*read(train, synthetic))
    assert (score.value, score.direction, score.best) == (0.5, "lower", 0.0)


def test_without_holdout(people):
    score = dcr_share(*read(people, people))
    assert score.value is None
    assert "holdout" in score.reason


def test_constant_and_missing_columns(people, other_people):
    odd = {"one": 1.0, "nothing": np.nan}
    tables = read(people.assign(**odd), other_people.assign(**odd), other_people.assign(**odd))
    assert dcr_share(*tables).value is not None


def test_near_copies(people, other_people):
    rng = np.random.default_rng(0)
    train = people.dropna().reset_index(drop=True)
    moved = train.assign(wage=train["wage"] * (1 + 1e-3 * rng.normal(size=len(train))))
    tables = read_tables(train, moved, other_people.dropna())
    setting = Setting(tables.train, tables.holdout)
    found = by_name(measure(setting, tables.synthetic))
    assert found["exact_match_rate"].value < 0.01
    assert found["near_copy_rate"].interval[0] > 0.5
    assert found["nndr_share"].value > 0.8
    fresh = by_name(measure(setting, tables.holdout.take(np.arange(len(tables.holdout)))))
    assert fresh["dcr_share"].value < 0.1  # the control itself


def test_rare_values(people, other_people):
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(5000)]
    train = people.assign(name=rng.choice(names, len(people)))
    other = other_people.assign(name=rng.choice(names, len(other_people)))
    fresh = people.assign(name=rng.choice(names, len(people)))
    tables = read_tables(train[["name", "city"]], fresh[["name", "city"]], other[["name", "city"]])
    setting = Setting(tables.train, tables.holdout)
    leaked = rare_values(setting, tables.train)
    honest = rare_values(setting, tables.synthetic)
    assert leaked.scores[0].interval[0] > 0.5
    assert honest.scores[0].interval[0] < 0 < honest.scores[0].interval[1]
    assert leaked.details["rare_values"][0]["column"] == "name"
    assert leaked.scores[1].value > 8
    assert honest.scores[1].value < 3.5
    common = read_tables(people[["city"]], people[["city"]], other_people[["city"]])
    score = rare_values(Setting(common.train, common.holdout), common.synthetic).scores[0]
    assert "rare" in score.reason


def test_too_small(people):
    tables = read_tables(people.head(2), people.head(2), people.tail(2))
    found = by_name(measure(Setting(tables.train, tables.holdout), tables.synthetic))
    assert "three rows" in found["dcr_share"].reason


def test_one_leaked_column_is_seen_among_others(people, other_people):
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(2000)]
    towns = np.array(["big"] * 5 + ["small"] * 2 + [f"t{i}" for i in range(30)])
    share = np.r_[np.full(7, 0.98 / 7), np.full(30, 0.02 / 30)]

    def table(frame):
        n = len(frame)
        return pd.DataFrame({"name": rng.choice(names, n), "town": rng.choice(towns, n, p=share)})

    train, fresh, control = table(people), table(people), table(other_people)
    counts = train["town"].value_counts()
    leaked = fresh.copy()
    leaked.loc[:59, "town"] = rng.choice(counts.index[counts < 5].to_numpy(), 60)
    tables = read_tables(train, leaked, control)
    found = rare_values(Setting(tables.train, tables.holdout), tables.synthetic)
    assert found.scores[1].value > 5
    assert found.details["rare_values"][0]["column"] == "town"


def test_near_copies_are_found_in_all_of_a_large_train_table():
    rng = np.random.default_rng(0)
    rows = [pd.DataFrame(rng.normal(size=(n, 6))) for n in (12_000, 500, 1_900)]
    copies = rows[0].iloc[:100] + 1e-3
    train, control, table = read(rows[0], pd.concat([rows[2], copies]), rows[1])
    found = {s.name: s for s in measure(Setting(train, control), table).scores}
    assert found["near_copy_rate"].interval[0] > found["near_copy_rate"].best
    honest = {s.name: s for s in measure(Setting(train, control), control).scores}
    assert honest["near_copy_rate"].value == pytest.approx(0.01)
