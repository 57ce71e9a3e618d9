"""Blocks cover a sample without gaps, and grow with it."""

from hypothesis import given
from hypothesis import strategies as st

from synthgan.blocks import block_of, blocks

ROWS = st.integers(0, 200_000)


@given(ROWS, ROWS)
def test_blocks_cover_what_is_asked_for(start: int, more: int) -> None:
    found = list(blocks(start, start + more))
    rows = [row for first, length in found for row in (first, first + length)]
    assert rows[1:-1:2] == rows[2::2]  # one begins where the other ends
    assert not more or rows[0] <= start < start + more <= rows[-1]
    assert bool(found) == bool(more)


@given(ROWS, st.integers(0, 10_000))
def test_all_rows_of_a_block_are_in_it(row: int, other: int) -> None:
    first, length = block_of(row)
    assert first <= row < first + length
    assert block_of(first + other % length) == (first, length)


@given(st.integers(1024, 10**9))
def test_no_block_is_more_than_an_eighth_of_the_sample(rows: int) -> None:
    first, length = block_of(rows - 1)
    assert length <= 1024
    assert length * 8 <= max(first, 1024)
