"""TabularVAE from a user's side: it encodes, decodes, draws and tells what is odd."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures import mixed_table
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from synthgan import AutoencoderOptions, TabularVAE, load_model
from synthgan.exceptions import DataError, DataWarning, ModelFileError, ParameterError

QUICK = AutoencoderOptions(steps=60, batch_size=64)
LONGER = AutoencoderOptions(steps=500, batch_size=256, learning_rate=2e-3)


def tiny_vae(**changes: object) -> TabularVAE:
    settings = {"random_state": 0, "verbose": 0, "width": 32, "latent": 4, "options": QUICK}
    return TabularVAE(**{**settings, **changes})


def fitted() -> TabularVAE:
    with pytest.warns(DataWarning, match="'patient' is unique"):
        return tiny_vae().fit(mixed_table())


@pytest.fixture(scope="module")
def vae() -> TabularVAE:
    return fitted()


@pytest.fixture(scope="module")
def adult_vae(adult: pd.DataFrame) -> TabularVAE:
    made = tiny_vae(width=64, latent=16, options=LONGER)
    return made.fit(adult.head(3000), target="income")


def test_containers_dtypes_and_missing_cells_come_back(vae: TabularVAE) -> None:
    frame = mixed_table()
    for made in (vae.sample(600, random_state=0), vae.reconstruct(frame)):
        assert list(made.columns) == list(frame.columns)
        assert (made.dtypes == frame.dtypes).all()
        assert type(made["price"].iloc[0]) is type(frame["price"].iloc[0])
        assert made["patient"].is_unique
    sample = vae.sample(600, random_state=0)
    assert abs(sample["city"].isna().mean() - frame["city"].isna().mean()) < 0.08
    assert not sample["age"].isna().any()
    latents = vae.transform(frame)
    assert latents.shape == (300, 4)
    assert latents.dtype == np.float32
    pd.testing.assert_frame_equal(vae.inverse_transform(latents), vae.reconstruct(frame))
    assert vae.latent_map(frame).shape == (300, 2)


def test_same_seed_same_rows_however_many(vae: TabularVAE) -> None:
    frame = mixed_table()
    many = vae.sample(1100, random_state=4)
    pd.testing.assert_frame_equal(vae.sample(100, random_state=4), many[:100])
    assert not vae.sample(100, random_state=5)["age"].equals(many["age"][:100])
    pd.testing.assert_frame_equal(fitted().sample(1100, random_state=4), many)
    np.testing.assert_array_equal(vae.transform(frame)[:7], vae.transform(frame[:7]))
    np.testing.assert_allclose(vae.score_samples(frame)[:7], vae.score_samples(frame[:7]))
    assert len(vae.sample(0)) == 0
    assert len(vae.sample()) == 1


def test_marginals_are_those_of_the_table(adult: pd.DataFrame, adult_vae: TabularVAE) -> None:
    """Total variation below what 3 standard errors of both tables allow, plus 2 %."""
    adult = adult.head(3000)
    sample = adult_vae.sample(len(adult), random_state=0)
    for name in ("sex", "race", "income", "marital_status"):
        a, b = (t[name].value_counts(normalize=True) for t in (adult, sample))
        distance = a.subtract(b, fill_value=0).abs().sum() / 2
        noise = 3 * np.sqrt(2 * a * (1 - a) / len(adult)).sum() / 2
        assert distance < noise + 0.02, name
    married = sample["marital_status"] == "Married-civ-spouse"
    rich = sample["income"] == ">50K"
    assert married[rich].mean() > married[~rich].mean() + 0.2  # columns are tied


def test_latent_vectors_are_features(adult: pd.DataFrame, adult_vae: TabularVAE) -> None:
    latents = adult_vae.transform(adult)
    truth = adult["sex"].to_numpy()
    judge = LogisticRegression(max_iter=2000).fit(latents[:2000], truth[:2000])
    assert judge.score(latents[2000:], truth[2000:]) > 0.75  # two thirds are men
    kept = adult_vae.reconstruct(adult.head(1000))["marital_status"].to_numpy()
    assert (kept == adult["marital_status"].head(1000).to_numpy()).mean() > 0.7


@pytest.mark.parametrize("variational", [True, False])
def test_odd_rows_score_low(adult: pd.DataFrame, variational: bool) -> None:
    made = tiny_vae(width=64, latent=16, options=LONGER, variational=variational)
    made.fit(adult.head(3000))
    rows = adult[3000:]
    shuffled = rows.copy()
    rng = np.random.default_rng(0)
    for name in rows:
        shuffled[name] = rows[name].to_numpy()[rng.permutation(len(rows))]
    good, bad = made.score_samples(rows), made.score_samples(shuffled)
    assert good.dtype == np.float64
    assert roc_auc_score(np.repeat([1, 0], len(rows)), np.r_[good, bad]) > 0.7
    assert made.score(rows) == pytest.approx(good.mean())
    assert set(made.sample(200, random_state=0)["sex"]) == {"Male", "Female"}


def test_more_draws_bring_the_bound_closer(adult: pd.DataFrame, adult_vae: TabularVAE) -> None:
    rows = adult.head(300)
    bounds = [adult_vae.score_samples(rows, n_draws=n).mean() for n in (1, 8, 64)]
    assert bounds[0] < bounds[1] < bounds[2]


def test_one_file_gives_the_same_model(vae: TabularVAE, tmp_path: Path) -> None:
    vae.save(tmp_path / "m.synthgan")
    loaded = load_model(tmp_path / "m.synthgan")
    frame = mixed_table()
    pd.testing.assert_frame_equal(
        loaded.sample(600, random_state=3), vae.sample(600, random_state=3)
    )
    np.testing.assert_array_equal(loaded.score_samples(frame), vae.score_samples(frame))
    assert loaded.describe() == vae.describe()
    assert "No formal privacy guarantee." in json.dumps(vae.describe())
    loaded.save(tmp_path / "again.synthgan")
    whole = (tmp_path / "m.synthgan").read_bytes()
    assert (tmp_path / "again.synthgan").read_bytes() == whole
    (tmp_path / "m.synthgan").write_bytes(whole[:-100])
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m.synthgan")


@pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")
def test_no_rare_value_in_any_byte_or_sample(tmp_path: Path) -> None:
    frame = mixed_table()
    number, amount = 714_253_647_586_970, 1234.56789012345
    frame.loc[5, "city"] = "canary-city"
    frame.loc[6, "patient"] = "canary-patient"
    frame["count"] = np.arange(300) % 100
    frame.loc[7, "count"] = number
    frame.loc[8, "income"] = amount
    made = tiny_vae().fit(frame)
    made.save(tmp_path / "m.synthgan")
    data = (tmp_path / "m.synthgan").read_bytes()
    for text in ("canary", str(number), str(amount), *frame["patient"]):
        assert text.encode() not in data
    for kind in (np.int64, np.float64, np.float32):
        for value in (number, amount):
            assert np.array(value).astype(kind).tobytes() not in data
    latents = made.transform(frame)
    assert not any(row.tobytes() in data for row in (*latents, *latents.astype(np.float64)))
    for table in (made.sample(1000, random_state=0), made.reconstruct(frame)):
        assert "canary-city" not in set(table["city"])
        assert table["count"].max() < 200


def test_arrays_targets_and_order_of_columns(adult: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = np.where(x[:, 0] > 0, "yes", "no")
    features = tiny_vae().fit(x, y).sample(50)  # the target is left aside
    assert features.shape == (50, 3)
    assert features.dtype == np.float32
    made = tiny_vae().fit(adult.head(300))
    turned = adult.head(300)[list(adult)[::-1]]
    np.testing.assert_array_equal(made.transform(turned), made.transform(adult.head(300)))


def test_max_time_and_callbacks(adult: pd.DataFrame) -> None:
    began = time.monotonic()
    made = TabularVAE(random_state=0, max_time=0.5, verbose=0).fit(adult)
    assert time.monotonic() - began < 20
    assert len(made.sample(10)) == 10
    seen: list[dict[str, object]] = []

    def stop_at_two(entry: dict[str, object]) -> bool:
        seen.append(entry)
        return len(seen) == 2

    made = tiny_vae(callbacks=[stop_at_two]).fit(adult.head(300))
    assert len(made.history_) == len(seen) == 2
    assert {"loss", "error", "divergence", "validation"} <= set(seen[0])


def test_nothing_to_learn() -> None:
    frame = pd.DataFrame({"a": ["x"] * 30, "b": [1.5] * 30})
    made = tiny_vae().fit(frame)
    pd.testing.assert_frame_equal(made.sample(30), frame)
    pd.testing.assert_frame_equal(made.reconstruct(frame), frame)
    assert (made.score_samples(frame) == 0).all()


def test_what_is_refused(vae: TabularVAE) -> None:
    frame = mixed_table()
    with pytest.raises(NotFittedError):
        tiny_vae().transform(frame)
    with pytest.raises(NotFittedError):
        tiny_vae().sample(3)
    with pytest.raises(DataError, match="'age' is missing"):
        vae.transform(frame.drop(columns="age"))
    with pytest.raises(DataError, match="'age' has 300 missing"):
        vae.score_samples(frame.assign(age=pd.array([None] * 300, dtype="Int64")))
    for bad in (np.zeros((2, 3)), np.full((2, 4), np.nan), np.zeros(4)):
        with pytest.raises(DataError, match="Latent vectors"):
            vae.inverse_transform(bad)
    with pytest.raises(DataError, match="not a column"):
        tiny_vae().fit(frame.drop(columns="patient"), target="nothing")
    with pytest.raises(DataError, match="at least 5"):
        tiny_vae().fit(frame[["age", "city"]].head(3))
    with pytest.raises(ParameterError, match="latent"):
        tiny_vae(latent=0).fit(frame)
    with pytest.raises(ParameterError, match="n_draws"):
        vae.score_samples(frame, n_draws=0)
    assert clone(vae).get_params() == vae.get_params()


@pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")
def test_keys_run_out_with_an_error():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"key": rng.permutation(60).astype("int8"), "x": rng.random(60)})
    made = tiny_vae().fit(frame)
    assert made.sample(127, random_state=0)["key"].is_unique
    with pytest.raises(DataError, match="has room for 127 different keys"):
        made.sample(128)


def test_a_file_does_not_promise_what_its_estimator_cannot(vae: TabularVAE) -> None:
    model, tensors = vae._to_model()
    with pytest.raises(ValueError, match="promise"):
        TabularVAE._from_model(
            model | {"privacy": {"text": "epsilon = 1"}}, tensors, torch.device("cpu")
        )
