"""Tables in and out: any frame or file becomes an Arrow table, and comes back as what it was.

Arrow is the one currency inside the package. :class:`Container` remembers what the caller handed
in (pandas with its dtypes and labels, polars, Arrow or a NumPy array), so that a synthetic table
goes back in the same form.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from synthgan.arrow import (
    without_views,
)
from synthgan.exceptions import DataError, SchemaError
from synthgan.files import write_atomically
from synthgan.sources import read_path

__all__ = [
    "Container",
    "escape_formulas",
    "read_frame",
    "read_table",
    "read_with_container",
    "reader_of",
    "with_container",
    "write_csv",
    "write_table",
]

_FORMULA = r"^[=+\-@\t\r\x00]"


@dataclass(frozen=True, slots=True)
class Container:
    """What the caller's table was, so that another one like it can be built.

    Attributes
    ----------
    kind : {"pandas", "polars", "arrow", "numpy"}
    labels : tuple
        pandas column labels in order; they need not be strings.
    dtypes : tuple of str
        pandas dtypes in the same order, or one NumPy dtype per column.
    """

    kind: str
    labels: tuple[Any, ...] = ()
    dtypes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; labels other than str and int are kept as text."""
        labels = [x if isinstance(x, (str, int)) else str(x) for x in self.labels]
        return {"kind": self.kind, "labels": labels, "dtypes": list(self.dtypes)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Container:
        """Rebuild a container from :meth:`to_dict`."""
        if data["kind"] not in ("pandas", "polars", "arrow", "numpy"):
            raise ValueError("an unknown kind of table")
        if not all(isinstance(label, (str, int)) for label in data["labels"]):
            raise TypeError("a label is neither a text nor a number")
        return cls(str(data["kind"]), tuple(data["labels"]), tuple(map(str, data["dtypes"])))

    def never_missing(self, names: Sequence[str]) -> list[str]:
        """Return the columns whose type in the caller's table cannot hold a missing cell."""
        dtypes = self.dtypes or ("",) * len(names)
        return [
            name
            for name, dtype in zip(names, dtypes, strict=True)
            if dtype == "bool" or dtype.startswith(("int", "uint"))
        ]

    def of(self, names: Sequence[str], wanted: Sequence[str]) -> Container:
        """Return the container of some of the columns, in another order.

        Parameters
        ----------
        names, wanted : sequence of str
            Columns of the table that this container was taken from, and those to keep.
        """
        places = [list(names).index(name) for name in wanted]
        labels, dtypes = (
            tuple(part[k] for k in places) if part else () for part in (self.labels, self.dtypes)
        )
        return Container(self.kind, labels, dtypes)

    def restore(self, table: pa.Table) -> Any:
        """Return `table` in the caller's form, with the caller's dtypes.

        Parameters
        ----------
        table : pyarrow.Table
            Columns in the order of the table that this container was taken from.
        """
        if self.kind == "arrow":
            return table
        if self.kind == "polars":
            import polars

            return polars.from_arrow(table)
        columns = [
            _to_series(column, dtype)
            for column, dtype in zip(table.itercolumns(), self.dtypes, strict=True)
        ]
        if self.kind == "numpy":
            return _to_array(columns, self.dtypes)
        frame = pd.concat(columns, axis=1) if columns else pd.DataFrame()
        frame.columns = pd.Index(self.labels, tupleize_cols=False)
        return frame


def _to_series(column: pa.ChunkedArray, dtype: str) -> pd.Series[Any]:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # zero chunks
        values = pa.array([], type=column.type)
    wanted: Any = dtype
    if dtype == "category":
        return pd.Series(values.to_pandas())
    if dtype == "object":
        return pd.Series(np.array([*values.to_pylist(), None], dtype=object)[:-1])
    if values.null_count and (dtype == "bool" or dtype.startswith(("int", "uint"))):
        dtype = dtype.capitalize().replace("Uint", "UInt")  # pandas' types with missing cells
        wanted = dtype = "boolean" if dtype == "Bool" else dtype
    text = dtype.startswith(("string", "str"))
    if dtype.endswith("[pyarrow]") and not text:
        return pd.Series(pd.arrays.ArrowExtensionArray(values))
    if text or dtype[:1].isupper() or dtype == "boolean":
        return pd.Series(pd.arrays.ArrowExtensionArray(values)).astype(wanted)
    if dtype.startswith("datetime64[") and "," in dtype:  # a zone that may have no name in pandas
        unit: Any = dtype[len("datetime64[") :].partition(",")[0]
        return pd.Series(values.to_pandas()).dt.as_unit(unit)
    return pd.Series(values.to_pandas()).astype(wanted)


def _to_array(columns: Sequence[pd.Series[Any]], dtypes: Sequence[str]) -> np.ndarray[Any, Any]:
    shared = dtypes[0] if len(set(dtypes)) == 1 else "object"
    return np.column_stack([np.asarray(c, dtype=shared) for c in columns])


def read_table(data: Any) -> pa.Table:
    """Return any supported table as an Arrow table.

    Parameters
    ----------
    data : DataFrame, Arrow table or reader, polars frame, array, str or Path
        A path leads to a ``.parquet``, ``.csv`` or ``.tsv`` file (the latter two also with
        ``.gz``), to a folder of Parquet files, to several by a pattern such as
        ``"visits/*.parquet"``, or to an object store, such as ``"s3://bucket/visits/"``. Anything
        that exports an Arrow C stream is accepted. A row index is ignored.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    SchemaError
        If column names repeat, or a column mixes types or is nested.
    DataError
        If the file cannot be read or the object is no table.
    """
    return read_with_container(data)[0]


def read_with_container(data: Any) -> tuple[pa.Table, Container]:
    """Return ``(table, container)``: see :func:`read_table` and :class:`Container`."""
    if isinstance(data, (str, os.PathLike)):
        return with_container(read_path(data))
    if isinstance(data, pd.DataFrame):
        return _from_pandas(data)
    if isinstance(data, np.ndarray):
        return _from_numpy(data)
    if hasattr(data, "toarray"):
        raise DataError("Sparse matrices are not supported; pass matrix.toarray().")
    if isinstance(data, pd.Series):
        raise DataError("Expected a table, got a pandas Series; use series.to_frame().")
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        _require_unique(data.column_names)
        return _nan_is_missing(data), Container("arrow")
    if hasattr(data, "__arrow_c_stream__"):
        table = pa.table(data)
        _require_unique(table.column_names)
        if type(data).__module__.split(".")[0] == "polars":
            return _nan_is_missing(without_views(table)), Container("polars")
        return _nan_is_missing(table), Container("arrow")
    if hasattr(data, "__array__"):
        return _from_numpy(np.asarray(data))
    if isinstance(data, list) and data and isinstance(data[0], (list, tuple)):
        return _from_numpy(np.array(data, dtype=object))
    if isinstance(data, (list, dict)):
        raise DataError(
            f"Expected a table, got a {type(data).__name__}; use pandas.DataFrame(...)."
        )
    raise DataError(
        f"Cannot read a table from {type(data).__name__}; pass a DataFrame, Arrow table, polars "
        "frame, 2-d array, or a path to a .parquet or .csv file."
    )


def with_container(table: pa.Table) -> tuple[pa.Table, Container]:
    """Return the table of a file with the pandas frame that it goes back to."""
    _require_unique(table.column_names)
    dtypes = tuple(_pandas_dtype(field.type) for field in table.schema)
    return _nan_is_missing(table), Container("pandas", tuple(table.column_names), dtypes)


def _nan_is_missing(table: pa.Table) -> pa.Table:
    """Return a table whose cells that are no number are missing, as in pandas."""
    for position, field in enumerate(table.schema):
        if not pa.types.is_floating(field.type):
            continue
        wide = table.column(position)
        if pa.types.is_float16(field.type):  # few functions of older releases know it
            wide = wide.cast(pa.float32())
        if pc.any(pc.is_nan(wide)).as_py():
            column = pc.if_else(pc.is_nan(wide), pa.scalar(None, wide.type), wide)
            table = table.set_column(position, field.with_nullable(True), column.cast(field.type))
    return table


def read_frame(data: Any) -> pd.DataFrame:
    """Return any supported table as a pandas frame with the dtypes that it has or implies."""
    if isinstance(data, pd.DataFrame):
        return data
    table, container = read_with_container(data)
    if container.kind in ("pandas", "numpy"):
        frame = Container("pandas", tuple(table.column_names), container.dtypes).restore(table)
    else:
        dtypes = tuple(_pandas_dtype(field.type) for field in table.schema)
        frame = Container("pandas", tuple(table.column_names), dtypes).restore(table)
    assert isinstance(frame, pd.DataFrame)
    return frame


def _pandas_dtype(arrow_type: pa.DataType) -> str:
    """Return the pandas dtype that holds `arrow_type` with its missing values, losing nothing."""
    if pa.types.is_dictionary(arrow_type):
        return "category"
    if pa.types.is_integer(arrow_type):
        name = str(arrow_type)
        return name.replace("uint", "UInt") if name.startswith("u") else name.capitalize()
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if pa.types.is_floating(arrow_type):
        return str(arrow_type.to_pandas_dtype().__name__)
    if pa.types.is_timestamp(arrow_type):
        zone = f", {arrow_type.tz}" if arrow_type.tz else ""
        return f"datetime64[{arrow_type.unit}{zone}]"
    if pa.types.is_duration(arrow_type):
        return f"timedelta64[{arrow_type.unit}]"
    return "object"


def _require_unique(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SchemaError(f"Column name {name!r} occurs more than once; rename the columns.")
        seen.add(name)


def _from_pandas(frame: pd.DataFrame) -> tuple[pa.Table, Container]:
    labels = tuple(frame.columns)
    names = [label if isinstance(label, str) else str(label) for label in labels]
    _require_unique(names)
    arrays = [
        _series_to_arrow(frame.iloc[:, position], name) for position, name in enumerate(names)
    ]
    dtypes = tuple(_dtype_name(dtype) for dtype in frame.dtypes)
    return pa.Table.from_arrays(arrays, names=names), Container("pandas", labels, dtypes)


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.StringDtype):
        return repr(dtype) if dtype.na_value is pd.NA else "str"
    return str(dtype)


def _series_to_arrow(series: pd.Series[Any], name: str) -> pa.Array | pa.ChunkedArray:
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        raise SchemaError(f"Column {name!r} is sparse; use frame.sparse.to_dense().")
    if isinstance(dtype, pd.PeriodDtype):
        raise SchemaError(f"Column {name!r} holds periods; use series.dt.to_timestamp().")
    if isinstance(dtype, pd.IntervalDtype):
        raise SchemaError(f"Column {name!r} holds intervals; use their left and right ends.")
    if dtype.kind == "c":
        raise SchemaError(
            f"Complex data not supported: column {name!r}; split it into real and imaginary parts."
        )
    if isinstance(dtype, pd.CategoricalDtype) and isinstance(
        dtype.categories.dtype, (pd.IntervalDtype, pd.PeriodDtype)
    ):
        raise SchemaError(f"Column {name!r} has interval or period categories; turn them into str.")
    try:
        return pa.array(series.array, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        pass  # the original message quotes a cell, so it is not chained
    raise SchemaError(
        f"Column {name!r} mixes types or holds Python objects; give it one type, for example "
        f"with frame[{name!r}].astype(str)."
    )


def _from_numpy(array: np.ndarray[Any, Any]) -> tuple[pa.Table, Container]:
    if array.ndim != 2:
        raise DataError(
            f"Expected a 2-d array, got {array.ndim}-d with shape {array.shape}. Reshape your data "
            "with array.reshape(-1, 1) if it has a single feature."
        )
    if not array.shape[1]:
        raise DataError(f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    frame = pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
    if array.dtype == object:
        frame = frame.infer_objects()
    table, container = _from_pandas(frame)
    if array.dtype != object:
        return table, Container("numpy", container.labels, (str(array.dtype),) * array.shape[1])
    return table, Container("numpy", container.labels, ("object",) * array.shape[1])


def write_table(data: Any, path: str | os.PathLike[str], *, excel_safe: bool = False) -> None:
    """Write a table to a ``.parquet`` or ``.csv`` file, atomically.

    Parameters
    ----------
    data : table or pyarrow.RecordBatchReader
        A reader is never held as a whole: one batch after the other is written.
    path : path
    excel_safe : bool, default False
        Put a ``'`` before texts in CSV that spreadsheets would take for formulas; see
        :func:`escape_formulas`.

    Raises
    ------
    DataError
        If the format is unknown or the folder does not exist or cannot be written.
    """
    path = Path(path)
    batches = _batches(data)
    if path.suffix.lower() in (".parquet", ".pq"):
        write_atomically(path, lambda handle: _write_parquet(batches, handle))
    elif path.suffix.lower() == ".csv":
        write_atomically(path, lambda handle: write_csv(batches, handle, excel_safe=excel_safe))
    else:
        raise DataError(f"Cannot tell the format of {path}; use a .parquet or .csv file.")


def write_csv(data: Any, handle: IO[bytes], *, excel_safe: bool = False) -> None:
    """Write a table as CSV to an open file; parameters as for :func:`write_table`."""

    def plain(table: pa.Table) -> pa.Table:
        return escape_formulas(table) if excel_safe else table

    batches = _batches(data)
    with pa.csv.CSVWriter(handle, plain(batches.schema.empty_table()).schema) as writer:
        for batch in batches:
            writer.write_table(plain(pa.Table.from_batches([batch])))


def _write_parquet(batches: pa.RecordBatchReader, handle: IO[bytes]) -> None:
    with pa.parquet.ParquetWriter(handle, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def reader_of(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    """Return a stream of batches, one at least, as a reader; the first is asked for here."""
    first = next(batches)
    return pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], batches))


def _batches(data: Any) -> pa.RecordBatchReader:
    """Return a table or reader as a stream of batches without views, which few writers know."""
    reader = data
    if not isinstance(data, pa.RecordBatchReader):
        reader = read_table(data).combine_chunks().to_reader()
    schema = without_views(reader.schema.empty_table()).schema
    tables = (without_views(pa.Table.from_batches([batch])) for batch in reader)
    parts = (part for table in tables for part in table.to_batches())
    return pa.RecordBatchReader.from_batches(schema, parts)


def escape_formulas(table: pa.Table) -> pa.Table:
    """Put a ``'`` before texts that a spreadsheet would run when it opens a CSV file.

    Those are texts, column names included, that begin with ``=``, ``+``, ``-``, ``@``, a tab, a
    carriage return or NUL (OWASP ASVS 5.0, 1.2.10). Numbers are left alone. A level that is in
    the training table may be in a sample, formula or not.
    """
    columns = []
    for column in table.itercolumns():
        kind = column.type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_string(value) or pa.types.is_large_string(value):
            plain = column.cast(value)
            risky = pc.match_substring_regex(plain, _FORMULA)
            quote, empty = pa.scalar("'", value), pa.scalar("", value)
            column = pc.if_else(risky, pc.binary_join_element_wise(quote, plain, empty), plain)
        columns.append(column)
    names = [f"'{name}" if re.match(_FORMULA, name) else name for name in table.column_names]
    return pa.table(columns, names=names)
