"""ImageVAE from a user's side: it encodes, decodes, draws and tells what is odd."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from synthgan import AutoencoderOptions, ImageVAE, load_model
from synthgan.exceptions import ConditionError, DataError, ModelFileError, ParameterError

DIGITS = load_digits()
IMAGES = (DIGITS.images * 15.9375).astype(np.uint8)
LABELS = DIGITS.target
SHORT = AutoencoderOptions(steps=20)


def make(**arguments):
    defaults = {"random_state": 0, "verbose": 0, "width": 8, "options": SHORT}
    return ImageVAE(**{**defaults, **arguments})


def error(a, b):
    return ((a.astype(float) - b) ** 2).mean()


@pytest.fixture(scope="module")
def plain():
    return make(options=AutoencoderOptions(steps=600), width=16).fit(IMAGES[:1500])


@pytest.fixture(scope="module")
def labelled():
    return make(options=AutoencoderOptions(steps=600), width=16).fit(IMAGES, LABELS)


def test_reconstructions_are_close(plain):
    rest = IMAGES[1500:]
    mean = np.broadcast_to(IMAGES[:1500].mean(axis=0), rest.shape)
    found = plain.reconstruct(rest)
    assert found.shape == rest.shape
    assert found.dtype == np.uint8
    assert error(rest, found) < 0.5 * error(rest, mean)
    latents = plain.transform(rest)
    assert latents.shape == (len(rest), 16)
    assert (plain.inverse_transform(latents) == found).all()
    assert plain.latent_map(rest).shape == (len(rest), 2)


def test_samples_show_what_was_asked_for(labelled):
    judge = LogisticRegression(max_iter=2000).fit(IMAGES.reshape(-1, 64) / 255, LABELS)
    wanted = np.repeat(np.arange(10), 30)
    samples, labels = labelled.sample(labels=wanted, random_state=1)
    assert (labels == wanted).all()
    assert (judge.predict(samples.reshape(-1, 64) / 255) == wanted).mean() > 0.7
    assert samples.std(axis=0).mean() > 20
    assert labelled.sample(4, labels=3)[1].tolist() == [3] * 4


def test_a_labelled_model_finds_labels_that_fit(labelled):
    known, guessed = (labelled.reconstruct(IMAGES[:200], y) for y in (LABELS[:200], None))
    assert error(IMAGES[:200], guessed) <= error(IMAGES[:200], known) + 1
    with pytest.raises(ConditionError, match="give labels"):
        labelled.inverse_transform(np.zeros((2, 16)))
    assert labelled.inverse_transform(np.zeros((2, 16)), 5).shape == (2, 8, 8)


@pytest.mark.parametrize("variational", [True, False])
def test_odd_images_score_low(variational):
    kept = LABELS != 0
    vae = make(options=AutoencoderOptions(steps=600), width=16, variational=variational)
    vae.fit(IMAGES[kept][:1300])
    usual = vae.score_samples(IMAGES[kept][1300:])
    noise = np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8)
    for odd, least in ((noise, 0.99), (IMAGES[~kept], 0.8)):
        scores = vae.score_samples(odd)
        truth = np.repeat([1, 0], [len(usual), len(scores)])
        assert roc_auc_score(truth, np.r_[usual, scores]) > least


def test_same_seed_same_images_however_many(plain):
    again = make(options=AutoencoderOptions(steps=600), width=16).fit(IMAGES[:1500])
    many = plain.sample(70, random_state=5)
    assert (again.sample(70, random_state=5) == many).all()
    assert (plain.sample(3, random_state=5) == many[:3]).all()
    assert (plain.transform(IMAGES[:70])[:3] == plain.transform(IMAGES[:3])).all()
    assert plain.sample(0).shape == (0, 8, 8)


@pytest.mark.parametrize("labels", [None, LABELS, pd.DataFrame({"a": LABELS, "b": LABELS > 4})])
def test_one_file_gives_the_same_model(labels, tmp_path):
    vae = make().fit(IMAGES, labels)
    vae.save(tmp_path / "m.synthgan")
    loaded = load_model(tmp_path / "m.synthgan")
    first, second = (model.sample(9, random_state=1) for model in (vae, loaded))
    if labels is not None:
        first, second = first[0], second[0]
    assert (first == second).all()
    assert (vae.transform(IMAGES[:9]) == loaded.transform(IMAGES[:9])).all()
    np.testing.assert_allclose(vae.score_samples(IMAGES[:9]), loaded.score_samples(IMAGES[:9]))
    backwards = vae.score_samples(IMAGES[:9][::-1])
    np.testing.assert_allclose(backwards, vae.score_samples(IMAGES[:9])[::-1])
    assert loaded.describe() == vae.describe()
    whole = (tmp_path / "m.synthgan").read_bytes()
    (tmp_path / "m.synthgan").write_bytes(whole[:-100])
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m.synthgan")


def test_vectors_colours_and_time():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (300, 9, 14, 3), dtype=np.uint8)
    vectors = rng.normal(size=(300, 4))
    vae = make(max_time="1s", options=AutoencoderOptions()).fit(colour, vectors)
    assert vae.seconds_ < 8
    assert vae.sample(labels=vectors[:3])[0].shape == (3, 9, 14, 3)
    assert vae.score_samples(colour[:5]).shape == (5,)
    assert vae.reconstruct(colour[:5], vectors[:5]).shape == (5, 9, 14, 3)


def test_history_falls(plain):
    curve = [entry["validation"] for entry in plain.history_]
    assert curve[-1] < curve[0]
    assert {"loss", "error", "divergence"} <= set(plain.history_[0])
    assert plain.history_[-1]["divergence"] > 1  # the latent vector is used


def test_what_is_refused(plain):
    with pytest.raises(NotFittedError):
        make().transform(IMAGES)
    with pytest.raises(DataError, match="fitted on 8 x 8 images"):
        plain.transform(np.zeros((2, 9, 9), np.uint8))
    for bad in (np.zeros((2, 3)), np.full((2, 16), np.nan), np.zeros(16)):
        with pytest.raises(DataError, match="Latent vectors"):
            plain.inverse_transform(bad)
    with pytest.raises(ConditionError, match="without labels"):
        plain.sample(2, labels=1)
    with pytest.raises(ParameterError, match="latent"):
        make(latent=0).fit(IMAGES)
    with pytest.raises(ParameterError, match="beta"):
        AutoencoderOptions(beta=-1)
    with pytest.raises(DataError, match="Images are 4 x 4"):
        make().fit(IMAGES[:, :4, :4])
    assert clone(plain).get_params() == plain.get_params()
