"""Columns with levels: a token per frequent level, one for pooled rare ones, one for missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.arrow import plain_values, value_type_of
from synthgan.exceptions import DataError
from synthgan.schema import Column

#: What a pooled rare level of a text column is shown as when ``rare="placeholder"``.
RARE_TEXT = "(rare)"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class LevelCoder:
    """Tokens of a boolean, categorical, ordered or constant column.

    Attributes
    ----------
    column : Column
    levels : pyarrow.Array
        Kept levels in token order; each was declared, or holds at least `column.min_count` rows.
    has_rare : bool
        Whether the token after the levels stands for the pooled rare levels.
    has_missing : bool
        Whether the last token stands for a missing cell.
    """

    column: Column
    levels: pa.Array
    has_rare: bool
    has_missing: bool

    n_ordered = 0

    @classmethod
    def fit(cls, column: Column, values: pa.ChunkedArray) -> LevelCoder:
        """Count the levels of a column and keep those that are frequent or declared."""
        plain = plain_values(values)
        counts = plain.value_counts()
        names, sizes = counts.field("values"), counts.field("counts").to_numpy()
        present = names.is_valid().to_numpy(zero_copy_only=False)
        has_missing = bool(values.null_count)
        if column.levels is not None:
            levels = _declared(column, plain.type)
            known = pc.is_in(names, value_set=levels).to_numpy(zero_copy_only=False)
        else:
            public = column.kind == "boolean"
            known = present & (public | (sizes >= column.min_count))
            kept = names.filter(pa.array(known))
            levels = kept.take(pc.sort_indices(kept))
        return cls(column, levels, bool((present & ~known).any()), has_missing)

    @classmethod
    def declared(cls, column: Column) -> LevelCoder:
        """Return the coder of a column whose levels are declared, without any data."""
        value_type = value_type_of(column.arrow_type)
        if column.kind == "boolean":
            return cls(column, pa.array([False, True]), False, column.missing is not False)
        return cls(column, _declared(column, value_type), False, column.missing is not False)

    def confine(self, values: pa.ChunkedArray) -> tuple[Array, int]:
        """Return the token of each cell, and how many cells had a level that is none.

        Those count as missing, or as the last level if no cell may be missing.
        """
        plain = self._as_levels(values)
        known = pc.is_in(plain, value_set=self.levels)
        outside = pc.sum(pc.and_(pc.invert(known), values.is_valid())).as_py() or 0
        plain = pc.if_else(known, plain, pa.scalar(None, plain.type))
        if self.missing_token is None:
            outside += values.null_count
            plain = plain.fill_null(self.levels[-1])
        return self.encode(plain), int(outside)

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.levels) + self.has_rare + self.has_missing

    @property
    def missing_token(self) -> int | None:
        """Token of a missing cell, or None if no cell was missing."""
        return self.n_tokens - 1 if self.has_missing else None

    @property
    def suppressed(self) -> list[int]:
        """Tokens that are never sampled."""
        hidden = self.has_rare and self.column.rare == "suppress"
        return [len(self.levels)] if hidden and len(self.levels) else []

    def hidden(self, values: pa.ChunkedArray) -> int:
        """Return how many cells hold a level that is pooled as rare."""
        return int((self.encode(values) == len(self.levels)).sum()) if self.has_rare else 0

    def encode(self, values: pa.ChunkedArray) -> Array:
        """Return the token of each cell, shape (rows,), dtype int64.

        Raises
        ------
        DataError
            For a missing cell or level where the fitted table had none such.
        """
        plain = self._as_levels(values)
        codes = pc.index_in(plain, value_set=self.levels).to_numpy(zero_copy_only=False)
        codes = (
            np.where(np.isnan(codes), -1, codes).astype(np.int64)
            if codes.dtype.kind == "f"
            else (codes.astype(np.int64))
        )
        missing = values.is_null().to_numpy(zero_copy_only=False)
        codes[missing] = _missing_or_raise(self.missing_token, missing, self.column.name)
        unknown = (codes < 0) & ~missing
        if unknown.any():
            if not self.has_rare:
                raise DataError(
                    f"Column {self.column.name!r} has levels that the model has not seen "
                    f"({int(unknown.sum())} cells)."
                )
            codes[unknown] = len(self.levels)
        return codes

    def _as_levels(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return cells in the type of the levels; those that it does not hold are missing."""
        plain = plain_values(values)
        if plain.type == self.levels.type:
            return plain
        found = plain.cast(self.levels.type, safe=False)
        same = pc.equal(found.cast(plain.type, safe=False), plain)
        return pc.if_else(same, found, pa.scalar(None, found.type))

    def decode(self, codes: Array, uniforms: Array, limits: Any = None) -> pa.Array:
        """Return the level of each token as an Arrow array of the column's type."""
        n_levels = len(self.levels)
        absent = codes >= n_levels
        rare_shown = self.has_rare and self.column.rare == "placeholder"
        levels = self.levels
        if rare_shown:
            levels = pa.concat_arrays([levels, pa.array([RARE_TEXT], type=levels.type)])
            absent = codes > n_levels
        indices = pa.array(codes, mask=absent)
        target = self.column.arrow_type
        if pa.types.is_dictionary(target):
            named = levels.cast(target.value_type)
            return pa.DictionaryArray.from_arrays(
                indices.cast(target.index_type), named, ordered=target.ordered
            )
        if not len(levels):
            return pa.nulls(len(codes), target)
        return levels.take(indices).cast(target)

    def weights(self, wanted: Any) -> Array:
        """Return 1 for each token that stands for a level in `wanted` (an Arrow array), else 0."""
        weights = np.zeros(self.n_tokens)
        hit = pc.is_in(self.levels, value_set=wanted).to_numpy(zero_copy_only=False)
        weights[: len(self.levels)] = hit
        return weights

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict without the column."""
        return {
            "coder": "levels",
            "type": str(self.levels.type),
            "levels": _to_json(self.levels),
            "has_rare": self.has_rare,
            "has_missing": self.has_missing,
        }

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that are stored beside the JSON: none."""
        return {}

    @classmethod
    def from_dict(
        cls, column: Column, data: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> LevelCoder:
        """Rebuild a coder from :meth:`to_dict`."""
        value_type = value_type_of(column.arrow_type)
        levels = _from_json(data["levels"], value_type)
        return cls(column, levels, bool(data["has_rare"]), bool(data["has_missing"]))


def _missing_or_raise(token: int | None, missing: Array, name: str) -> int:
    if token is None and missing.any():
        raise DataError(
            f"Column {name!r} has {int(missing.sum())} missing cells, but had none when the model "
            "was fitted."
        )
    return -1 if token is None else token


def _declared(column: Column, value_type: pa.DataType) -> pa.Array:
    assert column.levels is not None
    try:
        return _from_json(list(column.levels), value_type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        raise DataError(
            f"Column {column.name!r}: the declared levels are not of type {value_type}."
        ) from None


def _to_json(levels: pa.Array) -> list[Any]:
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    if any(test(levels.type) for test in plain):
        return [float(x) if isinstance(x, np.floating) else x for x in levels.to_pylist()]
    if pa.types.is_temporal(levels.type):  # as ticks: texts of times lose some, or are not read
        return levels.cast(pa.int32() if levels.type.bit_width == 32 else pa.int64()).to_pylist()
    texts: list[Any] = levels.cast(pa.string()).to_pylist()
    return texts


def _from_json(levels: list[Any], value_type: pa.DataType) -> pa.Array:
    if pa.types.is_string_view(value_type):
        value_type = pa.large_string()
    if pa.types.is_floating(value_type):
        return pa.array(np.asarray(levels, dtype=value_type.to_pandas_dtype()))
    if pa.types.is_temporal(value_type) and levels and isinstance(levels[0], int):
        width = pa.int32() if value_type.bit_width == 32 else pa.int64()
        return pa.array(levels, type=width).cast(value_type)
    if levels and isinstance(levels[0], str) and pa.types.is_duration(value_type):
        return pa.array([pd.Timedelta(text).to_pytimedelta() for text in levels], type=value_type)
    if levels and isinstance(levels[0], str) and pa.types.is_time(value_type):
        return pa.array([dt.time.fromisoformat(text) for text in levels], type=value_type)
    if levels and isinstance(levels[0], str):
        return pa.array([str(x) for x in levels], type=pa.string()).cast(value_type)
    return pa.array(levels, type=value_type)
