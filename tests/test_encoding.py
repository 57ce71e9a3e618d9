"""Tokens: round trips, and the promise that no rare value is stored or repeated."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fixtures import mixed_table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synthgan._runtime import numpy_generator
from synthgan.encoding import NumberCoder, TableEncoder
from synthgan.encoding.identifiers import IdentifierCoder
from synthgan.encoding.ticks import Scale
from synthgan.exceptions import DataError, SchemaError
from synthgan.inference import infer_schema
from synthgan.io import read_table
from synthgan.schema import Column, Schema

pytestmark = pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")


def fit(frame: pd.DataFrame, **options: int) -> tuple[TableEncoder, pa.Table]:
    table = read_table(frame)
    return TableEncoder.fit(table, infer_schema(table), **options), table


def decode(encoder: TableEncoder, codes: np.ndarray) -> pa.Table:
    return encoder.decode(codes, numpy_generator(0, "test"))


def test_round_trip_keeps_levels_missingness_order_and_types() -> None:
    encoder, table = fit(mixed_table())
    back = decode(encoder, encoder.encode(table))
    assert back.schema.equals(table.schema)
    for name in table.column_names:
        before, after = table[name], back[name]
        assert before.is_null().equals(after.is_null())
        if name in ("smoker", "exam", "city", "grade", "group", "unit"):
            assert before.to_pylist() == after.to_pylist()


floats = st.floats(-1e300, 1e300, allow_nan=False)
columns = st.one_of(
    st.lists(st.one_of(st.none(), floats), min_size=5, max_size=60),
    st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=5, max_size=60),
    st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=5, max_size=60),
)


@settings(max_examples=150, deadline=None)
@given(columns, st.integers(4, 32))
def test_numbers_come_back_inside_their_bin(values: list[float | None], tokens: int) -> None:
    array = pa.array(values)
    if pa.types.is_null(array.type):
        return
    table = pa.table({"x": array})
    encoder = TableEncoder.fit(table, infer_schema(table), max_tokens=tokens)
    codes = encoder.encode(table)
    back = decode(encoder, codes)
    assert back.schema.equals(table.schema)
    coder = encoder.coder("x")
    if not isinstance(coder, NumberCoder) or not len(coder.knots):
        return
    assert len(coder.knots) <= tokens
    known = back["x"].drop_null()
    numbers = coder.scale.to_numbers(known)
    assert np.isfinite(numbers).all()
    low, high = coder.extremes
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    assert (numbers >= low - slack).all()
    assert (numbers <= high + slack).all()
    present = codes[:, 0] < len(coder.knots)
    rows = coder.knots[codes[present, 0].astype(int)]
    step = coder.scale.half_step * 2 if coder.scale.decimals is not None else 0.0
    step = max(step, 10.0 ** -(coder.scale.decimals or 0)) if coder.scale.decimals else step
    assert (numbers >= rows[:, 0] - step - slack).all()
    assert (numbers <= rows[:, -1] + step + slack).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), min_size=5, max_size=80))
def test_frequent_levels_come_back_exactly(values: list[str | None]) -> None:
    table = pa.table({"c": pa.array(values, pa.string())})
    schema = infer_schema(table).replace("c", kind="categorical")
    encoder = TableEncoder.fit(table, schema)
    back = decode(encoder, encoder.encode(table))["c"].to_pylist()
    counts = pd.Series(values, dtype=object).value_counts()
    for before, after in zip(values, back, strict=True):
        if before is None or counts[before] >= 5:
            assert after == before
        else:
            assert after is None  # pooled; a sampler draws a frequent level in its place


def test_saved_encoder_decodes_alike() -> None:
    encoder, table = fit(mixed_table())
    codes = encoder.encode(table)
    data = json.loads(json.dumps(encoder.to_dict()))
    again = TableEncoder.from_dict(encoder.schema, data, encoder.arrays())
    assert decode(again, codes).equals(decode(encoder, codes))
    assert again.sizes == encoder.sizes


def test_no_isolated_value_is_stored_or_repeated() -> None:
    rng = np.random.default_rng(0)
    rows = 2000
    floats = rng.normal(size=rows)
    floats[:3] = [0.123456789012345, 77.777777123, -55.000000777]
    integers = rng.integers(0, 10**6, rows)
    integers[:2] = [987_654_321_987, 424_242]
    texts = rng.choice(["a", "b"], rows).astype(object)
    texts[:2] = ["canary-text", "other-canary"]
    frame = pd.DataFrame({"f": floats, "i": integers, "t": texts, "c": pd.Categorical(texts)})
    encoder, table = fit(frame)
    stored = json.dumps([encoder.schema.to_dict(), encoder.to_dict()])
    arrays = encoder.arrays()
    for secret in ("canary", "987654321987", "424242"):
        assert secret not in stored
    codes = encoder.encode(table)
    many = decode(encoder, codes[rng.integers(0, rows, 100_000)])
    seen = set(floats.tolist())
    assert not seen & set(np.concatenate([a.ravel() for a in arrays.values()]).tolist())
    assert not seen & set(many["f"].to_pylist())
    assert max(many["i"].to_pylist()) < 10**6
    assert not {"canary-text", "other-canary"} & set(many["t"].to_pylist())
    categories = many["c"].combine_chunks().dictionary.to_pylist()
    assert sorted(categories) == ["a", "b"]


def test_tokens_are_in_order_of_value() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(5000) < 0.3, 7.5, rng.normal(5, 4, 5000))
    encoder, _ = fit(pd.DataFrame({"x": values}))
    coder = encoder.coder("x")
    assert isinstance(coder, NumberCoder)
    assert (np.diff(coder.knots[:, 4]) > 0).all()
    assert coder.is_spike.sum() == 1
    share = (coder.encode(pa.chunked_array([values])) == np.flatnonzero(coder.is_spike)[0]).mean()
    assert share == pytest.approx((values == 7.5).mean())


def test_decoding_preserves_the_distribution() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=20_000))
    encoder, table = fit(pd.DataFrame({"x": values}))
    drawn = decode(encoder, encoder.encode(table))["x"].to_numpy()
    grid = np.quantile(values, np.linspace(0.01, 0.99, 99))
    gap = np.abs(np.searchsorted(np.sort(drawn), grid) - np.searchsorted(np.sort(values), grid))
    assert gap.max() / len(values) < 1 / 256  # each cell stays in its bin


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.date_range("2020-01-01", periods=60, freq="D", tz="Asia/Tokyo")),
        pd.Series(pd.to_timedelta(np.arange(60), unit="min")),
        pd.Series([Decimal(k) / 8 for k in range(60)]),
        pd.Series(np.arange(120, dtype=np.uint8) // 2),
        pd.Series(np.linspace(0, 1, 60, dtype=np.float16)),
    ],
    ids=["dates", "durations", "decimals", "uint8", "float16"],
)
def test_types_and_grid_survive(values: pd.Series) -> None:
    encoder, table = fit(pd.DataFrame({"x": values}), max_tokens=6)
    back = decode(encoder, encoder.encode(table))["x"]
    assert back.type == table["x"].type
    coder = encoder.coder("x")
    assert isinstance(coder, NumberCoder)
    numbers = coder.scale.to_numbers(back)
    np.testing.assert_allclose(numbers, coder.scale.round(numbers), atol=1e-3)


def test_missing_cell_where_none_was() -> None:
    encoder, _ = fit(pd.DataFrame({"x": [1.0, 2.0] * 10}))
    with pytest.raises(DataError, match="'x' has 1 missing"):
        encoder.encode(read_table(pd.DataFrame({"x": [1.0, None]})))


def test_identifiers_are_unique_and_follow_the_pattern() -> None:
    rng = np.random.default_rng(0)
    keys = [f"AB-{k:05d}-x" for k in rng.permutation(10**5)[:500]]
    encoder, _ = fit(pd.DataFrame({"key": keys, "n": rng.permutation(500)}))
    codes = np.zeros((50_000, 2), np.int64)
    out = decode(encoder, codes).to_pandas()
    assert out["key"].is_unique
    assert out["key"].str.fullmatch(r"AB-\d{5}-x").all()
    assert out["n"].is_unique


@pytest.mark.parametrize(
    ("keys", "rows"),
    [
        (pd.Series(range(1, 401), dtype="int16"), 32_767),
        (pd.Series(range(9000, 9400), dtype="int16"), 27_000),
        (pd.Series(range(2_000_000_000, 2_000_000_400), dtype="int32"), 100_000),
        (pd.Series([f"{k:03d}" for k in range(400)]), 5000),
        (pd.Series([f"k{k:02d}" for k in range(100)], dtype="category"), 5000),
    ],
    ids=["counted", "narrow", "long", "few", "category"],
)
def test_keys_never_repeat(keys: pd.Series, rows: int) -> None:
    schema = infer_schema(read_table(keys.to_frame("key")))
    column = dataclasses.replace(schema["key"], kind="identifier")
    coder = IdentifierCoder.fit(column, read_table(keys.to_frame("key"))["key"])
    blocks = np.array_split(np.arange(rows), 7)
    made = [coder.generate(part, np.zeros(len(part), np.int64), seed=3) for part in blocks]
    out = pa.chunked_array(made).to_pandas()
    assert out.is_unique
    assert coder.capacity >= rows


def test_keys_of_which_none_is_known() -> None:
    empty = pa.chunked_array([pa.nulls(30, pa.int64())])
    coder = IdentifierCoder.fit(Column("key", "identifier", "int64"), empty)
    assert coder.generate(np.arange(3), np.array([0, 1, 0]), seed=0).to_pylist() == [1, None, 3]


def test_infinite_values_are_refused_by_a_scale_too() -> None:
    cells = pa.chunked_array([[1.0, float("inf")]])
    with pytest.raises(SchemaError, match="infinite"):
        Scale.fit(Column("x", "float", "double"), cells)


def test_suppressed_shares_bound_what_fresh_rows_hold() -> None:
    rng = np.random.default_rng(0)
    share = np.r_[0.5, 0.45, np.full(50, 0.001)]

    def table(n: int) -> pa.Table:
        town = rng.choice([f"t{k}" for k in range(52)], n, p=share)
        return pa.table(
            {"town": town, "wage": np.exp(rng.normal(size=n)), "ok": rng.random(n) < 0.5}
        )

    train, fresh = table(2000), table(2000)
    encoder = TableEncoder.fit(train, infer_schema(train))
    found = encoder.suppressed(train)
    assert set(found) == {"town", "wage"}
    levels = encoder.coder("town").levels.to_pylist()
    unseen = np.mean([town not in levels for town in fresh["town"].to_pylist()])
    coder = encoder.coder("wage")
    ends = coder.scale.to_cells(np.array(coder.extremes), np.zeros(2, bool)).to_pylist()
    low, high = ends
    wage = fresh["wage"].to_numpy()
    beyond = np.mean((wage < low) | (wage > high))
    assert 0 < unseen < found["town"] < 0.1
    assert 0 < beyond < found["wage"] < 0.04


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(4, 40), st.integers(0, 10**6), st.floats(0.1, 3.0))
@example(decimals=1, tokens=31, seed=96818, spread=1.0)
def test_a_range_reaches_every_bin_with_a_value_in_it(
    decimals: int, tokens: int, seed: int, spread: float
) -> None:
    rng = numpy_generator(seed, "test")
    values = np.round(rng.normal(0, spread, 400), decimals)
    encoder, table = fit(pd.DataFrame({"x": values + 0.0}), max_tokens=tokens)
    coder = encoder.coders[0]
    if not isinstance(coder, NumberCoder):
        return
    codes = coder.encode(table["x"])
    low, high = np.sort(rng.choice(values, 2))
    inside = (values >= max(low, coder.extremes[0])) & (values <= min(high, coder.extremes[1]))
    assert (coder.weights((low, high))[codes[inside]] > 0).all()
    assert (coder.weights((low, low))[codes[(values == low) & inside]] > 0).all()


@given(st.floats(0, 1e9), st.integers(0, 6))
def test_a_rounded_number_is_on_its_grid(value: float, decimals: int) -> None:
    scale = Scale(Column("x", "float", "double"), 0, 1, decimals)
    rounded = float(np.round(value, decimals))
    assert scale.inside(rounded, rounded) == (rounded, rounded)
    assert scale.inside(rounded, np.inf) == (rounded, np.inf)
    if abs(value - rounded) > max(0.01 * 10.0**-decimals, 8 * np.spacing(value)):
        assert scale.inside(value, value) is None


DAY = pd.Timestamp("2024-02-29 12:00")


@pytest.mark.parametrize(
    ("kind", "value", "ticks"),
    [
        (pa.int64(), 100_000_000_000_000_003, 100_000_000_000_000_003),
        (pa.int64(), np.int64(7), 7),
        (pa.int64(), 7.5, 7.5),
        (pa.decimal128(10, 2), 0.29, 29),
        (pa.decimal128(10, 2), Decimal("0.29"), 29),
        (pa.timestamp("us"), "9999-12-31", 253_402_214_400 * 10**6),
        (pa.timestamp("s"), DAY.to_numpy(), DAY.value // 10**9),
        (pa.timestamp("ms"), DAY.to_pydatetime(), DAY.value // 10**6),
        (pa.timestamp("s"), DAY + pd.Timedelta("250ms"), DAY.value // 10**9 + 0.25),
        (pa.timestamp("s", "Europe/Rome"), "2024-03-31 02:30", 1_711_846_800),  # skipped
        (pa.timestamp("s", "Europe/Rome"), "2024-10-27 02:30", 1_729_992_600),  # twice
        (pa.date32(), DAY.to_numpy(), 19_782),
        (pa.date32(), "2024-02-29", 19_782),
        (pa.duration("ms"), 0.25, 250),
        (pa.duration("ms"), np.timedelta64(3 * 10**9, "ns"), 3000),
        (pa.duration("s"), "1h", 3600),
    ],
    ids=str,
)
def test_a_given_value_becomes_exact_ticks(kind: pa.DataType, value: object, ticks: float) -> None:
    name = "continuous" if pa.types.is_floating(kind) else "integer"
    scale = Scale(Column("x", name, str(kind)), int(ticks), 1, 0)
    assert scale.offset_of(value) == ticks - int(ticks)


@pytest.mark.parametrize("value", [True, "soon", None, [3], Decimal("nan")])
def test_what_is_no_value_of_a_column_is_refused(value: object) -> None:
    with pytest.raises(SchemaError, match="not a value of it"):
        Scale(Column("x", "integer", "int64"), 0, 1, 0).offset_of(value)


def test_numbers_below_a_spike_in_the_first_bin_are_drawn() -> None:
    rng = np.random.default_rng(0)
    values = np.r_[rng.integers(0, 1001, 20_000), np.full(8000, 20)]
    encoder, table = fit(pd.DataFrame({"x": values}), max_tokens=12)
    coder = encoder.coders[0]
    assert isinstance(coder, NumberCoder)
    assert coder.knots[0, 0] == coder.knots[0, -1] == 20
    back = decode(encoder, encoder.encode(table))["x"].to_numpy()
    error = 5 * np.sqrt(0.02 / len(values))
    assert np.mean(back < 20) == pytest.approx(np.mean(values < 20), abs=error)
    assert coder.hidden(table["x"]) < 20


@pytest.mark.parametrize("unit", [1, 10], ids=["whole", "tenths"])
def test_ends_of_a_range_have_their_share(unit: int) -> None:
    numbers = np.arange(20_000) / unit
    encoder, _ = fit(
        pd.DataFrame({"x": np.repeat(numbers if unit > 1 else numbers.astype(int), 2)})
    )
    coder = encoder.coders[0]
    assert isinstance(coder, NumberCoder)
    limits = (numbers[10_002], numbers[10_005])
    tokens = np.flatnonzero(coder.weights(limits))
    assert len(tokens) == 1
    draws, rng = 20_000, np.random.default_rng(0)
    cells = coder.decode(np.full(draws, tokens[0]), rng.random(draws), limits)
    found, counts = np.unique(cells.to_numpy(), return_counts=True)
    np.testing.assert_allclose(found, numbers[10_002:10_006])
    np.testing.assert_allclose(counts, draws / 4, atol=5 * np.sqrt(draws * 3 / 16))


@pytest.mark.parametrize("bins", [10, None, (25, 50), (0, 50)])
def test_declared_whole_numbers_are_equally_likely(bins: int | tuple[float, ...] | None) -> None:
    column = Column("x", "integer", "int64", bounds=(0, 99), bins=bins, missing=False)
    coder = NumberCoder.declared(column)
    assert coder.extremes == (0, 99)
    numbers = np.arange(100.0)
    tokens, shares = coder.tokens_of(numbers), coder.shares_of(numbers)
    np.testing.assert_allclose(shares * np.bincount(tokens)[tokens], 1.0)
    draws, rng = 10_000, np.random.default_rng(0)
    cells = coder.decode(np.zeros(draws, int), rng.random(draws)).to_numpy()
    counts = np.bincount(cells)
    np.testing.assert_allclose(counts, draws / len(counts), atol=5 * np.sqrt(draws / len(counts)))


def test_declared_bounds_between_whole_numbers() -> None:
    column = Column("x", "integer", "int64", bounds=(0.5, 3.5), missing=False)
    coder = NumberCoder.declared(column)
    assert coder.extremes == (1, 3)
    assert coder.n_tokens == 3


def test_dictionaries_of_views() -> None:
    views = pa.array(["a", "b"], pa.string_view())
    codes = pa.array([0, 1, None] * 40, pa.int32())
    table = pa.table({"s": pa.DictionaryArray.from_arrays(codes, views)})
    encoder = TableEncoder.fit(table, infer_schema(table))
    back = decode(encoder, encoder.encode(table))
    assert back["s"].to_pylist() == table["s"].to_pylist()
    assert back.schema.equals(table.schema)


def test_declared_bounds_keep_samples_between_them() -> None:
    table = pa.table({"x": np.tile(np.arange(1000), 3)})
    column = Column("x", "integer", "int64", bounds=(10.3, 900.7))
    encoder = TableEncoder.fit(table, Schema((column,)), max_tokens=32)
    back = decode(encoder, encoder.encode(table))["x"].to_numpy()
    assert (back.min(), back.max()) == (11, 900)
    none = Schema((dataclasses.replace(column, bounds=(10.3, 10.7)),))
    with pytest.raises(SchemaError, match="no value of the column lies between"):
        TableEncoder.fit(table, none)


@pytest.mark.parametrize(
    ("kind", "decimals", "high"), [("float", 2, 999.99), ("halffloat", 1, 0.9)]
)
def test_narrow_floats_with_declared_decimals(kind: str, decimals: int, high: float) -> None:
    column = Column(
        "x", "float", kind, bounds=(0, high), decimals=decimals, spikes=(high,), missing=False
    )
    coder = NumberCoder.declared(column)
    assert coder.extremes == (0, high)
    narrow = coder.column.arrow_type.to_pandas_dtype()
    cells = pa.chunked_array([np.array([0, 0.1, 0.5, high], narrow)])
    codes, outside = coder.confine(cells)
    assert outside == 0
    assert coder.is_spike[codes[-1]]
    assert (coder.shares_of(coder.scale.to_numbers(cells)) > 0).all()
    assert coder.scale.offset_of(0.1) == 0.1


@pytest.mark.parametrize(
    "values",
    [
        1.7e9 + np.random.default_rng(0).uniform(0, 100, 500),
        np.random.default_rng(0).integers(0, 2**52, 500) + 2**52,
        np.repeat(np.arange(20) / 7, 25),
        10.0 ** np.random.default_rng(0).uniform(-9, 12, 500),
    ],
    ids=["narrow", "large", "spikes", "wide"],
)
def test_every_number_that_can_be_drawn_has_a_share(values: np.ndarray) -> None:
    encoder, table = fit(pd.DataFrame({"x": values}), max_tokens=16)
    coder = encoder.coders[0]
    assert isinstance(coder, NumberCoder)
    low, high = coder.extremes
    numbers = coder.scale.to_numbers(table["x"])
    inside = (low <= numbers) & (numbers <= high)
    assert inside.mean() > 0.9
    assert (coder.shares_of(numbers[inside]) > 0).all()
    assert not coder.shares_of(numbers[~inside]).any()


def form_of(frame: pd.DataFrame | pa.Table, **options: int) -> tuple[TableEncoder, pa.Table]:
    table = read_table(frame)
    return TableEncoder.fit(table, infer_schema(table), **options), table


@pytest.mark.parametrize(
    "cells",
    [
        np.r_[np.zeros(990), np.full(10, 99_999)],
        np.r_[np.zeros(990), np.full(10, 1234.56)],
        np.r_[np.random.default_rng(0).exponential(100, 500), np.full(10, 99_999)],
        np.r_[np.repeat(np.arange(34), 40), np.full(5, 35)],
    ],
)
def test_frequent_extremes_come_back(cells: np.ndarray) -> None:
    encoder, table = form_of(pd.DataFrame({"x": cells}))
    back = decode(encoder, encoder.encode(table))["x"].to_numpy()
    assert (back == cells.max()).sum() == (cells == cells.max()).sum()
    assert back[cells != cells.max()].max() <= np.sort(cells[cells != cells.max()])[-5]


@pytest.mark.parametrize("n", range(5, 30))
def test_few_numbers_are_told_coarsely(n: int) -> None:
    values = np.random.default_rng(n).lognormal(10, 1, n)
    encoder, table = form_of(pd.DataFrame({"x": np.r_[values, np.full(300, np.nan)]}))
    stored = np.concatenate([array.ravel() for array in encoder.arrays().values()])
    back = decode(encoder, encoder.encode(table))["x"].drop_null().to_numpy()
    for found in (stored, back):
        assert not np.isclose(found[:, None], values, rtol=1e-9).any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rows", "levels"), [(100_000, 300), (1000, 60)])
def test_no_frequent_number_vanishes(seed: int, rows: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(1, 3, levels)
    cells = rng.choice(levels, rows, p=weights / weights.sum())
    encoder, table = form_of(pd.DataFrame({"x": cells}), max_tokens=min(rows // 22, 256))
    back = decode(encoder, encoder.encode(table))["x"].to_numpy()
    missing = np.setdiff1d(cells, back)
    assert np.isin(cells, missing).mean() < 0.01


@pytest.mark.parametrize("unit", ["D", "s"])
def test_dates_beyond_what_nanoseconds_count(unit: str) -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 22_000, 1000) * (1 if unit == "D" else 86_400)
    born = pd.Timestamp("1940-01-01") + pd.to_timedelta(steps, unit=unit)
    born = born.to_series(index=range(1000)).astype("datetime64[ns]")
    born[:100] = pd.Timestamp("2262-04-11")
    encoder, table = form_of(pd.DataFrame({"d": born}))
    back = decode(encoder, encoder.encode(table))["d"].to_pandas()
    assert (back == pd.Timestamp("2262-04-11")).sum() == 100
    assert back.min() >= pd.Timestamp("1940-01-01")
    assert (back == back.dt.normalize()).all()


TIMED = {
    "durations": pd.Categorical(pd.to_timedelta([1, 2, 3] * 10, unit="h")),
    "ordered": pd.Categorical(pd.to_timedelta([1, 2, 3] * 10, unit="h"), ordered=True),
    "times": pd.Categorical([dt.time(8), dt.time(9, 30)] * 15),
    "days": pd.Categorical([dt.date(1900, 1, 1), dt.date(2000, 2, 29)] * 15),
}


@pytest.mark.parametrize("name", TIMED)
def test_levels_that_are_times_are_stored(name: str) -> None:
    encoder, table = form_of(pd.DataFrame({"c": TIMED[name]}))
    stored = json.loads(json.dumps(encoder.to_dict()))
    again = TableEncoder.from_dict(encoder.schema, stored, encoder.arrays())
    assert again.coders[0].levels.equals(encoder.coders[0].levels)
    back = decode(again, again.encode(table))
    assert back["c"].to_pylist() == table["c"].to_pylist()
    schema = Schema.from_json(infer_schema(table).to_json())
    TableEncoder.fit(table, schema)


def test_levels_of_local_mean_time_are_stored() -> None:
    instants = pa.array([-2_840_144_400, -1_200_000_000] * 10, pa.int64())
    table = pa.table({"c": instants.cast(pa.timestamp("s", "Europe/Berlin")).dictionary_encode()})
    encoder, _ = form_of(table)
    stored = json.loads(json.dumps(encoder.to_dict()))
    again = TableEncoder.from_dict(encoder.schema, stored, encoder.arrays())
    assert again.coders[0].levels.equals(encoder.coders[0].levels)
