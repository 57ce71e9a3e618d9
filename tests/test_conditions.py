"""Conditions hold for every row, and the rest follows the model's conditional distribution."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fixtures import mixed_table, tiny_gan

from synthgan import MISSING, NOT_MISSING, TabularGAN
from synthgan.conditions import parse_conditions
from synthgan.encoding import TableEncoder
from synthgan.exceptions import ConditionError, DataError, DataWarning, ParameterError
from synthgan.inference import infer_schema


@pytest.mark.parametrize("n", [1, 511, 1030])
def test_every_row_satisfies_all_conditions(adult_gan: TabularGAN, n: int) -> None:
    rows = adult_gan.sample(
        n,
        conditions={
            "income": ">50K",
            "age": (30, 40),
            "education": ["Bachelors", "Masters"],
            "workclass": NOT_MISSING,
            "hours_per_week": (41, None),
        },
        random_state=1,
    )
    assert len(rows) == n
    assert (rows["income"] == ">50K").all()
    assert rows["age"].between(30, 40).all()
    assert rows["education"].isin(["Bachelors", "Masters"]).all()
    assert rows["workclass"].notna().all()
    assert (rows["hours_per_week"] >= 41).all()


def test_missing(adult_gan: TabularGAN) -> None:
    for wanted in (MISSING, None, float("nan")):
        assert adult_gan.sample(40, conditions={"occupation": wanted})["occupation"].isna().all()


def test_single_and_listed_numbers(adult_gan: TabularGAN) -> None:
    assert set(adult_gan.sample(60, conditions={"age": 33})["age"]) == {33}
    ages = adult_gan.sample(400, conditions={"age": [25, 61]}, random_state=0)["age"]
    assert set(ages) == {25, 61}
    weights = adult_gan.sample(300, conditions={"fnlwgt": [150_001, 222_223]}, random_state=0)
    assert set(weights["fnlwgt"]) == {150_001, 222_223}


def test_exact_edges_inside_a_bin(adult_gan: TabularGAN) -> None:
    rows = adult_gan.sample(3000, conditions={"fnlwgt": (150_000, 150_100)}, random_state=0)
    assert rows["fnlwgt"].between(150_000, 150_100).all()
    assert rows["fnlwgt"].nunique() > 50


def test_dates(gan: TabularGAN) -> None:
    low, high = pd.Timestamp("2024-03-01", tz="Europe/Berlin"), "2024-04-15"
    seen = gan.sample(200, conditions={"seen": (low, high)}, random_state=0)["seen"]
    assert seen.between(low, pd.Timestamp(high, tz="Europe/Berlin")).all()
    born = gan.sample(50, conditions={"born": (None, dt.date(1960, 1, 1))})["born"]
    assert max(born) <= dt.date(1960, 1, 1)
    stay = gan.sample(50, conditions={"stay": (pd.Timedelta("1D"), None)})["stay"]
    assert (stay >= pd.Timedelta("1D")).all()


def test_ordered_range(gan: TabularGAN) -> None:
    grades = gan.sample(100, conditions={"grade": ("mid", None)}, random_state=0)["grade"]
    assert set(grades) == {"mid", "high"}


@pytest.mark.parametrize(("steps", "slack"), [(15, 0.03), (None, 0.08)])
def test_two_ranges_resemble_rejection_from_plain_rows(
    adult_gan: TabularGAN, steps: int | None, slack: float
) -> None:
    """Orders of drawing differ, and a small model is not quite consistent: 3 % of slack.

    In few steps, after a fit of seconds, its classes tie columns only roughly: 8 %. On top of it
    sqrt(k / n), which is more than two samples of n rows differ by for k levels.
    """
    plain = adult_gan.sample(30_000, steps=steps, random_state=5)
    kept = plain[plain["age"].between(25, 45) & plain["education_num"].between(10, 13)]
    conditions = {"age": (25, 45), "education_num": (10, 13)}
    drawn = adult_gan.sample(len(kept), conditions=conditions, steps=steps, random_state=6)
    for name in ("education_num", "marital_status", "income", "sex"):
        a, b = (t[name].value_counts(normalize=True) for t in (kept, drawn))
        chance = (len(a) / len(kept)) ** 0.5
        assert a.subtract(b, fill_value=0).abs().sum() / 2 < slack + chance


def test_frame_of_known_cells(adult: pd.DataFrame, adult_gan: TabularGAN) -> None:
    known = adult[["sex", "age", "fnlwgt"]].head(700).astype({"age": "Int64"})
    known.loc[::3, "age"] = pd.NA
    rows = adult_gan.sample(conditions=known, random_state=0)
    assert len(rows) == 700
    assert list(rows.columns) == list(adult.columns)
    assert (rows.dtypes == adult.dtypes).all()
    assert (rows["sex"] == known["sex"]).all()
    assert (rows["fnlwgt"] == known["fnlwgt"]).all()
    given = known["age"].notna()
    assert (rows.loc[given, "age"] == known.loc[given, "age"]).all()
    with pytest.raises(ParameterError, match="not both"):
        adult_gan.sample(5, conditions=known)
    with pytest.raises(ConditionError, match="'nope'"):
        adult_gan.sample(conditions=known.rename(columns={"sex": "nope"}))


def test_arrow_frame_of_known_cells(gan: TabularGAN) -> None:
    known = pa.table({"grade": pa.array(["low", None, "high"]).dictionary_encode()})
    rows = gan.sample(conditions=known, random_state=0)
    assert rows["grade"].iloc[[0, 2]].tolist() == ["low", "high"]
    assert rows["grade"].dtype == mixed_table()["grade"].dtype


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"age": (200, 300)}, "no value that the model can make"),
        ({"age": 30.5}, "no value that the model can make"),
        ({"age": (40, 30)}, "ends before it begins"),
        ({"age": "old"}, "not a value of it"),
        ({"age": (1, 2, 3)}, "pair"),
        ({"age": float("inf")}, "'age'"),
        ({"sex": "Robot"}, "'sex'"),
        ({"sex": 3}, "'sex'"),
        ({"sex": ("A", "B")}, "no ranges"),
        ({"age": MISSING}, "never missing"),
        ({"height": 3}, "No column 'height'"),
    ],
)
def test_impossible_conditions_say_why(
    adult_gan: TabularGAN, condition: dict[str, object], message: str
) -> None:
    with pytest.raises(ConditionError, match=message):
        adult_gan.sample(5, conditions=condition)


def test_rare_combination_warns_and_holds(adult_gan: TabularGAN) -> None:
    conditions = {"education": "Doctorate", "age": (17, 19), "native_country": "Mexico"}
    with pytest.warns(DataWarning, match="probability"):
        rows = adult_gan.sample(20, conditions=conditions)
    assert (rows["education"] == "Doctorate").all()
    assert rows["age"].between(17, 19).all()


def test_identifier_cannot_be_asked_for(gan: TabularGAN) -> None:
    with pytest.raises(ConditionError, match="identifier"):
        gan.sample(3, conditions={"patient": "P-00001"})


def numbers() -> TableEncoder:
    rng = np.random.default_rng(0)
    whole = np.r_[np.full(50, 7), rng.integers(5000, 50_000, 2000)]
    table = pa.table(
        {
            "whole": whole,
            "small": pa.array(np.tile([0.1, 0.2, 0.3], 700)[: len(whole)], pa.float32()),
            "real": rng.normal(size=len(whole)),
            "holes": pa.array([1, 2, None, 4, 5] * 410),
        }
    )
    return TableEncoder.fit(table, infer_schema(table), max_tokens=10)


def test_listed_numbers_have_the_odds_of_the_model() -> None:
    encoder = numbers()
    (found,) = parse_conditions({"whole": [7, 20_000, 20_001]}, encoder)
    coder = encoder.coder("whole")
    spike, bin_ = coder.tokens_of(np.array([7, 20_000]))
    assert found.weights[spike] == 1
    width = np.diff(coder.knots[bin_])
    piece = width[np.searchsorted(coder.knots[bin_], 20_000) - 1]
    assert found.weights[bin_] == pytest.approx(2 / piece / 8)
    (single,) = parse_conditions({"whole": 20_000}, encoder)
    assert single.weights.max() == 1
    (real,) = parse_conditions({"real": [0.0, 0.5]}, encoder)
    assert (real.weights > 0).sum() == 2


def test_numbers_of_narrow_floats_are_found() -> None:
    encoder = numbers()
    for wanted in (0.1, [0.1, 0.3], (0.1, 0.1), (0.3, None)):
        (found,) = parse_conditions({"small": wanted}, encoder)
        assert found.weights.sum() == len(np.atleast_1d(wanted)) - (isinstance(wanted, tuple))
    with pytest.raises(ConditionError, match="no value"):
        parse_conditions({"small": 1e300}, encoder)


def test_missing_among_others(adult_gan: TabularGAN) -> None:
    for missing in (None, MISSING, float("nan"), pd.NA):
        (found,) = parse_conditions({"holes": [4, missing]}, numbers())
        assert found.weights.sum() == 2
        assert found.weights[-1] == 1
    rows = adult_gan.sample(400, conditions={"occupation": ["Sales", None]}, random_state=0)
    assert set(rows["occupation"].fillna("none")) == {"Sales", "none"}
    with pytest.raises(ConditionError, match="never missing"):
        adult_gan.sample(3, conditions={"age": [30, None]})


def test_a_list_with_numbers_and_missing_cells() -> None:
    frame = pd.DataFrame({"x": pd.array([1, 2, None, 4, 5] * 60, "Int64"), "y": np.arange(300) % 7})
    drawn = tiny_gan().fit(frame).sample(300, conditions={"x": [4, None]}, random_state=0)
    assert set(drawn["x"].fillna(-1)) == {4, -1}


@pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")
def test_many_conditions_are_no_contradiction() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(2, size=(200, 40)) == 1).add_prefix("c")
    gan = tiny_gan().fit(frame)
    wanted = frame.iloc[0].to_dict()
    assert (gan.sample(3, conditions=wanted, random_state=0) == frame.iloc[0]).all(axis=None)


def test_known_cells_of_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "s": ["a", "b", None, "c"] * 50,
            "c": polars.Series(["u", "v", "u", None] * 50, dtype=polars.Categorical),
            "x": [1.5, 2.5, 3.0, None] * 50,
        }
    )
    gan = tiny_gan().fit(frame)
    filled = gan.impute(frame, random_state=0)
    assert filled.schema == frame.schema
    assert filled.null_count().sum_horizontal().item() == 0
    assert filled["s"][:2].to_list() == ["a", "b"]
    rows = gan.sample(conditions=frame.select("c", "s")[:4], random_state=0)
    assert rows["c"][:3].to_list() == ["u", "v", "u"]
    assert set(gan.sample(9, conditions={"s": "b"})["s"]) == {"b"}


def test_known_cells_without_any_value_or_column(gan: TabularGAN) -> None:
    known = pd.DataFrame({"grade": ["low", "high"], "seen": [np.nan, np.nan]})
    rows = gan.sample(conditions=known, random_state=0)
    assert rows["grade"].tolist() == ["low", "high"]
    assert rows["seen"].dtype == mixed_table()["seen"].dtype
    with pytest.raises(DataError, match="no columns"):
        gan.sample(conditions=pd.DataFrame(index=range(5)))


def test_new_levels_beyond_the_codes_of_a_category() -> None:
    known = pd.Series([f"k{j}" for j in range(100)] * 6)
    rare = pd.Series([f"r{j}" for j in range(20)])
    frame = pd.DataFrame(
        {"c": pd.concat([known, rare]).astype("category"), "x": np.arange(620) % 7}
    )
    gan = tiny_gan().fit(frame)
    holes = pd.DataFrame({"c": [f"n{j}" for j in range(60)], "x": None})
    filled = gan.impute(holes.astype({"c": "category", "x": "Int64"}), random_state=0)
    assert filled["c"].tolist() == holes["c"].tolist()


def test_the_only_column_has_its_marginal_probabilities() -> None:
    frame = pd.DataFrame({"s": ["a", "b", "b"] * 100})
    found = tiny_gan().fit(frame).level_probabilities(frame[:2], "s")
    assert found.shape == (2, 2)
    np.testing.assert_allclose(found.iloc[0], [1 / 3, 2 / 3], atol=0.02)


def test_columns_of_few_values_and_lists_of_missing_ones() -> None:
    frame = pd.DataFrame({"few": [1.0, 2.0, 3.0] + [None] * 397, "x": np.arange(400) % 7})
    gan = tiny_gan().fit(frame)
    for wanted in ([None], [1.0, None], None):
        assert gan.sample(5, conditions={"few": wanted})["few"].isna().all()
    with pytest.raises(ConditionError, match="no value that the model can make"):
        gan.sample(5, conditions={"few": [1.0]})


def test_continuous_numbers_stand_for_their_bin() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(2000) < 0.1, np.nan, rng.normal(size=2000))
    table = pa.table({"x": pa.array(x, from_pandas=True)})
    encoder = TableEncoder.fit(table, infer_schema(table), max_tokens=10)
    (found,) = parse_conditions({"x": [0.123, None]}, encoder)
    assert found.weights.tolist().count(1) == 2
    (found,) = parse_conditions({"x": [0.01, 0.011, 2.0]}, encoder)
    assert found.weights.tolist().count(1) == 2
    assert found.odds is not None
    np.testing.assert_allclose(found.odds, [0.5, 0.5, 1], atol=0.1)


def test_dates_of_numpy_are_no_numbers() -> None:
    with pytest.raises(ConditionError, match="is not a value of it"):
        parse_conditions({"real": np.datetime64("1970-01-02")}, numbers())
    days = pd.DataFrame({"day": pd.to_datetime(["2020-02-01", None, "2020-03-01"] * 40)})
    found = tiny_gan().fit(days.assign(x=np.arange(120) % 7))
    wanted = np.array(["2020-02-01", "NaT"], "datetime64[ns]")
    drawn = found.sample(200, conditions={"day": wanted}, random_state=0)["day"]
    assert set(drawn.dropna()) == {pd.Timestamp("2020-02-01")}
    assert drawn.isna().any()
