"""Distortions that the critic sees on real and generated images alike.

They keep a critic from memorising a small set, and since both sides get them, generated images do
not learn them (Zhao et al. 2020, arXiv:2006.10738). All of them let gradients pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["DISTORTIONS", "distort"]

Distortion = Callable[[Tensor, torch.Generator], Tensor]

_SHIFT, _HOLE = 0.125, 0.5


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to an eighth of its size; edges are repeated."""
    n, _, height, width = images.shape
    places = []
    for side in (height, width):
        most = max(int(_SHIFT * side), 1)
        moves = torch.randint(-most, most + 1, (n, 1), generator=generator, device=images.device)
        places.append((torch.arange(side, device=images.device) + moves).clamp(0, side - 1))
    rows, columns = places
    each = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blank a rectangle of half the height and width, anywhere, also partly outside."""
    n, _, height, width = images.shape
    inside = torch.ones(n, 1, 1, 1, dtype=torch.bool, device=images.device)
    for axis, side in ((2, height), (3, width)):
        centre = torch.rand(n, 1, generator=generator, device=images.device) * side
        place = torch.arange(side, device=images.device) + 0.5
        near = (place - centre).abs() < _HOLE * side / 2
        inside = inside & near[:, None, :, None] if axis == 2 else inside & near[:, None, None]
    return images * ~inside


def colour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and, with colours, saturation."""

    def draw(low: float, high: float) -> Tensor:
        uniform = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
        return low + (high - low) * uniform

    images = images + draw(-0.5, 0.5)
    if images.shape[1] > 1:
        mean = images.mean(1, keepdim=True)
        images = mean + (images - mean) * draw(0.0, 2.0)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * draw(0.5, 1.5)


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror every second image, left to right. Not for digits or text."""
    chosen = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


#: By name. Images are tensors of shape (rows, channels, height, width) in [-1, 1].
DISTORTIONS: dict[str, Distortion] = {
    "colour": colour,
    "shift": shift,
    "cutout": cutout,
    "flip": flip,
}


def distort(images: Tensor, names: Sequence[str], generator: torch.Generator) -> Tensor:
    """Return the images with the named distortions, one after the other."""
    for name in names:
        images = DISTORTIONS[name](images, generator)
    return images
