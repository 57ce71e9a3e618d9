"""Distances of a synthetic table under privacy: right, charged, and as good as their interval."""

import numpy as np
import pandas as pd
import pytest

from synthgan import TabularGAN
from synthgan.exceptions import BudgetError, DataError, SchemaError
from synthgan.privacy import DifferentialPrivacy, Ledger
from synthgan.privacy.distances import measure_distances
from synthgan.schema import Column, Schema

pytest.importorskip("opendp")

DOMAIN = Schema(
    (
        Column("sick", "boolean", "bool", missing=False),
        Column("age", "integer", "int64", bounds=(0, 99), bins=10, missing=False),
        Column("city", "categorical", "string", levels=("a", "b", "c"), missing=False),
    )
)


def people(count, seed, *, age=50.0):
    rng = np.random.default_rng(seed)
    ages = rng.normal(age, 15, count).clip(0, 99).astype(int)
    sick = rng.random(count) < ages / 200
    return pd.DataFrame({"sick": sick, "age": ages, "city": rng.choice(list("aabc"), count)})


def exact(real, fake, names):
    """Return the total variation distance of the tables of some columns."""
    shares = []
    for frame in (real, fake):
        coarse = frame.assign(age=np.minimum(frame["age"] // 9.9, 9))
        shares.append(coarse.groupby(list(names)).size() / len(frame))
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def test_distances_are_right_up_to_their_noise():
    real, fake = people(20_000, 0), people(5_000, 1, age=60.0)
    found = measure_distances(real, fake, DifferentialPrivacy(1.0, 1e-6, domain=DOMAIN))
    assert len(found.table) == 6
    assert 0 < found.noise < 0.01
    assert abs(found.n_rows - 20_000) < 300
    for row in found.table.to_dict("records"):
        away = abs(row["distance"] - exact(real, fake, row["columns"]))
        assert away < 3 * found.noise + 0.001, row  # nearly six deviations, and rounded counts
    assert "age" in found.table.iloc[0]["columns"]
    assert found.table.iloc[0]["distance"] > 0.1 > found.table.iloc[0]["floor"]
    means = found.means
    assert found.noise / np.sqrt(3) < means.loc[1, "noise"] < found.noise
    assert str(found).startswith("Differential privacy: epsilon = 1")
    assert found.to_dict()["distances"][0]["columns"] == list(found.table.iloc[0]["columns"])


def test_intervals_cover_what_they_say():
    real, fake = people(5_000, 0), people(5_000, 1)
    privacy = DifferentialPrivacy(1.0, 1e-6, domain=DOMAIN)
    inside, means = [], []
    truth = {}
    for _ in range(40):
        found = measure_distances(real, fake, privacy)
        for row in found.table.to_dict("records"):
            names = row["columns"]
            truth.setdefault(names, exact(real, fake, names))
            inside.append(abs(row["distance"] - truth[names]) < found.noise + 0.001)
        pairs = np.mean([d for names, d in truth.items() if len(names) == 2])
        means.append(abs(found.means.loc[2, "distance"] - pairs) < found.means.loc[2, "noise"])
    assert np.mean(inside) > 0.93  # 240 distances, in forty independent runs
    assert np.mean(means) > 0.8


def test_a_fit_and_its_evaluation_share_a_ledger(tmp_path):
    real = people(5_000, 0)
    path = tmp_path / "ledger.json"
    Ledger(path, epsilon=1.2, delta=1e-6)
    privacy = DifferentialPrivacy(0.5, 1e-6, domain=DOMAIN, ledger=path)
    gan = TabularGAN(privacy=privacy, random_state=0, verbose=0).fit(real, target="sick")
    spent = Ledger(path).spent()[0]
    asked = DifferentialPrivacy(0.5, 1e-6, domain=gan.schema_, ledger=path)
    fake = gan.sample(5_000, random_state=0)
    found = measure_distances(real, fake, asked)
    assert found.means.loc[1, "distance"] < 0.1
    assert spent < Ledger(path).spent()[0] < 1.0  # together they cost less than their sum
    before = path.read_bytes()
    with pytest.raises(BudgetError, match="beyond the budget"):
        measure_distances(real, fake, DifferentialPrivacy(1.1, 1e-6, domain=DOMAIN, ledger=path))
    assert path.read_bytes() == before  # refused before anything was charged


def test_the_unit_is_whoever_has_many_rows():
    real = people(8_000, 0).assign(person=np.arange(8_000) // 4)
    rows = DifferentialPrivacy(1.0, 1e-6, domain=DOMAIN)
    whole = DifferentialPrivacy(1.0, 1e-6, domain=DOMAIN, unit="person", max_rows=4)
    fake = people(2_000, 1)
    by_row = measure_distances(real, fake, rows)
    by_person = measure_distances(real, fake, whole)
    assert by_person.noise == pytest.approx(4 * by_row.noise, rel=0.1)
    assert "value of 'person'" in str(by_person)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"domain": None}, SchemaError, "domain="),
        ({"domain": Schema((Column("age", "integer", "int64"),))}, SchemaError, "'age' declares"),
        ({"fake": people(10, 0).drop(columns="age")}, DataError, "synthetic .*'age' is missing"),
        ({"fake": people(0, 0)}, DataError, "nothing to compare"),
        ({"unit": "person"}, DataError, "unit='person'"),
        ({"real": people(0, 0)}, DataError, "nothing"),
    ],
)
def test_bad_input(change, error, message):
    given = {"real": people(100, 0), "fake": people(100, 1), "domain": DOMAIN, "unit": None}
    given |= change
    privacy = DifferentialPrivacy(1.0, 1e-6, domain=given["domain"], unit=given["unit"])
    with pytest.raises(error, match=message):
        measure_distances(given["real"], given["fake"], privacy)
