"""ImageTranslator from a user's side: it learns a change, keeps the content, and is refused."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

from synthgan import ImageTranslator, TranslationOptions, load_model
from synthgan._runtime import torch_generator
from synthgan.adversarial.translation import ReplayPool
from synthgan.exceptions import DataError, ModelFileError, ParameterError
from synthgan.networks.translation import PatchProjector, Translator
from synthgan.objectives import patch_contrast

DIGITS = (load_digits().images * 15.9375).astype(np.uint8)
A, B, NEW = DIGITS[:800], DIGITS[800:1600], DIGITS[1600:]
SHORT = TranslationOptions(steps=6, batch_size=8, pool=4, identity=0.5)
LONGER = TranslationOptions(steps=300, batch_size=32)


def make(mode="cyclegan", **arguments):
    defaults = {"random_state": 0, "verbose": 0, "width": 8, "options": SHORT}
    return ImageTranslator(mode, **{**defaults, **arguments})


def dimmed(images):
    """Return gray strokes on a dark gray ground."""
    return (images // 3 + 60).astype(np.uint8)


def error(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.fixture(scope="module")
def cycle():
    return make(options=LONGER).fit(A, dimmed(B))


@pytest.mark.parametrize("mode", ["cyclegan", "cut"])
def test_a_change_is_learned_from_sets_without_pairs(mode, cycle):
    model = cycle if mode == "cyclegan" else make(mode, options=LONGER).fit(A, dimmed(B))
    made, truth = model.translate(NEW), dimmed(NEW)
    assert made.shape == NEW.shape
    assert made.dtype == np.uint8
    assert error(made, truth) < 0.3 * error(NEW, truth)
    own = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(made, NEW, strict=True)]
    others = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(made, NEW[::-1], strict=True)]
    assert np.mean(own) > 0.9 > np.mean(others)


def test_the_way_back(cycle):
    assert error(cycle.translate(dimmed(NEW), to="a"), NEW) < 0.5 * error(dimmed(NEW), NEW)
    assert {"critic", "generator", "content", "sign_real"} <= set(cycle.history_[-1])
    assert cycle.history_[-1]["content"] < 0.5 * cycle.history_[0]["content"]


def test_a_turned_negative_is_aligned_first():
    changed = np.rot90(255 - B, axes=(1, 2))
    model = make().fit(A, changed)
    assert model.alignment_ == model.describe()["alignment"] == "negative turned 90"
    truth = np.rot90(255 - NEW, axes=(1, 2))
    assert error(model.translate(NEW), truth) < 0.5 * error(NEW, truth)
    assert error(model.translate(truth, to="a"), NEW) < 0.5 * error(truth, NEW)
    assert make(align=False).fit(A, changed).alignment_ == "none"


@pytest.mark.parametrize("mode", ["cyclegan", "cut"])
def test_same_seed_same_model_and_one_file_keeps_it(mode, tmp_path):
    a, b = make(mode).fit(A, 255 - B), make(mode).fit(A, 255 - B)
    np.testing.assert_array_equal(a.translate(NEW), b.translate(NEW))
    np.testing.assert_array_equal(a.translate(NEW)[:5], a.translate(NEW[:5]))
    assert (make(mode, random_state=1).fit(A, 255 - B).translate(NEW) != a.translate(NEW)).any()
    a.save(tmp_path / "t.synthgan")
    loaded = load_model(tmp_path / "t.synthgan")
    np.testing.assert_array_equal(loaded.translate(NEW), a.translate(NEW))
    if mode == "cyclegan":
        np.testing.assert_array_equal(loaded.translate(NEW, to="a"), a.translate(NEW, to="a"))
    assert loaded.describe() == a.describe()
    assert loaded.options == SHORT
    whole = (tmp_path / "t.synthgan").read_bytes()
    (tmp_path / "t.synthgan").write_bytes(whole[:-50])
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "t.synthgan")


def test_gray_to_colour_and_odd_sizes():
    gray = np.pad(A, ((0, 0), (0, 1), (2, 3)))
    colour = np.repeat(np.pad(B, ((0, 0), (0, 1), (2, 3)))[..., None], 3, axis=3)
    model = make().fit(gray, colour)
    assert model.translate(gray[:70]).shape == (70, 9, 13, 3)
    assert model.translate(colour[:3], to="a").shape == (3, 9, 13)


def test_callbacks_and_time():
    seen = []
    model = make(callbacks=[lambda entry: bool(seen.append(entry)) or len(seen) == 2]).fit(A, B)
    assert len(seen) == len(model.history_) == 2
    options = TranslationOptions(steps=10**6)
    model = make(options=options, max_time=1.0).fit(A, B)
    assert model.history_[-1]["step"] < 10**6


def test_what_is_refused():
    with pytest.raises(NotFittedError):
        make().translate(NEW)
    with pytest.raises(ParameterError, match="'cyclegan' or 'cut'"):
        make("pix2pix").fit(A, B)
    with pytest.raises(DataError, match="domain_b: "):
        make().fit(A, np.zeros((0, 8, 8), np.uint8))
    with pytest.raises(DataError, match="domain_a: At least two"):
        make().fit(A[:1], B)
    with pytest.raises(DataError, match="8 x 8, those of domain_b 8 x 9"):
        make().fit(A, np.pad(B, ((0, 0), (0, 0), (0, 1))))
    with pytest.raises(DataError, match="1 channels, those of domain_b 3"):
        make("cut").fit(A, np.repeat(B[..., None], 3, axis=3))
    one_way = make("cut").fit(A, B)
    with pytest.raises(ParameterError, match="learns to='b' alone"):
        one_way.translate(NEW, to="a")
    with pytest.raises(ParameterError, match="'a' or 'b'"):
        one_way.translate(NEW, to="c")
    with pytest.raises(DataError, match="fitted on 8 x 8"):
        one_way.translate(np.zeros((2, 9, 9), np.uint8))
    with pytest.raises(ParameterError, match=r"TranslationOptions: loss='mse'.*relativistic"):
        TranslationOptions(loss="mse")
    assert clone(one_way).get_params() == one_way.get_params()


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (28, 28), (64, 40)])
@pytest.mark.parametrize("channels", [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_a_translator_starts_close_to_the_identity(size, channels):
    network = Translator(size, *channels, 8, 1)
    network.reset(torch_generator(0, "t"))
    images = torch.rand(2, channels[0], *size, generator=torch_generator(1, "i")) * 2 - 1
    found = network(images)
    assert found.shape == (2, channels[1], *size)
    gray = images.mean(1, keepdim=True) if channels[0] != channels[1] else images
    expected = torch.tanh(2 * gray).expand_as(found)
    assert (found - expected).abs().mean() < 0.3 * expected.abs().mean()
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_projected_patches_have_length_one():
    network = Translator((16, 16), 1, 1, 8, 1)
    network.reset(torch_generator(0, "t"))
    maps = network.features(torch.zeros(2, 1, 16, 16))
    assert [part.shape[1] for part in maps] == network.map_widths
    projector = PatchProjector(network.map_widths)
    projector.reset(torch_generator(0, "p"))
    places = [torch.arange(3) for _ in maps]
    for vectors in projector([torch.randn_like(part) for part in maps], places):
        assert vectors.shape == (2, 3, 64)
        torch.testing.assert_close(vectors.norm(dim=2), torch.ones(2, 3))


def test_contrast_of_patches():
    """Of n patches alike, the right one is found by chance; of orthogonal ones, always."""
    same = torch.ones(2, 5, 4) / 2
    assert float(patch_contrast(same, same)) == pytest.approx(np.log(5), rel=1e-5)
    apart = torch.eye(4)[None]
    assert float(patch_contrast(apart, apart)) == pytest.approx(
        np.log(1 + 3 * np.exp(-1 / 0.07)), abs=1e-6
    )
    assert float(patch_contrast(apart, apart.flip(1))) > 10


def test_replay_pool():
    pool, generator = ReplayPool(4), np.random.default_rng(0)
    first = torch.arange(4.0)[:, None]
    assert (pool.exchange(first, generator) == first).all()
    second = 10 + torch.arange(40.0)[:, None]
    shown = pool.exchange(second, generator)
    replaced = (shown != second).squeeze(1)
    assert 0.2 < replaced.float().mean() < 0.8
    assert len(pool.held) == 4
    everything = sorted(torch.cat([shown.flatten(), torch.cat(pool.held)]).tolist())
    assert everything == sorted([*range(4), *range(10, 50)])
    assert (ReplayPool(0).exchange(second, generator) == second).all()
