import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from synthgan.evaluate.report.marginals import MIN_ROWS, marginal
from synthgan.evaluate.tables import read_tables


def draw(train, synthetic=None):
    frames = [pd.DataFrame({"a": t}) for t in (train, train if synthetic is None else synthetic)]
    tables = read_tables(*frames)
    return marginal(tables.train, tables.synthetic, "a")


def test_shares_add_up(people, other_people):
    tables = read_tables(people, other_people)
    for name in people:
        shown = marginal(tables.train, tables.synthetic, name)
        for k, table in enumerate(("train", "synthetic")):
            assert sum(shown[table]) + shown["missing"][k] == pytest.approx(1)
    few = read_tables(people.head(15), people.head(15))
    assert marginal(few.train, few.synthetic, "age") is None


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(
        np.float64,
        st.integers(30, 120),
        elements=st.one_of(
            st.integers(-30, 30).map(float),
            st.floats(-1e6, 1e6, width=32),
            st.sampled_from([1e-9, 1e12, 1e100]),
        ),
    )
)
def test_no_bin_and_no_axis_end_shows_fewer_than_ten_rows(values):
    shown = draw(values)
    counts = np.array(shown["train"]) * len(values)
    runs = np.split(counts, np.flatnonzero(np.diff(counts)) + 1)  # bins drawn as one are equal
    for run in runs:
        assert run.sum() == pytest.approx(0) or run.sum() > MIN_ROWS - 1e-6
    assert counts.sum() == pytest.approx(len(values))
    assert len(counts) <= 60
    for end in (shown["low"], shown["high"]):
        holders = (values == float(end.replace(",", ""))).sum()
        assert holders >= MIN_ROWS or len(end.replace(".", "").replace(",", "").strip("-0")) <= 7


def test_an_end_has_seven_digits_even_where_the_middle_is_narrow():
    middle = np.linspace(1e5, 100_000.26, 12)
    shown = draw(np.r_[np.zeros(9), middle, np.full(9, 1e12)])
    assert (shown["low"], shown["high"]) == ("100,000", "100,000.4")


def test_axes_end_at_round_values():
    rng = np.random.default_rng(0)
    columns = {
        "17.123 .. 93.4": rng.uniform(17.123, 93.4, 500),
        "days": pd.Timestamp("2011-03-04") + pd.to_timedelta(rng.integers(0, 3000, 500), unit="D"),
        "seconds": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 500), "s"),
        "span": pd.to_timedelta(rng.exponential(100, 500), unit="s"),
        "ages": rng.integers(20, 40, 500),
    }
    ends = {name: (draw(v)["low"], draw(v)["high"]) for name, v in columns.items()}
    assert ends["17.123 .. 93.4"] == ("15", "95")
    assert ends["days"] == ("2011-01-26", "2019-04-14")
    assert ends["seconds"] == ("2020-01-01 00:00:00", "2020-01-01 00:15:00")
    assert ends["span"][0] == "0 s"
    assert ends["ages"] == ("20", "39")


def test_a_constant_shows_its_value():
    values = {
        "2020-01-01 12:30:00": pd.to_datetime(["2020-01-01 12:30"] * 30),
        "90 s": pd.to_timedelta([90] * 30, unit="s"),
        "1,234.5": [1234.5] * 30,
    }
    for label, column in values.items():
        assert draw(column)["low"] == label


def test_an_outlier_stays_in_the_outer_bin():
    values = np.r_[np.arange(200.0) % 7, 987654.0]
    shown = draw(values)
    assert (shown["low"], shown["high"]) == ("0", "6")
    assert sum(shown["train"]) == pytest.approx(1)


def test_many_levels_are_pooled():
    labels = draw([f"l{i % 20}" for i in range(400)])["labels"]
    assert len(labels) == 13
    assert labels[-1] == "(8 more levels)"


def test_fewer_than_ten_rows_with_rare_levels_are_not_counted():
    few = ["a"] * 100 + ["b"] * 9
    assert draw(few)["labels"] == ["a"]
    assert draw([*few, "c"])["labels"] == ["a", "(rare)"]
