"""Samples with wanted shares: exact counts, the model's dependence kept, changes said."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fixtures import tiny_gan
from hypothesis import given
from hypothesis import strategies as st

from synthgan import MISSING, TrainingOptions
from synthgan.augment import decouple, rebalance
from synthgan.augment.rebalancing import _counts
from synthgan.exceptions import ConditionError, ParameterError


def people(rows=1500, seed=0):
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], rows, p=[0.3, 0.7])
    rich = rng.random(rows) < np.where(sex == "m", 0.5, 0.2)
    return pd.DataFrame(
        {
            "sex": sex,
            "income": np.where(rich, "high", "low"),
            "age": (rng.normal(40, 10, rows) + 15 * rich).round().astype(int),
            "town": pd.array(rng.choice(["a", "b", None], rows), dtype="string"),
        }
    )


@pytest.fixture(scope="module")
def model():
    return tiny_gan(options=TrainingOptions(steps=200, batch_size=256)).fit(people())


def test_one_column_has_its_shares_and_the_rest_moves_along(model):
    found = rebalance(model, 1001, {"income": {"high": 0.9, "low": 0.1}}, random_state=0)
    assert found.rows["income"].value_counts().to_dict() == {"high": 901, "low": 100}
    assert found.rows.dtypes.tolist() == people(5).dtypes.tolist()
    assert found.rows["age"].mean() > people()["age"].mean() + 4
    assert "age" in found.warning
    assert "not for estimates" in str(found)
    assert found.cells["before"].sum() == pytest.approx(1)
    again = rebalance(model, 1001, {"income": {"high": 0.9, "low": 0.1}}, random_state=0)
    pd.testing.assert_frame_equal(again.rows, found.rows)


def test_margins_of_two_columns_keep_their_dependence(model):
    wanted = {"sex": {"f": 0.5, "m": 0.5}, "income": {"high": 0.5, "low": 0.5}}
    found = rebalance(model, 2000, wanted, random_state=0)
    table = pd.crosstab(found.rows["sex"], found.rows["income"])
    assert table.sum(axis=0).to_dict() == {"high": 1000, "low": 1000}
    assert table.sum(axis=1).to_dict() == {"f": 1000, "m": 1000}
    odds = table.loc["m", "high"] * table.loc["f", "low"]
    odds /= table.loc["m", "low"] * table.loc["f", "high"]
    before = found.cells["before"].to_numpy()
    assert odds == pytest.approx(before[2] * before[1] / before[3] / before[0], rel=0.05)


def test_joint_shares_ranges_and_gaps(model):
    parts = [({"age": (None, 39), "sex": "f"}, 0.25), ({"age": (40, None), "town": MISSING}, 0.75)]
    rows = rebalance(model, 400, parts, random_state=0).rows
    young = rows["age"] < 40
    assert young.sum() == 100
    assert (rows["sex"][young] == "f").all()
    assert rows["town"][~young].isna().all()


def test_decoupled_columns_are_independent(model):
    found = decouple(model, 4000, "sex", "income", random_state=0)
    rates = (found.rows["income"] == "high").groupby(found.rows["sex"]).mean()
    assert abs(rates["f"] - rates["m"]) < 0.002  # whole numbers only
    assert found.rows["sex"].eq("f").mean() == pytest.approx(0.3, abs=0.05)
    link = found.pairs[(found.pairs[["column_1", "column_2"]] == ["sex", "income"]).all(axis=1)]
    assert link["after"].item() < 0.05 < link["before"].item()
    assert "sex with income" in found.warning


def test_the_form_of_the_table_is_kept():
    gan = tiny_gan().fit(pl.from_pandas(people(200)))
    found = rebalance(gan, 50, {"sex": {"f": 1.0}}, random_state=0)
    assert isinstance(found.rows, pl.DataFrame)
    assert found.rows["sex"].to_list() == ["f"] * 50


def test_labels_and_cells_of_any_kind():
    frame = people(400).set_axis([1, 0, 7, 3], axis=1)
    frame[9] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(400) % 60, "D")
    frame["flag"] = np.resize(np.array([True, False, None], object), 400)
    gan = tiny_gan(options=TrainingOptions(steps=200, batch_size=256)).fit(frame)
    found = rebalance(gan, 100, {1: {"f": 0.5, "m": 0.5}}, random_state=0)
    assert found.rows[1].value_counts().to_dict() == {"f": 50, "m": 50}
    assert found.cells["before"].to_numpy() == pytest.approx([0.3, 0.7], abs=0.1)
    days = {("2024-01-01", "2024-01-15"): 0.9, ("2024-01-16", "2024-02-29"): 0.1}
    rows = rebalance(gan, 100, {9: days}, random_state=0).rows
    assert (rows[9] <= "2024-01-15").sum() == 90
    gaps = rebalance(gan, 100, {"flag": {True: 0.5, MISSING: 0.5}}, random_state=0).rows
    assert gaps["flag"].isna().sum() == 50
    with pytest.raises(ConditionError, match="no column 8"):
        rebalance(gan, 100, {8: {"f": 1.0}})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 10**6))
def test_counts_are_whole_and_sum_up(weights, total):
    shares = (np.array(weights) + 1e-3) / (np.sum(weights) + 1e-3 * len(weights))
    counts = _counts(shares, total)
    assert counts.sum() == total
    assert (np.abs(counts - shares * total) < 1 + 1e-6).all()


@pytest.mark.parametrize(
    ("shares", "error", "message"),
    [
        ({"sex": {"f": 0.5, "m": 0.6}}, ParameterError, "sum to 1"),
        ({"sex": {"f": 1.5, "m": -0.5}}, ParameterError, "at least 0"),
        ({"sex": {}}, ParameterError, "sum to 1"),
        ([], ParameterError, "sum to 1"),
        ({"sex": {"x": 1.0}}, ConditionError, "'sex': none of 1"),
    ],
)
def test_bad_shares(model, shares, error, message):
    with pytest.raises(error, match=message):
        rebalance(model, 10, shares, random_state=0)


def test_bad_arguments(model):
    with pytest.raises(ParameterError, match="n_samples"):
        rebalance(model, 0, {"sex": {"f": 1.0}})
    with pytest.raises(ParameterError, match="'age' is no column of levels"):
        decouple(model, 10, "sex", "age")
    arrays = tiny_gan().fit(np.zeros((60, 2)), np.repeat([0, 1], 30))
    with pytest.raises(ParameterError, match="one table"):
        rebalance(arrays, 10, {"0": {0: 1.0}})
