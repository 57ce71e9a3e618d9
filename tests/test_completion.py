"""What is said once of rows that look alike is what would be said of each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan import completion
from synthgan._runtime import torch_generator
from synthgan.completion import Completer
from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
from synthgan.networks.rows import LatentClasses, RowGenerator

SIZES, ROWS = (3, 2, 12, 5, 4), 512


def random_numbers(name, *shape):
    return torch.rand(*shape, generator=torch_generator(0, name))


def network(tied):
    generator = RowGenerator(SIZES, (0, 0, 12, 0, 0), width=16, depth=1)
    generator.reset(torch_generator(0, "network"), torch.zeros(sum(SIZES)))
    classes = LatentClasses(SIZES, 16, 4, 6)
    classes.reset(torch_generator(0, "classes"))
    with torch.no_grad():
        generator.inputs.free.mul_(3)
        generator.outputs.free.mul_(20)
    generator.requires_grad_(False)
    return Completer(generator.eval(), None, classes.requires_grad_(False) if tied else None)


def mixture(tied):
    latent = torch_generator(0, "latent")
    generator = MixtureGenerator(SIZES, 64)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(0.0, 2.0, generator=latent)
    return Completer(generator.requires_grad_(False), None, LatentChoice() if tied else None)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 40), st.integers(0, 2**32)
)
@settings(deadline=None)
def test_rows_are_alike_if_all_their_cells_are(sizes, rows, seed):
    rng = np.random.default_rng(seed)
    cells = np.stack([rng.integers(size, size=rows) for size in sizes], axis=1)
    place = rng.integers(2, size=rows)
    both = np.column_stack([place, cells])
    kinds, expected = np.unique(both, axis=0, return_inverse=True)
    found = completion._parted(torch.from_numpy(place), torch.from_numpy(cells), sizes)
    if 2 * len(kinds) > rows:
        assert found is None
        return
    np.testing.assert_array_equal(found, expected.ravel())
    one = completion._one_of_each(found)
    np.testing.assert_array_equal(both[one[: len(kinds)].numpy()], kinds)
    assert len(one) == 1 or len(one) % 64 == 0


def with_holes():
    """Rows alike in what is known, but for the fourth variable of some."""
    known = torch.zeros(ROWS, len(SIZES), dtype=torch.bool)
    known[:, 1] = True
    known[::3, 3] = True
    codes = torch.ones(ROWS, len(SIZES), dtype=torch.long)
    codes[:, 3] = torch.arange(ROWS) % 5
    return codes, known


def nothing():
    known = torch.zeros(ROWS, len(SIZES), dtype=torch.bool)
    return known.long(), known


@pytest.mark.parametrize("start", [nothing, with_holes])
@pytest.mark.parametrize("factors", [False, True], ids=["free", "confined"])
@pytest.mark.parametrize("groups", [[[1], [0], [4], [3], [2]], [[1, 3], [0, 4], [2]]], ids=str)
@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
@pytest.mark.parametrize("make", [network, mixture])
def test_rows_that_look_alike(make, tied, groups, factors, start, monkeypatch):
    weights = [None] * len(SIZES)
    if factors:
        weights[0], weights[2] = torch.tensor([0.0, 1.0, 0.5]), torch.linspace(0, 1, 12)
    uniforms = random_numbers("cells", ROWS, len(SIZES))
    latents = random_numbers("classes", len(groups), ROWS, 1) if tied else None
    found = []
    for apart in (False, True):
        if apart:
            monkeypatch.setattr(completion, "_parted", lambda *_: None)
        completer, tally, told = make(tied), torch.zeros(sum(SIZES)), []
        features = completer.predictor.features

        def spy(total, features=features, told=told):
            told.append(len(total))
            return features(total)

        monkeypatch.setattr(completer.predictor, "features", spy)
        rows, mass = completer.reveal(*start(), groups, uniforms, weights, latents, tally)
        found.append((rows, mass, tally, sum(told)))
    (rows, mass, tally, told), expected = found
    np.testing.assert_array_equal(rows, expected[0])
    torch.testing.assert_close(mass, expected[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tally, expected[2], atol=1e-2, rtol=1e-4)
    assert told < expected[3]


@pytest.mark.parametrize("start", [nothing, with_holes])
@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
def test_rows_of_many_logits_are_drawn_in_parts(tied, start, monkeypatch):
    groups = [[1, 3], [0, 4], [2]]
    uniforms = random_numbers("cells", ROWS, len(SIZES))
    latents = random_numbers("classes", len(groups), ROWS, 1) if tied else None
    completer = network(tied)
    arguments = (*start(), groups, uniforms, [None] * len(SIZES), latents)
    expected = completer.complete(*arguments)
    longest, scores = [], completer.predictor.scores

    def spy(features, *rest):
        longest.append(len(features))
        return scores(features, *rest)

    monkeypatch.setattr("synthgan.memory.LOGITS", 12 * 100)
    monkeypatch.setattr(completer.predictor, "scores", spy)
    np.testing.assert_array_equal(completer.complete(*arguments), expected)
    assert max(longest) <= 128
