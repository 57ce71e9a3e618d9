"""What the columns of a table are: names, kinds, types and the privacy defaults of each.

A :class:`Schema` is inferred from data (:mod:`synthgan.inference`), read and edited by people, and
stored as JSON. It holds no value of any row except what a user declares (levels, bounds) and, for
columns of the pandas ``category`` type, the names of levels that are frequent enough to be public.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import math
import numbers
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from synthgan.arrow import holds_text, parse_arrow_type, value_type_of
from synthgan.exceptions import SchemaError
from synthgan.files import read_text

__all__ = ["KINDS", "Column", "Schema"]

#: Kind of column -> what it means.
KINDS: dict[str, str] = {
    "boolean": "true or false",
    "categorical": "a set of levels without an order",
    "ordered": "a set of levels with a declared order",
    "integer": "whole numbers",
    "float": "real numbers",
    "decimal": "exact decimal numbers",
    "datetime": "dates or instants, with their time zone",
    "timedelta": "durations or times of day",
    "identifier": "unique keys: never learned, generated anew",
    "constant": "one value, or nothing but missing cells",
}

_NUMERIC = ("integer", "float", "decimal", "datetime", "timedelta")
_MOST_BINS = 4096
_TIMES = (dt.date, dt.time, dt.timedelta, np.datetime64, np.timedelta64)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_cell(value: Any) -> bool:
    """Whether a value can be that of a cell, and not a missing or an infinite one."""
    if isinstance(value, _TIMES):
        return bool(value == value)  # which NaT is not
    if isinstance(value, decimal.Decimal):
        return value.is_finite()
    is_number = isinstance(value, numbers.Real)
    return bool(-math.inf < value < math.inf) if is_number else isinstance(value, (str, np.bool_))


def _are_cells(values: Any) -> bool:
    return _is_list(values) and all(map(_is_cell, values))


def _are_edges(values: Any) -> bool:
    return _are_cells(values) and not any(isinstance(x, (bool, np.bool_)) for x in values)


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, (str, bytes))


#: Field of a column -> whether a value is of its type, and what it must be. None passes where it is
#: the default.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "a text"),
    "kind": (_is_text, "a text"),
    "type": (_is_text, "a text"),
    "levels": (_are_cells, "a list of texts, finite numbers, dates or booleans"),
    "bounds": (_are_edges, "a list of finite numbers, dates or texts"),
    "min_count": (_is_int, "an int >= 1"),
    "rare": (_is_text, "a text"),
    "bins": (
        lambda value: _is_int(value) or (isinstance(value, tuple) and _are_edges(value)),
        "an int, or a tuple of finite numbers, dates or texts",
    ),
    "spikes": (_are_edges, "a list of finite numbers, dates or texts"),
    "decimals": (_is_int, "an int"),
    "missing": (lambda value: isinstance(value, bool), "true or false"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its kind, its type, and how it is protected.

    Attributes
    ----------
    name : str
    kind : str
        One of :data:`KINDS`.
    type : str
        The Arrow type, as text.
    levels : tuple of str, int, float or bool, or None
        Declared levels of a categorical or ordered column. Declared levels count as public and
        are kept however rare. None: learned from the data.
    bounds : (low, high) or None
        Declared closed range of a numeric column, in the units of the column (ISO 8601 text for
        dates, seconds for durations). None: learned, and clipped to the `min_count`-th extremes.
    min_count : int
        A value or level that occurs in fewer rows is never emitted because it was seen.
    rare : {"suppress", "placeholder"}
        What stands for the pooled rare levels in a sample: frequent levels drawn in their place,
        or the text ``"(rare)"`` (text columns only).
    bins : int, tuple of numbers, or None
        Under differential privacy, how a numeric column is cut between its bounds: into so many
        bins of equal width, or at these inner edges. None: 20, or one per whole number if there
        are no more than 64.
    spikes : tuple, or None
        Under differential privacy, numbers with a token of their own, such as 0.
    decimals : int or None
        Under differential privacy, decimals of a float column. None: not rounded.
    missing : bool or None
        Under differential privacy, whether cells may be missing. None: if the type of the column
        admits it, which NumPy's whole numbers and booleans do not.
    """

    name: str
    kind: str
    type: str
    levels: tuple[Any, ...] | None = None
    bounds: tuple[Any, Any] | None = None
    min_count: int = 5
    rare: str = "suppress"
    bins: int | tuple[float, ...] | None = None
    spikes: tuple[float, ...] | None = None
    decimals: int | None = None
    missing: bool | None = None

    def __post_init__(self) -> None:
        where = f"Column {self.name!r}"
        for item in dataclasses.fields(self):
            value, (is_good, wanted) = getattr(self, item.name), _FIELDS[item.name]
            if not is_good(value) and not (value is None and item.default is None):
                raise SchemaError(f"{where}: {item.name} must be {wanted}; got {_types(value)}.")
        if self.kind not in KINDS:
            raise SchemaError(
                f"{where}: kind must be one of {', '.join(KINDS)}; got {self.kind!r}."
            )
        arrow_type = parse_arrow_type(self.type)
        if self.kind in _NUMERIC and not _can_be_numeric(arrow_type):
            raise SchemaError(f"{where}: a column of type {self.type} cannot be {self.kind}.")
        if self.kind == "boolean" and not pa.types.is_boolean(arrow_type):
            raise SchemaError(f'{where}: type {self.type} is not boolean; use kind="categorical".')
        if self.min_count < 1:
            raise SchemaError(f"{where}: min_count must be an int >= 1; got {self.min_count!r}.")
        if self.rare not in ("suppress", "placeholder"):
            raise SchemaError(f'{where}: rare must be "suppress" or "placeholder".')
        if self.rare == "placeholder" and not holds_text(value_type_of(arrow_type)):
            raise SchemaError(f'{where}: rare="placeholder" needs a text column, not {self.type}.')
        if self.levels is not None:
            if self.kind not in ("categorical", "ordered"):
                raise SchemaError(f"{where}: levels belong to categorical and ordered columns.")
            if not self.levels or len(set(self.levels)) != len(self.levels):
                raise SchemaError(f"{where}: levels must be a non-empty list without repeats.")
        if self.kind == "ordered" and self.levels is None:
            raise SchemaError(f"{where}: an ordered column needs its levels, lowest first.")
        if self.bounds is not None and self.kind not in _NUMERIC:
            raise SchemaError(f"{where}: bounds belong to numeric columns.")
        if self.bounds is not None and len(self.bounds) != 2:
            raise SchemaError(f"{where}: bounds are two values, the lowest and the highest.")
        self._check_cuts(where)

    def _check_cuts(self, where: str) -> None:
        if (self.bins is not None or self.spikes is not None) and self.kind not in _NUMERIC:
            raise SchemaError(f"{where}: bins and spikes belong to numeric columns.")
        if isinstance(self.bins, tuple):
            if not self.bins or not _is_ascending(self.bins):
                raise SchemaError(f"{where}: bins must be a number of bins, or ascending edges.")
        elif self.bins is not None and not 1 <= self.bins <= _MOST_BINS:
            raise SchemaError(f"{where}: bins must lie in [1, {_MOST_BINS}]; got {self.bins!r}.")
        if self.decimals is not None and not 0 <= self.decimals <= 15:
            raise SchemaError(f"{where}: decimals must lie in [0, 15]; got {self.decimals!r}.")

    @property
    def is_declared(self) -> bool:
        """Whether the tokens of the column are public: nothing of it is learned from data."""
        if self.kind in ("boolean", "identifier"):
            return True
        return (self.bounds if self.is_numeric else self.levels) is not None

    @property
    def is_numeric(self) -> bool:
        """Whether the values are ordered numbers, dates or durations."""
        return self.kind in _NUMERIC

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the column."""
        return parse_arrow_type(self.type)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, and name, kind and type."""
        out: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if item.default is dataclasses.MISSING or value != item.default:
                out[item.name] = _to_json(value)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Column:
        """Build a column from :meth:`to_dict`; unknown fields are refused."""
        known = {item.name for item in dataclasses.fields(cls)}
        if not isinstance(data, Mapping) or not {"name", "kind", "type"} <= set(data):
            raise SchemaError('Every column of a schema needs "name", "kind" and "type".')
        if extra := sorted(set(data) - known, key=str):
            raise SchemaError(
                f"Column {data['name']!r}: unknown field {extra[0]!r}; "
                f"use {', '.join(sorted(known))}."
            )
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, in order.

    Examples
    --------
    >>> import pandas as pd
    >>> from synthgan import infer_schema
    >>> schema = infer_schema(pd.DataFrame({"age": [31, 40, 31], "sex": ["f", "m", "f"]}))
    >>> schema["age"].kind
    'integer'
    >>> schema.replace("age", bounds=(0, 120))["age"].bounds
    (0, 120)
    """

    columns: tuple[Column, ...]
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns:
            raise SchemaError("A schema needs at least one column.")
        self._by_name.update({column.name: column for column in self.columns})
        if len(self._by_name) != len(self.columns):
            raise SchemaError("Two columns of the schema have the same name.")

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Column:
        try:
            return self._by_name[name]
        except KeyError:
            raise SchemaError(f"No column {name!r}; there are {', '.join(self.names)}.") from None

    def __repr__(self) -> str:
        wide = min(40, max(len(name) for name in self.names))
        lines = [f"Schema of {len(self)} columns"]
        for column in self:
            notes = [f"min_count={column.min_count}"]
            if column.levels is not None:
                notes.append(f"{len(column.levels)} declared levels")
            if column.bounds is not None:
                notes.append(f"bounds={column.bounds}")
            if column.rare != "suppress":
                notes.append(f"rare={column.rare}")
            line = (
                f"  {column.name:<{wide}}  {column.kind:<11}  {column.type:<16}  {', '.join(notes)}"
            )
            lines.append(line)
        return "\n".join(lines)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def replace(self, name: str, **changes: Any) -> Schema:
        """Return a copy in which column `name` has other fields.

        Parameters
        ----------
        name : str
        **changes
            Fields of :class:`Column`, for example ``kind="categorical"`` or ``bounds=(0, 120)``.
        """
        old = self[name]
        fields = {item.name: getattr(old, item.name) for item in dataclasses.fields(old)}
        changed = Column.from_dict({**fields, **changes})
        return Schema(tuple(changed if c.name == name else c for c in self.columns))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Build a schema from :meth:`to_dict`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("columns"), list):
            raise SchemaError('A schema is a JSON object with a list "columns".')
        return cls(tuple(Column.from_dict(column) for column in data["columns"]))

    def to_json(self) -> str:
        """Return the schema as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, default=str, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Read a schema from :meth:`to_json` text."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise SchemaError(f"The schema is not valid JSON: line {error.lineno}.") from None
        except (ValueError, RecursionError):
            raise SchemaError("The schema is not valid JSON.") from None
        return cls.from_dict(data)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Schema:
        """Read a schema from a file of :meth:`to_json` text.

        Raises
        ------
        DataError, SchemaError
            If the file cannot be read, or holds no schema.
        """
        return cls.from_json(read_text(path))

    def differences(self, table: pa.Table) -> list[str]:
        """Say how `table` differs from this schema; order does not count.

        Returns
        -------
        list of str
            One sentence for each missing, extra or differently typed column; empty if it fits.
        """
        found = dict(zip(table.column_names, table.schema.types, strict=True))
        out = [f"column {c.name!r} is missing" for c in self if c.name not in found]
        out += [f"column {name!r} is not part of the model" for name in found if name not in self]
        for column in self:
            arrow_type = found.get(column.name)
            if arrow_type is not None and not _compatible(column.arrow_type, arrow_type):
                out.append(f"column {column.name!r} is {arrow_type}, the model has {column.type}")
        return out


def _is_ascending(values: tuple[Any, ...]) -> bool:
    try:
        return list(values) == sorted(set(values))
    except TypeError:  # a date and a text, say
        return False


def _types(value: Any) -> str:
    """Name the type of a value, and those inside a list: the values are nobody's business."""
    inside = sorted({type(x).__name__ for x in value}) if _is_list(value) else []
    return type(value).__name__ + (f" of {', '.join(inside)}" if inside else "")


def _to_json(value: Any) -> Any:
    """Return a field as JSON has it: lists, plain numbers, and texts for dates and decimals."""
    if _is_list(value):
        return [_to_json(x) for x in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    of_numpy = isinstance(value, np.generic) and not isinstance(value, _TIMES)
    return value.item() if of_numpy else str(value)


def _can_be_numeric(arrow_type: pa.DataType) -> bool:
    return (
        pa.types.is_integer(arrow_type)
        or pa.types.is_floating(arrow_type)
        or (pa.types.is_temporal(arrow_type) or pa.types.is_decimal(arrow_type))
    )


def _family(arrow_type: pa.DataType) -> str:
    value = value_type_of(arrow_type)
    if pa.types.is_null(value):
        return "any"
    if holds_text(value):
        return "text"
    if pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_decimal(value):
        return "number"
    if pa.types.is_timestamp(value):
        return f"timestamp tz={value.tz is not None}"
    return re.split(r"[\[(0-9]", str(value))[0]


def _compatible(ours: pa.DataType, theirs: pa.DataType) -> bool:
    left, right = _family(ours), _family(theirs)
    return left == right or "any" in (left, right)
