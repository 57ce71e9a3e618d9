import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from synthgan.evaluate.fidelity.columns import measure
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables


def look(train, synthetic):
    tables = read_tables(train, synthetic)
    found = measure(Setting(tables.train, None), tables.synthetic)
    figures = found.details["column_figures"].set_index("column")
    return {score.name: score for score in found.scores}, figures


def test_wasserstein_agrees_with_scipy(people, other_people):
    scores, figures = look(people, other_people)
    a, b = (frame["wage"].dropna() for frame in (people, other_people))
    expected = wasserstein_distance(a, b) / a.std(ddof=0)
    assert figures.loc["wage", "wasserstein"] == pytest.approx(expected)
    assert scores["wasserstein"].value == pytest.approx(figures["wasserstein"].mean())


def test_counted_by_hand():
    train = pd.DataFrame(
        {"x": [0.0] * 50 + list(range(1, 51)), "c": ["a"] * 98 + ["b", "b"], "m": [np.nan, 1] * 50}
    )
    synthetic = pd.DataFrame(
        {"x": [0.0] * 40 + [25.0] * 60, "c": ["a"] * 100, "m": [np.nan, 1, 1, 1] * 25}
    )
    scores, figures = look(train, synthetic)
    assert figures.loc["x", "spike_error"] == pytest.approx(10)
    assert figures.loc["x", "range_coverage"] == pytest.approx(0.5)
    assert figures.loc["m", "missing_rate_error"] == pytest.approx(25)
    assert figures.loc["c", "level_recall"] == pytest.approx(0.98)
    assert np.isnan(figures.loc["c", "rare_level_recall"])  # 2 % is not rare
    assert scores["violation_rate"].value == 0.0


@pytest.mark.parametrize(
    ("column", "bad"),
    [("city", "Paris"), ("age", 300), ("age", 30.5), ("city", None)],
)
def test_violations(people, other_people, column, bad):
    within = other_people[other_people["age"].between(people["age"].min(), people["age"].max())]
    within = within[
        within["wage"].isna() | within["wage"].between(people["wage"].min(), people["wage"].max())
    ]
    within = within[within["day"].between(people["day"].min(), people["day"].max())]
    within = within.reset_index(drop=True)
    assert look(people, within)[0]["violation_rate"].value == 0.0
    wrong = within.astype({"age": float})
    wrong.loc[:9, column] = bad
    score = look(people, wrong)[0]["violation_rate"]
    assert score.value == pytest.approx(10 / len(within))


def test_rare_levels_are_looked_for():
    train = pd.DataFrame({"c": ["a"] * 990 + [f"r{k // 2}" for k in range(10)], "d": ["x"] * 1000})
    kept = look(train, train)[0]["rare_level_recall"]
    lost = look(train, train.replace(r"r[01234]", "a", regex=True))[0]["rare_level_recall"]
    assert (kept.value, lost.value) == (1.0, 0.0)


def test_floor_lies_inside_and_defects_outside_the_interval(people, other_people):
    good = look(people, other_people)[0]["wasserstein"]
    bad = look(people, other_people.assign(wage=other_people["wage"] * 3))[0]["wasserstein"]
    assert good.interval[1] < bad.interval[0]


def test_nothing_to_measure_says_why():
    nothing = pd.DataFrame({"a": [np.nan] * 30, "b": [1.0] * 30})
    scores, _ = look(nothing, nothing)
    for name in ("wasserstein", "range_coverage", "level_recall", "rare_level_recall"):
        assert scores[name].reason
