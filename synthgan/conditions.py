"""What a sample must satisfy: values, sets, ranges and missingness, per column.

========================  =================================================================
value of a condition      meaning
========================  =================================================================
``"Private"``, ``3``      equal to this value
``["a", "b"]``            one of these values, ``None`` among them for no value
``(30, 40)``              in this closed range; ``None`` leaves an end open
``MISSING`` or ``None``   no value
``NOT_MISSING``           any value
========================  =================================================================
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.encoding import Coder, IdentifierCoder, LevelCoder, NumberCoder, TableEncoder
from synthgan.encoding.ticks import native
from synthgan.exceptions import ConditionError, SchemaError

__all__ = ["MISSING", "NOT_MISSING", "Confinement", "parse_conditions"]

Array = np.ndarray[Any, Any]


class _Presence(enum.Enum):
    MISSING = "missing"
    NOT_MISSING = "not missing"

    def __repr__(self) -> str:
        return self.name


#: The cell has no value.
MISSING = _Presence.MISSING
#: The cell has a value.
NOT_MISSING = _Presence.NOT_MISSING


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a condition allows in one column.

    Attributes
    ----------
    column : int
        Position of the column.
    weights : ndarray, shape (tokens,)
        Share of each token that the condition allows, from 0 to 1; of single numbers, in
        proportion.
    limits : (low, high) or None
        Closed range of the values, as offsets on the column's scale.
    choices : ndarray or None
        The only numbers that are allowed, as offsets, or levels, as their positions; None if
        tokens say it all.
    odds : ndarray or None
        How likely each of them is, among those of its token.
    """

    column: int
    weights: Array
    limits: tuple[float, float] | None = None
    choices: Array | None = None
    odds: Array | None = None


def parse_conditions(conditions: Mapping[str, Any], encoder: TableEncoder) -> list[Confinement]:
    """Turn a mapping of column to value, list, range or presence into confinements.

    Parameters
    ----------
    conditions : mapping
    encoder : TableEncoder

    Raises
    ------
    ConditionError
        If a column is unknown, or no value that the model can make satisfies its condition.
    """
    found = []
    for name, wanted in conditions.items():
        if name not in encoder.schema:
            known = ", ".join(encoder.schema.names[:20])
            raise ConditionError(f"No column {name!r} to put a condition on; there are {known}.")
        found.append(_parse_one(name, wanted, encoder))
    return found


def _parse_one(name: str, wanted: Any, encoder: TableEncoder) -> Confinement:
    coder, position = encoder.coder(name), encoder.index(name)
    if _is_missing(wanted):
        return Confinement(position, _only_missing(name, coder))
    if wanted is NOT_MISSING:
        weights = np.ones(coder.n_tokens)
        if coder.missing_token is not None:
            weights[coder.missing_token] = 0.0
        return Confinement(position, _require(weights, name, "any value"))
    if isinstance(coder, IdentifierCoder):
        raise ConditionError(f"Column {name!r} is an identifier, which is not learned.")
    if isinstance(coder, NumberCoder):
        return _numeric(name, wanted, coder, position)
    return _levelled(name, wanted, coder, position)


def _is_missing(value: Any) -> bool:
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return value is None or value is MISSING or value is pd.NA or value is pd.NaT


def _only_missing(name: str, coder: Coder) -> Array:
    """Return factors that leave the token of a missing cell alone."""
    weights = np.zeros(coder.n_tokens)
    if coder.missing_token is None:
        raise ConditionError(f"Column {name!r} was never missing, so it cannot be sampled missing.")
    weights[coder.missing_token] = 1.0
    return weights


def _values_of(wanted: Any, name: str, coder: Coder) -> tuple[list[Any], Array | float]:
    """Return the values of a condition, and the factors that its missing ones stand for."""
    is_list = isinstance(wanted, (list, set, frozenset)) or getattr(wanted, "ndim", None) == 1
    wanted = list(wanted) if is_list else [wanted]  # also arrays, Series, Index
    values = [value for value in wanted if not _is_missing(value)]
    return values, 0.0 if len(values) == len(wanted) else _only_missing(name, coder)


def _levelled(name: str, wanted: Any, coder: LevelCoder, position: int) -> Confinement:
    if isinstance(wanted, tuple):
        positions = _level_range(name, wanted, coder)
        return _of_levels(name, positions, coder, position, "that range")
    values, missing = _values_of(wanted, name, coder)
    try:
        array = pa.array([native(v) for v in values], type=coder.levels.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError):
        raise ConditionError(
            f"Column {name!r} has levels of type {coder.levels.type}; the condition gives another."
        ) from None
    known = pc.is_in(coder.levels, value_set=array).to_numpy(zero_copy_only=False)
    what = f"{len(values)} given level(s)"
    return _of_levels(name, np.flatnonzero(known), coder, position, what, missing)


def _of_levels(
    name: str,
    levels: Array,
    coder: LevelCoder,
    position: int,
    what: str,
    missing: Array | float = 0.0,
) -> Confinement:
    """Confine a column to some levels, and to no value if that has a factor."""
    weights, odds = np.zeros(coder.n_tokens) + missing, coder.shares_of(levels)
    np.add.at(weights, coder.tokens_of(levels), odds)
    weights = _require(weights.clip(max=1.0), name, what)
    if coder.groups is None:
        return Confinement(position, weights)
    return Confinement(position, weights, choices=levels, odds=odds)


def _level_range(name: str, wanted: tuple[Any, ...], coder: LevelCoder) -> Array:
    if coder.column.kind != "ordered" or len(wanted) != 2:
        raise ConditionError(
            f"Column {name!r} is {coder.column.kind}, which has no ranges; give a list of levels."
        )
    levels = coder.levels.to_pylist()
    try:
        low = 0 if wanted[0] is None else levels.index(wanted[0])
        high = len(levels) - 1 if wanted[1] is None else levels.index(wanted[1])
    except ValueError:
        raise ConditionError(f"Column {name!r} has no such level as an end of the range.") from None
    return np.arange(low, high + 1)


def _numeric(name: str, wanted: Any, coder: NumberCoder, position: int) -> Confinement:
    if isinstance(wanted, tuple):
        if len(wanted) != 2:
            raise ConditionError(f"Column {name!r}: a range is a pair (low, high).")
        ends = (
            -np.inf if wanted[0] is None else wanted[0],
            np.inf if wanted[1] is None else wanted[1],
        )
        low, high = (_offset(name, coder, end) for end in ends)
        if low > high:
            raise ConditionError(f"Column {name!r}: the range ends before it begins.")
        weights = _require(coder.weights((low, high)), name, "that range", coder)
        ends = (max(low, coder.extremes[0]), min(high, coder.extremes[1]))
        return Confinement(position, weights, limits=coder.scale.inside(*ends) or ends)
    values, missing = _values_of(wanted, name, coder)
    offsets = np.unique([_offset(name, coder, value) for value in values])
    offsets = offsets[[coder.scale.inside(offset, offset) is not None for offset in offsets]]
    weights = np.zeros(coder.n_tokens) + missing
    if not len(offsets) or not len(coder.knots):
        return Confinement(position, _require(weights, name, "the given value(s)", coder))
    odds = coder.shares_of(offsets)
    offsets, odds = offsets[odds > 0], odds[odds > 0]
    np.add.at(weights, coder.tokens_of(offsets), odds)
    weights = _require(weights, name, "the given value(s)", coder)
    return Confinement(position, weights / weights.max(), choices=offsets, odds=odds)


def _offset(name: str, coder: NumberCoder, value: Any) -> float:
    try:
        offset = coder.scale.offset_of(value)
    except SchemaError as error:
        raise ConditionError(str(error)) from None
    if np.isnan(offset):
        raise ConditionError(f"Column {name!r}: a condition cannot be NaN; use MISSING.")
    return offset


def _require(weights: Array, name: str, what: str, coder: NumberCoder | None = None) -> Array:
    if weights.any():
        return weights
    if coder is not None:
        raise ConditionError(
            f"Column {name!r}: no value that the model can make lies in {what}; it makes values "
            "between the clipped extremes shown by describe()."
        )
    raise ConditionError(
        f"Column {name!r}: none of {what} can be sampled; unknown, or in too few rows (rare levels "
        "are pooled unless declared in the schema)."
    )
