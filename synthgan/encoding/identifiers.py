"""Identifiers: never learned, generated anew after the pattern of the column, and unique."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import gcd, inf, prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.encoding.levels import _missing_or_raise
from synthgan.exceptions import DataError
from synthgan.schema import Column

Array = np.ndarray[Any, Any]

_ALPHABETS = {
    "9": string.digits,
    "h": string.digits + "abcdef",
    "H": string.digits + "ABCDEF",
    "a": string.ascii_lowercase,
    "A": string.ascii_uppercase,
    "x": string.digits + string.ascii_lowercase,
    "X": string.digits + string.ascii_uppercase,
    "*": string.digits + string.ascii_letters,
}
_LONGEST = 64  # text that a pattern is found for
_FALLBACK = ("id-", *["9"] * 12)
_SPREAD = 2**31 - 1  # most keys that are shuffled among each other; products fit into 64 bits


@dataclass(frozen=True, slots=True)
class IdentifierCoder:
    """Makes unique keys for the rows of a sample.

    Attributes
    ----------
    column : Column
    pattern : tuple of str
        One entry per character: a class name of one letter, or literal text after ``"="``. For
        integers: ``("sequence",)`` or ``("digits", count)``.
    has_missing : bool
        Whether some cells are missing.
    """

    column: Column
    pattern: tuple[str, ...]
    has_missing: bool

    n_ordered = 0
    suppressed = ()

    @classmethod
    def fit(cls, column: Column, values: pa.ChunkedArray) -> IdentifierCoder:
        """Find the pattern that all keys share."""
        present = values.drop_null()
        if not len(present):
            return replace(cls.declared(column), has_missing=bool(values.null_count))
        if pa.types.is_integer(column.arrow_type):
            extremes = pc.min_max(present).as_py()
            dense = extremes["max"] - extremes["min"] < 2 * len(present)
            digits = len(str(abs(extremes["max"])))
            counted = dense or extremes["min"] < 0
            pattern: tuple[str, ...] = ("sequence",) if counted else ("digits", str(digits))
        else:
            pattern = _text_pattern(present.cast(pa.large_string()), column.min_count)
        found = cls(column, pattern, bool(values.null_count))
        return found if found.capacity >= len(present) else replace(found, pattern=("sequence",))

    @classmethod
    def declared(cls, column: Column) -> IdentifierCoder:
        """Return a coder that knows no key: it counts, or writes ``id-`` and digits."""
        integer = pa.types.is_integer(column.arrow_type)
        return cls(column, ("sequence",) if integer else _FALLBACK, False)

    @property
    def capacity(self) -> float:
        """How many rows have different keys: of narrow integers, not many."""
        target = self.column.arrow_type
        if not pa.types.is_integer(target):
            return inf
        first, spread = self._first_and_spread()
        room = int(np.iinfo(target.to_pandas_dtype()).max) - first + 1
        return room // spread * spread

    def _first_and_spread(self) -> tuple[int, int]:
        """Return the lowest key of an integer, and how many follow it without an order."""
        if self.pattern[0] == "sequence":
            return 1, 1
        first = 10 ** (min(int(self.pattern[1]), 18) - 1)
        room = int(np.iinfo(self.column.arrow_type.to_pandas_dtype()).max) - first + 1
        return first, min(9 * first, room, _SPREAD)

    def confine(self, values: pa.ChunkedArray) -> tuple[Array, int]:
        """Return 0 for each cell, and 0."""
        return np.zeros(len(values), np.int64), 0

    @property
    def n_tokens(self) -> int:
        """Number of tokens: present, and missing if it occurs."""
        return 1 + self.has_missing

    @property
    def missing_token(self) -> int | None:
        """Token of a missing cell, or None."""
        return 1 if self.has_missing else None

    def encode(self, values: pa.ChunkedArray) -> Array:
        """Return 0 for a key and 1 for a missing cell."""
        missing = values.is_null().to_numpy(zero_copy_only=False)
        _missing_or_raise(self.missing_token, missing, self.column.name)
        return missing.astype(np.int64)

    def generate(self, rows: Array, codes: Array, seed: int) -> pa.Array:
        """Return one key per row; different rows get different keys.

        Parameters
        ----------
        rows : ndarray of int64
            Position of each row in the whole sample.
        codes : ndarray of int
            Tokens of the rows.
        seed : int
            Seed of the sample; another seed gives other keys. From row :attr:`capacity` on, keys
            repeat.
        """
        missing = codes == self.missing_token if self.has_missing else np.zeros(len(rows), bool)
        target = self.column.arrow_type
        if self.pattern[0] in ("sequence", "digits"):
            first, spread = self._first_and_spread()
            keys = first + _scatter(rows % int(self.capacity), spread, seed)
            return pa.array(keys, mask=missing).cast(target)
        texts = _write(self.pattern, rows, seed)
        plain = pa.array(texts, type=pa.string(), mask=missing)
        if pa.types.is_dictionary(target):  # with room for more keys than the table had
            return plain.dictionary_encode().cast(pa.dictionary(pa.int32(), target.value_type))
        return plain.cast(target)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict without the column."""
        return {
            "coder": "identifier",
            "pattern": list(self.pattern),
            "has_missing": self.has_missing,
        }

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that are stored beside the JSON: none."""
        return {}

    @classmethod
    def from_dict(
        cls, column: Column, data: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> IdentifierCoder:
        """Rebuild a coder from :meth:`to_dict`."""
        pattern = tuple(map(str, data["pattern"]))
        if not 0 < sum(map(len, pattern)) <= 2 * _LONGEST:
            raise DataError(f"Column {column.name!r}: damaged pattern.")
        return cls(column, pattern, bool(data["has_missing"]))


def _text_pattern(keys: pa.ChunkedArray, min_count: int) -> tuple[str, ...]:
    lengths = pc.utf8_length(keys)
    extremes = pc.min_max(lengths).as_py()
    length = extremes["max"]
    if len(keys) < min_count or extremes["min"] != length or not 0 < length <= _LONGEST:
        return _FALLBACK
    pattern = []
    for position in range(length):
        found = set(pc.unique(pc.utf8_slice_codeunits(keys, position, position + 1)).to_pylist())
        pattern.append(_character_class(found))
    capacity = prod(len(_ALPHABETS[p]) for p in pattern if p in _ALPHABETS)
    return tuple(pattern) if capacity >= 2 * len(keys) else _FALLBACK


def _character_class(found: set[str]) -> str:
    if len(found) == 1:
        return "=" + next(iter(found))
    for name, alphabet in _ALPHABETS.items():
        if found <= set(alphabet):
            return name
    return "*"


def _scatter(rows: Array, capacity: int, seed: int) -> Array:
    """Map row numbers to different numbers: first to those below `capacity`, then beyond."""
    capacity = min(capacity, _SPREAD)
    if capacity == 1:
        return rows
    factor = seed % (2**30) * 2 + 1
    factor = factor % capacity or 1
    while gcd(factor, capacity) != 1:
        factor = factor % (capacity - 1) + 1
    first = rows % capacity
    return (first * factor + seed % capacity) % capacity + rows // capacity * capacity


def _write(pattern: tuple[str, ...], rows: Array, seed: int) -> list[str]:
    free = [i for i, p in enumerate(pattern) if p in _ALPHABETS]
    capacity = prod(len(_ALPHABETS[pattern[i]]) for i in free)
    numbers = _scatter(rows, capacity, seed)
    rounds = numbers // min(capacity, 2**62)  # how often all keys have been taken
    columns: dict[int, Array] = {}
    for i in reversed(free):
        alphabet = np.array(list(_ALPHABETS[pattern[i]]))
        columns[i] = alphabet[numbers % len(alphabet)]
        numbers = numbers // len(alphabet)
    text = np.full(len(rows), "", dtype=f"<U{sum(map(len, pattern))}")
    for i, entry in enumerate(pattern):
        piece = columns[i] if i in columns else np.array(entry.removeprefix("="))
        text = np.char.add(text, piece)
    return [f"{t}-{r}" if r else str(t) for t, r in zip(text, rounds.tolist(), strict=True)]
