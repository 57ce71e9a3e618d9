"""Types of columns have names that lead back to them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from fixtures import mixed_table
from hypothesis import given
from hypothesis import strategies as st

from synthgan.arrow import parse_arrow_type
from synthgan.exceptions import SchemaError
from synthgan.io import read_table


def test_every_type_of_the_mixed_table_can_be_named() -> None:
    for field in read_table(mixed_table()).schema:
        assert parse_arrow_type(str(field.type)) == field.type


units = st.sampled_from(["s", "ms", "us", "ns"])
types = st.one_of(
    st.builds(pa.timestamp, units, st.sampled_from([None, "UTC", "+02:00", "Europe/Berlin"])),
    st.builds(pa.duration, units),
    st.builds(pa.decimal128, st.integers(10, 38), st.integers(-3, 9)),
    st.sampled_from([pa.time32("s"), pa.time64("ns"), pa.date64(), pa.large_string()]),
)


@given(types, st.booleans())
def test_types_and_their_names(arrow_type: pa.DataType, ordered: bool) -> None:
    assert parse_arrow_type(str(arrow_type)) == arrow_type
    coded = pa.dictionary(pa.int32(), arrow_type, ordered=ordered)
    assert parse_arrow_type(str(coded)) == coded


def test_unknown_type() -> None:
    with pytest.raises(SchemaError, match="Unknown"):
        parse_arrow_type("list<item: int64>")
