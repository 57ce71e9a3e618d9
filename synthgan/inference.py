"""What kind each column of a table probably is; what cannot be modelled is refused with advice."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.arrow import holds_text, parse_arrow_type, plain_texts, plain_values, value_type_of
from synthgan.exceptions import DataWarning, SchemaError
from synthgan.io import read_table
from synthgan.schema import Column, Schema

__all__ = ["infer_schema"]

_ID_NAME = re.compile(r"(^|[_\s-])(id|uuid|guid|key|mrn|ssn)$|^id[_\s-]", re.IGNORECASE)
_MANY_LEVELS = 1000


def infer_schema(data: Any, *, min_count: int = 5) -> Schema:
    """Say what the columns of a table are.

    Parameters
    ----------
    data : table
        Anything that :func:`synthgan.io.read_table` reads.
    min_count : int, default 5
        The smallest number of rows that may share a value which a sample repeats; 5 is a common
        minimum cell size in official statistics.

    Returns
    -------
    Schema

    Raises
    ------
    SchemaError
        For an empty table, nested or binary columns, infinite numbers, free text, and integers
        beyond 64 signed bits. The message names the column and the fix.

    Warns
    -----
    DataWarning
        For identifiers, columns without any value, and text columns with very many levels.
    """
    table = read_table(data)
    if table.num_columns == 0:
        raise SchemaError("The table has no columns.")
    if table.num_rows == 0:
        raise SchemaError("The table has no rows.")
    names = table.column_names
    return Schema(tuple(_infer_column(name, table[name], min_count) for name in names))


def _infer_column(name: str, values: pa.ChunkedArray, min_count: int) -> Column:
    arrow_type = values.type
    where = f"Column {name!r}"
    value_type = value_type_of(arrow_type)
    if pa.types.is_nested(value_type):
        raise SchemaError(f"{where} is nested ({arrow_type}); flatten it into plain columns.")
    if pa.types.is_binary(value_type) or pa.types.is_large_binary(value_type):
        raise SchemaError(f"{where} is binary; drop it, or decode it to text.")
    if isinstance(value_type, pa.BaseExtensionType):
        raise SchemaError(f"{where} has the extension type {value_type}; cast it to a plain type.")
    text = str(arrow_type)
    try:
        parse_arrow_type(text)
    except SchemaError:
        raise SchemaError(f"{where} has type {text}, which is not supported; cast it.") from None
    if values.null_count == len(values):
        _warn(f"{where} has no value at all; it will be all missing in samples.")
        return Column(name, "constant", text, min_count=min_count)
    plain = plain_values(values)
    if pa.types.is_floating(value_type) and not pc.all(pc.is_finite(plain.drop_null())).as_py():
        raise SchemaError(
            f"{where} holds infinite values; replace them with missing or a finite bound."
        )
    n_values = len(values) - values.null_count
    kind, levels = _kind_of(name, plain_texts(values), _count_distinct(plain), n_values)
    return Column(name, kind, text, levels=levels, min_count=min_count)


def _count_distinct(values: pa.ChunkedArray) -> int:
    """Count the values that are not missing; numbers by sorting, in a tenth of a table's memory."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return len(np.unique(values.drop_null().to_numpy()))
    return int(pc.count_distinct(values).as_py())


def _kind_of(
    name: str, values: pa.ChunkedArray, n_distinct: int, n_values: int
) -> tuple[str, tuple[Any, ...] | None]:
    arrow_type = values.type
    if pa.types.is_dictionary(arrow_type) and arrow_type.ordered:
        chunk = values.unify_dictionaries().chunk(0)
        return "ordered", tuple(chunk.dictionary.drop_null().to_pylist())
    if n_distinct == 1:
        return "constant", None
    if pa.types.is_boolean(arrow_type):
        return "boolean", None
    if pa.types.is_dictionary(arrow_type):
        if holds_text(arrow_type.value_type):
            return _kind_of_text(name, values.cast(arrow_type.value_type), n_distinct, n_values)
        return "categorical", None
    if holds_text(arrow_type):
        return _kind_of_text(name, values, n_distinct, n_values)
    if pa.types.is_integer(arrow_type):
        return _kind_of_integer(name, values, n_distinct, n_values), None
    if pa.types.is_floating(arrow_type):
        return "float", None
    if pa.types.is_decimal(arrow_type):
        return "decimal", None
    if pa.types.is_duration(arrow_type) or pa.types.is_time(arrow_type):
        return "timedelta", None
    return "datetime", None


def _kind_of_integer(name: str, values: pa.ChunkedArray, n_distinct: int, n_values: int) -> str:
    extremes = pc.min_max(values).as_py()
    if extremes["max"] >= 2**63:
        raise SchemaError(
            f"Column {name!r} has integers beyond 2**63; cast it to text if they are identifiers, "
            "or to float64 if they are measurements."
        )
    dense = extremes["max"] - extremes["min"] < 2 * n_values
    if n_distinct == n_values and n_values >= 20 and (dense or _ID_NAME.search(name)):
        _warn_identifier(name)
        return "identifier"
    return "integer"


def _kind_of_text(
    name: str, values: pa.ChunkedArray, n_distinct: int, n_values: int
) -> tuple[str, None]:
    present = values.drop_null()
    words = pc.add(pc.count_substring(present, " "), 1)
    mostly_distinct = n_values >= 20 and n_distinct > 0.5 * n_values
    if (
        mostly_distinct
        and pc.mean(words).as_py() > 4
        and pc.mean(pc.utf8_length(present)).as_py() > 30
    ):
        raise SchemaError(
            f"Column {name!r} looks like free text, which cannot be synthesised safely; drop it, "
            'or replace it by categories that you derive from it (or declare kind="categorical").'
        )
    if n_distinct == n_values and n_values >= 20:
        _warn_identifier(name)
        return "identifier", None
    if n_distinct > _MANY_LEVELS or n_distinct > max(0.2 * n_values, 20):
        _warn(
            f"Column {name!r} has {n_distinct} different texts in {n_values} rows; levels in fewer "
            'than min_count rows are pooled. If it is a key, set kind="identifier" in the schema.'
        )
    return "categorical", None


def _warn_identifier(name: str) -> None:
    _warn(
        f"Column {name!r} is unique in every row: treated as an identifier, not learned, generated "
        "anew. Set its kind in the schema if it is a measurement."
    )


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)
