"""The command line: grammar, exit codes, clean streams, and every verb on a small table."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from fixtures import tiny_gan
from hypothesis import given
from hypothesis import strategies as st

from synthgan.cli import main, verbs
from synthgan.cli.where import Where, conditions_from, parse_where
from synthgan.exceptions import ConditionError, DataError, SchemaError
from synthgan.schema import Column, Schema
from synthgan.storage import read_model

EXTRACT = Path(__file__).parent / "data" / "adult_extract.parquet"
COLUMNS = ["age", "workclass", "sex", "hours_per_week", "income"]


# --- the grammar of --where ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("income=>50K", ("income", "=", ">50K")),
        ("income=<=50K", ("income", "=", "<=50K")),
        ("age>=30", ("age", ">=", "30")),
        ("age<=30", ("age", "<=", "30")),
        ("age<40", ("age", "<", "40")),
        ("age > 40", ("age", ">", "40")),
        ("age = 30..40", ("age", "=", "30..40")),
        ("x!=null", ("x", "!=", "null")),
        ("x=", ("x", "=", "")),
        ("marital status=Never=married", ("marital status", "=", "Never=married")),
    ],
)
def test_parse_where(text: str, expected: tuple[str, str, str]) -> None:
    assert parse_where(text) == Where(*expected)


@pytest.mark.parametrize("text", ["age", "", "=3", ">=3", "age>=", "age<", "x!=3"])
def test_parse_where_refuses(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_where(text)


@given(
    column=st.text("abcé_ 0", min_size=1).map(str.strip).filter(bool),
    value=st.text(min_size=1).map(str.strip).filter(bool),
)
def test_any_value_can_follow_the_first_equals_sign(column: str, value: str) -> None:
    assert parse_where(f"{column}={value}") == Where(column, "=", value)


SCHEMA = Schema(
    (
        Column("age", "integer", "int64"),
        Column("pay", "float", "double"),
        Column("price", "decimal", "decimal128(6, 2)"),
        Column("day", "datetime", "date32[day]"),
        Column("at", "datetime", "timestamp[us, tz=Europe/Berlin]"),
        Column("wait", "timedelta", "duration[s]"),
        Column("ok", "boolean", "bool"),
        Column("income", "categorical", "string"),
        Column("code", "categorical", "dictionary<values=string, indices=int32, ordered=0>"),
    )
)


def _conditions(*texts: str) -> dict[str, object]:
    return conditions_from([parse_where(text) for text in texts], SCHEMA)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("income=>50K", ">50K"),
        ("income=a|b", ["a", "b"]),
        ('income="a|b"', "a|b"),
        ('income="null"', "null"),
        ("income=1..2", "1..2"),
        ("income=null", None),
        ("code=x", "x"),
        ("age=30", 30),
        ("age=30|31", [30, 31]),
        ("age=30..40", (30, 40)),
        ("age=30..", (30, None)),
        ("age=..40", (None, 40)),
        ("age>=30", (30, None)),
        ("age>30", (31, None)),
        ("age<40", (None, 39)),
        ("age=-5..-1", (-5, -1)),
        ("pay<=1.5", (None, 1.5)),
        ("price>1.10", (Decimal("1.11"), None)),
        ("day<2024-03-01", (None, date(2024, 2, 29))),
        ("wait=1.5", timedelta(seconds=1.5)),
        ("ok=true", True),
    ],
)
def test_conditions(text: str, expected: object) -> None:
    (value,) = _conditions(text).values()
    assert value == expected
    assert type(value) is type(expected)


def test_a_strict_bound_excludes_its_end() -> None:
    low, high = _conditions("pay<1")["pay"]  # type: ignore[misc]
    assert low is None
    assert 0.999 < high < 1


def test_instants_without_an_offset_are_local_to_the_column() -> None:
    local = _conditions("at=2024-07-01T12:00:00")["at"]
    absolute = _conditions("at=2024-07-01T10:00:00Z")["at"]
    assert isinstance(local, datetime)
    assert local == absolute


def test_not_missing() -> None:
    from synthgan.conditions import NOT_MISSING

    assert _conditions("age!=null") == {"age": NOT_MISSING}


def test_bounds_on_one_column_are_joined() -> None:
    assert _conditions("age>=30", "age<40", "age>=25") == {"age": (30, 39)}


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (("nope=1",), SchemaError),
        (("age=old",), ConditionError),
        (("age=30.5",), ConditionError),
        (("day=soon",), ConditionError),
        (("at=soon",), ConditionError),
        (("income>=a",), ConditionError),
        (("age=30", "age=31"), ConditionError),
    ],
)
def test_conditions_that_do_not_fit(texts: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        _conditions(*texts)


# --- exit codes and streams ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["fit"],
        ["fit", "x.csv"],
        ["sample", "m", "-n", "0", "-o", "x.csv"],
        ["sample", "m", "-n", "5", "-o", "x.xlsx"],
        ["sample", "m", "-n", "5", "-o", "x.csv", "--where", "age"],
        ["sample", "m", "-n", "5", "-o", "x.csv", "--seed", "-1"],
        ["--json", "sample", "m", "-n", "5", "-o", "-"],
    ],
)
def test_case49_wrong_usage_is_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "usage: synthgan" in err


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["sample", "--help"]])
def test_help_is_0(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert "synthgan" in capsys.readouterr().out


def test_case49_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", str(tmp_path / "none.csv")]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("synthgan: error: ")
    assert err.count("\n") == 1


def test_case49_debug_shows_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", str(tmp_path / "none.csv"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_output_is_checked_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no" / "model.synthgan"
    assert main(["fit", str(EXTRACT), "-o", str(missing)]) == 1
    assert "no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(32, "pipe"), 141)]
)
def test_interruptions(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(args: argparse.Namespace) -> verbs.Answer:
        raise error

    stop.__doc__ = "Stop."
    stop.__name__ = "inspect"
    monkeypatch.setattr(verbs, "inspect", stop)
    with (tmp_path / "out").open("w") as stdout, contextlib.redirect_stdout(stdout):
        assert main(["inspect", "m"]) == code


def test_warnings_are_one_line_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(pa.table({"a": [1, 2, 2, 1], "b": pa.nulls(4)}), path)
    assert main(["schema", str(path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["columns"][0]["name"] == "a"
    assert err.startswith("synthgan: warning: ")
    assert main(["schema", str(path), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def _run(*argv: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "synthgan", *argv]
    return subprocess.run(command, capture_output=True, **options)  # type: ignore[call-overload, no-any-return]


def test_python_dash_m() -> None:
    done = _run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith(b"synthgan ")


# --- the verbs on a small table -----------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.parquet, holdout.csv and a model fitted by the command line."""
    path = tmp_path_factory.mktemp("cli")
    table = pa.parquet.read_table(EXTRACT, columns=COLUMNS)
    pa.parquet.write_table(table.slice(0, 1000), path / "train.parquet")
    pa.csv.write_csv(table.slice(1000, 1000), path / "holdout.csv")
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        options = ["--seed", "1", "--max-time", "5s", "--device", "cpu", "--quiet", "--json"]
        model = str(path / "m.synthgan")
        code = main(
            ["fit", str(path / "train.parquet"), "-o", model, "--target", "income", *options]
        )
    assert code == 0
    facts = json.loads(stdout.getvalue())
    assert facts["model"] == str(path / "m.synthgan")
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    """A model that takes a second to fit, also to shadow models."""
    path = folder / "tiny.synthgan"
    tiny_gan().fit(folder / "train.parquet", target="income").save(path)
    return path


def test_sample_writes_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "s.parquet"
    argv = ["sample", str(folder / "m.synthgan"), "-n", "50", "-o", str(out), "--seed", "3"]
    assert main(argv) == 0
    text, err = capsys.readouterr()
    assert not text
    assert "50 rows" in err
    frame = pd.read_parquet(out)
    assert frame.shape == (50, len(COLUMNS))
    assert set(frame.columns) == set(COLUMNS)
    first = out.read_bytes()
    assert main(argv) == 0
    assert out.read_bytes() == first


def test_sample_of_a_model_of_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    tiny_gan().fit(rng.normal(size=(200, 2)), rng.integers(2, size=200)).save(tmp_path / "m")
    argv = ["sample", str(tmp_path / "m"), "-n", "1e5", "-o", str(tmp_path / "s.csv")]
    assert main([*argv, "--steps", "1"]) == 0
    frame = pd.read_csv(tmp_path / "s.csv")
    assert list(frame) == ["x0", "x1", "target"]
    assert len(frame) == 100_000
    assert "100000 rows" in capsys.readouterr().err


def test_sample_where(folder: Path) -> None:
    out = folder / "w.csv"
    argv = ["sample", str(folder / "m.synthgan"), "-n", "40", "-o", str(out), "--seed", "3"]
    where = ["income=>50K", "age=30..40", "hours_per_week>=35", "hours_per_week<60"]
    assert main([*argv, "--steps", "2", "--where", *where, "--where", "workclass!=null"]) == 0
    frame = pd.read_csv(out)
    assert len(frame) == 40
    assert (frame["income"] == ">50K").all()
    assert frame["age"].between(30, 40).all()
    assert frame["hours_per_week"].between(35, 59).all()
    assert frame["workclass"].notna().all()


def test_case49_sample_to_standard_output(folder: Path) -> None:
    done = _run("sample", str(folder / "m.synthgan"), "-n", "20", "-o", "-", "--seed", "1")
    assert done.returncode == 0
    assert len(pd.read_csv(io.BytesIO(done.stdout))) == 20


def test_case49_a_closed_pipe_is_quiet(folder: Path) -> None:
    command = [sys.executable, "-m", "synthgan", "sample", str(folder / "m.synthgan")]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*command, "-n", "20", "-o", "-"], stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder / "m.synthgan")]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COLUMNS)
    assert main(["inspect", str(folder / "m.synthgan"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    _, _, tried = text.partition("Steps tried")
    shown = [line.split()[0] for line in tried.splitlines() if "unseen rows" in line]
    assert shown == [str(cost["steps"]) for cost in facts["step_costs"]] != []


def test_evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, holdout = str(folder / "train.parquet"), str(folder / "holdout.csv")
    html, report = folder / "r.html", folder / "r.json"
    argv = ["evaluate", train, holdout, "--target", "income", "--level", "quick"]
    assert main([*argv, "--html", str(html), "--json", str(report)]) == 0
    assert capsys.readouterr().out
    assert "<html" in html.read_text("utf-8")
    assert json.loads(report.read_text("utf-8"))
    assert main([*argv, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(report.read_text("utf-8"))


GATES = {
    "scores: {c2st_auc: {max: 0.9}, shape_error: {max: 60}}": 0,
    "scores: {c2st_auc: {max: 0.1}, shape_error: {max: 60}}": 3,
    "scores: {membership_auc: {max: 0.9}}": 3,  # there is no holdout, so nothing was measured
    "scores: {shape_eror: {max: 1}}": 3,
    "scores: 7": 1,
}


@pytest.mark.parametrize("rules", GATES)
def test_gate(folder: Path, capsys: pytest.CaptureFixture[str], rules: str) -> None:
    gate, junit = folder / "gate.yaml", folder / "gate.xml"
    gate.write_text(rules, "utf-8")
    junit.unlink(missing_ok=True)
    argv = ["evaluate", str(folder / "train.parquet"), str(folder / "holdout.csv")]
    argv += ["--level", "quick", "--gate", str(gate), "--junit", str(junit), "--quiet"]
    argv += ["--json", str(folder / "gate.json")]
    assert main(argv) == GATES[rules]
    out, err = capsys.readouterr()
    if GATES[rules] == 1:
        assert "gate.yaml" in err
        return
    assert ("Gate FAILED" in out) == (GATES[rules] == 3)
    data = json.loads((folder / "gate.json").read_text("utf-8"))
    assert data["gate"]["passed"] == (GATES[rules] == 0)
    assert ("<failure" in junit.read_text("utf-8")) == (GATES[rules] == 3)


def test_public_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", str(folder / "train.parquet"), str(folder / "holdout.csv"), "--public"]
    assert main([*argv, "--level", "quick", "--json", "-", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["public"] is True
    for column in COLUMNS:
        assert column not in out
    gate = folder / "public.yaml"
    gate.write_text("scores:\n  shape_error:\n    max: 0.0\n", "utf-8")
    argv += ["--level", "quick", "--json", "-", "--quiet"]
    assert main([*argv, "--gate", str(gate)]) == 3
    (outcome,) = json.loads(capsys.readouterr().out)["gate"]["outcomes"]
    assert (outcome["passed"], outcome["measured"], outcome["reason"]) == (False, None, "")
    argv += ["--card", str(folder / "public.json")]
    assert main([*argv, "--model", str(folder / "m.synthgan")]) == 2
    assert main(argv) == 0
    card = (folder / "public.json").read_text("utf-8")
    assert not any(column in card for column in COLUMNS)


def test_cards_are_verified(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, other = str(folder / "train.parquet"), str(folder / "holdout.csv")
    tables = [train, other, "--holdout", other, "--quiet"]
    of_data, of_model = folder / "data.json", folder / "model.json"
    argv = ["evaluate", *tables, "--level", "quick", "--target", "income"]
    assert main([*argv, "--card", str(of_data)]) == 0
    assert main([*argv, "--card", str(of_model), "--model", str(model)]) == 0
    assert main([*argv, "--card", str(folder / "data.md")]) == 0
    assert "No formal privacy guarantee" in (folder / "data.md").read_text("utf-8")
    capsys.readouterr()
    assert main(["verify", str(of_data), *tables]) == 0
    assert "agrees" in capsys.readouterr().out
    assert main(["verify", str(of_model), *tables, "--model", str(model)]) == 0
    boast = json.loads(of_model.read_text("utf-8"))
    boast["model"]["rows"] = 10**6
    (folder / "boast.json").write_text(json.dumps(boast), "utf-8")
    assert main(["verify", str(folder / "boast.json"), *tables, "--model", str(model)]) == 3
    assert "rows" in capsys.readouterr().out
    assert main(["verify", str(of_model), *tables]) == 2
    assert "--model" in capsys.readouterr().err
    forged = json.loads(of_data.read_text("utf-8"))
    next(s for s in forged["scores"] if s["name"] == "c2st_auc")["value"] = 0.5
    of_data.write_text(json.dumps(forged), "utf-8")
    assert main(["verify", str(of_data), *tables]) == 3
    assert "c2st_auc" in capsys.readouterr().out


def test_check(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.read_parquet(folder / "train.parquet")
    old, moved = folder / "new.parquet", folder / "moved.parquet"
    rows.drop(columns="sex").to_parquet(moved)
    rows.to_parquet(old)
    codes = [main(["check", str(model), str(path), "--json"]) for path in (old, moved)]
    assert codes[1] == 3
    assert "'sex' is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--junit", "j.xml"], "--junit"),
        (["--card", "card.html"], "ends in .md or .json"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, more: list[str], match: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["evaluate", str(folder / "train.parquet"), str(folder / "holdout.csv"), "--quiet"]
    assert main([*argv, *more]) == 2
    assert match in capsys.readouterr().err


def test_shadow_models(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", str(folder / "train.parquet"), str(folder / "holdout.csv"), "--quiet"]
    argv += ["--level", "quick", "--shadow", "16", "--json", "-"]
    assert main(argv) == 2
    assert "--model" in capsys.readouterr().err
    assert main([*argv, "--model", str(model)]) == 0
    scores = {s["name"]: s for s in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["shadow_auc"]["value"] is not None


def test_an_edited_schema_comes_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = str(folder / "train.parquet")
    assert main(["schema", train]) == 0
    schema = Schema.from_json(capsys.readouterr().out).replace("age", bounds=(0, 120))
    (folder / "schema.json").write_text(schema.to_json(), encoding="utf-8")
    argv = ["fit", train, "-o", str(folder / "b.synthgan"), "--schema", str(folder / "schema.json")]
    assert main([*argv, "--max-time", "3s", "--quiet"]) == 0
    assert main(["inspect", str(folder / "b.synthgan")]) == 0
    assert "(0, 120)" in capsys.readouterr().out


def test_a_foreign_model_file_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder / "train.parquet")]) == 1
    assert capsys.readouterr().err.startswith("synthgan: error: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_case35_a_stopped_fit_can_go_on(tmp_path: Path, number: int, code: int) -> None:
    model = tmp_path / "c.synthgan"
    state = tmp_path / "c.synthgan.checkpoint"
    command = [sys.executable, "-m", "synthgan", "fit", str(EXTRACT), "--resume", "--seed", "0"]
    process = subprocess.Popen(
        [*command, "-o", str(model), "--max-time", "5m"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    err = b""
    while b"loss=" not in err:  # the bar of the first epoch
        piece = os.read(process.stderr.fileno(), 4096)
        assert piece, err
        err += piece
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    err += rest
    assert process.returncode == code
    assert b"Traceback" not in err
    assert f"the same command goes on from {state}".encode() in err
    assert [path.name for path in tmp_path.iterdir()] == [state.name]
    phases = read_model(state)[0]["phases"]
    assert phases["likelihood"]["step"] > 0  # far sooner than the half minute between two writes


def test_a_model_that_cannot_be_written_costs_no_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = tmp_path / "t.csv"
    pd.DataFrame({"x": range(60), "y": [0, 1] * 30}).to_csv(train, index=False)
    argv = ["fit", str(train), "-o", str(tmp_path / "m"), "--resume", "--seed", "0", "--quiet"]

    def full(*_: object) -> None:
        raise DataError("Cannot write it: No space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr("synthgan.estimators.base.write_model", full)
        assert main(argv) == 1
    assert (tmp_path / "m.checkpoint").exists()
    assert main(argv) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"m", "t.csv"}


def test_a_sample_in_files(folder: Path, tmp_path: Path) -> None:
    model, out = str(folder / "m.synthgan"), tmp_path / "out"
    argv = ["sample", model, "-n", "1e3", "-o", f"{out}/", "--seed", "1", "--workers", "1"]
    assert main([*argv, "--quiet", "--where", "sex=Female"]) == 0
    frame = pd.read_parquet(out)
    assert len(frame) == 1000
    assert set(frame["sex"]) == {"Female"}
    assert main([*argv, "--quiet"]) == 1  # it holds another sample
    assert main(["sample", model, "-n", "9", "-o", str(out / "x.csv"), "--workers", "2"]) == 2


@pytest.mark.slow
def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow because it fits and evaluates a whole table, as a newcomer's first command does."""
    assert main(["demo", "--out", str(tmp_path / "d"), "--max-time", "5s", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "report.html" in out
    assert not err
    found = {path.name for path in (tmp_path / "d").iterdir()}
    assert found == {"model.synthgan", "synthetic.parquet", "report.html", "report.json"}
    synthetic = pd.read_parquet(tmp_path / "d" / "synthetic.parquet")
    assert synthetic.shape == (284, 31)
    assert set(synthetic["diagnosis"]) <= {"malignant", "benign"}


def test_fit_with_a_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign file is refused by name before any training; a fit that is done leaves none."""
    kept, model = folder / "fit.checkpoint", folder / "kept.synthgan"
    argv = ["fit", str(folder / "train.parquet"), "-o", str(model), "--max-time", "1s", "--quiet"]
    kept.write_bytes(b"something else")
    assert main([*argv, "--checkpoint", str(kept)]) == 1
    assert "fit.checkpoint is no checkpoint, or damaged" in capsys.readouterr().err
    assert kept.read_bytes() == b"something else"
    kept.unlink()
    assert main([*argv, "--checkpoint", str(kept)]) == 0
    assert model.exists()
    assert not kept.exists()


def test_augment_writes_rows_and_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out, page = folder / "small.csv", folder / "more.parquet", folder / "trial.html"
    pd.read_parquet(folder / "train.parquet").head(200).to_csv(data, index=False)
    argv = ["augment", str(data), "--target", "income", "-o", str(out), "--html", str(page)]
    argv += ["--folds", "2", "--repeats", "1", "--max-time", "1s", "--learner", "linear"]
    assert main([*argv, "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "synthetic rows were added" in text
    assert "random oversampling" in text
    rows = pd.read_parquet(out)
    assert list(rows) == COLUMNS
    assert len(rows) >= 200
    assert "<svg" in page.read_text()
    assert main([*argv[:2], "--target", "no", "-o", str(out)]) == 1
    assert "no such column" in capsys.readouterr().err
    assert main([*argv, "--scoring", "beauty", "--quiet"]) == 1
    assert "scoring must be one of auc" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["stay>=1e20", "stay>=inf", "zoned<0001-01-01", "at>2262-04-11T23:47:16.854775807"]
)
def test_conditions_beyond_all_times(text: str) -> None:
    columns = [("stay", "timedelta", "duration[s]"), ("at", "datetime", "timestamp[ns]")]
    columns += [("zoned", "datetime", "timestamp[us, tz=Europe/Berlin]")]
    schema = Schema(tuple(Column(*column) for column in columns))
    with pytest.raises(ConditionError):
        conditions_from([parse_where(text)], schema)
