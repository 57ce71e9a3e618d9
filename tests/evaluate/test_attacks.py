import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.attacks import SMOKE_TEST, _nearest, dcr_share, exact_match_rate
from synthgan.evaluate.tables import read_tables


def read(train, synthetic, holdout=None):
    tables = read_tables(train, synthetic, holdout)
    return tables.train, tables.holdout, tables.synthetic


def test_distance_counted_by_hand():
    train = pd.DataFrame({"x": [0.0, 10.0], "c": ["a", "b"], "m": [0.0, 2.0]})
    rows = pd.DataFrame({"x": [1.0, np.nan], "c": ["b", None], "m": [1.0, np.nan]})
    tables = read_tables(train, rows)
    near = _nearest(tables.synthetic, tables.train, tables.train)
    # first row: to (0, a, 0) 0.1 + 1 + 0.5; to (10, b, 2) 0.9 + 0 + 0.5. Second: 1 + 1 + 1.
    assert near.tolist() == pytest.approx([1.4, 3.0])
    assert _nearest(tables.synthetic, tables.synthetic, tables.train).tolist() == [0.0, 0.0]


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
    assert share.value == 0.0
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
