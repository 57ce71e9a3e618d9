"""Each failure is planted and must be named."""

import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.attacks.copies import exact_match_rate
from synthgan.evaluate.diagnosis import diagnose, read_history
from synthgan.evaluate.fidelity import coverage
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables


def names(train, synthetic, holdout=None, history=None):
    tables = read_tables(train, synthetic, holdout)
    setting = Setting(tables.train, tables.holdout)
    scores = [exact_match_rate(tables.train, tables.holdout, tables.synthetic)]
    scores += coverage.measure(setting, tables.synthetic).scores
    by_name = {score.name: score for score in scores}
    found = diagnose(setting, tables.synthetic, by_name, history)
    return {finding.name: finding for finding in found}


def test_fresh_rows_have_no_fault(people, other_people):
    assert names(people, other_people, other_people) == {}


def test_bootstrap_and_copies(people, other_people):
    found = names(people.dropna(), people.dropna(), other_people.dropna())
    assert set(found) == {"copied rows"}
    assert "100.00%" in found["copied rows"].message
    assert "weight_decay" in found["copied rows"].advice


def test_case34_missing_level(people, other_people):
    found = names(people, other_people[other_people["city"] != "Lima"])
    assert found["missing levels"].columns == ("city",)
    assert "'Lima'" in found["missing levels"].message


def test_rare_level_names_stay_inside(people):
    train = pd.DataFrame({"c": ["a"] * 500 + ["secret"] * 9})
    synthetic = pd.DataFrame({"c": ["a"] * 5000})
    message = names(train, synthetic)["missing levels"].message
    assert "secret" not in message
    assert "'c' lacks 1 rare level." in message


def test_pairs_of_columns_with_many_levels():
    rng = np.random.default_rng(0)
    keys = [[f"{name}{k}" for k in rng.permutation(30_000)] for name in "ab"]
    half = [pd.DataFrame({"a": keys[0][k::2], "b": keys[1][k::2]}) for k in range(2)]
    assert "missing pairs" not in names(*half)


def test_case34_missing_pair(people, other_people):
    part = other_people[~((other_people["city"] == "Oslo") & (other_people["job"] == "clerk"))]
    found = names(people, part)["missing pairs"]
    assert {"job", "city"} <= set(found.columns)
    assert "steps" in found.advice


def test_case34_dropped_region():
    rng = np.random.default_rng(0)
    centre = np.repeat([[0, 0, 0], [9, 0, 9], [0, 9, 9]], 500, axis=0)
    train = pd.DataFrame(rng.normal(size=(1500, 3)) + centre, columns=list("xyz"))
    found = names(train, train[:1000] + rng.normal(size=(1000, 3)) * 0.01)
    assert "mode dropping" in found["dropped region"].advice


def test_repeated_rows_and_constant_column(people, other_people):
    few = other_people.head(30)
    repeated = pd.concat([few] * 30, ignore_index=True)
    assert "repeated rows" in names(people, repeated)
    constant = other_people.assign(age=30)
    assert names(people, constant)["constant column"].columns == ("age",)


def curve(validation, loss=None, phase="likelihood", **more):
    loss = loss if loss is not None else validation
    return [
        {"phase": phase, "validation": v, "loss": x, **{k: s[i] for k, s in more.items()}}
        for i, (v, x) in enumerate(zip(validation, loss, strict=True))
    ]


FLAT = np.r_[np.linspace(3, 1, 10), np.full(20, 1.0)]
CRITIC = {"phase": "adversarial"}

CURVES = {
    "ok": curve(FLAT),
    "still improving": curve(np.linspace(3, 1, 20)),
    "overfitting": curve(
        np.r_[np.linspace(3, 1, 10), np.linspace(1, 1.3, 10)], np.linspace(3, 0.5, 20)
    ),
    "critic too strong": curve(
        np.full(12, 1.0), **CRITIC, sign_real=[0.99] * 12, sign_fake=[0.02] * 12, penalty=[0.1] * 12
    ),
    "collapsing": curve(
        np.r_[np.full(9, 1.0), 1.5, 2, 3],
        **CRITIC,
        sign_real=[0.6] * 12,
        sign_fake=[0.4] * 12,
        penalty=[0.1] * 12,
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_read(people, other_people, name):
    (finding,) = read_history(CURVES[name])
    assert finding.name == name
    assert bool(finding.advice) == (name != "ok")
    assert (finding.severity == "warning") == (name != "ok")
    assert name in names(people, other_people, other_people, CURVES[name])


def test_a_burst_of_the_penalty_is_a_collapse():
    steady = {"sign_real": [0.6] * 12, "sign_fake": [0.4] * 12}
    burst = curve(np.full(12, 1.0), **CRITIC, **steady, penalty=[0.1] * 10 + [5.0, 9.0])
    assert read_history(burst)[0].name == "collapsing"
    calm = curve(np.full(12, 1.0), **CRITIC, **steady, penalty=[0.1] * 12)
    assert read_history(calm)[0].name == "ok"


def test_phases_are_read_apart():
    found = read_history([*CURVES["overfitting"], *CURVES["critic too strong"]])
    assert [finding.name for finding in found] == ["overfitting", "critic too strong"]
    assert read_history(curve([1.0, 0.9]))[0].message.endswith("too few to read a trend.")


def test_a_real_fit_is_fine(gan, adult):
    findings = read_history(gan.history_)
    assert len(findings) == len({entry["phase"] for entry in gan.history_})
    assert all(finding.name in ("ok", "still improving") for finding in findings)
