"""Images under differential privacy: what leaves the door, and what is made of it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from synthgan import ImageGAN, load_model
from synthgan.exceptions import (
    BudgetError,
    ConditionError,
    DataError,
    DataWarning,
    ParameterError,
)
from synthgan.networks.factors import DISTORTIONS, FactorGenerator
from synthgan.privacy import DifferentialPrivacy, Ledger, mechanisms
from synthgan.privacy.accounting import epsilon_of
from synthgan.privacy.private_images import PrivateImages, _smaller
from synthgan.schema import Column, Schema

pytest.importorskip("opendp")

DIGITS = load_digits()
IMAGES, LABELS = (DIGITS.images * 15.9375).astype(np.uint8), DIGITS.target
CLASSES = Schema((Column("label", "categorical", "int64", levels=tuple(range(10))),))


def gan(epsilon=8.0, delta=1e-5, domain=CLASSES, **more):
    return ImageGAN(privacy=DifferentialPrivacy(epsilon, delta, domain=domain, **more), verbose=0)


@pytest.fixture(scope="module")
def fitted():
    return gan().fit(IMAGES[:1400], LABELS[:1400])


def test_a_classifier_learns_from_private_images(fitted):
    """Chance is .10; class means with noise alone reach about .8."""
    drawn, labels = fitted.sample(1500, random_state=0)
    assert drawn.shape == (1500, 8, 8)
    judge = SVC().fit(drawn.reshape(1500, -1) / 255, labels)
    assert judge.score(IMAGES[1400:].reshape(-1, 64) / 255, LABELS[1400:]) > 0.75
    assert fitted.n_images_ == pytest.approx(1400, abs=100)
    shares = np.bincount(labels, minlength=10) / 1500
    assert np.abs(shares - 0.1).max() < 0.05


def test_it_is_used_like_any_other_model(fitted, tmp_path):
    assert fitted.describe()["privacy"].startswith("Differential privacy: epsilon = 8")
    assert "for each image, added or removed" in fitted.privacy_["text"]
    first = fitted.sample(5, labels=3, random_state=1)
    fitted.save(tmp_path / "m.synthgan")
    again = load_model(tmp_path / "m.synthgan")
    np.testing.assert_array_equal(again.sample(5, labels=3, random_state=1)[0], first[0])
    assert again.privacy_ == json.loads(json.dumps(fitted.privacy_))
    np.testing.assert_array_equal(fitted.sample(3, labels=3, random_state=1)[0], first[0][:3])
    way = fitted.interpolate(0, 1, 6, labels=[0, 9])
    assert way.shape == (6, 8, 8)
    with pytest.raises(ConditionError):
        fitted.sample(2, labels=11)
    with pytest.raises(ParameterError, match="no critic"):
        fitted.transform(IMAGES[:4])


def test_colours_and_no_labels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (300, 12, 16, 3)).astype(np.uint8)
    images[..., 0] += 150
    model = gan(domain=None).fit(images)
    drawn = model.sample(40, random_state=0)
    assert drawn.shape == (40, 12, 16, 3)
    assert drawn[..., 0].mean() > drawn[..., 1].mean() + 60
    assert model.classes_ == []


# --- proofs ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(8, 8, 1), (9, 13, 3)]),
    st.floats(0.05, 30.0),
    st.sampled_from(["normal", "white", "black"]),
)
def test_no_image_changes_an_answer_by_more_than_it_is_charged_for(seed, shape, radius, kind):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (6, *shape)).astype(np.uint8)
    images[0] = {"normal": images[0], "white": 255, "black": 0}[kind]
    codes = rng.integers(-1, 3, 6)
    with pytest.MonkeyPatch.context() as patch:
        sums = []
        patch.setattr(mechanisms, "discrete_gaussian", lambda s, sigma: sums.append(s) or s)
        for part in (slice(0, None), slice(1, None)):
            ledger = Ledger(None, epsilon=100.0, delta=1e-5)
            private = PrivateImages(images[part], ledger)
            private.typical_norm(0.1)
            private.class_sums(codes[part], 3, radius, 0.1)
            private.second_moment(codes[part], (5, 6), radius, 0.1)
    for k, charge in enumerate(ledger.entries):
        gap = np.linalg.norm((sums[k] - sums[k + 3]).astype(float)) / 2.0**20
        assert gap <= charge["sensitivity"] * (1 + 1e-12)
    assert [c["sensitivity"] for c in ledger.entries] == [math.sqrt(2), 1.0, 1.0]


def test_exact_moments_are_right(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda sums, sigma: sums)
    private = PrivateImages(IMAGES[..., None], Ledger(None, epsilon=1e3, delta=1e-5))
    scaled = IMAGES.reshape(len(IMAGES), -1) / 255
    norms = np.linalg.norm(scaled, axis=1)
    assert private.typical_norm(0.1) == pytest.approx(norms.mean(), rel=1e-3)
    sums, counts = private.class_sums(LABELS, 10, 100.0, 0.1)
    assert counts.round().tolist() == np.bincount(LABELS).tolist()
    np.testing.assert_allclose(sums[3], scaled[LABELS == 3].sum(0), atol=0.1)
    second, deviation = private.second_moment(LABELS, (8, 8), norms.max(), 0.5)
    np.testing.assert_allclose(second, scaled.T @ scaled, atol=0.2)
    assert deviation == pytest.approx(norms.max() ** 2 / math.sqrt(2))


def kept(model):
    description, arrays = model._to_model()
    description["seconds"] = 0
    charges = [{**c, "time": "", "after": ""} for c in description["privacy"]["charges"]]
    description["privacy"] = {**description["privacy"], "charges": charges}
    return json.dumps(description, sort_keys=True), {k: v.tobytes() for k, v in arrays.items()}


def test_neighbours_give_the_same_bytes_when_the_answers_are_forced(monkeypatch):
    def noise(sums, sigma):
        return np.random.default_rng(sums.size).integers(0, 2**28, sums.shape)

    monkeypatch.setattr(mechanisms, "discrete_gaussian", noise)
    models = [gan().fit(IMAGES[k:300], LABELS[k:300]) for k in (0, 1)]
    changed = IMAGES[:300].copy()
    changed[5] = 255
    models.append(gan().fit(changed, np.where(np.arange(300) == 5, 7, LABELS[:300])))
    order = np.random.default_rng(0).permutation(300)
    models.append(gan().fit(IMAGES[:300][order], LABELS[:300][order]))
    assert len({kept(model)[0] for model in models}) == 1
    assert all(kept(model)[1] == kept(models[0])[1] for model in models)


@pytest.mark.parametrize("domain", ["declared", "none"])
@pytest.mark.parametrize("epsilon", [2.0, 10.0])
def test_the_budget_is_spent_and_not_exceeded(monkeypatch, domain, epsilon):
    spent, drawn = [], mechanisms.discrete_gaussian

    def watched(sums, sigma):
        spent.append((sums.size, sigma))
        return drawn(sums, sigma)

    monkeypatch.setattr(mechanisms, "discrete_gaussian", watched)
    model = gan(epsilon, domain=CLASSES if domain == "declared" else None).fit(IMAGES, LABELS)
    charges = model.privacy_["charges"]
    grid = [2.0**20 if c["what"] != "levels of 'label'" else 1.0 for c in charges]
    assert [c["sigma"] * g for c, g in zip(charges, grid, strict=True)] == [s for _, s in spent]
    rho = sum(c["sensitivity"] ** 2 / (2 * c["sigma"] ** 2) for c in charges)
    delta = sum(c["delta"] for c in charges)
    assert epsilon_of(rho, 1e-5 - delta) == pytest.approx(epsilon, rel=1e-6)
    assert epsilon_of(rho, 1e-5 - delta) <= epsilon * (1 + 1e-9)
    if domain == "none":
        assert model.classes_ == list(range(10))


def test_what_is_refused(tmp_path):
    attributes = pd.DataFrame({"a": LABELS % 2, "b": LABELS % 3})
    with pytest.raises(ParameterError, match="one class each"):
        gan().fit(IMAGES, attributes)
    with pytest.raises(ParameterError, match="Images have no unit"):
        gan(unit="who").fit(IMAGES, LABELS)
    with pytest.raises(ParameterError, match="not below one over"):
        gan(delta=0.01).fit(IMAGES, LABELS)
    with pytest.raises(DataError, match='one column, "label"'):
        gan(domain=Schema((Column("x", "boolean", "bool"),))).fit(IMAGES, LABELS)
    with pytest.raises(DataError, match="discovery=0 buys none"):
        gan(domain=None, discovery=0.0).fit(IMAGES, LABELS)
    ledger = tmp_path / "ledger"
    gan(ledger=ledger).fit(IMAGES, LABELS)
    with pytest.raises(BudgetError, match="Nothing was released"):
        gan(ledger=ledger).fit(IMAGES, LABELS)
    with pytest.raises(ParameterError, match="privacy must be a DifferentialPrivacy"):
        ImageGAN(privacy=1.0).fit(IMAGES, LABELS)


# --- the generator --------------------------------------------------------------------------------


def test_images_of_no_declared_class():
    labels = LABELS.copy()
    labels[:30] = 77
    with pytest.warns(DataWarning, match="30 images are of no class"):
        gan().fit(IMAGES, labels)
    with pytest.raises(DataError, match="Labels are of type str"):
        gan().fit(IMAGES, LABELS.astype(str))


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (20, 33), (64, 64)])
def test_smaller_images_are_averages_over_the_same_windows(size):
    images = np.random.default_rng(0).random((3, *size, 1))
    pooled = torch.nn.functional.adaptive_avg_pool2d(
        torch.from_numpy(images).permute(0, 3, 1, 2), (7, 6)
    )
    np.testing.assert_allclose(_smaller(images, (7, 6)), pooled.flatten(1), rtol=1e-9)


def test_a_generator_without_distortions_has_the_moments_it_is_given():
    generator = FactorGenerator((8, 8), 1, 2, 1).requires_grad_(False)
    generator.means.copy_(torch.stack([torch.full((1, 8, 8), 0.4), torch.full((1, 8, 8), 0.6)]))
    generator.basis[0, 0, 0] = 0.05
    generator.distortions.zero_()
    z = torch.randn(4000, generator.latent, generator=torch.Generator().manual_seed(0))
    drawn = (generator(z, torch.tensor([[1.0, 0.0]]).expand(4000, 2)) + 1) / 2
    assert drawn.mean(0)[0, 4, 4] == pytest.approx(0.4, abs=1e-6)
    assert drawn.std(0)[0, 0, 0] == pytest.approx(0.05, rel=0.1)
    assert drawn.std(0)[0, 4, 4] < 1e-6


def test_distortions_move_a_picture_a_little():
    generator = FactorGenerator((20, 20), 1, 1, 0).requires_grad_(False)
    generator.means[0, 0, 6:14, 8:12] = 1.0
    still = generator(torch.zeros(1, generator.latent), torch.zeros(1, 0))
    np.testing.assert_allclose((still[0] + 1) / 2, generator.means[0], atol=1e-5)
    for k in range(len(DISTORTIONS)):
        z = torch.zeros(1, generator.latent)
        z[0, k] = 2.0
        moved = generator(z, torch.zeros(1, 0))
        assert 0.5 < float((moved - still).abs().sum()) < 120
        assert float((moved[0] + 1).sum()) == pytest.approx(float((still[0] + 1).sum()), rel=0.45)


def test_noise_is_told_from_factors():
    """A symmetric matrix of noise with three strong directions."""
    rng = np.random.default_rng(0)
    size, strong = 120, torch.tensor([30.0, 60.0, 90.0])
    noise = rng.normal(size=(size, size))
    noise = np.triu(noise) + np.triu(noise, 1).T
    axes = np.linalg.qr(rng.normal(size=(size, 3)))[0]
    values = np.linalg.eigvalsh(noise + axes * strong.numpy() @ axes.T)
    found = FactorGenerator.shrunk(torch.from_numpy(values), 2 * math.sqrt(size))
    np.testing.assert_allclose(found, strong, rtol=0.12)


def test_images_have_no_rows_per_unit():
    with pytest.raises(ParameterError, match="max_rows"):
        ImageGAN(privacy=DifferentialPrivacy(3.0, 1e-6, max_rows=10), verbose=0).fit(IMAGES)
