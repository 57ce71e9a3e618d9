import json
import re

import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate import Report, evaluate
from synthgan.evaluate.report import NO_GUARANTEE
from synthgan.exceptions import DataError


@pytest.fixture(scope="module")
def report(people, other_people):
    return evaluate(
        people.head(400),
        people.tail(400),
        holdout=other_people.head(300),
        target="rich",
        sensitive=["city"],
        history=[
            {"phase": "likelihood", "step": k, "loss": 9 - k, "validation": 9 - k} for k in range(6)
        ],
    )


def page(report, tmp_path):
    report.to_html(tmp_path / "r.html")
    return (tmp_path / "r.html").read_text(encoding="utf-8")


def test_round_trip(report, tmp_path):
    report.to_json(tmp_path / "r.json")
    again = Report(json.loads((tmp_path / "r.json").read_text(encoding="utf-8")))
    assert again.to_dict() == report.to_dict()
    pd.testing.assert_frame_equal(again.to_frame(), report.to_frame())
    assert page(again, tmp_path) == page(report, tmp_path)
    assert again.scores == report.scores


def test_changing_the_dict_changes_no_report(report):
    report.to_dict()["scores"].clear()
    assert report.to_dict()["scores"]


def test_frame(report):
    frame = report.to_frame()
    head = ["score", "value", "low", "high", "best", "independent_columns", "bootstrap", "holdout"]
    assert list(frame.columns) == [*head, "copy_of_train", "fresh_rows", "note"]
    assert (frame.dtypes.iloc[1:10] == np.float64).all()
    assert frame["score"].tolist() == list(report.scores)
    assert frame.set_index("score").loc["shape_error", "bootstrap"] > 0
    assert len(report.columns) == 6
    assert len(report.pairs) == 15


def test_privacy_comes_first_everywhere(report, people, tmp_path):
    for text in (NO_GUARANTEE, "Differential privacy: epsilon < 1."):
        data = {**report.to_dict(), "privacy": text}
        shown = Report(data)
        assert str(shown).splitlines()[0] == text
        assert next(iter(shown.to_dict())) == "privacy"
        assert shown.to_frame().attrs["privacy"] == text
        for html in (page(shown, tmp_path), shown._repr_html_()):
            visible = re.sub(r"<(style|title)>.*?</\1>|<[^>]+>", "", html, flags=re.DOTALL)
            assert visible.strip().startswith(text.replace("<", "&lt;"))
    assert report.privacy == NO_GUARANTEE
    assert evaluate(people, people, privacy="DP").privacy == "DP"


def test_text_is_aligned(report):
    lines = str(report).splitlines()
    assert lines[2].split()[:2] == ["score", "value"]
    assert len({len(line) for line in lines[2:6]}) <= 2
    assert "smoke test, not evidence of privacy" in str(report)
    assert "more scores in to_frame()" in str(report)
    assert "trtr_mlp_ece" not in str(report)
    assert NO_GUARANTEE in repr(report)


def test_page_is_one_file_and_the_summary_comes_before_the_figures(report, tmp_path):
    html = page(report, tmp_path)
    assert not re.search(r"<script|<link|<img|src=|url\(|https?:|@import|onload", html)
    assert "prefers-color-scheme:dark" in html
    assert html.index('class="scores"') < html.index("<svg")
    assert html.count("<figure>") >= 6 + 5  # columns, heat maps, map, ROC curves, bars, fit
    assert "smoke test, not evidence of privacy" in html


def test_every_name_and_level_is_escaped(tmp_path):
    evil = '"><script>alert(1)</script>'
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "<script>": rng.normal(size=60),
            evil: rng.choice([evil, "&"], 60),
            "<b>x": [True, False] * 30,
        }
    )
    report = evaluate(frame, frame, target="<b>x", privacy="<script>x")
    for html in (page(report, tmp_path), report._repr_html_()):
        assert "<script" not in html
        assert "<b>x" not in html
        assert 'label=""' not in html
    assert "&lt;script&gt;" in page(report, tmp_path)


def test_public_report_says_nothing_about_columns(report, tmp_path):
    public = report.public()
    assert public.privacy == report.privacy
    assert set(public.scores) < set(report.scores)
    text = page(public, tmp_path) + json.dumps(public.to_dict()) + str(public)
    for secret in ("wage", "Rome", "rich", "clerk", "Worst columns"):
        assert secret in page(report, tmp_path)
        assert secret not in text
    for name, score in public.scores.items():
        assert score.interval is None
        assert not score.references
        if score.value:
            assert score.value == float(f"{report.scores[name].value:.2g}")
    assert public.scores["exact_match_rate"].best is None  # that is a figure of the holdout
    assert Report(public.to_dict()).to_dict() == public.to_dict()


def test_verdicts_and_findings_are_shown(report, people, tmp_path):
    assert set(report.verdicts()) == set(report.scores)
    broken = evaluate(people, people.assign(city="Rome"), level="quick")
    assert {f["name"] for f in broken.findings} >= {"constant column", "missing levels"}
    assert broken.verdicts()["c2st_auc"] == "poor"
    for text in (page(broken, tmp_path), str(broken), broken._repr_html_()):
        assert "constant column" in text
    assert "poor overall" in repr(broken)


def test_rare_levels_and_extremes_are_hidden(tmp_path):
    rng = np.random.default_rng(0)
    train = pd.DataFrame(
        {
            "job": ["common"] * 190 + ["secretjob"] * 9 + ["lastjob"],
            "pay": np.r_[rng.integers(1000, 2000, 199), 987654],
        }
    )
    report = evaluate(train, train, holdout=train, target="job")
    html = page(report, tmp_path) + json.dumps(report.to_dict()) + str(report)
    for hidden in ("secretjob", "lastjob", "987654", "987,654"):
        assert hidden not in html
    assert "(rare)" in html
    assert "common" in html


def test_a_fit_that_diverged_is_reported(people):
    history = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": float("inf")}]
    report = evaluate(people, people, level="quick", history=history)
    assert [entry["loss"] for entry in report.to_dict()["history"]] == [None, None]


def test_files_are_whole_or_absent(report, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="Cannot write"):
        report.to_html(tmp_path / "nowhere" / "r.html")
    path = tmp_path / "r.json"
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(DataError, match="Cannot write"):
        report.to_json(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_case48_tables_that_little_can_be_said_of(tmp_path):
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"x": rng.normal(size=60), "same": 1, "c": rng.choice(["a", "b"], 60)})
    wide = pd.DataFrame(rng.normal(size=(60, 500)), columns=[f"column {k}" for k in range(500)])
    empty = real.assign(x=np.nan)
    for train, synthetic in ((real, real[:1]), (real, empty), (wide, wide[:50])):
        found = evaluate(train, synthetic, level="quick", random_state=0)
        found.to_html(tmp_path / "r.html")
        assert (tmp_path / "r.html").read_text("utf-8").count("<html") == 1
        assert all(s.value is None or np.isfinite(s.value) for s in found.scores.values())
    few = evaluate(real, real[:1], level="quick", random_state=0)
    assert any(s.value is None and s.note for s in few.scores.values())
