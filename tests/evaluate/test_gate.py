import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.evaluate.gate import MAX_BYTES, Gate, GateResult, Rule
from synthgan.evaluate.report import Report
from synthgan.evaluate.score import Score
from synthgan.exceptions import DataError, ParameterError

SCORES = {
    "shape_error": Score("shape_error", 1.8, "lower", 0.0, (1.5, 2.3)),
    "tstr_boosting_auc_ratio": Score("tstr_boosting_auc_ratio", 0.97, "higher", 1.0, (0.94, 0.99)),
    "violation_rate": Score("violation_rate", 0.0, "lower", 0.0),
    "membership_auc": Score.not_computable("membership_auc", "no holdout", "near", 0.5),
}
GATE = """
judge_by: value
scores:
  shape_error: {max: 2.0}
  tstr_boosting_auc_ratio: {min: 0.95}
  violation_rate: {max: 0.0}
"""


def only(name, score=None, judge_by="interval", **rule):
    """The outcome of one rule."""
    scores = SCORES if score is None else {name: score}
    gate = Gate.from_dict({"judge_by": judge_by, "scores": {name: rule}})
    [outcome] = gate.check(scores).outcomes
    return outcome


def write(tmp_path, content):
    path = tmp_path / "gate.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


# judging ----------------------------------------------------------------------------------------


def test_the_unfavourable_end_is_judged_by_default():
    upper = only("shape_error", max=2.0)
    assert (upper.passed, upper.measured, upper.rule) == (False, 1.8, "max 2")
    assert upper.reason == "the upper end 2.3 is above 2"
    lower = only("tstr_boosting_auc_ratio", min=0.95)
    assert (lower.passed, lower.rule) == (False, "min 0.95")
    assert lower.reason == "the lower end 0.94 is below 0.95"
    assert Gate.from_dict({"scores": {"shape_error": {"max": 2.0}}}).judge_by == "interval"


def test_the_favourable_end_is_not_judged():
    assert only("shape_error", min=1.5).passed
    assert not only("shape_error", min=1.51).passed
    assert only("tstr_boosting_auc_ratio", max=0.99).passed
    assert not only("tstr_boosting_auc_ratio", max=0.98).passed


def test_values_are_judged_on_request():
    assert only("shape_error", judge_by="value", max=1.8).passed
    failed = only("shape_error", judge_by="value", max=1.79)
    assert failed.reason == "the value 1.8 is above 1.79"
    assert only("tstr_boosting_auc_ratio", judge_by="value", min=0.97).passed


def test_a_value_outside_of_its_interval_is_judged_too():
    odd = Score("odd", 3.0, "lower", 0.0, (0.0, 1.0))
    assert only("odd", odd, max=2.0).reason == "the value 3 is above 2"
    assert only("odd", odd, max=3.0).passed


def test_without_an_interval_the_value_is_judged_and_that_is_said():
    passed = only("violation_rate", max=0.0)
    assert passed.passed
    assert passed.reason == "judged by its value, as it has no interval"
    assert only("violation_rate", judge_by="value", max=0.0).reason == ""
    assert "the value 0 is below 1; judged by" in only("violation_rate", min=1.0).reason


def test_both_bounds():
    outcome = only("shape_error", min=1.6, max=2.0)
    assert outcome.rule == "min 1.6, max 2"
    assert outcome.reason == "the upper end 2.3 is above 2; the lower end 1.5 is below 1.6"
    assert only("shape_error", min=1.5, max=2.3).passed


def test_what_was_not_measured_fails():
    outcome = only("membership_auc", max=0.55)
    assert (outcome.passed, outcome.skipped, outcome.measured) == (False, False, None)
    assert outcome.reason == "not measured: no holdout"


def test_what_the_report_lacks_fails_with_a_suggestion():
    outcome = only("shape_eror", max=2.0)
    assert not outcome.passed
    assert outcome.reason == "the report has no such score; did you mean shape_error"
    assert only("zzz", max=2.0).reason == "the report has no such score"


@pytest.mark.parametrize("name", ["membership_auc", "shape_eror"])
def test_missing_scores_are_skipped_only_on_request(name):
    outcome = only(name, max=0.5, allow_missing=True)
    assert (outcome.passed, outcome.skipped) == (True, True)
    assert outcome.reason == only(name, max=0.5).reason
    assert not only(name, max=0.5, allow_missing=False).passed


def test_allow_missing_excuses_no_measured_score():
    outcome = only("shape_error", max=2.0, allow_missing=True)
    assert (outcome.passed, outcome.skipped) == (False, False)


def test_a_report_is_checked_like_its_scores():
    report = Report({"privacy": "None.", "scores": [s.to_dict() for s in SCORES.values()]})
    gate = Gate.from_dict({"scores": {name: {"max": 1.0} for name in SCORES}})
    assert gate.check(report) == gate.check(SCORES)
    assert [o.score for o in gate.check(report).failed] == ["shape_error", "membership_auc"]


@given(
    st.floats(-1e6, 1e6),
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    st.floats(-1e6, 1e6),
)
def test_an_interval_is_never_kinder_than_its_value(value, ends, bound):
    score = Score("a", value, "lower", 0.0, (min(ends), max(ends)))
    for side in ("min", "max"):
        strict = only("a", score, "interval", **{side: bound})
        assert strict.passed <= only("a", score, "value", **{side: bound}).passed
        inside = all(x <= bound if side == "max" else x >= bound for x in (value, *ends))
        assert strict.passed == inside


# results ----------------------------------------------------------------------------------------


@pytest.fixture
def result():
    rules = {
        "violation_rate": {"max": 0.0},
        "membership_auc": {"max": 0.55, "allow_missing": True},
        "shape_error": {"max": 2.0},
    }
    return Gate.from_dict({"scores": rules}).check(SCORES)


def test_text_shows_failures_first(result):
    lines = str(result).splitlines()
    assert lines[0] == "Gate FAILED: 1 failed, 1 skipped, 1 passed."
    assert [line.split()[:2] for line in lines[2:]] == [
        ["FAILED", "shape_error"],
        ["skipped", "membership_auc"],
        ["passed", "violation_rate"],
    ]
    assert len({line.index("max") for line in lines[2:]}) == 1
    assert "not measured: no holdout" in lines[3]


def test_a_passed_gate_says_so():
    result = Gate.from_dict({"scores": {"shape_error": {"max": 2.3}}}).check(SCORES)
    assert result.passed
    assert result.failed == ()
    assert str(result).startswith("Gate passed: 1 passed.\n")
    assert not GateResult(()).passed


def test_text_has_one_line_for_each_rule():
    result = Gate.from_dict({"scores": {"a\nFAILED": {"max": 1}, "b": {"max": 1}}}).check({})
    assert len(str(result).splitlines()) == 4


def test_dict_is_json(result):
    data = result.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["passed"] is False
    assert [o["passed"] for o in data["outcomes"]] == [True, True, False]
    assert data["outcomes"][2]["measured"] == 1.8


def test_junit(result):
    root = ElementTree.fromstring(result.to_junit_xml().encode("utf-8"))
    [suite] = root
    for element in (root, suite):
        assert [element.get(k) for k in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    cases = {case.get("name"): case for case in suite}
    assert list(cases) == ["violation_rate max 0", "membership_auc max 0.55", "shape_error max 2"]
    assert cases["shape_error max 2"].find("failure").get("message") == result.failed[0].reason
    assert cases["membership_auc max 0.55"].find("skipped").get("message").endswith("no holdout")
    assert len(cases["violation_rate max 0"]) == 0


@given(st.text(min_size=1), st.text(min_size=1))
def test_junit_is_valid_whatever_a_score_is_called(name, reason):
    scores = {name: Score.not_computable(name, reason, "lower", 0.0)}
    result = Gate((Rule(name, max=1.0),)).check(scores)
    root = ElementTree.fromstring(result.to_junit_xml().encode("utf-8"))
    assert len(root.findall("testsuite/testcase/failure")) == 1


def test_junit_escapes():
    evil = "</testcase><a b=\"'&\x00\ud800"
    scores = {evil: Score.not_computable(evil, evil, "lower", 0.0)}
    text = Gate((Rule(evil, max=1.0),)).check(scores).to_junit_xml()
    [case] = ElementTree.fromstring(text.encode("utf-8")).iter("testcase")
    shown = evil.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert case.get("name") == f"{shown} max 1"
    assert case[0].get("message") == f"not measured: {shown}"


# files ------------------------------------------------------------------------------------------


def test_yaml_and_json_are_read_alike(tmp_path):
    gate = Gate.read(write(tmp_path, GATE))
    assert gate.judge_by == "value"
    assert gate.rules[1] == Rule("tstr_boosting_auc_ratio", min=0.95)
    for indent in (None, 2):
        text = json.dumps(gate.to_dict(), indent=indent)
        assert Gate.read(write(tmp_path, "\ufeff" + text)) == gate
    assert gate.check(SCORES).passed


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1),
        st.tuples(st.floats(-1e30, 1e30), st.floats(0, 1e30), st.booleans()),
        min_size=1,
    ),
    st.sampled_from(["interval", "value"]),
)
def test_round_trip(tmp_path_factory, rules, judge_by):
    made = []
    for k, (name, (low, width, allow)) in enumerate(rules.items()):
        ends = [(low, None), (None, low), (low, low + width)][k % 3]
        made.append(Rule(name, *ends, allow))
    gate = Gate(tuple(made), judge_by)
    assert Gate.from_dict(gate.to_dict()) == gate
    path = tmp_path_factory.mktemp("gate") / "g.json"
    path.write_text(json.dumps(gate.to_dict()), encoding="utf-8")
    assert Gate.read(path) == gate


def test_zero_is_a_bound():
    gate = Gate((Rule("a", max=0.0),))
    assert gate.to_dict()["scores"] == {"a": {"max": 0.0}}


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"Cannot read .*no\.yaml"):
        Gate.read(tmp_path / "no.yaml")
    with pytest.raises(DataError, match="Cannot read"):
        Gate.read(tmp_path)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nscores: {shape_error: {max: 1}}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must be a mapping .* found nothing"),
        ("- a\n- b\n", "found a list"),
        ("plain words", "found a str"),
        ("a: [1", "not plain YAML: line"),
        ("a: {b: 1}}", "not plain YAML: line 1"),
        ("a: \x00", "not plain YAML"),
        ("[" * 50_000, "more than 3 levels"),  # PyYAML alone would take a minute to say so
        ("{a: " * 20_000, "more than 3 levels"),
        ("- " * 40_000, "more than 3 levels"),
        ("scores: {a: {max: [1]}}", "more than 3 levels"),
        ("a: 1\n---\na: 2\n", "not plain YAML"),
        ("scores: {a: {max: 1}}\nscore: {}\n", "unknown key 'score'; did you mean scores"),
        ("scores: {a: {maxx: 1}}", r"scores\.a has an unknown key 'maxx'; did you mean max"),
        ("scores: {1: {max: 1}}", "scores has an unknown key 1"),
        ("1: {}", "unknown key 1"),
        ("? [1]\n: 2\n", "not plain YAML"),
        ("judge_by: value", "at least one rule"),
        ("scores: {}", "at least one rule"),
        ("scores:", "scores must be a mapping .* found nothing"),
        ("scores: [a]", "scores must be a mapping .* found a list"),
        ("scores: {a: 2.0}", r"scores\.a must be a mapping such as 'max: 2.0'; found a float"),
        ("scores: {a: }", r"scores\.a must be a mapping .* found nothing"),
        ("scores: {a: {}}", r"scores\.a needs min, max or both"),
        ("scores: {a: {allow_missing: true}}", r"scores\.a needs min, max or both"),
        ("scores: {a: {min: 2, max: 1}}", r"scores\.a has min above max"),
        ("scores: {a: {max: two}}", r"scores\.a: min and max must be finite numbers"),
        ("scores: {a: {max: '2'}}", r"scores\.a: min and max must be finite numbers"),
        ("scores: {a: {max: true}}", r"scores\.a: min and max must be finite numbers"),
        ("scores: {a: {max: .nan}}", r"scores\.a: min and max must be finite numbers"),
        ("scores: {a: {min: -.inf}}", r"scores\.a: min and max must be finite numbers"),
        ("scores: {a: {max: NaN}}", r"scores\.a: min and max must be finite numbers"),
        ("scores: {a: {max: 1e999}}", r"scores\.a: min and max must be finite numbers"),
        (f"scores: {{a: {{max: 1{'0' * 400}}}}}", r"scores\.a: min and max must be finite"),
        (f"scores: {{a: {{max: 1{'0' * 9000}}}}}", "not plain YAML"),
        ("scores: {a: {max: 1, allow_missing: maybe}}", r"scores\.a\.allow_missing must be true"),
        ("scores: {a: {max: 1}}\njudge_by: mood", "judge_by must be 'interval' or 'value'"),
        ("scores: {a: {max: 1}}\njudge_by: [value]", "judge_by must be"),
        ("scores: {a: {max: 1, max: 2}}", "the key 'max' occurs twice"),
        ("scores:\n  a: {max: 1}\n  a: {max: 2}\n", "the key 'a' occurs twice"),
        (BOMB, "anchor"),
        ("scores: {a: &x {max: 1}}", "anchor"),
        ("scores: {a: !!python/object/apply:os.getcwd []}", "tag"),
        ("scores: {a: !!map {max: 1}}", "tag"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(ParameterError, match=message) as caught:
        Gate.read(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 1_100_000])
def test_a_file_may_not_be_long(tmp_path, size):
    text = GATE + "#" * (MAX_BYTES - len(GATE))
    assert Gate.read(write(tmp_path, text)).rules
    with pytest.raises(DataError, match=f"larger than {MAX_BYTES:,} bytes"):
        Gate.read(write(tmp_path, text + "#" * (size - MAX_BYTES)))


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text in UTF-8"):
        Gate.read(path)


def test_rules_made_by_hand_are_checked_too():
    with pytest.raises(ParameterError, match="only for each score"):
        Gate((Rule("a", max=1.0), Rule("a", min=0.0)))
    with pytest.raises(ParameterError, match="needs min, max or both"):
        Rule("a")
    with pytest.raises(AttributeError):
        Rule("a", max=1.0).max = 2.0
