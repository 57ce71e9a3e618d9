"""Kinds are inferred, edited and stored."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fixtures import mixed_table

from synthgan.exceptions import DataWarning, SchemaError
from synthgan.inference import infer_schema
from synthgan.schema import Column, Schema


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
        ({"name": 5}, "Column 5: name must be a text; got int"),
        ({"name": None}, "name must be a text; got NoneType"),
        ({"kind": {}}, "kind must be a text; got dict"),
        ({"type": ["int64"]}, "type must be a text; got tuple of str"),
        ({"type": 5}, "type must be a text; got int"),
        ({"type": "time32[us]"}, "Unknown"),
        ({"type": "timestamp[us, tz=Nowhere]"}, "Unknown"),
        ({"type": "dictionary<values=string, indices=double, ordered=0>"}, "Unknown"),
        ({"levels": 5}, "levels must be a list of .*; got int"),
        ({"levels": {}}, "levels must be a list of .*; got dict"),
        ({"levels": "ab"}, "levels must be a list of .*; got str"),
        ({"levels": [["a"], "b", None]}, "levels must be .*; got tuple of NoneType, list, str"),
        ({"kind": "categorical", "levels": [math.nan, 1]}, "finite"),
        ({"bounds": "09"}, "bounds must be a list of .*; got str"),
        ({"bounds": [None, 9]}, "bounds must be .*; got tuple of NoneType, int"),
        ({"bounds": [0, math.inf]}, "finite"),
        ({"bounds": [False, True]}, "bounds must be .*; got tuple of bool"),
        ({"bounds": [0, 1, 2]}, "bounds are two values"),
        ({"min_count": True}, "min_count must be an int >= 1; got bool"),
        ({"min_count": None}, "min_count must be an int >= 1; got NoneType"),
        ({"rare": []}, "rare must be a text; got tuple"),
        ({"bins": "9"}, "bins must be an int, or .*; got str"),
        ({"bins": True}, "bins must be an int, or .*; got bool"),
        ({"bins": [[1], 2]}, "bins must be an int, or .*; got tuple of int, list"),
        ({"bins": [1, "2"]}, "ascending"),
        ({"bins": [2, 1]}, "ascending"),
        ({"spikes": 0}, "spikes must be a list of .*; got int"),
        ({"decimals": "a"}, "decimals must be an int; got str"),
        ({"decimals": 1.5}, "decimals must be an int; got float"),
        ({"decimals": 16}, "decimals must lie in"),
        ({"missing": "x"}, "missing must be true or false; got str"),
        ({"missing": 0}, "missing must be true or false; got int"),
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


@pytest.mark.parametrize(
    ("change", "stored"),
    [
        ({"bounds": [np.int64(0), np.float32(9.5)]}, [0, 9.5]),
        ({"bounds": (dt.date(2024, 1, 1), pd.Timestamp(2024, 2, 1))},
         ["2024-01-01", "2024-02-01 00:00:00"]),
        ({"spikes": (np.int8(3), Decimal("0.5"))}, [3, "0.5"]),
        ({"bins": np.int32(7)}, 7),
        ({"min_count": np.int64(9)}, 9),
        ({"decimals": np.uint8(2)}, 2),
        ({"kind": "categorical", "levels": [np.int16(1), "a"]}, [1, "a"]),
        ({"kind": "categorical", "levels": range(3)}, [0, 1, 2]),
    ],
)  # fmt: skip
def test_numbers_of_numpy_and_dates_become_json(change: dict[str, Any], stored: object) -> None:
    column = Column(**{"name": "x", "kind": "integer", "type": "int64", **change})
    assert json.loads(json.dumps(column.to_dict()))[list(change)[-1]] == stored
    assert Column.from_dict(column.to_dict()).to_dict() == column.to_dict()


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
