"""DP-SGD on the critic: the arithmetic, the accounting, and what it refuses."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.datasets import load_digits

from synthgan import ImageGAN, ImageOptions, PrivateSgdOptions, load_model
from synthgan.exceptions import BudgetError, DataError, ParameterError
from synthgan.networks.images import ResidualCritic
from synthgan.privacy import DifferentialPrivacy, Ledger, mechanisms
from synthgan.privacy.accounting import sgd_sigma
from synthgan.privacy.private_gradients import PrivateGradients
from synthgan.schema import Column, Schema

events = pytest.importorskip("dp_accounting")
pytest.importorskip("dp_accounting.rdp")
pytest.importorskip("opendp")

DIGITS = load_digits()
IMAGES, LABELS = (DIGITS.images * 15.9375).astype(np.uint8), DIGITS.target
CLASSES = Schema((Column("label", "categorical", "int64", levels=tuple(range(10))),))
SHORT = PrivateSgdOptions(steps=12, batch_size=16, sample_rate=0.02, critic_steps=2)


def test_normals_and_uniforms():
    assert kstest(mechanisms.secure_normals(50_000), "norm").pvalue > 1e-6
    assert kstest(mechanisms.secure_uniforms(50_000), "uniform").pvalue > 1e-6
    first, second = (mechanisms.secure_normals(100) for _ in range(2))
    assert (first != second).all()


@pytest.mark.parametrize(
    ("rate", "steps", "epsilon", "sigma"),
    [(512 / 32561, 2000, 1.0, 2.758), (512 / 32561, 2000, 3.0, 1.220)],
)
def test_known_noise(rate, steps, epsilon, sigma):
    """Published for Adult, batches of 512, delta 1e-5; a count with noise of 1e6 costs nothing."""
    found = sgd_sigma(epsilon, 1e-5, rate, steps, 1e6)
    assert found == pytest.approx(sigma, rel=0.01)
    renyi = events.rdp.RdpAccountant()  # another account, which is looser
    step = events.PoissonSampledDpEvent(rate, events.GaussianDpEvent(found))
    renyi.compose(events.SelfComposedDpEvent(step, steps))
    assert epsilon < renyi.get_epsilon(1e-5) < 1.2 * epsilon


def gradients(images, **changes):
    settings = {"epsilon": 8.0, "delta": 1e-5, "sample_rate": 0.5, "steps": 3, "clip": 1.0}
    ledger = Ledger(None, epsilon=8.0, delta=1e-5)
    private = PrivateGradients(
        images,
        np.zeros(len(images), np.int64),
        torch.zeros(1, 0),
        ledger,
        **{**settings, **changes},
    )
    return private, ledger


def linear(parameters, image, condition):
    """A loss whose gradient by ``w`` is the image, and by ``b`` is 2."""
    return (parameters["w"] * image.flatten()).sum() + 2 * parameters["b"].sum()


def test_sums_are_of_clipped_gradients_of_the_sample(monkeypatch):
    monkeypatch.setattr(mechanisms, "secure_normals", np.zeros)
    images = torch.tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]]).view(3, 1, 1, 2)
    monkeypatch.setattr(mechanisms, "secure_uniforms", lambda n: np.array([0.1, 0.9, 0.2]))
    private, _ = gradients(images, clip=5.0)
    parameters = {"w": torch.zeros(2), "b": torch.zeros(1)}
    found = private.sum(linear, parameters)
    expected = torch.zeros(3)
    for x in images[[0, 2]]:
        whole = torch.cat([x.flatten(), torch.tensor([2.0])])
        expected += whole * min(1.0, 5.0 / float(whole.norm()))
    torch.testing.assert_close(torch.cat([found["w"], found["b"]]), expected)
    monkeypatch.setattr(mechanisms, "secure_uniforms", np.ones)
    assert not private.sum(linear, parameters)["w"].any()  # an empty sample is an answer, too


def test_noise_has_the_deviation_that_was_charged_and_steps_run_out():
    images = torch.zeros(40, 1, 100, 100)
    private, ledger = gradients(images, clip=0.5)
    parameters = {"w": torch.zeros(10_000), "b": torch.zeros(1)}
    charge = ledger.entries[0]
    assert charge["sigma"] == private.sigma
    assert (charge["epsilon_charged"], charge["delta"]) == (8.0, 1e-5)
    assert ledger.spent() == (8.0, 1e-5)
    for _ in range(3):
        spread = private.sum(linear, parameters)["w"].std()
        assert float(spread) == pytest.approx(0.5 * private.sigma, rel=5 / math.sqrt(20_000))
    with pytest.raises(BudgetError, match="All steps of the fit were taken"):
        private.sum(linear, parameters)


def test_one_image_changes_the_sum_by_no_more_than_the_clip(monkeypatch):
    monkeypatch.setattr(mechanisms, "secure_normals", np.zeros)
    monkeypatch.setattr(mechanisms, "secure_uniforms", np.zeros)  # all are in
    critic = ResidualCritic((8, 8), 1, 0, 4)
    critic.reset(torch.Generator().manual_seed(0))
    images = torch.from_numpy(IMAGES[:70]).float()[:, None] / 127.5 - 1

    def loss(parameters, image, condition):
        found = torch.func.functional_call(critic, dict(parameters), (image[None], condition[None]))
        return torch.nn.functional.softplus(-100 * found).squeeze(0)

    sums = []
    for part in (images, images[1:]):
        private, _ = gradients(part, clip=0.3)
        found = private.sum(loss, dict(critic.named_parameters()))
        sums.append(torch.cat([value.flatten() for value in found.values()]))
    assert 0.01 < float((sums[0] - sums[1]).norm()) <= 0.3 + 1e-5


def test_a_gradient_that_is_not_finite_counts_as_none(monkeypatch):
    monkeypatch.setattr(mechanisms, "secure_normals", np.zeros)
    monkeypatch.setattr(mechanisms, "secure_uniforms", np.zeros)
    critic = ResidualCritic((8, 8), 1, 0, 4)
    critic.reset(torch.Generator().manual_seed(0))
    images = torch.from_numpy(IMAGES[:5]).float()[:, None] / 127.5 - 1
    images[2] = torch.inf

    def loss(parameters, image, condition):
        found = torch.func.functional_call(critic, dict(parameters), (image[None], condition[None]))
        return found.squeeze(0)

    private, _ = gradients(images, clip=0.3)
    found = private.sum(loss, dict(critic.named_parameters()))
    assert all(torch.isfinite(value).all() for value in found.values())


def gan(options=SHORT, epsilon=8.0, **more):
    settings = {"width": 4, "random_state": 0, "verbose": 0, **more}
    privacy = DifferentialPrivacy(epsilon, 1e-5, domain=CLASSES)
    return ImageGAN(privacy=privacy, options=options, **settings)


def test_a_fit_and_its_statement(tmp_path):
    model = gan().fit(IMAGES, LABELS)
    drawn, labels = model.sample(6, labels=3, random_state=0)
    assert drawn.shape == (6, 8, 8)
    assert set(labels) == {3}
    assert model.n_images_ == pytest.approx(len(IMAGES), abs=150)
    said = model.describe()["privacy"]
    assert said.startswith("Differential privacy: epsilon = 8, delta = 1e-05 for each image")
    assert "12 gradients of a critic (DP-SGD)" in said
    assert model.transform(IMAGES[:3]).shape[0] == 3  # the critic is private as well
    model.save(tmp_path / "m.synthgan")
    again = load_model(tmp_path / "m.synthgan")
    np.testing.assert_array_equal(again.sample(6, labels=3, random_state=0)[0], drawn)
    assert {"real", "overfit", "sign_real"}.isdisjoint(model.history_[-1])


def test_the_number_of_steps_does_not_depend_on_the_data(monkeypatch):
    """The noise of the whole fit is that of the accountant, step by step."""
    sizes = []
    drawn = mechanisms.secure_normals
    monkeypatch.setattr(mechanisms, "secure_normals", lambda n: sizes.append(n) or drawn(n))
    model = gan().fit(IMAGES[:200], LABELS[:200])
    per_step = sum(p.numel() for p in model.critic_.parameters())
    assert sum(sizes) == 12 * per_step


def test_what_is_refused(tmp_path):
    large = IMAGES.repeat(2, axis=1).repeat(2, axis=2)
    with pytest.raises(ParameterError, match="normalises over batches"):
        gan(preset="dcgan").fit(large, LABELS)
    with pytest.raises(ParameterError, match="keeps no checkpoint"):
        gan(checkpoint=tmp_path / "c").fit(IMAGES, LABELS)
    with pytest.raises(ParameterError, match="options must be PrivateSgdOptions"):
        gan(options=ImageOptions()).fit(IMAGES, LABELS)
    with pytest.raises(ParameterError, match="belong to privacy"):
        ImageGAN(options=SHORT).fit(IMAGES, LABELS)
    undeclared = ImageGAN(privacy=DifferentialPrivacy(8.0, 1e-5), options=SHORT, verbose=0)
    with pytest.raises(DataError, match='one column, "label"'):
        undeclared.fit(IMAGES, LABELS)
    for changes in ({"sample_rate": 0.0}, {"sample_rate": 1.0}, {"steps": 0}, {"clip": 0.0}):
        with pytest.raises(ParameterError):
            PrivateSgdOptions(**changes)
