"""Headers of the pages of a Parquet file, checked before anything is unpacked.

A reader makes room for as many bytes as the header of a page claims, up to 2 GiB each, before it
finds out that the page does not have them. The footer says how many bytes all pages of a column
unpack to; no page can have more.

Headers are structures of Thrift's compact protocol (apache/thrift, doc/specs/thrift-compact-
protocol.md); fields 1 to 3 of a page header are its kind and its sizes before and after compression
(apache/parquet-format, src/main/thrift/parquet.thrift).
"""

from __future__ import annotations

from typing import Any

__all__ = ["require_honest_pages"]

_PIECE = 2**12  # bytes to read of a header at first; statistics make some longer
_LONGEST = 2**24
_DEEPEST = 16


def require_honest_pages(file: Any, metadata: Any) -> None:
    """Raise if a page claims more bytes than its column has.

    Parameters
    ----------
    file : file object that can be read at any place
    metadata : pyarrow.parquet.FileMetaData

    Raises
    ------
    ValueError
    """
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for k in range(group.num_columns):
            column = group.column(k)
            starts = [column.data_page_offset]
            if column.has_dictionary_page and column.dictionary_page_offset:
                starts.append(column.dictionary_page_offset)
            at = min(starts)
            end = at + column.total_compressed_size
            while at < end:
                length, size, packed = _header(file, at)
                if not 0 <= size <= column.total_uncompressed_size or packed < 0:
                    raise ValueError("a page is larger than its column")
                at += length + packed


def _header(file: Any, at: int) -> tuple[int, int, int]:
    """Return the length of the header at a place, and the sizes that it gives."""
    piece = _PIECE
    while True:
        file.seek(at)
        data = file.read(piece)
        reader = _Compact(data)
        try:
            sizes = reader.sizes()
        except IndexError:
            if len(data) < piece or piece >= _LONGEST:
                raise ValueError("a page has no end") from None
            piece *= 16
            continue
        return reader.at, sizes.get(2, -1), sizes.get(3, -1)


class _Compact:
    """Walks over bytes of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def sizes(self) -> dict[int, int]:
        """Read a structure, and return its fields that are whole numbers."""
        found: dict[int, int] = {}
        field = 0
        while kind := self._byte():
            delta, kind = kind >> 4, kind & 15
            field = field + delta if delta else self._number()
            if kind in (4, 5, 6):
                found[field] = self._number()
            else:
                self._skip(kind, 0)
        return found

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

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("a header is nested too deeply")
        if kind in (1, 2):  # a boolean lies in the kind itself
            return
        if kind in (4, 5, 6):
            self._length()
        elif kind == 12:
            while inner := self._byte():
                if not inner >> 4:
                    self._number()
                self._skip(inner & 15, depth + 1)
        elif kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._length()
            for _ in range(min(count, len(self.data))):
                self._skip(max(head & 15, 3), depth + 1)  # a boolean is a byte here
        elif kind in (3, 7, 8):
            length = {3: 1, 7: 8}.get(kind) or self._length()
            self.at += length
            if self.at > len(self.data):
                raise IndexError
        else:
            raise ValueError("a header holds what none has")
