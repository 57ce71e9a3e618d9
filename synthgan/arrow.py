"""Arrow types by name, and cells in their plainest form: without dictionaries and views."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pyarrow as pa

from synthgan.exceptions import SchemaError

__all__ = [
    "holds_text",
    "parse_arrow_type",
    "plain_texts",
    "plain_values",
    "value_type_of",
    "without_views",
]

_SIMPLE_TYPES: dict[str, pa.DataType] = {
    str(t): t
    for t in [
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64()),
        *(pa.bool_(), pa.string(), pa.large_string(), pa.null(), pa.date32(), pa.date64()),
    ]
}


def parse_arrow_type(text: str) -> pa.DataType:
    """Return the Arrow type whose ``str()`` is `text`.

    Raises
    ------
    SchemaError
        If the text names no type that a column may have.

    Examples
    --------
    >>> parse_arrow_type("timestamp[us, tz=Europe/Berlin]")
    TimestampType(timestamp[us, tz=Europe/Berlin])
    """
    if text in _SIMPLE_TYPES:
        return _SIMPLE_TYPES[text]
    if text == "string_view":
        return pa.string_view()
    if match := re.fullmatch(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]", text):
        with contextlib.suppress(ValueError, LookupError, OSError):  # no such time zone
            if match[2] is not None:
                pa.lib.string_to_tzinfo(match[2])
            return pa.timestamp(match[1], tz=match[2])
    if match := re.fullmatch(r"duration\[(s|ms|us|ns)\]", text):
        return pa.duration(match[1])
    if match := re.fullmatch(r"time32\[(s|ms)\]", text):
        return pa.time32(match[1])
    if match := re.fullmatch(r"time64\[(us|ns)\]", text):
        return pa.time64(match[1])
    if match := re.fullmatch(r"decimal(32|64|128|256)\((\d{1,2}), (-?\d{1,2})\)", text):
        with contextlib.suppress(ValueError):  # more digits than the type has
            return getattr(pa, f"decimal{match[1]}")(int(match[2]), int(match[3]))
    if match := re.fullmatch(
        r"dictionary<values=([^<]+), indices=(u?int\w+), ordered=([01])>", text
    ):
        index, value = parse_arrow_type(match[2]), parse_arrow_type(match[1])
        return pa.dictionary(index, value, ordered=match[3] == "1")
    raise SchemaError(f"Unknown column type {text!r} in a schema.")


def value_type_of(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type of the cells of a column: that of the values, if it is a dictionary."""
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type


def plain_values(values: Any) -> Any:
    """Return the cells of an array or column without a dictionary, texts as :func:`plain_texts`."""
    values = plain_texts(values)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values


def plain_texts(values: Any) -> Any:
    """Return an array or column whose texts, also in a dictionary, are strings and no views."""
    kind = values.type
    if pa.types.is_string_view(kind):
        return values.cast(pa.large_string())
    if not pa.types.is_dictionary(kind) or not pa.types.is_string_view(kind.value_type):
        return values
    if isinstance(values, pa.ChunkedArray):
        target = pa.dictionary(kind.index_type, pa.large_string(), kind.ordered)
        return pa.chunked_array([plain_texts(chunk) for chunk in values.chunks], target)
    levels = values.dictionary.cast(pa.large_string())
    return pa.DictionaryArray.from_arrays(values.indices, levels, ordered=kind.ordered)


def holds_text(arrow_type: pa.DataType) -> bool:
    """Whether cells of this type are texts."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(arrow_type) for test in tests)


def without_views(table: pa.Table) -> pa.Table:
    """Return a table whose texts are strings and no views, which few functions know."""
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        plain = plain_texts(column)
        if plain is not column:
            table = table.set_column(position, name, plain)
    return table
