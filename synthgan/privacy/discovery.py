"""A domain for columns that nobody declared, bought with a part of the budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synthgan.arrow import holds_text, value_type_of
from synthgan.exceptions import SchemaError
from synthgan.privacy.private_table import LOG_EDGES, PrivateTable
from synthgan.schema import Column, Schema

__all__ = ["discover", "domain_template", "schema_of_types"]

#: A bin counts as occupied if its noisy count is so many deviations above zero. Of 800 empty bins,
#: one is then taken for occupied in one histogram of 4,000.
_OCCUPIED = 5.0
_BINS = 20


def schema_of_types(types: pa.Schema, unit: str | None) -> Schema:
    """Return what the types of the columns say, and nothing that their values say.

    Parameters
    ----------
    types : pyarrow.Schema
    unit : str or None
        Column that says whose row it is: an identifier, or left out if its type has no new keys.

    Raises
    ------
    SchemaError
        For a column of a type that needs a declaration, with its name.
    """
    columns = []
    for name, arrow_type in zip(types.names, types.types, strict=True):
        value = value_type_of(arrow_type)
        if name == unit and not (pa.types.is_integer(value) or holds_text(value)):
            continue  # of floats or dates, no new keys can be made
        kind = "identifier" if name == unit else _kind(name, arrow_type)
        columns.append(Column(name, kind, str(arrow_type)))
    return Schema(tuple(columns))


def domain_template(types: pa.Schema, unit: str | None) -> dict[str, Any]:
    """Return a domain that knows names and types; levels and bounds are None, to be filled in."""
    columns = []
    for column in schema_of_types(types, unit):
        entry = column.to_dict()
        if not column.is_declared:
            entry["bounds" if column.is_numeric else "levels"] = None
        columns.append({**entry, "missing": True})
    return {"columns": columns}


def _kind(name: str, arrow_type: pa.DataType) -> str:
    value = value_type_of(arrow_type)
    if pa.types.is_boolean(value):
        return "boolean"
    if pa.types.is_dictionary(arrow_type):
        return "categorical"
    if pa.types.is_integer(value):
        return "integer"
    if pa.types.is_floating(value):
        return "float"
    if holds_text(value):
        return "categorical"
    if pa.types.is_decimal(value):
        return "decimal"
    if pa.types.is_timestamp(value) or pa.types.is_date(value):
        return "datetime"
    if pa.types.is_duration(value) or pa.types.is_time(value):
        return "timedelta"
    raise SchemaError(
        f"Column {name!r} is {arrow_type}; under differential privacy its kind must be declared in "
        "the domain."
    )


def discover(schema: Schema, private: PrivateTable, rho: float, delta: float) -> Schema:
    """Return the schema with bounds and levels for all columns.

    Parameters
    ----------
    schema : Schema
    private : PrivateTable
    rho, delta : float
        Budget for all undeclared columns together; `delta` is for levels.
    """
    open_columns = [column for column in schema if not column.is_declared]
    for column in open_columns:
        if column.kind in ("decimal", "datetime", "timedelta"):
            raise SchemaError(
                f"Column {column.name!r} is {column.type}; under differential privacy its bounds "
                "must be declared in the domain."
            )
    levelled = [column for column in open_columns if not column.is_numeric]
    columns = []
    for column in schema:
        if column.is_declared:
            columns.append(column)
        elif column.is_numeric:
            counts, sigma = private.log_histogram(column, rho / len(open_columns))
            columns.append(_bounded(column, counts, sigma))
        else:
            share = rho / len(open_columns), delta / len(levelled)
            levels = private.levels(column.name, *share)
            columns.append(_levelled(column, levels))
    return Schema(tuple(columns))


def _levelled(column: Column, levels: list[object]) -> Column:
    if not levels:
        raise SchemaError(
            f"No level of column {column.name!r} is frequent enough to be seen through the noise; "
            "declare its levels in the domain, or raise epsilon."
        )
    return replace(column, levels=tuple(levels))


def _bounded(column: Column, counts: npt.NDArray[np.int64], sigma: float) -> Column:
    """Return the column with bounds, and with bins of about equally many noisy rows."""
    occupied = counts > _OCCUPIED * sigma
    if not occupied.any():
        raise SchemaError(
            f"No number of column {column.name!r} can be seen through the noise; declare its "
            "bounds in the domain, or raise epsilon."
        )
    first, last = int(np.argmax(occupied)), len(counts) - 1 - int(np.argmax(occupied[::-1]))
    zero = len(counts) // 2
    edges = LOG_EDGES.copy()
    edges[zero], edges[zero + 1] = 0.0, 0.0  # the middle bin holds zero and what is next to it
    if column.kind == "integer":
        edges = np.ceil(edges)
    low, high = float(edges[first]), float(edges[last + 1])
    mass = np.where(occupied, counts, 0)[first : last + 1]
    shares = np.cumsum(mass) / mass.sum()
    cuts = np.searchsorted(shares, np.arange(1, _BINS) / _BINS)
    found = np.unique(edges[first + 1 + cuts])
    inner = tuple(float(edge) for edge in found if low < edge < high)
    spikes = (0.0,) if occupied[zero] else ()
    whole = column.kind == "integer" and high - low <= 3 * _BINS
    return replace(
        column,
        bounds=(int(low), int(high)) if column.kind == "integer" else (low, high),
        bins=None if whole or not inner else inner,
        spikes=spikes or None,
    )
