"""The grammar of ``--where``: text to the conditions that ``sample`` takes."""

from __future__ import annotations

import argparse
import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthgan.exceptions import ConditionError

if TYPE_CHECKING:
    import pyarrow as pa

    from synthgan.schema import Column, Schema

__all__ = ["WHERE_HELP", "Where", "conditions_from", "parse_where"]

WHERE_HELP = """\
conditions (--where):
  income=>50K        column income equals ">50K"; the first = ends the name, so levels may
                     themselves begin with < or >
  city=Rome|Oslo     one of several values
  age=30..40         a closed range; 30.. and ..40 leave one end open
  age>=30  age<40    bounds; several on one column are joined
  income=null        missing          income!=null   not missing
  name="null"        a quoted value is taken as it stands: no |, .. or null inside it
  Dates are ISO 8601 (2024-01-31), durations seconds. Quote a condition for the shell.

examples:
  synthgan sample adult.synthgan -n 500 -o rich.parquet --where "income=>50K" "age=30..40"
  synthgan sample adult.synthgan -n 500 -o - --where "hours_per_week>=50" | head
"""


@dataclass(frozen=True, slots=True)
class Where:
    """One parsed condition: column, operator and the text on the right."""

    column: str
    operator: str
    value: str


def parse_where(text: str) -> Where:
    """Split ``"column operator value"``; the grammar is in ``synthgan sample --help``.

    Examples
    --------
    >>> parse_where("income=>50K")
    Where(column='income', operator='=', value='>50K')
    >>> parse_where("age >= 30")
    Where(column='age', operator='>=', value='30')
    """
    if "=" in text:
        left, _, value = text.partition("=")
        operator = left[-1] + "=" if left[-1:] in ("<", ">", "!") else "="
        column = left[:-1] if len(operator) == 2 else left
    elif match := re.search("[<>]", text):
        column, operator, value = text[: match.start()], match[0], text[match.end() :]
    else:
        raise argparse.ArgumentTypeError(
            f"{text!r} has no operator; write column=value, column>=value or column!=null"
        )
    column, value = column.strip(), value.strip()
    if not column or (not value and operator != "="):
        raise argparse.ArgumentTypeError(f"{text!r} needs a column and a value round {operator!r}")
    if operator == "!=" and value != "null":
        raise argparse.ArgumentTypeError(f"{text!r}: != knows only null; list what you want")
    return Where(column, operator, value)


def conditions_from(wheres: Sequence[Where], schema: Schema) -> dict[str, Any]:
    """Turn parsed conditions into the ``conditions`` argument of ``sample``.

    Values take the type of their column; several bounds on one column are joined.

    Raises
    ------
    SchemaError
        If a column does not exist.
    ConditionError
        If a value does not fit its column, or two conditions on a column cannot be joined.
    """
    conditions: dict[str, Any] = {}
    for where in wheres:
        name, new = where.column, _condition(where, schema[where.column])
        old = conditions.get(name)
        if name not in conditions:
            conditions[name] = new
        elif isinstance(old, tuple) and isinstance(new, tuple):
            lows = [end for end in (old[0], new[0]) if end is not None]
            highs = [end for end in (old[1], new[1]) if end is not None]
            conditions[name] = (max(lows, default=None), min(highs, default=None))
        else:
            raise ConditionError(f"Column {name!r} has two conditions that cannot be joined.")
    return conditions


def _condition(where: Where, column: Column) -> Any:
    text, operator = where.value, where.operator
    if operator == "!=":
        from synthgan.conditions import NOT_MISSING

        return NOT_MISSING
    if operator != "=":
        return _bound(operator, text, column)
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _value(text[1:-1], column)
    if text == "null":
        return None
    if column.is_numeric and ".." in text:
        low, _, high = text.partition("..")
        return (
            _value(low, column) if low.strip() else None,
            _value(high, column) if high.strip() else None,
        )
    if "|" in text:
        return [_value(part, column) for part in text.split("|")]
    return _value(text, column)


def _bound(operator: str, text: str, column: Column) -> tuple[Any, Any]:
    if not column.is_numeric:
        raise ConditionError(
            f"Column {column.name!r} is {column.kind}, which has no {operator}; "
            f"list the levels: {column.name}=a|b."
        )
    end = _value(text, column)
    if operator in ("<", ">"):
        try:
            end = _neighbour(end, column, up=operator == ">")
        except OverflowError:
            raise ConditionError(f"Column {column.name!r}: nothing lies beyond that.") from None
    return (end, None) if operator[0] == ">" else (None, end)


def _value(text: str, column: Column) -> Any:
    """Read `text` as a value of `column`."""
    import pyarrow as pa

    from synthgan.arrow import value_type_of

    kind = value_type_of(column.arrow_type)
    text = text.strip() if column.is_numeric else text
    try:
        if pa.types.is_duration(kind):
            return datetime.timedelta(seconds=float(text))
        if pa.types.is_time(kind):
            return datetime.time.fromisoformat(text)
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return _instant(text, kind)
        return pa.scalar(text).cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OverflowError):
        raise ConditionError(
            f"Column {column.name!r} is {kind}; {text!r} is no such value."
        ) from None


def _instant(text: str, kind: pa.TimestampType) -> Any:
    """Read a date with its offset, or without one as the local time of the column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pa.scalar(text).cast(kind).as_py()
    except pa.ArrowInvalid:
        return pc.assume_timezone(pa.scalar(text).cast(pa.timestamp(kind.unit)), kind.tz).as_py()


def _neighbour(value: Any, column: Column, *, up: bool) -> Any:
    """Return the next representable value, which turns a strict bound into a closed one."""
    import pyarrow as pa

    kind, step = column.arrow_type, 1 if up else -1
    if pa.types.is_floating(kind):
        whole = column.kind == "integer"
        return value + step if whole else math.nextafter(value, math.inf * step)
    if pa.types.is_decimal(kind):
        return value + step * value.__class__(1).scaleb(-kind.scale)
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_integer(kind):
        return value + step
    return pa.scalar(pa.scalar(value, kind).cast(width).as_py() + step, width).cast(kind).as_py()
