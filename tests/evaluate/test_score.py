import pytest

from synthgan.evaluate.score import Score, attach_references
from synthgan.exceptions import ParameterError


def test_dict_round_trip():
    score = Score("a", 0.5, "near", 0.5, (0.4, 0.6), {"bootstrap": 0.1, "holdout": None}, note="n")
    assert Score.from_dict(score.to_dict()) == score
    whole = Score("a", 0.5, "near", 0.5, None, {"holdout": 0.1}, {"holdout": (0.0, 0.2)})
    assert Score.from_dict(whole.to_dict()) == whole
    gone = Score.not_computable("a", "why", "lower", 0.0)
    assert Score.from_dict(gone.to_dict()) == gone


@pytest.mark.parametrize(
    "arguments",
    [
        {"value": None},
        {"value": 1.0, "reason": "why"},
        {"value": float("nan")},
        {"value": 1.0, "interval": (2.0, 1.0)},
        {"value": 1.0, "references": {"bootstrap": float("inf")}},
        {"value": 1.0, "reference_intervals": {"holdout": (0.0, float("nan"))}},
        {"value": 1.0, "direction": "up"},
    ],
)
def test_contradictions_are_refused(arguments):
    with pytest.raises(ParameterError):
        Score(**{"name": "a", "direction": "lower", "best": 0.0, **arguments})


def test_a_score_cannot_be_changed():
    with pytest.raises(AttributeError):
        Score("a", 1.0, "lower", 0.0).value = 2.0


def test_references_come_from_the_other_tables():
    one, two = Score("a", 1.0, "lower", 0.0), Score("a", 2.0, "lower", 0.0)
    none = Score.not_computable("a", "why", "lower", 0.0)
    [score] = attach_references({"synthetic": [one], "bootstrap": [two], "holdout": [none]})
    assert score.value == 1.0
    assert score.references == {"bootstrap": 2.0, "holdout": None}


def test_references_are_matched_by_name_and_keep_their_intervals():
    scores = [Score("a", 1.0, "lower", 0.0), Score("b", 2.0, "lower", 0.0)]
    other = [Score("b", 3.0, "lower", 0.0, (2.5, 3.5))]
    first, second = attach_references({"synthetic": scores, "holdout": other})
    assert first.references == {}
    assert second.references == {"holdout": 3.0}
    assert second.reference_intervals == {"holdout": (2.5, 3.5)}
