"""The programs in ``pipelines/`` do what their help says, on the tables beside them."""

import json
from pathlib import Path

import augment_credit
import dp_release
import image_augmentation
import numpy as np
import pandas as pd
import pytest
import share_health_table
from sklearn.datasets import load_digits

from synthgan.evaluate.gate import Gate
from synthgan.exceptions import DataError
from synthgan.privacy import Ledger

ROOT = Path(share_health_table.__file__).parent
HEART = ROOT / "data" / "heart_disease.parquet"
LOOSE = Gate.from_dict({"judge_by": "value", "scores": {"shape_error": {"max": 99.0}}})
QUICK = {"max_time": "1s", "level": "quick"}


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Three visits of each of 150 people."""
    table = pd.read_parquet(HEART).head(450)
    table.insert(0, "person", np.arange(450) // 3)
    path = tmp_path_factory.mktemp("health") / "visits.parquet"
    table.to_parquet(path)
    return path


def test_a_health_table_is_shared_whole_and_once(visits, tmp_path, capsys):
    out = tmp_path / "release"
    settings = {"person": "person", "target": "disease", "gate": LOOSE, **QUICK}
    assert share_health_table.share(visits, out, **settings)
    files = {path.name for path in out.iterdir()}
    assert files == {"synthetic.parquet", "card.md", "report.html", "gate.xml"}
    rows = pd.read_parquet(out / "synthetic.parquet")
    assert "person" not in rows
    assert len(rows) == 300
    assert "<svg" in (out / "report.html").read_text()
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert share_health_table.share(visits, out, **settings)
    assert "up to date" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert share_health_table.share(visits, out, **{**settings, "seed": 1})
    assert {path: path.read_bytes() for path in out.iterdir()} != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release", "release.state.json"]


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        (share_health_table, ["{data}", "{out}", "--person", "nobody"], "no column 'nobody'"),
        (share_health_table, ["{none}", "{out}"], "none.parquet"),
        (share_health_table, ["{data}", "{none}/release"], "no folder"),
        (dp_release, ["{other}", "{out}", "--epsilon", "1", "--delta", "1e-5"], "no columns"),
        (augment_credit, ["--data", "{data}", "--out", "{out}", "--target", "no"], "column 'no'"),
        (image_augmentation, ["{data}", "{out}"], "path"),
    ],
)
def test_a_call_that_makes_no_sense_is_one_line(program, arguments, message, tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    places = {"data": HEART, "out": tmp_path / "out", "none": tmp_path / "none.parquet"}
    assert program.main([a.format(**places, other=other) for a in arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["other.csv"]


def test_a_table_that_fails_its_gate_stays_at_home(visits, tmp_path, capsys):
    out = tmp_path / "release"
    rules = tmp_path / "gate.yaml"
    rules.write_text("scores: {shape_error: {max: 0.0}}")
    argv = [str(visits), str(out), "--person", "person", "--gate", str(rules)]
    argv += ["--max-time", "1s", "--level", "quick"]
    assert share_health_table.main(argv) == 3
    assert not out.exists()
    refused = {path.name for path in (tmp_path / "release.refused").iterdir()}
    assert refused == {"report.html", "gate.xml"}
    assert share_health_table.main(argv) == 3
    assert "up to date" in capsys.readouterr().out


def test_a_failure_leaves_the_older_release(visits, tmp_path, monkeypatch):
    out = tmp_path / "release"
    settings = {"person": "person", "gate": LOOSE, **QUICK}
    share_health_table.share(visits, out, **settings)
    before = {path: path.read_bytes() for path in out.iterdir()}

    def fail(*_):
        raise DataError("disk full")

    monkeypatch.setattr(share_health_table, "data_card", fail)
    with pytest.raises(DataError):
        share_health_table.share(visits, out, **{**settings, "seed": 1})
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release", "release.state.json"]


def test_no_person_is_on_both_sides(visits):
    table = pd.read_parquet(visits).assign(copy=lambda frame: frame["person"])
    train, holdout = share_health_table.split_by_person(table, "person", 0)
    assert not set(train["copy"]) & set(holdout["copy"])
    assert len(train) + len(holdout) == len(table)


def test_credit_is_decided_and_checked(tmp_path, capsys):
    out, page, data = (tmp_path / name for name in ("t.parquet", "trial.html", "d.parquet"))
    pd.read_parquet(augment_credit.DATA).head(300).to_parquet(data)
    argv = ["--data", str(data)]
    argv += ["--out", str(out), "--html", str(page), "--max-time", "1s", "--repeats", "1"]
    assert augment_credit.main([*argv, "--learner", "linear"]) == 0
    text = capsys.readouterr().out
    assert "synthetic rows were added" in text
    assert "log-loss" in text
    assert len(pd.read_parquet(out)) >= 210
    assert "<svg" in page.read_text()


def test_the_comparison_of_credit_models_has_a_sign():
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.3
    good = np.where(truth, 0.8, 0.2)
    chances = [np.column_stack([1 - p, p]) for p in (np.full(400, 0.3), good)]
    found = augment_credit.compare(truth, *chances, seed=0, draws=100)
    assert found.loc["AUC", "from"] > 0
    assert found.loc["log-loss", "to"] < 0


def test_releases_share_one_budget(tmp_path, capsys):
    pytest.importorskip("opendp")
    import dp_release

    out = tmp_path / "releases"
    argv = [str(HEART), str(out), "--epsilon", "3", "--delta", "1e-5"]
    assert dp_release.main(argv) == 0
    assert "spent epsilon = 3.000 of 3" in capsys.readouterr().out
    ledger = Ledger(out / "people.ledger")
    assert len(ledger.entries) == 5  # pairs and triples; pairs; rows and distances
    assert ledger.spent()[0] == pytest.approx(3.0)
    whole, sick = (pd.read_parquet(out / f"{name}.parquet") for name in ("whole", "sick"))
    assert 800 < len(whole) < 1050
    assert list(whole) == list(dp_release.DOMAIN.names)
    assert sick["disease"].mean() > 0.9
    said = json.loads((out / "distances.json").read_text())
    assert said["privacy"]["text"].startswith("Differential privacy")
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert dp_release.main(argv) == 3
    assert "Nothing was released" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.slow  # fits a generator of images and trains sixteen networks
def test_images_are_decided(tmp_path, capsys):
    digits = load_digits()
    data = tmp_path / "digits.npz"
    np.savez(data, images=(digits.images * 15.9375).astype("uint8"), labels=digits.target)
    out = tmp_path / "decision"
    assert image_augmentation.main([str(data), str(out), "--max-time", "3s", "--times", "1"]) == 0
    said = capsys.readouterr().out
    with np.load(out / "training.npz") as arrays:
        assert len(arrays["images"]) == len(arrays["labels"])
        assert (len(arrays["images"]) > 1198) == ("not added" not in said)
    assert "<svg" in (out / "report.html").read_text()
