"""The footer and the page headers of a Parquet file, checked before anything is unpacked.

A reader makes room for as many bytes as the header of a page claims, up to 2 GiB each, before it
finds out that the page does not have them. The footer says how many bytes all pages of a column
unpack to; no page can have more.

Both are structures of Thrift's compact protocol (apache/thrift, doc/specs/thrift-compact-
protocol.md) whose fields apache/parquet-format, src/main/thrift/parquet.thrift, numbers. They are
read here, since pyarrow 26 ends the process where the statistics of a column contradict its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Footer", "read_footer"]

_MAGIC = b"PAR1"
_LARGEST_FOOTER = 2**28
_PIECE = 2**12  # bytes to read of a header at first; statistics make some longer
_LONGEST_HEADER = 2**24
_DEEPEST = 16

#: Field -> what to keep: a whole number (None), or these fields of a structure or a list of them.
_Wanted = dict[int, Any]
#: Of a page: kind, bytes before and after compression, values of a dictionary.
_PAGE: _Wanted = {1: None, 2: None, 3: None, 7: {1: None}}
#: Of a column: kind, values, bytes unpacked and packed, places of data and dictionary.
_COLUMN: _Wanted = {1: None, 5: None, 6: None, 7: None, 9: None, 11: None}
_TEXT, _DICTIONARY_PAGE = 6, 2  # kinds of columns and pages
_FOOTER: _Wanted = {3: None, 4: {1: {3: _COLUMN}}}  # rows; groups, their columns


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself.

    Attributes
    ----------
    rows : int
    unpacked : int
        Bytes of all values, if those of a dictionary are used equally often.
    dictionaries : int
        Bytes of the largest dictionary of texts: no text that occurs again is longer.
    """

    rows: int
    unpacked: int
    dictionaries: int


def read_footer(file: Any) -> Footer:
    """Return what a file says of itself, after a look at the header of each page.

    Parameters
    ----------
    file : binary file that can be read at any place

    Raises
    ------
    ValueError
        If the file is no Parquet file, or a page claims more bytes than its column has.
    """
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(size - 8, 0))
    end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if len(end) < 8 or end[4:] != _MAGIC or not length <= min(size - 8, _LARGEST_FOOTER):
        raise ValueError("this is no Parquet file")
    file.seek(size - 8 - length)
    try:
        found = _Compact(file.read(length)).structure(_FOOTER)
        columns = [dict(column[3]) for group in found.get(4, []) for column in group[1]]
        unpacked = largest = 0
        for column in columns:
            entries, held = _dictionary(file, column, size)
            texts = column[1] == _TEXT
            spread = column[5] * held // entries if texts and entries else 0
            unpacked += max(column[6], spread)
            largest = max(largest, held if texts else 0)
        footer = Footer(int(found[3]), unpacked, largest)
    except (IndexError, KeyError, TypeError):
        raise ValueError("the footer is damaged") from None
    if footer.rows < 0:
        raise ValueError("the footer is damaged")
    return footer


def _dictionary(file: Any, column: dict[int, int], size: int) -> tuple[int, int]:
    """Return values and bytes of the dictionary of a column, after a look at all of its pages."""
    entries = held = 0
    starts = [place for place in (column.get(9), column.get(11)) if place]
    if not starts or not column[5]:
        return 0, 0
    at = min(starts)
    end = at + column[7]
    if at < len(_MAGIC) or end > size:
        raise ValueError("a column lies outside the file")
    while at < end:
        length, page = _header(file, at)
        unpacked, packed = page[2], page[3]
        if not 0 <= unpacked <= column[6] or packed < 0:
            raise ValueError("a page is larger than its column")
        if page[1] == _DICTIONARY_PAGE:
            entries, held = page[7][1], unpacked
        at += length + packed
    return entries, held


def _header(file: Any, at: int) -> tuple[int, dict[int, Any]]:
    """Return the length of the header of a page, and what it says."""
    piece = _PIECE
    while True:
        file.seek(at)
        data = file.read(piece)
        reader = _Compact(data)
        try:
            page = reader.structure(_PAGE)
            return reader.at, page
        except IndexError:
            if len(data) < piece or piece >= _LONGEST_HEADER:
                raise ValueError("a page has no end") from None
            piece *= 16


class _Compact:
    """Walks over bytes of Thrift's compact protocol; IndexError at their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def structure(self, wanted: _Wanted, depth: int = 0) -> dict[int, Any]:
        """Read a structure, and return the fields that are wanted."""
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            field = field + delta if delta else self._number()
            value = self._value(kind, wanted.get(field), depth)
            if field in wanted:
                found[field] = value
        return found

    def _value(self, kind: int, wanted: _Wanted | None, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("a structure is nested too deeply")
        if kind in (1, 2):  # a boolean lies in the kind itself
            return None
        if kind in (4, 5, 6):
            return self._number()
        if kind == 12:
            return self.structure(wanted or {}, depth + 1)
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._length()
            inner = max(head & 15, 3)  # a boolean is a byte here
            if count > len(self.data):
                raise IndexError
            values = [self._value(inner, wanted, depth + 1) for _ in range(count)]
            return values if wanted else None
        if kind in (3, 7, 8):
            length = {3: 1, 7: 8}.get(kind) or self._length()
            self.at += length
            if self.at > len(self.data):
                raise IndexError
            return None
        raise ValueError("a structure holds what none has")

    def _byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def _length(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number has no end")

    def _number(self) -> int:
        value = self._length()
        return (value >> 1) ^ -(value & 1)
