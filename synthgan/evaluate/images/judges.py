"""The judges of images: a small classifier, and two ways to see an image as a vector.

Both ways are made here, so that nothing is downloaded: a classifier trained on real images that
are not compared, which sees what matters, and a fixed random network, which sees texture and needs
no labels. Distances under one cannot be compared with distances under the other, nor with
published figures that use Inception.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import autocast, half_precision, numpy_generator, torch_generator

if TYPE_CHECKING:
    import torch

__all__ = ["Classifier", "Extractor", "random_features"]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
#: Images to vectors: uint8 (images, height, width, channels) -> float64 (images, features).
Extractor = Callable[[Pixels], Floats]

N_FEATURES = 64
EPOCHS, BATCH, FEWEST_STEPS, MOST_STEPS = 12, 128, 200, 3_000
LEARNING_RATE, DROPOUT = 2e-3, 0.3
_BLOCK = 500
#: Feature maps are halved until no side is longer.
_SMALLEST = 7


class Classifier:
    """A small convolutional network, trained from scratch.

    Two convolutions of 32 and 64 channels (more for large images), each followed by pooling, a
    hidden layer of 64, dropout; Adam with one cycle of the learning rate, 12 epochs but at least
    200 and at most 3,000 steps.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (images, height, width, channels)
    codes : ndarray of int64, shape (images,)
        Classes from 0.
    n_classes : int
    seed : int
    """

    def __init__(
        self, pixels: Pixels, codes: npt.NDArray[np.int64], n_classes: int, seed: int
    ) -> None:
        import torch
        import torch.nn.functional as F

        self._trunk, self._head = _classifier(pixels.shape[1:], n_classes)
        _draw(self._trunk, seed, "trunk")
        _draw(self._head, seed, "head")
        cpu = torch.device("cpu")
        precision = half_precision(cpu)
        network = torch.nn.ModuleList([self._trunk, self._head]).train()
        images, truth = _tensor(pixels), torch.from_numpy(codes)
        steps = max(min(EPOCHS * len(images) // BATCH, MOST_STEPS), FEWEST_STEPS)
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1)
        order = _batches(len(images), steps, seed)
        for number, rows in enumerate(order):
            with autocast(cpu, precision):
                hidden = self._trunk(images[rows])
            keep = torch.empty_like(hidden).bernoulli_(
                1 - DROPOUT, generator=torch_generator(seed, "dropout", number)
            )
            scores = self._head(F.relu(hidden.float()) * keep / (1 - DROPOUT))
            loss = F.cross_entropy(scores, truth[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
        network.eval()
        self._scale = np.ones(N_FEATURES)
        self._scale = np.maximum(self.features(pixels[:5000]).std(axis=0), 1e-6)

    def features(self, pixels: Pixels) -> Floats:
        """Return the hidden layer before its rectifier, in deviations; (images, 64)."""
        found = _in_blocks(self._trunk, pixels)
        return np.asarray(found / self._scale)

    def predict(self, pixels: Pixels) -> npt.NDArray[np.int64]:
        """Return the likeliest class of each image."""
        return np.asarray(self.chances(pixels).argmax(axis=1), dtype=np.int64)

    def chances(self, pixels: Pixels) -> Floats:
        """Return the probability of each class, shape (images, classes)."""
        import torch

        hidden = torch.from_numpy(_in_blocks(self._trunk, pixels)).float()
        with torch.no_grad():
            return np.asarray(self._head(hidden.relu()).double().softmax(1).numpy())


def random_features(pixels: Pixels) -> Floats:
    """Return what a fixed random network sees, float64 of shape (images, 128).

    Three layers of convolutions, means and deviations of the last maps. The weights are the same
    in every run.
    """
    import torch
    from torch import nn

    channels = pixels.shape[3]
    widths = [channels, 32, 64, 64]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [
            nn.Conv2d(a, b, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.AvgPool2d(2, ceil_mode=True),
        ]
    network = nn.Sequential(*layers)
    _draw(network, 0, "random features")

    def moments(images: torch.Tensor) -> torch.Tensor:
        maps = network(images).flatten(2)
        return torch.cat([maps.mean(2), maps.std(2, unbiased=False)], dim=1)

    return _in_blocks(moments, pixels)


def _classifier(shape: tuple[int, ...], n_classes: int) -> tuple[Any, Any]:
    from torch import nn

    height, width, before = shape
    layers: list[nn.Module] = []
    after = 32
    while True:
        layers += [
            nn.Conv2d(before, after, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
        height, width, before, after = -(-height // 2), -(-width // 2), after, 64
        if len(layers) >= 6 and max(height, width) <= _SMALLEST:
            break
    layers += [nn.Flatten(), nn.Linear(before * height * width, N_FEATURES)]
    return nn.Sequential(*layers), nn.Linear(N_FEATURES, n_classes)


def _draw(network: Any, seed: int, purpose: str) -> None:
    import torch

    generator = torch_generator(seed, purpose)
    with torch.no_grad():
        for part in network.modules():
            if hasattr(part, "weight"):
                deviation = (2 / part.weight[0].numel()) ** 0.5
                part.weight.normal_(0.0, deviation, generator=generator)
                part.bias.zero_()


def _tensor(pixels: Pixels) -> Any:
    import torch

    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return images.contiguous(memory_format=torch.channels_last)


def _batches(n_images: int, steps: int, seed: int) -> list[npt.NDArray[np.int64]]:
    size = min(BATCH, n_images)
    per_epoch = max(n_images // size, 1)
    found: list[npt.NDArray[np.int64]] = []
    for epoch in range(-(-steps // per_epoch)):
        order = numpy_generator(seed, "batches", epoch).permutation(n_images)
        found += [order[k * size : (k + 1) * size] for k in range(per_epoch)]
    return found[:steps]


def _in_blocks(network: Callable[[Any], Any], pixels: Pixels) -> Floats:
    """Return what the network makes of the images, always in blocks of 500."""
    import torch

    parts = []
    with torch.no_grad():
        for start in range(0, len(pixels), _BLOCK):
            parts.append(network(_tensor(pixels[start : start + _BLOCK])).double().numpy())
    return np.concatenate(parts)
