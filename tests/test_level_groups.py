"""Columns of very many levels: tokens that levels share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan import TabularGAN, load_model
from synthgan._runtime import numpy_generator
from synthgan.conditions import parse_conditions
from synthgan.encoding import LevelCoder, TableEncoder
from synthgan.encoding.level_groups import LevelGroups, group_levels, place_levels
from synthgan.exceptions import ConditionError, ModelFileError
from synthgan.inference import infer_schema
from synthgan.io import read_table

pytestmark = pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")

CITIES, STATES = 300, 6


def cities(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return a table in which a city lies in one state, and some cities are small."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, CITIES + 1)
    city = rng.choice(CITIES, rows, p=shares / shares.sum())
    return pd.DataFrame(
        {
            "city": pd.array([f"city {k}" for k in city], dtype=object),
            "state": [f"state {k % STATES}" for k in city],
            "height": (city % STATES + rng.normal(0, 0.3, rows)).round(2),
        }
    )


def fit(frame: pd.DataFrame, most: int) -> tuple[TableEncoder, pa.Table]:
    table = read_table(frame)
    return TableEncoder.fit(table, infer_schema(table), max_level_tokens=most), table


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=60),
    st.integers(1, 60),
    st.integers(0, 3),
)
def test_groups_are_no_more_than_wanted_and_share_all_rows(
    counts: list[int], most: int, directions: int
) -> None:
    n = len(counts)
    places = numpy_generator(0, "places").normal(size=(n, directions or 1)) * bool(directions)
    groups = group_levels(np.array(counts), places, min(most, n))
    assert len(groups) <= min(most, n)
    assert groups.check(n) is groups
    np.testing.assert_allclose(np.bincount(groups.group, groups.share), 1.0, rtol=1e-5)
    rows = np.maximum(counts, 0.5)
    whole = np.bincount(groups.group, rows)[groups.group]
    np.testing.assert_allclose(groups.share, rows / whole, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=60), st.integers(1, 20))
def test_levels_are_drawn_by_their_shares(counts: list[int], most: int) -> None:
    n, draws = len(counts), 1000
    places = np.arange(n, dtype=float)[:, None]
    groups = group_levels(np.array(counts), places, min(most, n))
    ends = [0.0, np.nextafter(1.0, 0.0)]
    for token in range(len(groups)):
        uniforms = np.append(ends, (np.arange(draws) + 0.5) / draws)
        levels = groups.draw(np.full(len(uniforms), token), uniforms)
        assert (groups.group[levels] == token).all()
        found = np.bincount(levels[2:], minlength=n) / draws
        np.testing.assert_allclose(found, groups.share * (groups.group == token), atol=1.5 / draws)


def test_a_frequent_level_keeps_a_token_of_its_own() -> None:
    counts = np.r_[5000, np.full(99, 10), 3000]
    groups = group_levels(counts, numpy_generator(0, "places").normal(size=(101, 3)), 8)
    alone = np.bincount(groups.group)[groups.group] == 1
    assert alone[[0, -1]].all()
    assert not alone[1:-1].any()


def test_levels_that_come_with_the_same_cells_share_a_token() -> None:
    encoder, table = fit(cities(20_000), 40)
    coder = encoder.coder("city")
    assert isinstance(coder, LevelCoder)
    assert coder.groups is not None
    assert len(coder.groups) == 40
    state = np.array([int(name.split()[1]) % STATES for name in coder.levels.to_pylist()])
    kinds = pd.Series(state).groupby(coder.groups.group).nunique()
    assert (kinds == 1).mean() > 0.8  # at random, groups of seven would all be mixed
    decoded = encoder.decode(encoder.encode(table), numpy_generator(0, "cells")).to_pandas()
    right = decoded["city"].str.split().str[1].astype(int) % STATES
    assert (right == decoded["state"].str[-1].astype(int)).mean() > 0.97
    found, wanted = (frame["city"].value_counts() for frame in (decoded, table.to_pandas()))
    away = (found.reindex(wanted.index, fill_value=0) - wanted).abs()
    assert (away <= 6 * np.sqrt(wanted) + 3).all()


@pytest.mark.parametrize(
    ("levels", "tokens"),
    [
        pytest.param(np.full(40, -1), np.arange(40) % 4, id="no row has a level"),
        pytest.param(np.arange(40) % 10, np.arange(40) % 4, id="few levels have rows"),
        pytest.param(np.arange(40) % 10, np.zeros(40, int), id="other columns say nothing"),
    ],
)
def test_levels_of_which_nothing_is_known_share_a_token(
    levels: np.ndarray, tokens: np.ndarray
) -> None:
    places = place_levels(levels, 300, [(tokens, 4)])
    assert np.isfinite(places).all()
    groups = group_levels(np.bincount(levels[levels >= 0], minlength=300), places, 200)
    assert len(set(groups.group[10:])) == 1


def test_without_other_columns_levels_are_grouped_all_the_same() -> None:
    encoder, table = fit(cities(5000)[["city"]], 16)
    coder = encoder.coder("city")
    assert isinstance(coder, LevelCoder)
    assert coder.groups is not None
    sizes = np.bincount(coder.groups.group)
    assert (sizes > 1).sum() == 1  # nothing tells the less frequent ones apart
    assert 1 < len(sizes) <= 16
    assert place_levels(np.arange(5), 5, []).shape == (5, 1)
    assert encoder.encode(table).max() < encoder.sizes[0]


@pytest.mark.parametrize(
    ("kind", "rare"),
    [("text", "placeholder"), ("text", "suppress"), ("dictionary", "placeholder"),
     ("integer", "suppress"), ("ordered", None)],
)  # fmt: skip
def test_tokens_come_back_and_cells_keep_their_type(kind: str, rare: str | None) -> None:
    frame = cities(6000)
    frame.loc[::50, "city"] = None
    if kind == "dictionary":
        frame["city"] = frame["city"].astype("category")
    elif kind == "integer":
        frame["city"] = frame["city"].str.split().str[1].astype("Int64").astype("category")
    elif kind == "ordered":
        levels = [f"city {k}" for k in range(CITIES)]
        frame["city"] = pd.Categorical(frame["city"], levels, ordered=True)
    table = read_table(frame)
    schema = infer_schema(table)
    if rare is not None:
        schema = schema.replace("city", rare=rare)
    encoder = TableEncoder.fit(table, schema, max_level_tokens=20)
    codes = encoder.encode(table)[:, 0]
    assert encoder.sizes[0] == 20 + (rare is not None) + 1
    back = encoder.decode(encoder.encode(table), numpy_generator(0, "cells"))
    assert back.schema.equals(table.schema)
    missing = table["city"].is_null().to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(missing, codes == encoder.sizes[0] - 1)
    pooled = (codes == 20) & ~missing
    assert pooled.any() == (rare is not None)
    empty = missing | pooled if rare == "suppress" else missing
    np.testing.assert_array_equal(back["city"].is_null().to_numpy(zero_copy_only=False), empty)
    again = encoder.encode(back)[:, 0]
    shown = ~(missing | pooled)
    np.testing.assert_array_equal(again[shown], codes[shown])


def test_a_level_of_an_ordered_column_shares_with_its_neighbours() -> None:
    frame = cities(6000)
    levels = [f"city {k}" for k in range(CITIES)]
    frame["city"] = pd.Categorical(frame["city"], levels, ordered=True)
    encoder, _ = fit(frame, 30)
    coder = encoder.coder("city")
    assert isinstance(coder, LevelCoder)
    assert coder.groups is not None
    assert (np.diff(coder.groups.group) >= 0).all()
    (found,) = parse_conditions({"city": ("city 7", "city 260")}, encoder)
    assert found.choices is not None
    np.testing.assert_array_equal(found.choices, np.arange(7, 261))
    assert ((found.weights > 0) & (found.weights < 1 - 1e-6)).sum() <= 2
    assert found.weights.max() <= 1.0


def test_coders_round_trip_and_damage_is_found() -> None:
    encoder, table = fit(cities(4000), 25)
    again = TableEncoder.from_dict(encoder.schema, encoder.to_dict(), encoder.arrays())
    codes = encoder.encode(table)
    np.testing.assert_array_equal(again.encode(table), codes)
    drawn = [e.decode(codes, numpy_generator(0, "cells")) for e in (encoder, again)]
    assert drawn[0].equals(drawn[1])
    arrays = encoder.arrays()
    group, share = arrays["0.group"], arrays["0.share"]
    for damaged in (
        {"0.group": group[:-1]},
        {"0.group": group + 1},
        {"0.group": np.where(group == 3, 4, group)},
        {"0.group": group.astype("f4")},
        {"0.group": np.where(group == 3, -1, group)},
        {"0.share": np.zeros_like(share)},
        {"0.share": share * np.nan},
        {"0.share": share[:, None]},
    ):
        with pytest.raises(ModelFileError, match="share tokens"):
            TableEncoder.from_dict(encoder.schema, encoder.to_dict(), arrays | damaged)


def test_a_model_draws_single_levels_and_says_how_likely_each_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    level = np.repeat(np.arange(2100), 5)
    frame = pd.DataFrame({"code": [f"{k:04d}" for k in level], "x": rng.normal(level / 300, 1)})
    few = {"steps": 20, "class_steps": 10}
    gan = TabularGAN(random_state=0, verbose=0, options=few).fit(frame)
    coder = gan.encoder_.coder("code")
    assert coder.n_tokens == 2048
    assert gan.describe()["columns"][0]["levels"] == 2100
    assert isinstance(coder, LevelCoder)
    assert coder.groups is not None
    shared = np.flatnonzero(np.bincount(coder.groups.group)[coder.groups.group] > 1)
    name = coder.levels[int(shared[0])].as_py()
    alone = gan.sample(50, conditions={"code": name}, random_state=1)
    assert set(alone["code"]) == {name}
    several = [coder.levels[int(k)].as_py() for k in shared[:3]]
    drawn = gan.sample(300, conditions={"code": several}, random_state=1)["code"].value_counts()
    assert set(drawn.index) == set(several)
    with pytest.raises(ConditionError, match="none of"):
        gan.sample(1, conditions={"code": "9999"})
    given = gan.sample(conditions=frame[["code"]][:40], random_state=0)
    assert given["code"].tolist() == frame["code"][:40].tolist()
    likely = gan.level_probabilities(frame[:20], "code")
    assert likely.shape == (20, 2100)
    np.testing.assert_allclose(likely.sum(axis=1), 1.0, rtol=1e-4)
    gan.save(tmp_path / "model.synthgan")
    rows = load_model(tmp_path / "model.synthgan").sample(200, random_state=3)
    pd.testing.assert_frame_equal(rows, gan.sample(200, random_state=3))


def test_groups_of_unseen_declared_levels_can_be_drawn() -> None:
    groups = LevelGroups.of(np.array([0, 0, 1, 1]), np.array([0, 0, 9, 0]))
    assert (groups.share > 0).all()
    assert dataclasses.replace(groups).check(4)
