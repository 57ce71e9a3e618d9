"""A private fit as a user runs it, and the proofs that it sees nothing but noisy answers."""

import dataclasses
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synthgan import TabularGAN, load_model
from synthgan.encoding import TableEncoder
from synthgan.exceptions import (
    BudgetError,
    CheckpointError,
    DataError,
    DataWarning,
    ParameterError,
    SchemaError,
)
from synthgan.io import read_table
from synthgan.marginals import MarginalOptions
from synthgan.options import TrainingOptions
from synthgan.privacy import DifferentialPrivacy, Ledger, mechanisms
from synthgan.privacy.accounting import epsilon_of, rho_of
from synthgan.privacy.private_table import PrivateTable
from synthgan.schema import Column, Schema

pytest.importorskip("opendp")

DOMAIN = Schema(
    (
        Column("age", "integer", "int64", bounds=(0, 99), bins=10),
        Column("town", "categorical", "string", levels=("east", "north", "south")),
        Column("load", "float", "double", bounds=(0.0, 50.0), bins=8, spikes=(0.0,), decimals=1),
        Column("sick", "boolean", "bool", missing=False),
    )
)
QUICK = MarginalOptions(rows=60, steps=600)


def people(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 100, n)
    sick = rng.random(n) < age / 150
    return pd.DataFrame(
        {
            "age": age,
            "town": rng.choice(["east", "north", "south"], n, p=[0.2, 0.3, 0.5]),
            "load": np.where(sick, rng.uniform(10, 50, n), 0.0).round(1),
            "sick": sick,
        }
    )


def gan(epsilon=5.0, delta=1e-5, domain=DOMAIN, fit=None, **more):
    privacy = DifferentialPrivacy(epsilon, delta, domain=domain, **more)
    settings = {"options": QUICK, "random_state": 0, "verbose": 0, **(fit or {})}
    return TabularGAN(privacy=privacy, **settings)


FITTED = gan().fit(people(), target="sick")


def test_samples_are_like_the_table():
    real, drawn = people(), FITTED.sample(3000, random_state=1)
    assert (drawn.dtypes == real.dtypes).all()
    assert drawn["age"].between(0, 99).all()
    assert (drawn["load"] == 0).mean() == pytest.approx((real["load"] == 0).mean(), abs=0.05)
    old = {name: frame.loc[frame["age"] > 70, "sick"].mean() for name, frame in
           {"real": real, "drawn": drawn}.items()}  # fmt: skip
    assert old["drawn"] == pytest.approx(old["real"], abs=0.08)
    sick = drawn["sick"]
    assert (drawn.loc[sick, "load"] > 0).mean() > 0.85
    assert FITTED.n_rows_ == pytest.approx(3000, abs=100)
    pd.testing.assert_frame_equal(FITTED.sample(700, random_state=1), drawn[:700])


def test_conditions_imputation_and_scores():
    conditions = {"age": (80, 90), "sick": True}
    rows = FITTED.sample(300, conditions=conditions, random_state=0)
    assert rows["age"].between(80, 90).all()
    assert rows["sick"].all()
    holes = people(200, seed=1)
    holes.loc[:99, "town"] = None
    filled = FITTED.impute(holes, random_state=0)
    assert filled["town"].notna().all()
    pd.testing.assert_series_equal(filled["age"], holes["age"])
    odd = people(300, seed=2).assign(sick=False, load=40.0)
    assert FITTED.score(people(300, seed=2)) > FITTED.score(odd) + 0.5
    one, many = (FITTED.sample(2000, steps=steps, random_state=2) for steps in (1, 4))
    assert one["sick"].mean() == pytest.approx(many["sick"].mean(), abs=0.06)


def test_what_is_wrong_is_said_before_anything_is_bought(tmp_path):
    """A domain with an undeclared column makes a fit buy; it must not buy in vain."""
    ledger = tmp_path / "ledger"
    half = DOMAIN.replace("town", levels=None)
    never = dataclasses.replace(DOMAIN["town"], kind="constant", levels=None)
    cases = [
        (half, {"target": "typo"}, DataError),
        (half.replace("age", bounds=(9, 0)), {}, SchemaError),
        (Schema((DOMAIN["age"], never, *DOMAIN.columns[2:])), {}, SchemaError),
    ]
    for domain, settings, error in cases:
        with pytest.raises(error):
            gan(domain=domain, ledger=ledger).fit(people(500), **settings)
        assert not ledger.exists() or not Ledger(ledger).entries
    shared = tmp_path / "shared"
    Ledger(shared, epsilon=2.5, delta=1e-5)
    gan(epsilon=2.0, ledger=shared).fit(people(500), target="sick")
    spent = len(Ledger(shared).entries)
    with pytest.raises(BudgetError):  # enough is left for a part of what it asks, not for all
        gan(epsilon=2.0, ledger=shared).fit(people(500), target="sick")
    assert len(Ledger(shared).entries) == spent


def test_numbers_that_the_declared_type_does_not_hold_are_moved():
    table = people(400)
    other = table.assign(age=table["age"] + 0.4)
    domain = DOMAIN.replace("age", missing=False)
    codes = [TableEncoder.declared(domain).confine(read_table(t))[0] for t in (table, other)]
    np.testing.assert_array_equal(*codes)


def test_units_that_are_no_keys_are_not_modelled():
    table = people(9000).assign(who=np.repeat(np.arange(3000.0), 3))
    made = gan(domain=None, unit="who", max_rows=3).fit(table)
    assert "who" not in made.sample(5, random_state=0)


def test_arrow_tables_with_a_target():
    table = people(400)
    made = gan().fit(pa.Table.from_pandas(table.drop(columns="sick")), table["sick"])
    assert made.sample(20, random_state=0).column_names[-1] == "sick"


def test_the_first_line_says_what_is_promised(tmp_path):
    said = FITTED.describe()
    assert said["privacy"].startswith(
        "Differential privacy: epsilon = 5, delta = 1e-05 for each row, added or removed"
    )
    assert "Public: names and types of the columns and their domain." in said["privacy"]
    assert said["steps"] == 1
    from synthgan.evaluate.cards import model_card

    assert said["privacy"] in str(model_card(FITTED.describe()).to_dict())


def test_models_are_stored(tmp_path):
    FITTED.save(tmp_path / "m.synthgan")
    again = load_model(tmp_path / "m.synthgan")
    pd.testing.assert_frame_equal(
        again.sample(50, random_state=3), FITTED.sample(50, random_state=3)
    )
    assert again.privacy_ == json.loads(json.dumps(FITTED.privacy_))
    assert again.describe() == FITTED.describe()


def test_arrays_and_single_columns():
    real = people(500)
    x, y = real[["age", "load"]].to_numpy(), real["sick"].to_numpy()
    model = gan(domain=None, epsilon=20.0).fit(x, y)
    drawn, labels = model.sample(20, random_state=0)
    assert drawn.shape == (20, 2)
    assert labels.shape == (20,)
    town = dataclasses.replace(DOMAIN["town"], missing=False)
    alone = gan(domain=Schema((town,))).fit(real[["town"]])
    assert set(alone.sample(50)["town"]) <= {"east", "north", "south"}


# --- proofs ---------------------------------------------------------------------------------------


def kept(model):
    """Return all that a model would write, but times."""
    description, arrays = model._to_model()
    description["seconds"] = 0
    for entry in description["history"]:
        entry["seconds"] = 0
    charges = [{**c, "time": "", "after": ""} for c in description["privacy"]["charges"]]
    description["privacy"] = {**description["privacy"], "charges": charges}
    return json.dumps(description, sort_keys=True), arrays


def forced(monkeypatch):
    """Make all answers of the mechanisms equal, whatever the data are."""

    def noise(counts, sigma):
        rng = np.random.default_rng(counts.size)
        return rng.integers(0, 500, counts.shape)

    monkeypatch.setattr(mechanisms, "discrete_gaussian", noise)


@pytest.mark.parametrize("change", ["one row more", "another value", "other order", "outside"])
@pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")
def test_neighbours_give_the_same_bytes_when_the_answers_are_forced(monkeypatch, change):
    """Nothing of the table reaches the model but by the mechanisms."""
    forced(monkeypatch)
    table = people(400)
    other = {
        "one row more": pd.concat([table, table.iloc[:1]], ignore_index=True),
        "another value": table.assign(age=table["age"].where(table.index != 7, 99)),
        "other order": table.sample(frac=1, random_state=0, ignore_index=True),
        "outside": table.assign(age=table["age"].where(table.index != 7, 10**6)),
    }[change]
    first, second = (kept(gan().fit(t, target="sick")) for t in (table, other))
    assert first[0] == second[0]
    assert first[1].keys() == second[1].keys()
    for name in first[1]:
        assert first[1][name].tobytes() == second[1][name].tobytes(), name


def test_the_table_is_read_by_its_door_alone(monkeypatch):
    """After the door has closed over the rows, they can be anything."""
    forced(monkeypatch)
    made = PrivateTable.__init__

    def empty(self, table, *args, **settings):
        made(self, table.slice(0, 0), *args, **settings)

    whole = kept(gan().fit(people(400), target="sick"))
    monkeypatch.setattr(PrivateTable, "__init__", empty)
    none = kept(gan().fit(people(400), target="sick"))
    assert whole[0] == none[0]


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 8.0])
@pytest.mark.parametrize("domain", ["declared", "partly", "none"])
def test_the_budget_is_spent_and_not_exceeded(monkeypatch, tmp_path, epsilon, domain):
    """The costs are summed from the noise that was really drawn."""
    spent = []
    drawn = mechanisms.discrete_gaussian

    def watched(counts, sigma):
        spent.append(sigma)
        return drawn(counts, sigma)

    monkeypatch.setattr(mechanisms, "discrete_gaussian", watched)
    open_age = Schema(tuple(dataclasses.replace(c, bounds=None, bins=None) if c.name == "age"
                            else c for c in DOMAIN))  # fmt: skip
    schema = {"declared": DOMAIN, "partly": open_age, "none": None}[domain]
    model = gan(epsilon, 1e-5, schema, ledger=tmp_path / "ledger").fit(people(20_000))
    charges = model.privacy_["charges"]
    assert [c["sigma"] for c in charges] == spent
    rho = sum(c["sensitivity"] ** 2 / (2 * c["sigma"] ** 2) for c in charges)
    delta = sum(c["delta"] for c in charges)
    assert epsilon_of(rho, 1e-5 - delta) == pytest.approx(epsilon, rel=1e-6)
    assert epsilon_of(rho, 1e-5 - delta) <= epsilon * (1 + 1e-9)
    assert (delta > 0) == (domain == "none")
    assert Ledger(tmp_path / "ledger").entries == charges


def test_several_fits_share_a_ledger(tmp_path):
    path = tmp_path / "ledger"
    Ledger(path, epsilon=2.0, delta=1e-5)
    gan(1.0, ledger=path).fit(people())
    with pytest.raises(BudgetError, match="Nothing was released"):
        gan(1.7, ledger=path).fit(people())
    before = path.read_text()
    with pytest.raises(BudgetError, match="Nothing was released"):  # before any answer
        gan(1.7, domain=None, ledger=path).fit(people())
    assert path.read_text() == before
    gan(1.0, ledger=path).fit(people())
    total = 2 * rho_of(1.0, 1e-5)
    assert Ledger(path).spent()[0] == pytest.approx(epsilon_of(total, 1e-5))


def test_noise_is_not_drawn_again_by_a_fit_that_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "fit.checkpoint"
    monkeypatch.setattr("synthgan.checkpoint.SECONDS_BETWEEN", 0.0)

    class Crash(Exception):
        pass

    def crash(entry):
        if entry["epoch"] == 2:
            raise Crash

    settings = {"checkpoint": path, "callbacks": [crash]}
    for domain in (DOMAIN, None):
        with pytest.raises(Crash):
            gan(domain=domain, ledger=tmp_path / "l1", fit=settings).fit(people(), target="sick")
        monkeypatch.setattr(mechanisms, "discrete_gaussian", None)  # no more noise
        resumed = gan(domain=domain, ledger=tmp_path / "l1", fit={"checkpoint": path}).fit(
            people(), target="sick"
        )
        monkeypatch.undo()
        monkeypatch.setattr("synthgan.checkpoint.SECONDS_BETWEEN", 0.0)
        assert resumed.privacy_["charges"] == Ledger(tmp_path / "l1").entries
        with pytest.warns(DataWarning, match="a private fit that is done"):
            gan(domain=domain, ledger=tmp_path / "l1", fit={"checkpoint": path}).fit(
                people(), target="sick"
            )
        assert resumed.privacy_["charges"] == Ledger(tmp_path / "l1").entries  # for nothing
        resumed.save(tmp_path / "m.synthgan")
        assert not path.exists()
        (tmp_path / "l1").unlink()


def test_shuffled_rows_give_the_same_answers_before_noise(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda counts, sigma: counts)
    table = people(800)
    shuffled = table.sample(frac=1, random_state=1, ignore_index=True)
    for domain in (DOMAIN, None):
        first, second = (kept(gan(domain=domain).fit(t)) for t in (table, shuffled))
        assert first[0] == second[0]
        for name in first[1]:
            np.testing.assert_array_equal(first[1][name], second[1][name])


def test_case32_people_with_many_rows():
    table = people(2000).assign(who=np.arange(2000) // 4)
    model = gan(unit="who", max_rows=2).fit(table, target="sick")
    assert "for each value of 'who' (up to 2 rows)" in model.privacy_["text"]
    assert list(model.sample(5).columns) == list(DOMAIN.names)
    assert model.n_rows_ == pytest.approx(1000, abs=200)
    wide = gan(unit="who", max_rows=2, domain=None, epsilon=20.0).fit(table)
    assert "who" in wide.sample(5).columns


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"epsilon": 0.0}, "epsilon must be above 0"),
        ({"epsilon": -1.0}, "epsilon must be above 0"),
        ({"epsilon": float("nan")}, "epsilon must be above 0"),
        ({"epsilon": float("inf")}, "epsilon must be above 0"),
        ({"delta": 0.0}, "delta must be between 0 and 1"),
        ({"delta": 1.0}, "delta must be between 0 and 1"),
        ({"delta": float("nan")}, "delta must be between 0 and 1"),
        ({"max_rows": 0}, "max_rows"),
        ({"discovery": 1.0}, "discovery"),
    ],
)
def test_case31_budgets_that_make_no_sense(settings, match):
    with pytest.raises(ParameterError, match=match):
        DifferentialPrivacy(**{"epsilon": 1.0, "delta": 1e-6, **settings})


def test_case31_what_a_fit_refuses(tmp_path):
    table = people(100)
    ledger = tmp_path / "ledger"
    cases = [
        (gan(delta=0.01, ledger=ledger), ParameterError, "not below one over the number of rows"),
        (gan(domain=tmp_path / "no.json", ledger=ledger), DataError, "Cannot read"),
        (gan(domain={"columns": []}, ledger=ledger), SchemaError, "at least one column"),
        (gan(domain=Schema(DOMAIN.columns[:2]), ledger=ledger), DataError, "not fit the domain"),
        (gan(domain=None, discovery=0.0, ledger=ledger), SchemaError, "discovery=0 buys none"),
        (gan(ledger=tmp_path / "no" / "ledger"), DataError, "Cannot write"),
    ]
    for model, kind, match in cases:
        with pytest.raises(kind, match=match):
            model.fit(table)
        if ledger.exists():
            assert not Ledger(ledger).entries, "something was released"
    with pytest.raises(ParameterError, match="privacy must be a DifferentialPrivacy"):
        TabularGAN(privacy=1.0).fit(table)
    with pytest.raises(ParameterError, match="options must be MarginalOptions"):
        gan(fit={"options": TrainingOptions()}).fit(table)
    with pytest.raises(ParameterError, match="options must be TrainingOptions"):
        TabularGAN(options=QUICK).fit(table)
    with pytest.raises(DataError, match="target='nothing'"):
        gan().fit(table, target="nothing")


def test_values_outside_are_counted_for_the_holder_alone():
    table = people(500)
    table.loc[:4, "age"] = 1000
    table.loc[:2, "town"] = "west"
    with pytest.warns(DataWarning, match=r"'age' \(5\), 'town' \(3\).*holder of the data alone"):
        model = gan().fit(table)
    drawn = model.sample(500, random_state=0)
    assert drawn["age"].max() <= 99
    assert "west" not in set(drawn["town"])
    assert "west" not in json.dumps(model._to_model()[0])


def test_marginals_that_are_left_out_are_said(monkeypatch):
    monkeypatch.setattr("synthgan.privacy.plan.MAX_CELLS", 100)
    with pytest.warns(DataWarning, match=r"only [345] of 6 pairs and [01] of 3"):
        gan().fit(people(400), target="sick")


def test_links_to_a_ledger_are_one_ledger(tmp_path):
    shared = tmp_path / "shared"
    Ledger(shared, epsilon=2.0, delta=1e-5)
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(shared)
    gan(epsilon=1.5, ledger=tmp_path / "a").fit(people(500), target="sick")
    with pytest.raises(BudgetError):
        gan(epsilon=1.5, ledger=tmp_path / "b").fit(people(500), target="sick")
    assert (tmp_path / "a").is_symlink()


def test_types_of_csv_are_those_of_the_domain(tmp_path):
    column = Column("a", "float", "double", bounds=(0, 100), bins=4, missing=False)
    domain = Schema((column, DOMAIN["sick"]))
    for name, last in (("whole", "7"), ("half", "7.5")):
        rows = "\n".join(f"{k % 90},{'true' if k % 3 else 'false'}" for k in range(500))
        (tmp_path / f"{name}.csv").write_text(f"a,sick\n{rows}\n{last},true\n")
    made = [gan(domain=domain).fit(tmp_path / f"{name}.csv") for name in ("whole", "half")]
    assert made[0]._form.container == made[1]._form.container
    for model in made:
        assert model.sample(3, random_state=0)["a"].dtype == "float64"
    with pytest.raises(DataError, match="read off its cells"):
        gan(domain=None).fit(tmp_path / "whole.csv")


def test_a_checkpoint_of_another_domain_is_refused(tmp_path):
    path, state = tmp_path / "domain.json", tmp_path / "state"
    path.write_text(DOMAIN.to_json())

    def stop(entry):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        gan(domain=path, fit={"checkpoint": state, "callbacks": [stop]}).fit(people(500))
    path.write_text(DOMAIN.replace("town", levels=("south", "north", "east")).to_json())
    with pytest.raises(CheckpointError):
        gan(domain=path, fit={"checkpoint": state}).fit(people(500))


def test_one_extreme_cell_ends_no_fit():
    far = Decimal("123456789012345678901234567890.25")
    cells = [Decimal("1.25")] * 600 + [far]
    table = pa.table({"d": pa.array(cells, pa.decimal128(38, 2))})
    domain = Schema((Column("d", "decimal", "decimal128(38, 2)", bounds=(0, 10), missing=False),))
    with pytest.warns(DataWarning, match="outside the domain"):
        made = gan(domain=domain).fit(table)
    assert max(made.sample(50, random_state=0)["d"].to_pylist()) <= 10
    for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()):
        small = pa.table({"n": pa.array(np.arange(700) % 200, kind)})
        assert len(gan(domain=None).fit(small).sample(5, random_state=0)) == 5
    large = pa.table({"n": pa.array([*range(1, 700), 2**63 + 5], pa.uint64())})
    gan(domain=None).fit(large)


def test_levels_that_a_type_does_not_hold_are_no_levels():
    column = Column("k", "categorical", "int8", levels=(1, 2))
    encoder = TableEncoder.declared(Schema((column,)))
    codes, outside = encoder.confine(pa.table({"k": pa.array([1, 2, 258, 2.9])}))
    assert codes.ravel().tolist() == [0, 1, 2, 2]
    assert outside == {"k": 2}


def test_a_column_named_row_is_no_unit():
    with pytest.raises(ParameterError, match="rename"):
        DifferentialPrivacy(1.0, 1e-6, unit="row")


def test_tiny_budgets_are_converted():
    rho = rho_of(1e-6, 1e-6)
    assert 0 < rho < 1e-6
    assert epsilon_of(rho, 1e-6) <= 1e-6
