"""Image networks: shapes, seeds, and that no image depends on the others of its batch."""

import itertools

import numpy as np
import pytest
import torch

from synthgan._runtime import torch_generator
from synthgan.distortions import DISTORTIONS, distort
from synthgan.networks.images import ARCHITECTURES, pyramid
from synthgan.networks.pixels import as_bytes, to_pixels, to_tensor

SIZES = [(8, 8), (9, 13), (28, 28), (64, 48)]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator(seed, "test"))


def build(name: str, size: tuple[int, int], channels: int, condition: int, seed: int = 0):
    make_generator, make_critic = ARCHITECTURES[name]
    networks = (
        make_generator(size, channels, 16, condition, 8),
        make_critic(size, channels, condition, 8),
    )
    for network in networks:
        network.reset(torch_generator(seed, "weights"))
    return [network.eval() for network in networks]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("condition", [0, 3])
def test_shapes(name, size, condition):
    generator, critic = build(name, size, 3, condition)
    z, c = draw(5, 16), draw(5, condition, seed=1)
    images = generator(z, c)
    assert images.shape == (5, 3, *size)
    assert images.abs().max() <= 1
    assert critic(images, c).shape == (5,)
    assert critic.features(images).shape[0] == 5
    alone = generator(z[:1], c[:1])
    torch.testing.assert_close(alone, images[:1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        critic(images[:1], c[:1]), critic(images, c)[:1], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_come_from_the_seed_and_all_of_them_learn(name):
    networks = [build(name, (12, 12), 1, 2, seed) for seed in (0, 0, 1)]
    for first, same, other in zip(*networks, strict=True):
        for a, b in zip(first.parameters(), same.parameters(), strict=True):
            assert torch.equal(a, b)
        pairs = zip(first.parameters(), other.parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)
    generator, critic = networks[0]
    c = draw(4, 2, seed=1)
    critic(generator.train()(draw(4, 16), c), c).square().sum().backward()
    for network in (generator, critic):
        assert all(p.grad is not None for p in network.parameters())


def test_pyramid_halves_and_ends_small():
    for size in [(8, 8), (28, 28), (128, 128), (9, 100)]:
        sizes = pyramid(*size)
        assert sizes[0] == size
        assert max(sizes[-1]) <= 7
        for (a, b), (c, d) in itertools.pairwise(sizes):
            assert (c, d) == (-(-a // 2), -(-b // 2))


def test_pixels_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert (to_pixels(to_tensor(pixels)).ravel() == pixels.numpy().ravel()).all()
    assert as_bytes(to_pixels(draw(2, 3, 4, 5))).shape == (2, 3, 4, 5)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distortions_keep_shapes_and_gradients_and_follow_the_seed(name):
    images = draw(6, 3, 12, 10).tanh().requires_grad_()
    changed, same, other = (
        distort(images, [name], torch_generator(seed, "distort")) for seed in (0, 0, 1)
    )
    assert changed.shape == images.shape
    assert torch.equal(changed, same)
    assert not torch.equal(changed, other)
    changed.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_shift_moves_whole_images_by_at_most_an_eighth():
    images = torch.zeros(200, 1, 16, 16)
    images[:, :, 8, 8] = 1
    moved = distort(images, ["shift"], torch_generator(0, "distort"))
    assert (moved.flatten(1).sum(1) == 1).all()
    rows, columns = moved[:, 0].flatten(1).argmax(1) // 16, moved[:, 0].flatten(1).argmax(1) % 16
    for place in (rows, columns):
        assert sorted(set(place.tolist())) == [6, 7, 8, 9, 10]


def test_pixels_survive_the_way_to_tensors_and_back():
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    for view in (pixels, pixels[:, ::-1], pixels[..., ::-1]):
        np.testing.assert_array_equal(to_pixels(to_tensor(as_bytes(view))), view)
