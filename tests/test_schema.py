"""Kinds are inferred, edited and stored."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from fixtures import mixed_table

from synthgan.exceptions import DataWarning, SchemaError
from synthgan.schema import Column, Schema, infer_schema


def test_kinds_of_the_mixed_table() -> None:
    with pytest.warns(DataWarning, match="'patient' is unique"):
        schema = infer_schema(mixed_table())
    kinds = {column.name: column.kind for column in schema}
    assert kinds == {
        "patient": "identifier",
        "age": "integer",
        "visits": "integer",
        "income": "float",
        "price": "decimal",
        "smoker": "boolean",
        "exam": "boolean",
        "city": "categorical",
        "grade": "ordered",
        "group": "categorical",
        "seen": "datetime",
        "born": "datetime",
        "stay": "timedelta",
        "unit": "constant",
    }
    assert schema["grade"].levels == ("low", "mid", "high", "top")
    assert Schema.from_json(schema.to_json()) == schema
    text = repr(schema)
    assert "14 columns" in text
    assert all(name in text for name in kinds)


def test_high_cardinality_is_told_from_identifiers() -> None:
    names = [f"town {i // 2}" for i in range(400)]
    with pytest.warns(DataWarning, match="200 different texts"):
        schema = infer_schema(pd.DataFrame({"town": names}))
    assert schema["town"].kind == "categorical"
    with pytest.warns(DataWarning, match="identifier"):
        schema = infer_schema(pd.DataFrame({"n": range(1000, 1400)}))
    assert schema["n"].kind == "identifier"
    measured = pd.DataFrame({"population": [k * k * 1000 + 7 for k in range(100)]})
    assert infer_schema(measured)["population"].kind == "integer"


def test_editing() -> None:
    schema = infer_schema(pd.DataFrame({"code": [1, 2, 3] * 10, "x": [0.5, 1.5, 2.5] * 10}))
    changed = schema.replace("code", kind="categorical", levels=[1, 2, 3, 4])
    assert changed["code"].levels == (1, 2, 3, 4)
    assert changed["x"] is schema["x"]
    assert schema["code"].kind == "integer"
    assert changed != schema
    assert "x" in changed
    assert len(changed) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "picture"}, "kind must be one of"),
        ({"kind": "boolean"}, "not boolean"),
        ({"type": "list<int>"}, "Unknown"),
        ({"min_count": 0}, "min_count"),
        ({"min_count": 2.5}, "min_count"),
        ({"rare": "hide"}, "rare"),
        ({"rare": "placeholder"}, "text column"),
        ({"levels": [1, 2]}, "levels belong"),
        ({"kind": "categorical", "levels": []}, "non-empty"),
        ({"kind": "categorical", "levels": [1, 1]}, "repeats"),
        ({"kind": "ordered"}, "lowest first"),
        ({"kind": "categorical", "bounds": [0, 1]}, "bounds belong"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_bad_columns_raise(change: dict[str, object], message: str) -> None:
    good = {"name": "x", "kind": "integer", "type": "int64"}
    with pytest.raises(SchemaError, match=message):
        Column.from_dict({**good, **change})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"columns": 3}', '{"columns": [{"name": "x"}]}', '{"columns": []}']
)
def test_bad_json(text: str) -> None:
    with pytest.raises(SchemaError):
        Schema.from_json(text)


def test_text_cannot_be_a_number() -> None:
    with pytest.raises(SchemaError, match="cannot be integer"):
        Column("x", "integer", "string")


def test_differences() -> None:
    schema = infer_schema(pd.DataFrame({"a": [1, 2] * 5, "b": ["x", "y"] * 5}))
    assert schema.differences(pa.table({"b": ["x"], "a": [1.5]})) == []
    found = schema.differences(pa.table({"a": ["text"], "c": [1]}))
    assert len(found) == 3


def test_unknown_name() -> None:
    schema = infer_schema(pd.DataFrame({"a": [1, 2] * 5}))
    with pytest.raises(SchemaError, match="No column 'z'"):
        schema.replace("z", kind="float")
