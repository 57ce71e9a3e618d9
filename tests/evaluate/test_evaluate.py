import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from synthgan.evaluate import evaluate
from synthgan.evaluate.learners import check_booster
from synthgan.evaluate.verdict import has_power, verdict
from synthgan.exceptions import DataError, ParameterError


def test_the_whole(people, other_people):
    report = evaluate(
        people, people.sample(300), holdout=other_people, target="rich", sensitive=["city"]
    )
    sections = {score.section for score in report.scores.values()}
    assert sections == {"fidelity", "utility", "privacy"}
    for name, score in report.scores.items():
        rows = set(score.references)
        if score.section == "privacy":
            assert rows == {"copy_of_train", "fresh_rows"}
        elif score.section == "fidelity":
            assert rows == {"independent_columns", "bootstrap", "holdout"}
        elif name.startswith(("tstr", "utility_ratio", "global", "worst")):
            assert rows == {"independent_columns", "bootstrap"}
    without = [name for name, score in report.scores.items() if score.value is None]
    absent = {"singling_out_lift", "rare_level_recall", "near_copy_rate"}
    assert set(without) <= {*absent, "membership_tpr_at_1pct_fpr"}  # 225 control rows are too few
    no_interval = [k for k, s in report.scores.items() if s.value is not None and not s.interval]
    assert no_interval == []


def test_quick_is_a_part_of_full(people, other_people):
    arguments = {"holdout": other_people, "target": "rich"}
    quick = evaluate(people, other_people, level="quick", **arguments)
    full = evaluate(people, other_people, **arguments)
    assert set(quick.scores) < set(full.scores)
    for name, score in quick.scores.items():
        assert score == full.scores[name]  # tables of fewer than 10,000 rows are not cut


def test_without_holdout_and_target(people, independent):
    scores = evaluate(people, independent).scores
    assert not any(name.startswith(("tstr", "trtr", "utility")) for name in scores)
    for name, score in scores.items():
        if score.section == "privacy" and name != "exact_match_rate":
            assert "holdout" in score.reason
    assert scores["c2st_auc"].value > 0.9
    assert scores["c2st_auc"].references["bootstrap"] < 0.6


def test_a_foreign_holdout_is_named(people, other_people):
    moved = other_people.assign(age=other_people["age"] + 40)
    found = evaluate(people, people.sample(500), holdout=moved, level="quick").findings
    assert "foreign holdout" in {finding["name"] for finding in found}


def test_attacks_know_their_power(people, other_people, make_people):
    scores = evaluate(people, other_people.head(450), holdout=other_people.tail(450)).scores
    for name in ("membership_auc", "attribute_inference_lift", "linkability_lift"):
        assert has_power(scores[name]) is True
    constant = pd.DataFrame({"a": [1.0] * 200, "b": ["x"] * 200})
    blunt = evaluate(constant, constant, holdout=constant, level="quick").scores["membership_auc"]
    assert verdict(blunt) == "unknown"
    assert "no power here" in blunt.note
    copied = evaluate(people, people, holdout=make_people(1800, 1)).scores
    assert verdict(copied["membership_auc"]) == "poor"
    assert copied["membership_tpr_at_1pct_fpr"].interval[0] > 0.03


def test_a_recipe_that_copies_is_caught_by_shadow_models(people, other_people, make_people):
    def bootstrap(frame, seed):
        return frame.sample(len(frame), replace=True, random_state=seed)

    def strangers(frame, seed):
        return make_people(len(frame), 100 + seed)

    found = [
        evaluate(
            people,
            other_people,
            holdout=other_people,
            level="quick",
            shadow_recipe=recipe,
            shadow_models=16,
        ).scores["shadow_auc"]
        for recipe in (bootstrap, strangers)
    ]
    assert found[0].interval[0] > 0.65
    for score in found:
        assert has_power(score) is True
        assert score.references["copy_of_train"] > 0.8
        assert score.references["fresh_rows"] < 0.6
    assert found[1].interval[0] < 0.5 < found[1].interval[1] + 0.02


def test_same_seed_same_dict(people, other_people):
    arguments = {"holdout": other_people.head(300), "target": "rich", "level": "quick"}
    first, second = (
        evaluate(people, other_people, random_state=seed, **arguments).to_dict() for seed in (3, 3)
    )
    assert first == second
    third = evaluate(people, other_people, random_state=4, **arguments).to_dict()
    assert first["scores"] != third["scores"]


def test_no_global_generator_is_touched(people, other_people):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    evaluate(people, other_people, random_state=None)
    evaluate(people, other_people, random_state=np.random.default_rng(0))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_tables_are_left_as_they_were(people, other_people):
    copies = people.copy(), other_people.copy()
    evaluate(people, other_people, holdout=other_people, target="age", level="quick")
    pd.testing.assert_frame_equal(people, copies[0])
    pd.testing.assert_frame_equal(other_people, copies[1])


def test_container_does_not_matter(people, other_people, tmp_path):
    people.to_parquet(tmp_path / "train.parquet")
    expected = evaluate(people, other_people).to_dict()
    found = evaluate(str(tmp_path / "train.parquet"), pl.from_pandas(other_people)).to_dict()
    assert found == expected


def test_range_index_and_column_order_do_not_matter(people, other_people):
    moved = other_people[other_people.columns[::-1]].set_axis(range(5, 905))
    assert evaluate(people, moved).to_dict() == evaluate(people, other_people).to_dict()


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_tiny_tables(people, other_people, rows):
    report = evaluate(people, people.head(rows), holdout=other_people.head(rows), target="rich")
    assert report.scores["c2st_auc"].value is None
    assert report.scores["shape_error"].value is not None
    both = evaluate(people.head(rows), people.head(rows), holdout=people.head(rows), target="age")
    assert "value" in str(both)


ODD_COLUMNS = {
    "one": 1.0,
    "same": "x",
    "nothing": np.nan,
    "none": None,
    "huge": 1e139,
    "not a time": pd.NaT,
    "code": pd.Categorical(["a"] * 60, categories=["a", "b"]),
    "big": np.arange(60) + 2**60,
    "nullable": pd.array([1, None] * 30, dtype="Int64"),
    "tiny": np.linspace(0, 1e-300, 60),
    "": "empty name",
}


@pytest.mark.parametrize("target", [None, *ODD_COLUMNS, "rich"])
def test_odd_columns_never_crash(people, other_people, target, tmp_path):
    train = people.head(60).assign(**ODD_COLUMNS)
    other = other_people.head(60).assign(**ODD_COLUMNS)
    report = evaluate(train, other, holdout=other, target=target)
    report.to_html(tmp_path / "r.html")
    for score in report.scores.values():
        assert (score.value is None) == (score.reason is not None)


def test_only_one_odd_column():
    for values in ODD_COLUMNS.values():
        frame = pd.DataFrame({"a": values}, index=range(60))
        report = evaluate(frame, frame, holdout=frame, target="a")
        assert report.scores["trend_error"].value is None
        report._repr_html_()


def test_unseen_levels_and_classes(people, other_people):
    synthetic = other_people.assign(city="Paris", rich=True)
    report = evaluate(people, synthetic, holdout=other_people, target="rich", level="quick")
    assert "one class" in report.scores["tstr_boosting_auc"].reason
    assert report.scores["trtr_boosting_auc"].value is not None
    paris = other_people.assign(city="Paris")
    again = evaluate(people, paris, holdout=other_people, target="city", level="quick")
    assert "one class" in again.scores["tstr_linear_auc"].reason


def test_wide_table():
    rng = np.random.default_rng(0)
    numbers = {f"x{i}": rng.normal(size=60) for i in range(200)}
    frame = pd.DataFrame(numbers | {f"c{i}": rng.choice(list("abc"), 60) for i in range(100)})
    other = frame.sample(60, replace=True, random_state=0)
    report = evaluate(frame, other, holdout=other, target="c0", level="quick")
    data = report.to_dict()
    assert data["n_pairs"] == 300 * 299 // 2
    assert len(data["pairs"]) == 5000
    assert len(data["marginals"]) == len(data["heat_map"]["columns"]) == 30


def test_bad_input(people):
    with pytest.raises(DataError, match="0 rows"):
        evaluate(people, people.head(0))
    with pytest.raises(DataError, match="lacks 'age'"):
        evaluate(people, people.drop(columns="age"))
    with pytest.raises(DataError, match="target"):
        evaluate(people, people, target="height")
    with pytest.raises(DataError, match="No such file"):
        evaluate("nowhere.parquet", people)
    with pytest.raises(ParameterError, match="booster must be one of"):
        evaluate(people, people, booster="oracle")
    with pytest.raises(ParameterError, match="random_state"):
        evaluate(people, people, random_state="0")
    with pytest.raises(ParameterError, match="level must be"):
        evaluate(people, people, level="deep")
    with pytest.raises(ParameterError, match="shadow_models must be"):
        evaluate(people, people, shadow_models=2)
    with pytest.raises(ParameterError, match="callable"):
        evaluate(people, people, shadow_recipe="bootstrap")
    with pytest.raises(ParameterError, match="list of column names"):
        evaluate(people, people, sensitive="city")
    with pytest.raises(DataError, match="sensitive names no column"):
        evaluate(people, people, sensitive=["height"])


def test_missing_xgboost_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ParameterError, match="pip install"):
        check_booster("xgboost")


def test_progress_goes_to_standard_error(people, capsys):
    evaluate(people.head(50), people.tail(50), progress=True)
    shown = capsys.readouterr()
    assert "evaluate" in shown.err
    assert shown.out == ""


def test_no_torch():
    code = "import sys, synthgan.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
