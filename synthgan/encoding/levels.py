"""Columns with levels: a token per frequent level, one for pooled rare ones, one for missing.

Of very many levels, those that are alike share a token (:mod:`synthgan.encoding.level_groups`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.arrow import plain_values, value_type_of
from synthgan.encoding.level_groups import LevelGroups, group_levels, place_levels
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
        Kept levels; each was declared, or holds at least `column.min_count` rows.
    has_rare : bool
        Whether the token after those of levels stands for the pooled rare levels.
    has_missing : bool
        Whether the last token stands for a missing cell.
    groups : LevelGroups or None
        Which levels share a token; None if each has its own, in their order.
    """

    column: Column
    levels: pa.Array
    has_rare: bool
    has_missing: bool
    groups: LevelGroups | None = None

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

    def grouped(
        self, values: pa.ChunkedArray, others: Sequence[tuple[Array, int]], most: int
    ) -> LevelCoder:
        """Return the coder of the same levels that share `most` tokens.

        Parameters
        ----------
        values : pyarrow.ChunkedArray
            The column that was fitted.
        others : sequence of (ndarray of int, shape (rows,), int)
            Tokens of other columns, and how many there are of each. Levels that come with the same
            ones share a token; those of an ordered column do if they are next to each other.
        most : int
        """
        levels, n_levels = self.positions(values), len(self.levels)
        if self.column.kind == "ordered":
            places = np.arange(n_levels, dtype=np.float64)[:, None]
        else:
            places = place_levels(levels, n_levels, others)
        counts = np.bincount(levels[levels >= 0], minlength=n_levels)
        return replace(self, groups=group_levels(counts, places, most))

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
    def _rare_token(self) -> int:
        """The token after those of levels."""
        return len(self.levels if self.groups is None else self.groups)

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return self._rare_token + self.has_rare + self.has_missing

    @property
    def missing_token(self) -> int | None:
        """Token of a missing cell, or None if no cell was missing."""
        return self.n_tokens - 1 if self.has_missing else None

    @property
    def suppressed(self) -> list[int]:
        """Tokens that are never sampled."""
        hidden = self.has_rare and self.column.rare == "suppress"
        return [self._rare_token] if hidden and len(self.levels) else []

    def hidden(self, values: pa.ChunkedArray) -> int:
        """Return how many cells hold a level that is pooled as rare."""
        return int((self.encode(values) == self._rare_token).sum()) if self.has_rare else 0

    def positions(self, values: pa.ChunkedArray) -> Array:
        """Return which of the levels each cell holds; -1 where it holds none, (rows,), int64."""
        found = pc.index_in(self._as_levels(values), value_set=self.levels)
        positions: Array = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return positions

    def encode(self, values: pa.ChunkedArray) -> Array:
        """Return the token of each cell, shape (rows,), dtype int64.

        Raises
        ------
        DataError
            For a missing cell or level where the fitted table had none such.
        """
        codes = self.positions(values)
        unknown = codes < 0
        if self.groups is not None:
            codes = np.where(unknown, -1, self.groups.group[codes])
        missing = values.is_null().to_numpy(zero_copy_only=False)
        codes[missing] = _missing_or_raise(self.missing_token, missing, self.column.name)
        unknown &= ~missing
        if unknown.any():
            if not self.has_rare:
                raise DataError(
                    f"Column {self.column.name!r} has levels that the model has not seen "
                    f"({int(unknown.sum())} cells)."
                )
            codes[unknown] = self._rare_token
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
        """Return the level of each token as an Arrow array of the column's type.

        Parameters
        ----------
        codes : ndarray of int, shape (rows,)
        uniforms : ndarray of float in [0, 1), shape (rows,)
            Which of the levels of its token each cell has.
        limits : optional
            Not used: levels have none.
        """
        if self.groups is None:
            return self.show(codes, codes)
        of_level = codes < self._rare_token
        return self.show(self.groups.draw(np.where(of_level, codes, 0), uniforms), codes)

    def show(self, levels: Array, codes: Array) -> pa.Array:
        """Return levels, where tokens stand for some, as an Arrow array of the column's type.

        Shape: positions of levels (rows,), tokens (rows,) -> (rows,).
        """
        names, shown = self.levels, self._rare_token
        positions = np.where(codes < shown, levels, codes - shown + len(names))
        if self.has_rare and self.column.rare == "placeholder":
            names = pa.concat_arrays([names, pa.array([RARE_TEXT], type=names.type)])
        indices = pa.array(positions, mask=positions >= len(names))
        target = self.column.arrow_type
        if pa.types.is_dictionary(target):
            return pa.DictionaryArray.from_arrays(
                indices.cast(target.index_type), names.cast(target.value_type),
                ordered=target.ordered,
            )  # fmt: skip
        if not len(names):
            return pa.nulls(len(positions), target)
        return names.take(indices).cast(target)

    def tokens_of(self, positions: Array) -> Array:
        """Return the token of each of some levels."""
        return positions if self.groups is None else self.groups.group[positions]

    def shares_of(self, positions: Array) -> Array:
        """Return the share of its token that each of some levels has."""
        return np.ones(len(positions)) if self.groups is None else self.groups.share[positions]

    def split(self, probabilities: Array) -> Array:
        """Return the probabilities of levels, given those of tokens.

        Shape: (rows, tokens) -> (rows, levels).
        """
        shown = probabilities[:, : self._rare_token]
        return shown if self.groups is None else self.groups.split(shown)

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
        """Return the arrays that are stored beside the JSON, of levels that share tokens."""
        if self.groups is None:
            return {}
        return {"group": self.groups.group, "share": self.groups.share}

    @classmethod
    def from_dict(
        cls, column: Column, data: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> LevelCoder:
        """Rebuild a coder from :meth:`to_dict`."""
        value_type = value_type_of(column.arrow_type)
        levels = _from_json(data["levels"], value_type)
        groups = None
        if "group" in arrays:
            groups = LevelGroups(arrays["group"], arrays["share"]).check(len(levels))
        return cls(column, levels, bool(data["has_rare"]), bool(data["has_missing"]), groups)


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
