import pytest

from synthgan.evaluate.score import Score
from synthgan.evaluate.verdict import HEADLINES, has_power, overall, verdict

FLOOR = {"independent_columns": 10.0, "bootstrap": 1.0, "holdout": 1.5}
POWER = {"copy_of_train": 0.99, "fresh_rows": 0.5}


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (1.2, None, "good"),
        (2.0, None, "good"),
        (3.0, None, "fair"),
        (3.0, (1.4, 4.6), "good"),
        (9.0, (8.0, 10.0), "poor"),
        (20.0, None, "poor"),
    ],
)
def test_fidelity_is_read_against_its_floor(value, interval, expected):
    assert verdict(Score("triple_error", value, "lower", 0.0, interval, FLOOR)) == expected


def test_shape_has_no_independent_yardstick():
    references = {"independent_columns": 0.0, "bootstrap": 0.4}
    found = [verdict(Score("shape_error", v, "lower", 0.0, None, references)) for v in (0.5, 1, 5)]
    assert found == ["good", "fair", "poor"]


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.51, (0.49, 0.53), "good"),
        (0.54, (0.51, 0.58), "fair"),
        (0.70, (0.68, 0.72), "poor"),
        (0.60, (0.48, 0.72), "good"),  # cannot be told from chance
    ],
)
def test_attacks_are_read_against_chance(value, interval, expected):
    assert verdict(Score("membership_auc", value, "near", 0.5, interval, POWER)) == expected


def test_an_attack_without_power_says_nothing():
    weak = {"copy_of_train": 0.52, "fresh_rows": 0.53}
    score = Score("membership_auc", 0.5, "near", 0.5, (0.49, 0.51), weak)
    assert has_power(score) is False
    assert verdict(score) == "unknown"
    assert has_power(Score("membership_auc", 0.5, "near", 0.5)) is None


def test_a_holdout_of_another_population_is_no_floor():
    far = {"independent_columns": 10.0, "bootstrap": 1.0, "holdout": 9.0}
    assert verdict(Score("triple_error", 9.0, "lower", 0.0, None, far)) == "poor"


def test_shares_close_to_one_are_good():
    references = {"independent_columns": 1.0, "bootstrap": 1.0, "holdout": 1.0}
    found = [
        verdict(Score("level_recall", v, "higher", 1.0, None, references)) for v in (0.998, 0.9)
    ]
    assert found == ["good", "poor"]
    assert verdict(Score("trend_error", 9.0, "lower", 0.0, None, FLOOR)) == "unknown"


def test_copies_and_violations():
    honest = Score("exact_match_rate", 0.002, "near", 0.002, (0.001, 0.003))
    copied = Score("exact_match_rate", 0.2, "near", 0.002, (0.19, 0.21))
    assert (verdict(honest), verdict(copied)) == ("good", "poor")
    floor = {"holdout": 0.0}
    rates = [
        verdict(Score("violation_rate", v, "lower", 0.0, None, floor)) for v in (0.0, 0.01, 0.5)
    ]
    assert rates == ["good", "fair", "poor"]
    alone = [verdict(Score("violation_rate", v, "lower", 0.0)) for v in (0.0, 0.5)]
    assert alone == ["good", "unknown"]  # fresh rows hold new values, too; how many?
    wide = Score("violation_rate", 0.1, "lower", 0.0, references={"holdout": 0.099})
    assert verdict(wide) == "good"  # real rows leave the train range as often


def test_unknown_and_overall():
    absent = Score.not_computable("c2st_auc", "too few", "near", 0.5)
    lonely = Score("nmi_error", 0.1, "lower", 0.0)
    assert verdict(absent) == verdict(lonely) == "unknown"
    good = Score("violation_rate", 0.0, "lower", 0.0)
    poor = Score("trend_error_range_matched", 9.0, "lower", 0.0, None, FLOOR)
    assert {good.name, poor.name} <= set(HEADLINES)
    assert overall([absent, good]) == "good"
    assert overall([good, poor]) == "poor"
    assert overall([absent]) == "unknown"


def test_an_interval_that_holds_the_best_value_is_good():
    references = {"independent_columns": 0.9, "bootstrap": 0.501, "holdout": 0.5}
    found = [
        verdict(Score("c2st_auc", v, "near", 0.5, (v - 0.02, v + 0.02), references))
        for v in (0.485, 0.515, 0.7)
    ]
    assert found == ["good", "good", "poor"]


@pytest.mark.parametrize(("name", "best", "ends"), [("repeat_rate", 0.0, 0.0), ("density", 1.0, 1)])
def test_rows_drawn_with_replacement_are_no_floor_where_repeats_count(name, best, ends):
    repeats = {"independent_columns": 0.05, "bootstrap": 0.37}
    score = Score(name, 0.3, "near", best, (0.28, 0.32), {**repeats, "holdout": ends})
    assert verdict(score) == "poor"
    assert verdict(Score(name, 0.3, "near", best, (0.28, 0.32), repeats)) == "unknown"
