"""Blocks: the parts of a sample that are drawn at once, each from a random stream of its own.

The rows of a block share the order in which columns are revealed, and the cells of a column are
stratified within it. So even a small sample needs several blocks, all but the last of them whole;
and a large one wants large blocks, which take less time a row. A block is at most an eighth as long
as what comes before it, but for the first ones. Which block a row is in depends on the number
of the row alone.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["block_of", "blocks"]

#: Rows of the shortest and of the longest block. Pima (614 rows), nine steps, Shape / Trend: blocks
#: of 64 rows 2.7 / 4.4, of 128 3.2 / 4.0, of 256 3.4 / 4.1, one of 1,024 4.9 / 4.4; German credit
#: (800 rows), four steps: 1.7 / 4.8, 1.8 / 4.9, 2.1 / 5.3, 3.1 / 6.5. Adult (32,561 rows), fifteen
#: steps, at most 2,048 rows .41 / 1.07, 1,024 .39 / 1.03, and no slower.
_SHORTEST, _LONGEST = 128, 1024
#: Blocks in each doubling of the rows.
_PARTS = 8


def block_of(row: int) -> tuple[int, int]:
    """Return the first row of the block that a row is in, and its length.

    Examples
    --------
    >>> block_of(0), block_of(1000), block_of(5000), block_of(10**6)
    ((0, 128), (896, 128), (4608, 512), (999424, 1024))
    """
    octave = 1 << max(row.bit_length() - 1, 0)
    length = min(max(octave // _PARTS, _SHORTEST), _LONGEST)
    return row // length * length, length


def blocks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the length of all blocks with rows from `start` to before `stop`."""
    row = start
    while row < stop:
        first, length = block_of(row)
        yield first, length
        row = first + length
