import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from synthgan.evaluate.tables import infer_task, read_tables, reference_tables
from synthgan.exceptions import DataError, ParameterError


def read(values, **arguments):
    frame = pd.DataFrame({"a": values})
    return read_tables(frame, frame, **arguments).train


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "numerical"),
        ([1.5, None, 2], "numerical"),
        ([True, False, None], "categorical"),
        (["a", "b", None], "categorical"),
        (pd.Categorical([1, 2, 3]), "categorical"),
        (pd.array([1, None, 2], dtype="Int64"), "numerical"),
        (pd.array([True, None], dtype="boolean"), "categorical"),
        (pd.array(["a", None], dtype="string"), "categorical"),
        (pd.to_datetime(["2020-01-01", None]), "numerical"),
        (pd.to_datetime(["2020-01-01", None], utc=True), "numerical"),
        (pd.to_timedelta([1, 2], unit="s"), "numerical"),
        ([datetime.date(2020, 1, 1), None], "numerical"),
        ([decimal.Decimal("1.5"), decimal.Decimal(2)], "numerical"),
        (pd.array([1, 2], dtype="int64[pyarrow]"), "numerical"),
        (pd.arrays.ArrowExtensionArray(pa.array([datetime.date(2020, 1, 1)])), "numerical"),
        (
            pd.to_datetime(["2020-01-01"], utc=True).astype("timestamp[us, tz=UTC][pyarrow]"),
            "numerical",
        ),
        (pd.to_timedelta([1], unit="s").astype("duration[us][pyarrow]"), "numerical"),
        (pd.array(["x"], dtype="string[pyarrow]"), "categorical"),
        ([datetime.time(1), datetime.time(2)], "categorical"),
        ([None, None], "categorical"),
        ([np.nan, np.nan], "numerical"),
    ],
)
def test_kinds(values, kind):
    assert read(values).columns[0].kind == kind


def test_numbers_dates_and_missing():
    assert read([1.5, None])["a"][0] == 1.5
    assert np.isnan(read([1.5, None])["a"][1])
    dates = read(pd.to_datetime(["1970-01-01 00:00:01", None]))["a"]
    assert dates[0] == 1e6
    assert np.isnan(dates[1])
    assert read([datetime.date(1970, 1, 2)])["a"][0] == 86400e6
    assert read(pd.to_timedelta([3], unit="s"))["a"][0] == 3e6


def test_codes_are_shared_and_the_most_frequent_level_comes_first():
    train = pd.DataFrame({"a": ["x", "y", "y", None]})
    tables = read_tables(train, pd.DataFrame({"a": ["z", "y"]}))
    assert tables.train.columns[0].levels == ("y", "x", "z")
    assert tables.train["a"].tolist() == [1, 0, 0, -1]
    assert tables.synthetic["a"].tolist() == [2, 0]


def test_categorical_argument_and_target():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0, 1, 1]})
    tables = read_tables(frame, frame, categorical=["a"], target="b")
    assert [c.kind for c in tables.train.columns] == ["categorical", "categorical"]
    assert tables.task == "classification"
    assert read_tables(frame, frame, target="b", task="regression").train.column("b").levels == ()


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 2], "classification"),
        ([0.0, 1.0, None], "classification"),
        ([0.5, 1.0], "regression"),
        (list(range(21)), "regression"),
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        (pd.Categorical(range(30)), "classification"),
        (pd.to_datetime(["2020-01-01"]), "regression"),
    ],
)
def test_task(values, task):
    assert infer_task(pd.Series(values)) == task


def test_containers_and_order(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    swapped = frame[["b", "a"]]
    for other in (
        swapped,
        pa.table({"b": ["x", "y"], "a": [1, 2]}),
        pl.DataFrame({"b": ["x", "y"], "a": [1, 2]}),
        tmp_path / "t.parquet",
        str(tmp_path / "t.csv"),
    ):
        tables = read_tables(frame, other, other)
        assert tables.synthetic.names == ("a", "b")
        for name in "ab":
            assert (tables.synthetic[name] == tables.train[name]).all()
            assert (tables.holdout[name] == tables.train[name]).all()


def test_column_differences_are_named():
    train = pd.DataFrame({"a": [1], "b": [1]})
    with pytest.raises(DataError, match=r"synthetic table .* lacks 'b' and has the extra 'c'"):
        read_tables(train, pd.DataFrame({"a": [1], "c": [1]}))
    with pytest.raises(DataError, match=r"holdout table .* lacks 'a'"):
        read_tables(train, train, train[["b"]])


@pytest.mark.parametrize(
    ("train", "synthetic", "message"),
    [
        ([1], [], "0 rows"),
        ([1], ["x"], "'a' holds number values in one table and text"),
        (pd.to_datetime(["2020-01-01"]), [1], "'a'"),
        (
            pd.to_datetime(["2020-01-01"]),
            pd.to_datetime(["2020-01-01"], utc=True),
            "datetime with time zone",
        ),
        ([1.0, np.inf], [1.0], "infinite"),
        ([1 + 2j], [1 + 2j], "complex"),
        ([[1], [2]], [[1]], "nested"),
        (["x", 1], ["x"], "mixes types"),
    ],
)
def test_bad_columns(train, synthetic, message):
    with pytest.raises(DataError, match=message):
        read_tables(pd.DataFrame({"a": train}), pd.DataFrame({"a": synthetic}))


def test_errors_quote_no_cell():
    with pytest.raises(DataError) as caught:
        read_tables(pd.DataFrame({"a": ["secret", 1]}), pd.DataFrame({"a": ["secret"]}))
    assert "secret" not in str(caught.value)


def test_bad_arguments():
    frame = pd.DataFrame({"a": ["x", "y"]})
    for arguments, kind in [
        ({"target": "b"}, DataError),
        ({"categorical": ["b"]}, DataError),
        ({"categorical": "a"}, ParameterError),
        ({"target": "a", "task": "sorting"}, ParameterError),
        ({"target": "a", "task": "regression"}, DataError),
    ]:
        with pytest.raises(kind):
            read_tables(frame, frame, **arguments)
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="repeated"):
        read_tables(twice, twice)


def test_labels_that_are_no_strings():
    frame = pd.DataFrame(np.zeros((3, 2)))
    assert read_tables(frame, frame).train.names == ("0", "1")


def test_references(people, other_people):
    tables = read_tables(people, other_people, other_people)
    references = reference_tables(tables, 0)
    assert list(references) == ["independent_columns", "bootstrap", "holdout"]
    assert len(references["bootstrap"]) == len(other_people)
    independent = references["independent_columns"]
    assert len(independent) == len(other_people)
    known = set(tables.train.row_keys())
    assert known.issuperset(references["bootstrap"].row_keys())
    assert not known.intersection(independent.row_keys())
    same = read_tables(people, people)
    full = reference_tables(same, 0)["independent_columns"]
    for name in people:  # same marginals
        assert np.array_equal(np.sort(full[name]), np.sort(same.train[name]), equal_nan=True)


def test_row_keys():
    frame = pd.DataFrame({"a": [0.0, -0.0, np.nan, np.nan], "b": ["x", "x", None, "x"]})
    keys = read_tables(frame, frame).train.row_keys()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_numbers_that_could_not_be_squared_are_refused():
    frame = pd.DataFrame({"x": [1.0, 2.0, np.nan]})
    with pytest.raises(DataError, match="'x' of the synthetic table holds numbers beyond 1e\\+140"):
        read_tables(frame, pd.DataFrame({"x": [1.0, -1e141]}))
    kept = read_tables(frame, pd.DataFrame({"x": [1.0, 1e139]}))
    assert kept.synthetic["x"].max() == 1e139


def test_lone_surrogates_become_question_marks():
    frame = pd.DataFrame({"na\ud800me": ["a\udfff", "b"]})
    column = read_tables(frame, frame).train.columns[0]
    assert (column.name, set(column.levels)) == ("na?me", {"a?", "b"})
