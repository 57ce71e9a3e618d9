"""What leaves the table: as sensitive as it is charged for, and in no order."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan.encoding import TableEncoder
from synthgan.exceptions import BudgetError, DataError, ParameterError
from synthgan.privacy import mechanisms
from synthgan.privacy.accounting import rho_of
from synthgan.privacy.discovery import discover, schema_of_types
from synthgan.privacy.ledger import Ledger
from synthgan.privacy.private_table import PrivateTable
from synthgan.schema import Column, Schema

pytest.importorskip("opendp")

SCHEMA = Schema(
    (
        Column("who", "identifier", "int64"),
        Column("sick", "boolean", "bool"),
        Column("age", "integer", "int64", bounds=(0, 99), bins=5),
        Column("city", "categorical", "string", levels=("a", "b", "c")),
    )
)
MARGINALS = [(1, 2), (1, 3), (2, 3), (1, 2, 3), (3,)]

rows = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.integers(-20, 120)),
        st.one_of(st.none(), st.sampled_from("abcxyz")),
    ),
    min_size=1,
    max_size=40,
)


def table_of(found):
    columns = list(zip(*found, strict=True)) if found else [[]] * 4
    types = [pa.int64(), pa.bool_(), pa.int64(), pa.string()]
    arrays = [pa.array(list(c), type=t) for c, t in zip(columns, types, strict=True)]
    return pa.Table.from_arrays(arrays, names=list(SCHEMA.names))


def opened(table, *, unit=None, max_rows=1, epsilon=100.0):
    ledger = Ledger(None, epsilon=epsilon, delta=1e-5, unit=unit or "row")
    private = PrivateTable(table, ledger, unit=unit, max_rows=max_rows)
    private.bind(TableEncoder.declared(SCHEMA))
    return private, ledger


@pytest.fixture
def no_noise(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda counts, sigma: counts)


@settings(deadline=None, max_examples=60)
@given(rows, st.sampled_from([1, 2, 5]), st.booleans())
def test_no_unit_changes_an_answer_by_more_than_it_is_charged_for(found, max_rows, by_person):
    """All rows of one unit are removed, and the distance of the answers is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mechanisms, "discrete_gaussian", lambda counts, sigma: counts)
        patch.setattr("synthgan.privacy.private_table.secrets.token_hex", lambda n: "k" * 2 * n)
        unit = "who" if by_person else None
        without = [r for r in found if r[0] != found[0][0]] if by_person else found[1:]
        limit = max_rows if by_person else 1
        answers = []
        for part in (found, without):
            private, ledger = opened(table_of(part), unit=unit, max_rows=limit)
            answers.append(private.measure(MARGINALS, rho=0.1))
        gap = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(*answers, strict=True)))
        assert gap <= ledger.entries[0]["sensitivity"] + 1e-9
        assert ledger.entries[0]["sensitivity"] == pytest.approx(limit * math.sqrt(len(MARGINALS)))


@settings(deadline=None, max_examples=30)
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_before_noise(found, random):
    shuffled = random.sample(found, len(found))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mechanisms, "discrete_gaussian", lambda counts, sigma: counts)
        patch.setattr("synthgan.privacy.private_table.secrets.token_hex", lambda n: "k" * 2 * n)
        answers = []
        for part in (found, shuffled):
            private, _ = opened(table_of(part), unit="who", max_rows=2)
            answers.append(private.measure(MARGINALS, 0.1))
            answers[-1].append(private.log_histogram(SCHEMA["age"], 0.1)[0])
            answers[-1].append(np.array(private.levels("city", 50.0, 1e-6)))
        for a, b in zip(*answers, strict=True):
            np.testing.assert_array_equal(a, b)


def test_counts_are_right_and_cells_outside_are_moved(no_noise):
    found = [(1, True, 5, "a"), (2, False, -4, "z"), (3, None, 150, None), (4, True, None, "c")]
    private, _ = opened(table_of(found))
    encoder = TableEncoder.declared(SCHEMA)
    assert private.bind(encoder) == {"age": 2, "city": 1}
    ages, cities, both = private.measure([(2,), (3,), (1, 3)], 0.5)
    assert ages.tolist() == [2, 0, 0, 0, 1, 1]  # the last is missing
    assert cities.tolist() == [1, 0, 1, 2]
    assert both.tolist() == [[0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 1]]


def test_units_keep_so_many_rows_drawn_at_random(no_noise):
    found = [(1, True, k, "a") for k in range(100)] + [(2, False, 99, "b")]
    kept = set()
    for _ in range(20):
        private, _ = opened(table_of(found), unit="who", max_rows=3)
        sick, ages = private.measure([(1,), (2,)], 0.5)
        assert sick.tolist() == [1, 3, 0]
        kept.add(tuple(ages))
    assert len(kept) > 1
    with pytest.raises(DataError, match="unit='nobody' is not a column"):
        PrivateTable(table_of(found), Ledger(None, epsilon=1.0, delta=1e-5), unit="nobody")
    with pytest.raises(ParameterError, match="max_rows"):
        opened(table_of(found), unit="who", max_rows=0)


def test_every_answer_is_charged_before_it_is_used(monkeypatch):
    found = [(k, True, 5, "a") for k in range(50)]
    private, ledger = opened(table_of(found), epsilon=1.0)

    def watched(counts, sigma):
        assert ledger.entries, "noise before the charge"
        return counts

    monkeypatch.setattr(mechanisms, "discrete_gaussian", watched)
    private.measure(MARGINALS, rho_of(1.0, 1e-5) / 2)
    monkeypatch.setattr(mechanisms, "discrete_gaussian", None)
    for ask in (
        lambda: private.measure(MARGINALS, 0.03),
        lambda: private.distances(MARGINALS, [np.ones(1, int)] * 5, 0.03),
        lambda: private.log_histogram(SCHEMA["age"], 0.03),
        lambda: private.levels("city", 0.01, 9e-6),
    ):
        with pytest.raises(BudgetError, match="Nothing was released"):
            ask()
    assert len(ledger.entries) == 1


def test_noise_has_the_deviation_that_was_charged():
    private, ledger = opened(table_of([(1, True, 5, "a")] * 10))
    answers = [private.measure([(1, 2, 3)], 0.001)[0] for _ in range(60)]
    sigma = ledger.entries[0]["sigma"]
    assert sigma == pytest.approx(math.sqrt(1 / 0.002))
    spread = np.concatenate([a.ravel() for a in answers])
    assert spread.std() == pytest.approx(sigma, rel=5 / math.sqrt(2 * len(spread)))


# --- discovery ------------------------------------------------------------------------------------


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    return pa.Table.from_pandas(
        pd.DataFrame(
            {
                "age": rng.integers(18, 90, n),
                "money": np.where(rng.random(n) < 0.5, 0.0, rng.lognormal(8, 1, n)),
                "town": rng.choice(["north", "south", "east"], n, p=[0.6, 0.399, 0.001]),
                "sick": rng.random(n) < 0.3,
            }
        )
    )


def test_a_domain_is_bought():
    ledger = Ledger(None, epsilon=3.0, delta=1e-6)
    private = PrivateTable(people(5000), ledger)
    schema = discover(schema_of_types(private.types, None), private, 0.05, 1e-7)
    assert all(column.is_declared for column in schema)
    assert schema["town"].levels == ("north", "south")  # five people are not seen
    low, high = schema["age"].bounds
    assert 14 <= low <= 20
    assert 85 <= high <= 100
    assert schema["money"].spikes == (0.0,)
    assert schema["money"].bounds[0] == 0.0
    assert 5_000 < schema["money"].bounds[1] < 300_000
    assert sum(entry["rho"] for entry in ledger.entries) == pytest.approx(0.05)
    assert ledger.spent()[1] == pytest.approx(1e-7)
    TableEncoder.declared(schema)


def test_a_level_of_one_person_is_hardly_ever_seen():
    lonely = pa.table({"town": ["north"] * 40 + ["mine"]})
    delta, n_trials, seen = 0.05, 400, 0
    for _ in range(n_trials):
        private = PrivateTable(lonely, Ledger(None, epsilon=10.0, delta=0.1))
        seen += "mine" in private.levels("town", 0.5, delta)
    assert seen <= delta * n_trials + 5 * math.sqrt(delta * n_trials)


def test_types_say_what_they_can():
    private = PrivateTable(people(10), Ledger(None, epsilon=1.0, delta=1e-5))
    schema = schema_of_types(private.types, None)
    kinds = {column.name: column.kind for column in schema}
    assert kinds == {"age": "integer", "money": "float", "town": "categorical", "sick": "boolean"}
