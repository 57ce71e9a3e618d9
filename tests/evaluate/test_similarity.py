import warnings

import numpy as np
import pandas as pd
import pytest
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.single_column import KSComplement, TVComplement

from synthgan.evaluate.fidelity.similarity import similarity
from synthgan.evaluate.tables import read_tables

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # this report is deprecated in newer releases, which keep its numbers
    from sdmetrics.reports.single_table import QualityReport

EXACT = {"abs": 1e-9, "nan_ok": True}


def compare(train, synthetic):
    tables = read_tables(train, synthetic)
    return similarity(tables.train, tables.synthetic)


def values(found):
    return {score.name: score.value for score in found.scores}


def sdmetrics_report(train, synthetic, *, thresholds):
    """Return (shape %, trend %, column details, pair details) of the library."""
    tables = read_tables(train, synthetic)
    sdtypes = {}
    for column in tables.train.columns:
        numerical = "datetime" if column.family == "datetime" else "numerical"
        sdtypes[column.name] = {
            "sdtype": numerical if column.kind == "numerical" else "categorical"
        }
    report = QualityReport()
    if not thresholds:
        report.real_correlation_threshold = report.real_association_threshold = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.generate(train, synthetic, {"columns": sdtypes}, verbose=False)
    scores = 100 * (1 - report.get_properties().set_index("Property")["Score"])
    details = [report.get_details(name) for name in ("Column Shapes", "Column Pair Trends")]
    return scores["Column Shapes"], scores["Column Pair Trends"], *details


def awkward(people):
    """Missing values everywhere, constants, an all-missing column and unseen levels."""
    rng = np.random.default_rng(3)
    frame = people.assign(
        one=1.0, same="x", nothing=np.nan, heavy=np.exp(3 * rng.normal(size=len(people)))
    )
    frame.loc[rng.random(len(frame)) < 0.2, "heavy"] = np.nan
    frame.loc[rng.random(len(frame)) < 0.2, "same"] = None
    return frame


@pytest.mark.parametrize("thresholds", [False, True])
@pytest.mark.parametrize("case", ["plain", "awkward", "independent", "new levels"])
def test_every_figure_agrees_with_sdmetrics(people, other_people, independent, case, thresholds):
    train, synthetic = {
        "plain": (people, other_people),
        "awkward": (awkward(people), awkward(other_people)),
        "independent": (people, independent),
        "new levels": (people, other_people.replace({"city": {"Rome": "Paris"}})),
    }[case]
    shape, trend, columns, pairs = sdmetrics_report(train, synthetic, thresholds=thresholds)
    found = compare(train, synthetic)
    assert values(found)["shape_error"] == pytest.approx(shape, abs=1e-9)
    name = "trend_error_default_thresholds" if thresholds else "trend_error"
    assert values(found)[name] == pytest.approx(trend, abs=1e-9)
    theirs = 100 * (1 - columns.set_index("Column")["Score"])
    ours = found.columns.set_index("column")["error"]
    assert ours[theirs.index].to_numpy() == pytest.approx(theirs.to_numpy(), **EXACT)
    theirs = pairs.set_index(["Column 1", "Column 2"])
    ours = found.pairs.set_index(["column_1", "column_2"]).loc[theirs.index]
    errors = 100 * (1 - theirs["Score"])
    if thresholds:
        counted = theirs["Meets Threshold?"].fillna(False).astype(bool)
        kept = errors.notna() & counted
        assert (ours["counted_by_default"] & ours["error"].notna()).equals(kept)
        errors, ours = errors[kept], ours[kept]
    assert ours["error"].to_numpy() == pytest.approx(errors.to_numpy(), **EXACT)


def test_range_matched_agrees_with_the_metric_class(people, other_people):
    found = compare(people, other_people).pairs.set_index(["column_1", "column_2"])
    for number, category in [("age", "city"), ("wage", "job")]:
        pair = [number, category]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score = ContingencySimilarity.compute(
                people[pair].copy(), other_people[pair].copy(), continuous_column_names=[number]
            )
        assert found.loc[tuple(pair), "error_range_matched"] == pytest.approx(100 * (1 - score))


def test_metric_classes(people, other_people):
    found = compare(people, other_people)
    errors = found.columns.set_index("column")["error"]
    assert errors["wage"] == pytest.approx(
        100 * (1 - KSComplement.compute(people["wage"], other_people["wage"])), abs=1e-9
    )
    assert errors["job"] == pytest.approx(
        100 * (1 - TVComplement.compute(people["job"], other_people["job"])), abs=1e-9
    )
    pair = ["age", "wage"]
    score = CorrelationSimilarity.compute(people[pair], other_people[pair])
    pairs = found.pairs.set_index(["column_1", "column_2"])["error"]
    assert pairs[tuple(pair)] == pytest.approx(100 * (1 - score), abs=1e-9)


def test_counted_by_hand():
    train = pd.DataFrame({"a": ["x", "x", "y", "y"], "b": ["p", "p", "q", "q"]})
    synthetic = pd.DataFrame({"a": ["x", "x", "x", "y"], "b": ["p", "q", "q", "q"]})
    found = compare(train, synthetic)
    assert found.columns["error"].tolist() == pytest.approx([25, 25])
    pairs = found.pairs
    # train: xp 1/2, yq 1/2; synthetic: xp 1/4, xq 1/2, yq 1/4
    assert pairs["error"].tolist() == pytest.approx([50])
    assert pairs["association"].tolist() == pytest.approx([1])


def test_ks_counted_by_hand():
    found = compare(pd.DataFrame({"a": [1, 2, 3, 4]}), pd.DataFrame({"a": [3, 4, 5, 6]}))
    assert found.columns["error"].tolist() == pytest.approx([50])
    assert values(found)["trend_error"] is None
    assert "pair" in found.scores[1].reason


def test_one_extreme_value_decides_own_range_trend_only(people):
    moved = people.copy()
    moved.loc[0, "wage"] = 1e4
    pairs = compare(people, moved).pairs.set_index(["column_1", "column_2"])
    assert pairs.loc[("wage", "city"), "error"] > 10
    assert pairs.loc[("wage", "city"), "error_range_matched"] < 0.5


def test_worst_comes_first(people, other_people):
    bad = other_people.assign(city="Lima")
    found = compare(people, bad)
    assert found.columns["column"][0] == "city"
    assert "city" in found.pairs.loc[0, ["column_1", "column_2"]].tolist()
    assert found.pairs["error"].dropna().is_monotonic_decreasing


def test_high_cardinality_takes_the_sparse_path():
    rng = np.random.default_rng(0)
    train = pd.DataFrame({c: rng.integers(0, 3000, 4000).astype(str) for c in "ab"})
    synthetic = train.sample(frac=1, replace=True, random_state=0)
    found = compare(train, synthetic)
    score = ContingencySimilarity.compute(train, synthetic)
    assert found.pairs["error"][0] == pytest.approx(100 * (1 - score), abs=1e-9)


def test_correlation_over_shared_rows_that_hardly_vary():
    # Where b is present, a varies by a millionth of its spread elsewhere.
    a = np.r_[np.linspace(0, 1e-6, 50), np.linspace(-1, 1, 50)]
    b = np.r_[np.linspace(0, 1, 50) ** 2, np.full(50, np.nan)]
    train = pd.DataFrame({"a": a, "b": b})
    synthetic = pd.DataFrame({"a": a, "b": b[::-1]})
    score = CorrelationSimilarity.compute(train, synthetic)
    assert compare(train, synthetic).pairs["error"][0] == pytest.approx(100 * (1 - score), abs=1e-9)


def test_missing_shares(people, other_people):
    columns = compare(people, other_people).columns.set_index("column")
    assert columns.loc["wage", "missing_train"] == pytest.approx(100 * people["wage"].isna().mean())
    missing = 100 * other_people["job"].isna().mean()
    assert columns.loc["job", "missing_synthetic"] == pytest.approx(missing)
