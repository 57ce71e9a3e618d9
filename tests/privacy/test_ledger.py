"""A ledger adds up, survives, and cannot be talked round."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.exceptions import BudgetError, DataError
from synthgan.privacy.accounting import epsilon_of, rho_of
from synthgan.privacy.ledger import Ledger


@given(st.lists(st.floats(0, 0.02), max_size=8))
def test_charges_add_up_until_the_budget_is_used(costs):
    ledger = Ledger(None, epsilon=1.0, delta=1e-5)
    total = 0.0
    for cost in costs:
        if total + cost <= rho_of(1.0, 1e-5):
            ledger.charge(cost, mechanism="discrete Gaussian")
            total += cost
        else:
            with pytest.raises(BudgetError, match=r"beyond the budget: 1\. Nothing was released"):
                ledger.charge(cost)
    assert sum(entry["rho"] for entry in ledger.entries) == pytest.approx(total)
    assert ledger.spent()[0] == pytest.approx(epsilon_of(total, 1e-5))


def test_delta_counts(tmp_path):
    ledger = Ledger(tmp_path / "l", epsilon=1.0, delta=1e-5)
    ledger.charge(0.0, 4e-6, mechanism="levels")
    rho = rho_of(1.0, 6e-6)
    with pytest.raises(BudgetError):
        ledger.charge(rho * 1.01)
    ledger.charge(rho)
    assert ledger.spent() == (pytest.approx(1.0), pytest.approx(4e-6))
    with pytest.raises(BudgetError):
        ledger.charge(0.0, 7e-6)


def test_a_file_is_opened_again_and_composes(tmp_path):
    path = tmp_path / "people.ledger"
    Ledger(path, epsilon=2.0, delta=1e-5).charge(0.05, what="one", sigma=3.0)
    again = Ledger(path)
    again.charge(0.05, what="two")
    assert [entry["what"] for entry in Ledger(path).entries] == ["one", "two"]
    with pytest.raises(BudgetError, match="beyond the budget of"):
        again.require(0.05)
    found = again.to_dict()
    assert found["epsilon"] == 2.0
    assert found["spent"]["epsilon"] == pytest.approx(epsilon_of(0.1, 1e-5))
    for line in path.read_text().splitlines():
        assert {"time", "version", "after"} <= set(json.loads(line))


def test_what_is_refused(tmp_path):
    path = tmp_path / "l"
    with pytest.raises(BudgetError, match="No ledger at"):
        Ledger(path)
    with pytest.raises(DataError, match=r"Cannot write .* Nothing was released"):
        Ledger(tmp_path / "no" / "l", epsilon=1.0, delta=1e-5)
    Ledger(path, epsilon=1.0, delta=1e-5)
    with pytest.raises(BudgetError, match="has a budget of epsilon = 1, not 2"):
        Ledger(path, epsilon=2.0)
    with pytest.raises(BudgetError, match="protects the unit 'row', not 'person'"):
        Ledger(path, unit="person")
    for cost in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BudgetError):
            Ledger(path).charge(cost)
    assert not Ledger(path).entries


@pytest.mark.parametrize("edit", ["cheaper", "gone", "text", "empty", "budget"])
def test_an_edited_file_is_refused(tmp_path, edit):
    path = tmp_path / "l"
    ledger = Ledger(path, epsilon=1.0, delta=1e-5)
    ledger.charge(0.01)
    ledger.charge(0.01)
    lines = path.read_text().splitlines()
    changed = {
        "cheaper": [lines[0], lines[1].replace("0.01", "0.00"), lines[2]],
        "gone": [lines[0], lines[2]],
        "text": ["x,y"],
        "empty": [],
        "budget": [lines[0].replace('"epsilon": 1.0', '"epsilon": 9.0'), *lines[1:]],
    }[edit]
    path.write_text("\n".join(changed))
    with pytest.raises(BudgetError, match="was edited"):
        Ledger(path)
    with pytest.raises(BudgetError):
        ledger.charge(0.001)


@pytest.mark.parametrize(
    "change", [{"epsilon": True}, {"epsilon": 1e999}, {"delta": float("nan")}, {"unit": ["row"]}]
)
def test_a_budget_of_another_type_is_refused(tmp_path, change):
    path = tmp_path / "l"
    Ledger(path, epsilon=1.0, delta=1e-5)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BudgetError, match="was edited"):
        Ledger(path)


def test_another_process_and_a_lost_file(tmp_path):
    path = tmp_path / "l"
    first = Ledger(path, epsilon=1.0, delta=1e-5)
    second = Ledger(path)
    first.charge(0.001)
    with pytest.raises(BudgetError, match="has changed since"):
        second.charge(0.001)
    path.unlink()
    with pytest.raises(BudgetError, match="has gone"):
        first.charge(0.001)
