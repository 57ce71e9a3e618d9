import copy
import hashlib
import json
import re
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.evaluate.cards import MAX_BYTES, Card, Verification, data_card, model_card, verify
from synthgan.evaluate.report import NO_GUARANTEE, Report
from synthgan.evaluate.score import REFERENCES, Score
from synthgan.exceptions import DataError, ParameterError

SCORES = [
    Score(
        "shape_error",
        1.2,
        "lower",
        0.0,
        (1.0, 1.5),
        {"independent_columns": 0.0, "bootstrap": 0.4, "holdout": None},
        {"bootstrap": (0.3, 0.5)},
        section="fidelity",
    ),
    Score("membership_auc", 0.52, "near", 0.5, note="a smoke test", section="privacy"),
    Score("dcr_share", None, "lower", 0.5, reason="there is no holdout", section="privacy"),
]
DESCRIPTION = {
    "estimator": "TabularGAN",
    "privacy": "No formal privacy guarantee.",
    "rows": 400,
    "target": None,
    "columns": [
        {"name": "age", "kind": "numeric", "tokens": 20},
        {"name": "a|b", "kind": "categorical", "levels": 3},
    ],
}


def make_report(scores=SCORES, **changes):
    data = {
        "privacy": NO_GUARANTEE,
        "settings": {"target": "rich", "random_state": 0, "categorical": ["zip", "code"]},
        "tables": {"train": 400, "synthetic": 300, "holdout": None, "columns": 6},
        "scores": [score.to_dict() for score in scores],
    }
    return Report({**data, **changes})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows_of_ages.csv"
    path.write_bytes(b"age\n1\n2\n")
    return path


@pytest.fixture
def card(path):
    return data_card(make_report(), path)


def cells(markdown, name):
    """The cells of the row that begins with `name`."""
    [row] = [x for x in markdown.splitlines() if x.startswith(f"| {name} |")]
    return row.removeprefix("| ").removesuffix(" |").split(" | ")


# content ----------------------------------------------------------------------------------------


def test_data_card_holds_what_was_measured(card, path):
    data = card.to_dict()
    assert list(data) == [
        *("kind", "format", "synthgan", "privacy", "file", "settings", "tables", "scores", "model")
    ]
    assert (data["kind"], data["format"], data["model"]) == ("data", 1, None)
    assert data["synthgan"] == metadata.version("synthgan")
    assert data["privacy"] == NO_GUARANTEE
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert data["file"] == {"name": "rows_of_ages.csv", "bytes": 8, "sha256": sha256}
    assert data["tables"]["synthetic"] == 300
    assert data["settings"]["target"] == "rich"
    assert [Score.from_dict(entry) for entry in data["scores"]] == SCORES
    assert data_card(make_report()).to_dict()["file"] is None


def test_the_version_is_unknown_where_nothing_is_installed(monkeypatch):
    monkeypatch.setattr(metadata, "distributions", lambda **_: [])
    assert data_card(make_report()).to_dict()["synthgan"] == "unknown"


def test_model_card(path):
    data = model_card(DESCRIPTION, make_report(), path).to_dict()
    assert (data["kind"], data["model"]) == ("model", DESCRIPTION)
    assert data["file"]["bytes"] == 8
    assert len(data["scores"]) == 3
    alone = model_card(DESCRIPTION).to_dict()
    assert (alone["scores"], alone["tables"], alone["settings"]) == ([], None, None)


def test_the_model_itself_says_which_privacy_it_has():
    bold = make_report(privacy="Differential privacy: epsilon = 1.")
    assert data_card(bold).to_dict()["privacy"] == "Differential privacy: epsilon = 1."
    assert model_card(DESCRIPTION, bold).to_dict()["privacy"] == NO_GUARANTEE
    assert model_card({"rows": 1}, bold).to_dict()["privacy"] == NO_GUARANTEE
    none = {**DESCRIPTION, "privacy": ""}
    assert model_card(none, bold).to_dict()["privacy"] == NO_GUARANTEE
    private = {**DESCRIPTION, "privacy": "epsilon = 1,\ndelta = 1e-5"}
    assert model_card(private, make_report()).to_dict()["privacy"] == "epsilon = 1, delta = 1e-5"


def test_changing_the_dict_changes_no_card(card):
    card.to_dict()["scores"].clear()
    assert len(card.to_dict()["scores"]) == 3


def test_a_description_is_plain():
    for bad in ({"a": object()}, {"a": float("nan")}, 5):
        with pytest.raises(ParameterError, match=r"describe\(\)"):
            model_card(bad)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"Cannot read .*gone\.csv"):
        data_card(make_report(), tmp_path / "gone.csv")
    with pytest.raises(DataError, match="Cannot read"):
        verify(data_card(make_report()), None, tmp_path)


# markdown ---------------------------------------------------------------------------------------


def test_privacy_follows_the_title(card):
    assert card.to_markdown().splitlines()[:3] == ["# Data card", "", NO_GUARANTEE]
    lines = model_card(DESCRIPTION).to_markdown().splitlines()
    assert lines[:3] == ["# Model card", "", NO_GUARANTEE]


def test_scores_are_shown_with_their_references(card):
    text = card.to_markdown()
    head = ["value", "95 % interval", "best", "independent columns", "bootstrap", "holdout"]
    assert cells(text, "score")[1:] == head
    assert cells(text, "shape_error")[1:] == ["1.2", "1 .. 1.5", "0", "0", "0.4", "none"]
    assert cells(text, "dcr_share")[1:] == ["none", "", "0.5", "none", "none", "none"]


def test_sizes_settings_file_and_model_are_shown(card, path):
    text = card.to_markdown()
    assert cells(text, "synthetic") == ["synthetic", "300"]
    assert cells(text, "target") == ["target", "rich"]
    assert cells(text, "categorical")[1] == '\\["zip", "code"\\]'
    assert cells(text, "bytes") == ["bytes", "8"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert "## Model" not in text
    text = model_card(DESCRIPTION).to_markdown()
    assert cells(text, "rows") == ["rows", "400"]
    assert cells(text, "name") == ["name", "kind", "tokens", "levels"]
    assert cells(text, "age") == ["age", "numeric", "20", "none"]


def test_limits_come_from_the_scores(card):
    limits = card.to_markdown().split("## Limits\n")[1]
    assert "- dcr_share has no value: there is no holdout\n" in limits
    assert "- membership_auc: a smoke test\n" in limits
    assert "There was no holdout" in limits
    assert "No score of utility has a value." in limits
    assert "No score of fidelity" not in limits
    assert "No score of privacy" not in limits
    assert "Tests cannot prove privacy" in limits


def test_what_is_no_limit_is_not_said():
    sizes = {"train": 1, "synthetic": 1, "holdout": 1, "columns": 1}
    full = [Score(name, 1.0, "lower", 0.0, section=name) for name in ("fidelity", "utility")]
    limits = data_card(make_report(full, tables=sizes)).to_markdown().split("## Limits\n")[1]
    assert "no holdout" not in limits
    assert limits.count("\n- ") == 2
    assert "No score of privacy has a value." in limits
    limits = data_card(make_report(SCORES[2:])).to_markdown()
    assert "No score of privacy has a value." in limits


def test_a_model_without_a_report_was_not_measured():
    text = model_card(DESCRIPTION).to_markdown()
    assert "## Scores\n\nNothing was measured.\n" in text
    assert "Tests cannot prove privacy" in text
    assert "| score |" not in text


def test_markup_is_escaped():
    evil = "a|b\n| <script> | `x` *y* [z](u) \\| _w_ & $m$"
    score = Score.not_computable(evil, evil, "lower", 0.0)
    report = make_report([score], settings={evil: evil}, privacy=f"- {evil}")
    text = model_card({"privacy": f"# {evil}", "columns": [{evil: evil}]}, report).to_markdown()
    shown = r"a\|b \| \<script\> \| \`x\` \*y\* \[z\](u) \\\| \_w\_ \& \$m\$"
    assert text.splitlines()[2] == rf"\# {shown}"
    assert data_card(report).to_markdown().splitlines()[2] == rf"\- {shown}"
    for line in ("---", "=="):
        ruled = data_card(make_report(privacy=line)).to_markdown()
        assert ruled.splitlines()[2] == f"\\{line}"
    assert f"| {shown} | {shown} |" in text
    assert f"- {shown} has no value: {shown}" in text
    for line in text.splitlines():
        if line.startswith("|") and "---" not in line:
            bars = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))
            assert bars in (2, 3, 5)


# files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["data", "model"])
def test_json_round_trip(kind, path, tmp_path):
    report = make_report()
    card = data_card(report, path) if kind == "data" else model_card(DESCRIPTION, report, path)
    card.write(tmp_path / "card.JSON")
    again = Card.read(tmp_path / "card.JSON")
    assert again.to_dict() == card.to_dict()
    assert again.to_markdown() == card.to_markdown()
    assert Card(card.to_dict()).to_dict() == card.to_dict()


def test_markdown_is_written(card, tmp_path):
    card.write(tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == card.to_markdown()


def test_other_suffixes_are_refused(card, tmp_path):
    for name in ("card.txt", "card"):
        with pytest.raises(ParameterError, match=r"use a \.md or \.json file"):
            card.write(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["rows_of_ages.csv"]


def test_files_are_whole_or_as_before(card, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="Cannot write"):
        card.write(tmp_path / "nowhere" / "card.md")
    (tmp_path / "card.json").write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(DataError, match="disk full"):
        card.write(tmp_path / "card.json")
    assert (tmp_path / "card.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_unreadable_files(tmp_path):
    with pytest.raises(DataError, match=r"Cannot read .*no\.json: No such file"):
        Card.read(tmp_path / "no.json")
    bad = tmp_path / "bad.json"
    for content in (b"", b"{", b"# Data card", b"[" * 100_000):
        bad.write_bytes(content)
        with pytest.raises(DataError, match="it is not JSON"):
            Card.read(bad)
    bad.write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match="it is not a text in UTF-8"):
        Card.read(bad)


def test_a_file_may_not_be_long(card, tmp_path):
    path = tmp_path / "card.json"
    text = json.dumps(card.to_dict()).encode("utf-8")
    path.write_bytes(text.ljust(MAX_BYTES))
    assert Card.read(path).to_dict() == card.to_dict()
    path.write_bytes(text.ljust(MAX_BYTES + 1))
    with pytest.raises(DataError, match=f"larger than {MAX_BYTES:,} bytes"):
        Card.read(path)


WRONG = {
    "format": [0, 2, "1", None],
    "kind": ["model", "other", None, ["data"]],
    "synthgan": ["", 1, None, "0.1\n## forged"],
    "privacy": ["", None, 5, "a\nb"],
    "file": [[], "x", {}, {"name": "x"}],
    "file.bytes": [-1, "8", None],
    "file.sha256": ["", "zz", "A" * 64, 5, None],
    "settings": [[], "x", 3, {"a": float("nan")}, {"a": "\ud800"}],
    "tables": [[], "x"],
    "scores": [{}, None, [1], [{}], "x"],
    "scores.0.value": [None, "1.2", float("inf"), 10**400, []],
    "scores.0.interval": [[2.0, 1.0], [1.0], [1.0, 2.0, 3.0], "ab", 5],
    "scores.0.direction": ["up", None, []],
    "scores.0.name": ["membership_auc", 5, None],
    "scores.0.references": [[], {"bootstrap": "x"}, None],
    "scores.0.note": [None, 5],
    "scores.0.extra": [1],
    "model": [[], {"a": 1}],
    "extra": [1],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in WRONG.items() for v in values])
def test_what_is_no_card_is_refused(card, key, value, tmp_path):
    data = card.to_dict()
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    place = data
    for part in parents:
        place = place[part]
    place[last] = value
    with pytest.raises(DataError, match="This is no card"):
        Card(data)
    (tmp_path / "card.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(DataError, match="This is no card"):
        Card.read(tmp_path / "card.json")


@pytest.mark.parametrize("key", ["kind", "format", "privacy", "file", "scores", "model"])
def test_a_card_is_complete(card, key):
    data = card.to_dict()
    del data[key]
    with pytest.raises(DataError, match="This is no card"):
        Card(data)


@pytest.mark.parametrize("data", [[], 5, None, "x", {}, {"kind": object()}])
def test_other_things_are_no_cards(data):
    with pytest.raises(DataError, match="This is no card"):
        Card(data)


def test_columns_of_a_model_are_dicts():
    with pytest.raises(DataError, match="This is no card"):
        model_card({"columns": ["age"]})


# verification -----------------------------------------------------------------------------------


def test_an_honest_card_agrees(card, path):
    found = verify(card, make_report(), path)
    assert found.agrees
    assert found.differences == ()
    both = found.checked
    alone = verify(card, make_report()).checked
    assert both == alone + 3
    assert alone > 20
    assert verify(card, None, path) == Verification((), 3)
    assert verify(model_card(DESCRIPTION, make_report(), path), make_report(), path).agrees


def test_nothing_checked_is_no_agreement(card):
    found = verify(card, None)
    assert (found.agrees, found.checked, found.differences) == (False, 0, ())
    assert str(found).startswith("The card was not checked")


TAMPERED = [
    ("privacy", "epsilon = 1", f'privacy: the card says "epsilon = 1", measured "{NO_GUARANTEE}"'),
    ("tables.train", 4000, "tables train: the card says 4000, measured 400"),
    ("tables.holdout", 5, "tables holdout: the card says 5, measured null"),
    ("tables.more", 5, "tables more: the card says 5, measured nothing"),
    ("tables", None, "tables: the card says null, measured {"),
    ("settings.random_state", 1, "settings random_state: the card says 1, measured 0"),
    ("settings.random_state", False, "settings random_state: the card says false, measured 0"),
    ("settings.categorical", ["zip"], 'settings categorical: the card says ["zip"], measured ["zi'),
    ("scores.0.value", 1.1, "shape_error: the card says 1.1, measured 1.2"),
    ("scores.1.value", True, "membership_auc: the card says true, measured 0.52"),
    ("scores.0.interval", [1.1, 1.5], "shape_error interval: the card says [1.1, 1.5], measured"),
    ("scores.0.interval", None, "shape_error interval: the card says null, measured [1.0, 1.5]"),
    ("scores.1.interval", [0.5, 0.6], "membership_auc interval: the card says [0.5, 0.6], me"),
    ("scores.0.best", 1.0, "shape_error best: the card says 1.0, measured 0.0"),
    ("scores.0.direction", "near", 'shape_error direction: the card says "near", measured "lower"'),
    ("scores.0.references.bootstrap", 1.2, "shape_error references bootstrap: the card says 1.2"),
    ("scores.0.reference_intervals.bootstrap", [0.3, 2], "shape_error reference_intervals boots"),
    ("scores.1.note", "", 'membership_auc note: the card says "", measured "a smoke test"'),
    ("scores.2.reason", "x", 'dcr_share reason: the card says "x", measured "there is no holdout"'),
    ("scores.1.section", "utility", 'membership_auc section: the card says "utility", measured'),
]


@pytest.mark.parametrize(("key", "value", "sentence"), TAMPERED, ids=[k for k, _, _ in TAMPERED])
def test_every_tampered_field_is_found(card, key, value, sentence):
    data = card.to_dict()
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    place = data
    for part in parents:
        place = place[part]
    place[last] = value
    found = verify(Card(data), make_report())
    assert not found.agrees
    [difference] = found.differences
    assert difference.startswith(sentence)


def test_a_hidden_score_and_an_invented_one_are_found(card):
    data = card.to_dict()
    hidden = copy.deepcopy(data)
    del hidden["scores"][1]
    [difference] = verify(Card(hidden), make_report()).differences
    assert difference == "membership_auc: the card says nothing, measured 0.52"
    data["scores"].append(Score("invented", 0.0, "lower", 0.0).to_dict())
    [difference] = verify(Card(data), make_report()).differences
    assert difference == "invented: the card says 0.0, measured nothing"


def test_a_value_against_a_reason(card):
    got = [*SCORES[:2], Score("dcr_share", 0.6, "lower", 0.5, section="privacy")]
    assert set(verify(card, make_report(got)).differences) == {
        "dcr_share: the card says null, measured 0.6",
        'dcr_share reason: the card says "there is no holdout", measured null',
    }


def test_a_privacy_line_forged_on_a_model_card_is_found():
    data = model_card(DESCRIPTION, make_report()).to_dict()
    data["privacy"] = "epsilon = 1"
    [difference] = verify(Card(data), make_report()).differences
    assert difference.startswith('privacy: the card says "epsilon = 1"')


@pytest.mark.parametrize(
    ("content", "names"),
    [(b"age\n1\n3\n", ["sha256"]), (b"age\n1\n2\n3\n", ["bytes", "sha256"]), (b"", None)],
)
def test_a_tampered_file_is_found(card, path, content, names):
    path.write_bytes(content)
    found = verify(card, make_report(), path)
    assert not found.agrees
    starts = [f"file {name}: the card says" for name in names or ["bytes", "sha256"]]
    assert len(found.differences) == len(starts)
    assert all(map(str.startswith, found.differences, starts))


def test_a_tampered_hash_is_found_and_a_new_name_is_none(card, path, tmp_path):
    data = card.to_dict()
    data["file"]["sha256"] = "0" * 64
    assert not verify(Card(data), None, path).agrees
    path.rename(tmp_path / "renamed.csv")
    assert verify(card, None, tmp_path / "renamed.csv").agrees


def test_a_file_that_the_card_does_not_know_is_a_difference(path):
    [difference] = verify(data_card(make_report()), make_report(), path).differences
    assert difference.startswith('file: the card says null, measured {"name"')


def test_tolerance(card):
    data = card.to_dict()
    data["scores"][0]["value"] += 1e-7
    data["scores"][0]["interval"][0] -= 1e-7
    assert len(verify(Card(data), make_report()).differences) == 2
    assert verify(Card(data), make_report(), tolerance=1e-6).agrees
    exact = [Score(name, value, "lower", 0.0) for name, value in (("big", 1e12), ("small", 0.0))]
    near = [
        Score(name, value, "lower", 0.0) for name, value in (("big", 1e12 + 1), ("small", 1e-10))
    ]
    far = [
        Score(name, value, "lower", 0.0) for name, value in (("big", 1e12 + 1e5), ("small", 1e-8))
    ]
    assert verify(data_card(make_report(exact)), make_report(near)).agrees
    assert len(verify(data_card(make_report(exact)), make_report(far)).differences) == 2
    assert verify(data_card(make_report(exact)), make_report(far), tolerance=1e-6).agrees
    for bad in (-1e-9, 1.0, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match="tolerance"):
            verify(card, make_report(), tolerance=bad)


def test_long_integers_can_be_compared(card):
    data = card.to_dict()
    data["settings"]["random_state"] = 10**400
    [difference] = verify(Card(data), make_report()).differences
    assert difference.startswith("settings random_state: the card says 1000")
    same = {**make_report().to_dict(), "settings": data["settings"]}
    assert verify(Card(data), Report(same)).agrees


def test_a_verification_can_be_shown_and_stored(card):
    other = make_report(SCORES[:2], privacy="epsilon = 1")
    found = verify(card, other)
    data = found.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert (data["agrees"], data["checked"]) == (False, found.checked)
    assert str(found).splitlines()[1:] == data["differences"] == list(found.differences)
    assert str(found).startswith(f"The card does not agree: {found.checked} entries compared, 2")
    assert str(verify(card, make_report())).startswith("The card agrees: ")


numbers = st.floats(-1e12, 1e12) | st.integers(-5, 5)
intervals = st.tuples(numbers, numbers).map(lambda x: (float(min(x)), float(max(x))))
texts = st.text(st.characters(codec="utf-8"), max_size=12)


@st.composite
def scores(draw, name):
    value = draw(st.none() | numbers)
    return Score(
        name,
        value,
        draw(st.sampled_from(["lower", "higher", "near"])),
        draw(st.none() | numbers),
        draw(st.none() | intervals),
        draw(st.dictionaries(st.sampled_from(REFERENCES), st.none() | numbers)),
        draw(st.dictionaries(st.sampled_from(REFERENCES), intervals)),
        reason=draw(texts) if value is None else None,
        note=draw(texts),
        section=draw(st.sampled_from(["fidelity", "utility", "privacy", ""])),
    )


@st.composite
def reports(draw):
    names = draw(st.lists(texts, unique=True, max_size=4))
    sizes = st.none() | st.integers(0, 10**9)
    return make_report(
        [draw(scores(name)) for name in names],
        privacy=draw(texts),
        settings=draw(st.dictionaries(texts, st.none() | texts | numbers)),
        tables=draw(st.dictionaries(texts, sizes)),
    )


@given(reports(), st.booleans())
def test_every_card_agrees_with_its_report(report, of_model):
    card = model_card(DESCRIPTION, report) if of_model else data_card(report)
    again = Card(json.loads(json.dumps(card.to_dict())))
    found = verify(again, report)
    assert found.differences == ()
    assert found.agrees
    assert again.to_markdown() == card.to_markdown()


@given(reports(), reports())
def test_no_card_agrees_with_another_report(one, other):
    cards = [data_card(report).to_dict() for report in (one, other)]
    for card in cards:
        card["scores"].sort(key=lambda score: score["name"])
    assert verify(data_card(one), other, tolerance=0).agrees == (cards[0] == cards[1])


@given(reports())
def test_markdown_has_one_line_for_each_score(report):
    text = data_card(report).to_markdown()
    table = text.split("\n## Scores\n\n")[1].split("\n## Limits\n")[0].strip("\n").split("\n")
    assert len(table) == (len(report.scores) + 2 if report.scores else 1)
    bars = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}
    assert len(bars) == 1
