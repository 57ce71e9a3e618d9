"""The command line under differential privacy: template, fit, ledger, sample."""

import json

import numpy as np
import pandas as pd
import pytest

from synthgan.cli import main
from synthgan.privacy import Ledger

pytest.importorskip("opendp")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "who": np.arange(900) // 3,
            "town": rng.choice(["a", "b"], 900),
            "age": rng.integers(0, 90, 900),
        }
    )
    frame.to_parquet(tmp_path / "people.parquet")
    return tmp_path / "people.parquet"


def test_a_domain_is_written_filled_in_and_used(data, tmp_path, capsys):
    domain, model = tmp_path / "domain.json", tmp_path / "m.synthgan"
    assert main(["domain", "init", str(data), "-o", str(domain), "--unit", "who"]) == 0
    found = json.loads(domain.read_text())
    assert {c["name"]: c["kind"] for c in found["columns"]} == {
        "who": "identifier",
        "town": "categorical",
        "age": "integer",
    }
    assert "what stays null costs budget" in capsys.readouterr().err
    assert main(["domain", "init", str(data), "-o", str(domain)]) == 1
    fit = ["fit", str(data), "-o", str(model), "--epsilon", "4", "--delta", "1e-5"]
    fit += ["--domain", str(domain), "--unit", "who", "--max-rows", "3", "--seed", "0", "--quiet"]
    assert [c.get("levels", c.get("bounds")) for c in found["columns"]] == [None] * 3
    found["columns"][1]["levels"], found["columns"][2]["bounds"] = ["a", "b"], [0, 120]
    domain.write_text(json.dumps(found))
    assert main([*fit, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["privacy"].startswith("Differential privacy: epsilon = 4, delta = 1e-05")
    ledger = Ledger(f"{model}.ledger", unit="who")
    assert ledger.spent()[0] == pytest.approx(4.0)
    assert main(fit) == 1  # the budget of these people is used up
    assert "Nothing was released" in capsys.readouterr().err
    out = tmp_path / "out.csv"
    assert main(["sample", str(model), "-n", "50", "-o", str(out), "--where", "town=a"]) == 0
    assert set(pd.read_csv(out)["town"]) == {"a"}
    capsys.readouterr()
    assert main(["inspect", str(model)]) == 0
    assert "Differential privacy: epsilon = 4" in capsys.readouterr().out


def test_one_ledger_for_a_fit_and_its_distances(data, tmp_path, capsys):
    domain, model = tmp_path / "domain.json", tmp_path / "m.synthgan"
    main(["domain", "init", str(data), "-o", str(domain), "--unit", "who"])
    found = json.loads(domain.read_text())
    found["columns"][1]["levels"], found["columns"][2]["bounds"] = ["a", "b"], [0, 120]
    domain.write_text(json.dumps(found))
    ledger, out = tmp_path / "people.ledger", tmp_path / "out.parquet"
    begin = ["ledger", "init", str(ledger), "--delta", "1e-5", "--unit", "who"]
    assert main(begin) == 2
    assert main([*begin, "--epsilon", "5"]) == 0
    assert main([*begin, "--epsilon", "5"]) == 1
    assert "never begun again" in capsys.readouterr().err
    people = ["--delta", "1e-5", "--unit", "who", "--max-rows", "3", "--ledger", str(ledger)]
    fit = ["fit", str(data), "-o", str(model), "--domain", str(domain), "--quiet", *people]
    assert main([*fit, "--epsilon", "3"]) == 0
    assert main(["sample", str(model), "-n", "900", "-o", str(out), "--quiet"]) == 0
    capsys.readouterr()
    compare = ["distances", str(data), str(out), *people, "--epsilon", "2"]
    assert main(compare) == 2
    assert "Give --domain, or the --model" in capsys.readouterr().err
    assert main([*compare, "--model", str(model)]) == 0
    assert "columns, mean" in capsys.readouterr().out
    assert main(["ledger", "show", str(ledger)]) == 0
    shown = capsys.readouterr().out
    assert "distances of 3 marginals" in shown
    assert " of 5 is spent at delta = 1e-05, for each who added" in shown
    assert main([*compare, "--domain", str(domain), "--epsilon", "4"]) == 1
    assert "Nothing was released" in capsys.readouterr().err


def test_a_template_on_standard_output(data, capsys):
    assert main(["domain", "init", str(data)]) == 0
    assert json.loads(capsys.readouterr().out)["columns"][0]["name"] == "who"


@pytest.mark.parametrize(
    ("more", "match", "code"),
    [
        (["--delta", "1e-5"], "--delta belongs to --epsilon", 2),
        (["--epsilon", "1"], "--epsilon needs --delta", 2),
        (["--epsilon", "0", "--delta", "1e-5"], "epsilon must be above 0", 1),
        (["--epsilon", "1", "--delta", "0.5"], "not below one over the number of rows", 1),
    ],
)
def test_what_makes_no_sense(data, tmp_path, capsys, more, match, code):
    assert main(["fit", str(data), "-o", str(tmp_path / "m"), *more]) == code
    assert match in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_dates_are_in_the_template_and_need_bounds(tmp_path, capsys):
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 366, 500), unit="D")
    path, domain = tmp_path / "stays.parquet", tmp_path / "domain.json"
    pd.DataFrame({"day": days, "long": rng.random(500) < 0.5}).to_parquet(path)
    assert main(["domain", "init", str(path), "-o", str(domain)]) == 0
    fit = ["fit", str(path), "-o", str(tmp_path / "m"), "--epsilon", "2", "--delta", "1e-5"]
    fit += ["--domain", str(domain), "--quiet", "--seed", "0"]
    assert main(fit) == 1
    assert (
        "'day' is timestamp[ns]; under differential privacy its bounds" in capsys.readouterr().err
    )
    found = json.loads(domain.read_text())
    found["columns"][0]["bounds"] = ["2024-01-01", "2024-12-31"]
    domain.write_text(json.dumps(found))
    assert main(fit) == 0
