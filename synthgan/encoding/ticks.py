"""Cells as numbers: integers, floats, decimals, dates and durations on one line, and back, exactly.

A cell becomes ``(cell - base) / step``. Integer-like types are counted from an integer `base`, in
whole steps (a date column that only holds midnights counts days), so that integers far beyond
2**53 keep every digit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.arrow import plain_values
from synthgan.exceptions import SchemaError
from synthgan.schema import Column

Array = np.ndarray[Any, Any]

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MOST_DECIMALS = 6
#: Whole numbers up to here are exact in float64.
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Scale:
    """The line on which the cells of one numeric column lie.

    Attributes
    ----------
    column : Column
    base : int
        Origin in ticks of the column's own unit; 0 for floats.
    step : int
        Ticks per unit; 1 for floats.
    decimals : int or None
        Floats are rounded to so many decimals; None keeps them as they are. 0 for all other kinds.
    """

    column: Column
    base: int
    step: int
    decimals: int | None

    @classmethod
    def fit(cls, column: Column, values: pa.ChunkedArray) -> Scale:
        """Find origin, step and decimals of a column."""
        present = values.drop_null()
        if pa.types.is_floating(column.arrow_type):
            floats = np.unique(_to_float(present))
            if not np.isfinite(floats).all():
                raise SchemaError(
                    f"Column {column.name!r} holds infinite values; replace them with missing or "
                    "a finite bound."
                )
            return cls(column, 0, 1, _decimals(floats))
        try:
            ticks = _to_ticks(column, present)
        except pa.ArrowInvalid:
            raise SchemaError(
                f"Column {column.name!r} has numbers beyond 64 bits with a sign; cast it to "
                'float64, or declare it kind="categorical" or kind="identifier".'
            ) from None
        if not len(ticks):
            return cls(column, 0, 1, 0)
        step = 1
        if pa.types.is_temporal(column.arrow_type):
            step = next(s for s in _steps(column.arrow_type) if not (ticks % s).any())
        if (int(ticks.max()) - int(ticks.min())) // step > _EXACT:
            raise SchemaError(
                f"Column {column.name!r} spans more than 2**53 steps, too many for exact digits; "
                'cast it to float64, or declare it kind="categorical" or kind="identifier".'
            )
        low = np.partition(ticks, min(column.min_count, len(ticks)) - 1)[
            min(column.min_count, len(ticks)) - 1
        ]
        return cls(column, _round_base(int(low), int(ticks.max()) - int(low), step), step, 0)

    @classmethod
    def declared(cls, column: Column) -> Scale:
        """Return the scale of a column whose bounds are declared: seconds, days, or whole numbers.

        Nothing of it depends on data.
        """
        if pa.types.is_floating(column.arrow_type):
            return cls(column, 0, 1, column.decimals)
        if not pa.types.is_temporal(column.arrow_type):
            return cls(column, 0, 1, 0)
        step = next(s for s in _steps(column.arrow_type)[::-1] if s >= _per_second(column))
        if pa.types.is_date(column.arrow_type):
            step = _steps(column.arrow_type)[0]
        assert column.bounds is not None
        low = cls(column, 0, 1, 0).offset_of(column.bounds[0])
        return cls(column, int(low // step) * step, step, 0)

    @property
    def half_step(self) -> float:
        """Half the distance of neighbouring values, as an offset; 0 for unrounded floats."""
        return 0.5 if not pa.types.is_floating(self.column.arrow_type) else 0.0

    def to_numbers(self, values: pa.ChunkedArray, *, nearest: bool = False) -> Array:
        """Return non-missing cells as float64 offsets, shape (rows,).

        What the type of the column cannot hold raises, or, with `nearest`, becomes what is next to
        it.
        """
        if pa.types.is_floating(self.column.arrow_type):
            return self._widened(_to_float(values))
        if nearest:
            values = _nearest(values, self.column.arrow_type)
        ticks = _to_ticks(self.column, values, nearest=nearest)
        if self.step == 1:
            return (ticks - self.base).astype(np.float64)
        # Ticks may be further apart than 64 bits count, steps are not.
        return ticks // self.step - self.base // self.step + ticks % self.step / self.step

    def round(self, numbers: Array) -> Array:
        """Round offsets to the grid of the column."""
        if self.decimals is None:
            return numbers
        rounded: Array = np.round(numbers, self.decimals)
        return rounded

    def inside(self, low: float, high: float) -> tuple[float, float] | None:
        """Return the ends of a closed range of offsets, moved inwards to values of the column.

        None if there is no value in the range.
        """
        low, high = self._on_grid(low, np.ceil), self._on_grid(high, np.floor)
        return (low, high) if low <= high else None

    def _coarse(self, number: float, spread: float) -> float:
        """Return a number rounded to a power of ten near a spread, coarser than the grid."""
        width = 0.0 if self.decimals is None else 10.0**-self.decimals
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            unit = max(10.0 ** np.floor(np.log10(spread)), 10 * width)
            rounded = float(np.rint(number / unit) * unit)
        return rounded if np.isfinite(rounded) else 0.0

    def declared_bounds(self) -> tuple[float, float]:
        """Return the declared bounds as offsets, moved inwards to whole steps.

        Raises
        ------
        SchemaError
            If no value lies between them.
        """
        assert self.column.bounds is not None
        low, high = (self.offset_of(edge) for edge in self.column.bounds)
        if self.half_step:
            low, high = float(np.ceil(low)), float(np.floor(high))
        if not low <= high:
            raise SchemaError(
                f"Column {self.column.name!r}: the bounds are not (low, high), or no value of the "
                "column lies between them."
            )
        return low, high

    def _widened(self, floats: Array) -> Array:
        """Return floats of fewer bits than 64 as the decimals that they were rounded from."""
        target = self.column.arrow_type
        if self.decimals is None or target.bit_width == 64:
            return floats
        near = np.round(floats, self.decimals)
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.spacing(np.abs(floats).astype(target.to_pandas_dtype())).astype(np.float64)
            return np.where(np.abs(near - floats) <= 2 * gap, near, floats)

    def _on_grid(self, end: float, towards: Any) -> float:
        """Return a number if it is a value of the column but for rounding, or the next one."""
        if self.decimals is None or not np.isfinite(end):
            return end
        width, near = 10.0**-self.decimals, float(np.round(end, self.decimals))
        if abs(near - end) <= max(1e-6 * width, 4 * float(np.spacing(abs(end)))):
            return near
        return float(np.round(towards(end / width) * width, self.decimals))

    def to_cells(self, numbers: Array, missing: Array) -> pa.Array:
        """Return offsets as an Arrow array of the column's type; masked cells are missing."""
        target = self.column.arrow_type
        if pa.types.is_floating(target):
            floats = numbers.astype(target.to_pandas_dtype())
            return pa.array(floats, mask=missing)
        ticks = np.rint(np.where(missing, 0, numbers)).astype(np.int64) * self.step + self.base
        return _from_ticks(ticks, missing, target)

    def spread_ties(self, numbers: Array) -> Array:
        """Spread equal sorted values over their cell of the grid, to keep quantiles unbiased."""
        if self.decimals is None or not len(numbers):
            return numbers
        width = 10.0**-self.decimals
        _, start, counts = np.unique(numbers, return_index=True, return_counts=True)
        rank = np.arange(len(numbers)) - np.repeat(start, counts)
        return numbers + ((rank + 0.5) / np.repeat(counts, counts) - 0.5) * width

    def bounds(self, numbers: Array, k: int) -> tuple[float, float]:
        """Return the range of values that may be drawn, from sorted offsets.

        Declared bounds are taken as they are; otherwise the `k`-th smallest and largest values,
        rounded towards the middle to a power of ten that the distance to the 4k-th admits.
        """
        if self.column.bounds is not None:
            return self.declared_bounds()
        k = min(k, len(numbers))
        far = min(4 * k, len(numbers))
        low, high = float(numbers[k - 1]), float(numbers[-k])
        low_far, high_far = float(numbers[far - 1]), float(numbers[-far])
        low = _round_inward(low, low_far, np.ceil)
        high = _round_inward(high, high_far, np.floor)
        if low > high:  # of few numbers: somewhere in their middle, told coarsely
            low = high = self._coarse(float(numbers[len(numbers) // 2]), numbers[-1] - numbers[0])
        return low, high

    def offset_of(self, value: Any) -> float:
        """Return the offset of one number, date or duration given by a user.

        Raises
        ------
        SchemaError
            If the value cannot be understood on this column's scale.
        """
        try:
            return _offset_of(self, value)
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, ArithmeticError):
            raise SchemaError(
                f"Column {self.column.name!r} is {self.column.kind} ({self.column.type}); the "
                f"given bound of type {type(value).__name__} is not a value of it."
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {"base": self.base, "step": self.step, "decimals": self.decimals}

    @classmethod
    def from_dict(cls, column: Column, data: Mapping[str, Any]) -> Scale:
        """Rebuild a scale from :meth:`to_dict`."""
        decimals = data["decimals"]
        return cls(
            column,
            int(data["base"]),
            int(data["step"]),
            None if decimals is None else int(decimals),
        )


def _to_float(values: pa.ChunkedArray) -> Array:
    return values.to_numpy().astype(np.float64)


def _to_ticks(column: Column, values: pa.ChunkedArray, *, nearest: bool = False) -> Array:
    """Return exact int64 ticks of non-missing cells in the column's own unit.

    Decimals beyond 64 bits raise, or, with `nearest`, become a bound.
    """
    target = column.arrow_type
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_decimal(target):
        return _decimal_ticks(values, target.scale, column.name, nearest=nearest)
    if pa.types.is_integer(target):  # other rows may lie beyond a narrow type
        return values.cast(pa.int64()).to_numpy()
    if values.type != target:
        values = values.cast(target)
    if pa.types.is_temporal(target):
        values = values.cast(pa.int32() if target.bit_width == 32 else pa.int64())
    return values.to_numpy().astype(np.int64)


def _nearest(values: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """Return cells as a type can hold them; what becomes of a cell depends on no other cell."""
    values = plain_values(values)
    if pa.types.is_integer(target):
        cells = values.to_numpy()
        if cells.dtype.kind == "f":
            cells = np.clip(np.rint(cells), -(2.0**62), 2.0**62)
        elif cells.dtype.kind == "u":
            cells = np.minimum(cells.astype(np.uint64), np.uint64(2**62))
        return pa.chunked_array([pa.array(cells.astype(np.int64))])
    if pa.types.is_decimal(target) and not pa.types.is_decimal(values.type):
        most = min(10.0 ** (target.precision - target.scale), 2.0**62 / 10.0**target.scale)
        cells = np.clip(values.to_numpy().astype(np.float64), -most * (1 - 1e-9), most * (1 - 1e-9))
        values = pa.chunked_array([pa.array(np.round(cells, target.scale))])
    return values.cast(target, safe=False)


def _decimal_ticks(values: pa.ChunkedArray, scale: int, name: str, *, nearest: bool) -> Array:
    wide = values.cast(pa.decimal128(38, scale), safe=not nearest).combine_chunks()
    if isinstance(wide, pa.ChunkedArray):
        wide = pa.array([], type=pa.decimal128(38, scale))
    if not len(wide):
        return np.empty(0, np.int64)
    words = np.frombuffer(wide.buffers()[1], np.int64)[2 * wide.offset :][: 2 * len(wide)]
    low, high = words[0::2], words[1::2]
    beyond = high != low >> 63
    if nearest:
        return np.where(beyond, np.where(high < 0, -(2**62), 2**62), low)
    if beyond.any():
        raise SchemaError(f"Column {name!r} has decimals beyond 64 bits; cast it to float64.")
    return low.copy()


def _from_ticks(ticks: Array, missing: Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(target):
        words = np.stack([ticks, ticks >> 63], axis=1).tobytes()
        valid = pa.array(~missing).buffers()[1]
        wide = pa.Array.from_buffers(
            pa.decimal128(38, target.scale), len(ticks), [valid, pa.py_buffer(words)]
        )
        return wide.cast(target)
    if pa.types.is_temporal(target):
        raw = pa.array(ticks, mask=missing)
        return raw.cast(pa.int32()).cast(target) if target.bit_width == 32 else raw.cast(target)
    info = np.iinfo(target.to_pandas_dtype())
    return pa.array(np.clip(ticks, info.min, min(info.max, 2**63 - 1)), mask=missing).cast(target)


def _steps(arrow_type: pa.DataType) -> list[int]:
    """Return candidate steps in ticks, coarsest first: day, hour, minute, second, ..., tick."""
    if pa.types.is_date32(arrow_type):
        return [1]
    per_second = _UNITS[getattr(arrow_type, "unit", "ms")]
    coarse = [per_second * s for s in (86400, 3600, 60, 1)]
    fine = [per_second // d for d in (10**3, 10**6, 10**9) if per_second >= d]
    return [*coarse, *fine]


def _per_second(column: Column) -> int:
    """Return the ticks of a second; 1 for days."""
    days = pa.types.is_date32(column.arrow_type)
    return 1 if days else _UNITS[getattr(column.arrow_type, "unit", "ms")]


def _round_base(low: int, span: int, step: int) -> int:
    """Return an origin near `low` that gives no value away: a multiple of a coarse power of ten."""
    coarse = step * 10 ** max(len(str(max(span // step, 1))) - 1, 0)
    while coarse > step and low // coarse * coarse < -(2**63):
        coarse //= 10
    base = low // coarse * coarse
    return base if base >= -(2**63) else base + coarse


def _round_inward(edge: float, far: float, towards: Any) -> float:
    gap = abs(far - edge)
    if not 0 < gap < np.inf:
        return edge
    grid = 10.0 ** np.floor(np.log10(gap))
    if not 0 < grid < np.inf:
        return edge
    rounded = float(towards(edge / grid) * grid)
    return rounded if np.isfinite(rounded) else edge


def _decimals(floats: Array) -> int | None:
    if np.abs(floats).max(initial=0.0) > _EXACT:  # rounding would overflow, and mean nothing
        return None
    for decimals in range(_MOST_DECIMALS + 1):
        if np.array_equal(np.round(floats, decimals), floats):
            return decimals
    return None


def native(value: Any) -> Any:
    """Return what Python calls a value of NumPy; times stay, as they may lie beyond Python's."""
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        return value.item()
    return value


def _offset_of(scale: Scale, value: Any) -> float:
    value = native(value)
    if isinstance(value, bool):
        raise TypeError
    target = scale.column.arrow_type
    if isinstance(value, float) and not np.isfinite(value):
        return value
    if pa.types.is_floating(target):
        with np.errstate(over="ignore"):  # beyond the type: infinite
            return float(scale._widened(np.array(target.to_pandas_dtype()(float(value)), float)))
    return float((_ticks_of(target, value) - scale.base) / scale.step)


def _ticks_of(target: pa.DataType, value: Any) -> Fraction:
    """Return a value in ticks of a type's unit, exactly; it may lie between two of them.

    Times without a zone are of the zone of the type, the later of two that a clock shows twice, and
    the next one if a clock skips them.
    """
    import pandas as pd

    if pa.types.is_timestamp(target):
        stamp = pd.Timestamp(value)
        if target.tz and stamp.tzinfo is None:
            stamp = stamp.tz_localize(target.tz, ambiguous=False, nonexistent="shift_forward")
        return _in_units(stamp if target.tz else stamp.tz_localize(None), target.unit)
    if pa.types.is_duration(target):
        if isinstance(value, (int, float, Decimal)):
            return Fraction(value) * _UNITS[target.unit]
        return _in_units(pd.Timedelta(value), target.unit)
    if pa.types.is_decimal(target):
        written = str(value) if isinstance(value, float) else value
        return Fraction(Decimal(written)) * 10**target.scale
    if pa.types.is_date(target):
        day = value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])
        cell = pa.scalar(day, type=pa.date32()).cast(target)
    elif pa.types.is_time(target):
        clock = value if isinstance(value, dt.time) else dt.time.fromisoformat(str(value))
        cell = pa.scalar(clock, type=target)
    else:
        return Fraction(value if isinstance(value, (int, float, Decimal)) else float(value))
    return Fraction(pc.cast(cell, pa.int32() if target.bit_width == 32 else pa.int64()).as_py())


def _in_units(moment: Any, unit: str) -> Fraction:
    """Return a Timestamp or Timedelta of pandas in ticks of a unit."""
    own, count = np.datetime_data(moment.asm8.dtype)
    if np.isnat(moment.asm8):
        raise ValueError("not a time")
    return Fraction(int(moment.asm8.astype(np.int64)) * count * _UNITS[unit], _UNITS[own])
