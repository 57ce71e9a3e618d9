"""Any table in, the same kind of table out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgan.exceptions import DataError, SchemaError
from synthgan.io import (
    Container,
    escape_formulas,
    read_frame,
    read_table,
    read_with_container,
    reader_of,
    write_table,
)

SERIES = {
    "int8": pd.Series([1, 2], dtype="int8"),
    "Int64": pd.Series([1, None], dtype="Int64"),
    "Float32": pd.Series([1.5, None], dtype="Float32"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "bool": pd.Series([True, False]),
    "string": pd.Series(["a", None], dtype="string"),
    "string[pyarrow]": pd.Series(["a", None], dtype="string[pyarrow]"),
    "int64[pyarrow]": pd.Series([1, None], dtype="int64[pyarrow]"),
    "timestamp[pyarrow]": pd.Series([pd.Timestamp("2024-01-01"), None]).astype(
        "timestamp[us][pyarrow]"
    ),
    "category": pd.Series(["b", "a"], dtype=pd.CategoricalDtype(["b", "c", "a"], ordered=True)),
    "datetime": pd.Series(pd.to_datetime(["2024-01-01", None])),
    "zone": pd.Series(pd.to_datetime(["2024-01-01", None]).tz_localize("Asia/Tokyo")),
    "timedelta": pd.Series(pd.to_timedelta([1, None], unit="h")),
    "float16": pd.Series([0.5, 1.5], dtype="float16"),
    "uint64": pd.Series([0, 2**63], dtype="uint64"),
    "object": pd.Series(["a", None], dtype=object),
    "decimal": pd.Series([Decimal("1.50"), None], dtype=object),
}


@pytest.mark.parametrize("name", SERIES)
def test_pandas_round_trip(name: str) -> None:
    frame = pd.DataFrame({"x": SERIES[name], 7: SERIES[name]})
    frame.index = [5, 3]
    table, container = read_with_container(frame)
    assert table.column_names == ["x", "7"]
    again = Container.from_dict(container.to_dict()).restore(table)
    pd.testing.assert_frame_equal(again, frame.reset_index(drop=True))


def test_other_containers() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x": [1, None], "s": ["a", "b"]})
    table, container = read_with_container(frame)
    assert container.restore(table).equals(frame)
    arrow = pa.table({"x": [1, 2]})
    assert read_with_container(arrow)[1].restore(arrow) is arrow
    reader = pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches())
    assert read_table(reader).equals(arrow)
    array = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    table, container = read_with_container(array)
    back = container.restore(table)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files(ending: str, tmp_path: Path) -> None:
    table = pa.table({"n": [1, None, 3], "s": ["a", None, "NaN"], "t": ["", "x,y", '"']})
    path = tmp_path / f"t.{ending}"
    write_table(table, path)
    assert read_table(path).to_pylist() == table.to_pylist()
    assert list(tmp_path.iterdir()) == [path]
    frame = read_frame(path)
    assert frame["n"].dtype == "Int64"
    assert frame["s"].tolist()[0] == "a"


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_reader_is_written_batch_by_batch(ending: str, tmp_path: Path) -> None:
    table = pa.table({"n": [1, None, 3], "s": pa.array(["=a", "b", "=a"]).dictionary_encode()})
    held = 0

    def batches(stop: int) -> Iterator[pa.RecordBatch]:
        nonlocal held
        for k in range(stop):
            held += 1
            yield table.slice(k % 3, 1).to_batches()[0]
        if stop > 3:
            raise RuntimeError("no more")

    path = tmp_path / f"t.{ending}"
    reader = reader_of(batches(3))
    assert held == 1
    write_table(reader, path, excel_safe=True)
    quote = "'" if ending == "csv" else ""
    assert read_table(path)["n"].to_pylist() == [1, None, 3]
    assert read_table(path)["s"].to_pylist() == [f"{quote}=a", "b", f"{quote}=a"]
    whole = path.read_bytes()
    with pytest.raises(RuntimeError, match="no more"):
        write_table(reader_of(batches(5)), path)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_number_is_missing(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, float("nan"), None], "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "t.parquet")
    for data in (table, table.to_batches()[0], tmp_path / "t.parquet", Stream(table)):
        assert read_table(data)["x"].to_pylist() == [1.0, None, None]
    strict = pa.table([[float("nan")]], pa.schema([pa.field("x", pa.float32(), nullable=False)]))
    assert read_table(strict)["x"].to_pylist() == [None]


class Stream:
    """A table of another library."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested: object = None) -> object:
        return self.table.__arrow_c_stream__(requested)


def test_missing_cells_of_a_single_column_come_back_from_csv(tmp_path: Path) -> None:
    for cells in ([None, 1, None, 2, None], ["a", None], [None, "x"]):
        table = pa.table({"x": cells})
        write_table(table, tmp_path / "t.csv")
        assert read_table(tmp_path / "t.csv").to_pylist() == table.to_pylist()


def test_csv_nulls(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('n,s\n1,NA\nNaN,"NA"\n,b\n')
    table = read_table(tmp_path / "t.csv")
    assert table["n"].to_pylist() == [1, None, None]
    assert table["s"].to_pylist() == [None, "NA", "b"]


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match="damaged"):
        read_table(tmp_path / "t.parquet")
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match="format"):
        read_table(tmp_path / "t.xlsx")
    (tmp_path / "two.csv").write_text("a,a\n1,2\n")
    with pytest.raises(SchemaError, match="more than once"):
        read_table(tmp_path / "two.csv")
    with pytest.raises(DataError, match="Cannot write"):
        write_table(pa.table({"x": [1]}), tmp_path / "nowhere" / "t.csv")


TEXTS = ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "\0x", "a=b", "", "'", None, "x\n=1"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary("int32", "string")])
def test_case19_formulas_are_escaped_on_demand(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"text": pa.array(TEXTS).cast(kind), "=n": [-1] * len(TEXTS)})
    safe = escape_formulas(table)
    assert safe.column_names == ["text", "'=n"]
    assert safe["'=n"].to_pylist() == [-1] * len(TEXTS)
    expected = [f"'{t}" if k < 7 else t for k, t in enumerate(TEXTS)]
    assert safe["text"].to_pylist() == expected
    path = tmp_path / "t.csv"
    write_table(pa.table({"t": ["=a", "b"]}), path, excel_safe=True)
    assert path.read_text() == '"t"\n"\'=a"\n"b"\n'
    views = pa.table({"t": pa.array(["=a", "b"], pa.string_view())})
    write_table(views, path, excel_safe=True)
    assert path.read_text() == '"t"\n"\'=a"\n"b"\n'
    write_table(pa.table({"t": ["=a", "b"]}), path)
    assert path.read_text() == '"t"\n"=a"\n"b"\n'


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_dictionaries_of_views_are_written(ending: str, tmp_path: Path) -> None:
    views = pa.array(["a", "b"], pa.string_view())
    codes = pa.array([0, 1, None], pa.int8())
    table = pa.table({"s": pa.DictionaryArray.from_arrays(codes, views), "n": [1, 2, 3]})
    for data in (table, pa.RecordBatchReader.from_batches(table.schema, table.to_batches())):
        write_table(data, tmp_path / f"t.{ending}")
        assert read_table(tmp_path / f"t.{ending}")["s"].to_pylist() == ["a", "b", None]


def test_zones_without_a_name_come_back() -> None:
    zone = dt.timezone(dt.timedelta(hours=1), "MEZ")
    frame = pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None]).tz_localize(zone)})
    table, container = read_with_container(frame)
    back = container.restore(table)
    assert (back["t"].dropna() == frame["t"].dropna()).all()
    assert back["t"].dtype.unit == frame["t"].dtype.unit
