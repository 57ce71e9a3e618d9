"""Image to image: a generator that keeps the plan of an image, and a critic of patches.

Images are tensors of shape (rows, channels, height, width) in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan.networks.layers import Convolution, Linear, draw_weights

__all__ = ["PatchCritic", "PatchProjector", "Translator"]

_SLOPE = 0.2
#: Length of the vectors that patches are compared as.
_PATCH_FEATURES = 64


def _halvings(size: tuple[int, int]) -> int:
    """Return how often an image is halved on its way: not at all below 16 pixels, then 1 or 2."""
    return sum(min(size) >= least for least in (16, 24))


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)


class _Unit(nn.Module):
    """``h + norm(out(relu(norm(in(h)))))`` with 3 x 3 convolutions and instance normalisation."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.expand = Convolution(width, width, 3, padding=dilation, dilation=dilation)
        self.project = Convolution(width, width, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        u = F.relu(F.instance_norm(self.expand(h)))
        out: Tensor = h + F.instance_norm(self.project(u))
        return out


class Translator(nn.Module):
    """A residual encoder and decoder with instance normalisation.

    After CycleGAN's, smaller. One linear map over all places in the middle lets it move the parts
    of small images, not only repaint them.

    Parameters
    ----------
    size : (int, int)
        Height and width of the images.
    before, after : int
        Channels of the images that come in and go out.
    width : int
        Channels at the full size.
    depth : int
        Residual units in the middle.

    Shape: (rows, before, height, width) -> (rows, after, height, width).
    """

    def __init__(
        self, size: tuple[int, int], before: int, after: int, width: int, depth: int
    ) -> None:
        super().__init__()
        self.sizes = [size]
        for _ in range(_halvings(size)):
            self.sizes.append(_halved(self.sizes[-1]))
        self.widths = [width * 2**k for k in range(len(self.sizes))]
        outer, inner = self.widths[:-1], self.widths[-1]
        n_places = self.sizes[-1][0] * self.sizes[-1][1]
        self.first = Convolution(before, width, 5, padding=2)
        self.down = nn.ModuleList(Convolution(a, 2 * a, 3, stride=2, padding=1) for a in outer)
        self.mixed = Convolution(inner, inner, 1)
        self.places = Linear(n_places, n_places, bias=False)
        self.units = nn.ModuleList(_Unit(inner, 1 + k % 2) for k in range(depth))
        self.up = nn.ModuleList(Convolution(2 * a, a, 3, padding=1) for a in reversed(outer))
        self.last = Convolution(width, after, 5, padding=2)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_weights(self, generator, slope=0.0)
        with torch.no_grad():
            self.last.weight.mul_(0.3)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return maps of the image: after the first layer, each halving, and the units."""
        h = F.relu(F.instance_norm(self.first(images)))
        maps = [h]
        for layer in self.down:
            h = F.relu(F.instance_norm(layer(h)))
            maps.append(h)
        moved = self.places(self.mixed(h).flatten(2)).view_as(h)
        h = h + F.instance_norm(moved)
        for unit in self.units:
            h = unit(h)
        return [*maps, h]

    @property
    def map_widths(self) -> list[int]:
        """Channels of the maps."""
        return [*self.widths, self.widths[-1]]

    def forward(self, images: Tensor) -> Tensor:
        """Return translated images."""
        h = self.features(images)[-1]
        for layer, size in zip(self.up, self.sizes[-2::-1], strict=True):
            h = F.relu(F.instance_norm(layer(F.interpolate(h, size=size, mode="nearest"))))
        return torch.tanh(self.last(h))


class PatchCritic(nn.Module):
    """Scores overlapping patches (Isola et al. 2017, arXiv:1611.07004).

    Parameters
    ----------
    size : (int, int)
        Height and width of the images.
    channels, width : int

    Shape: (rows, channels, height, width) -> (rows, patches).
    """

    def __init__(self, size: tuple[int, int], channels: int, width: int) -> None:
        super().__init__()
        n = max(_halvings(size), 1)
        widths = [width * 2**k for k in range(n + 1)]
        layers: list[nn.Module] = [Convolution(channels, width, 3, padding=1)]
        for a in widths[:-1]:
            layers += [nn.LeakyReLU(_SLOPE), Convolution(a, 2 * a, 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(_SLOPE), Convolution(widths[-1], widths[-1], 3, padding=1)]
        layers += [nn.LeakyReLU(_SLOPE), Convolution(widths[-1], 1, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_weights(self, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Return one score per patch, higher is more real."""
        scores: Tensor = self.layers(images).flatten(1)
        return scores


class PatchProjector(nn.Module):
    """Patches of maps to vectors of length 1 (CUT, Park et al. 2020, arXiv:2007.15651).

    Parameters
    ----------
    widths : sequence of int
        Channels of the maps.

    Shape: list of (rows, channels, height, width), places -> list of (rows, patches, features).
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.first = nn.ModuleList(Linear(width, _PATCH_FEATURES) for width in widths)
        self.second = nn.ModuleList(Linear(_PATCH_FEATURES, _PATCH_FEATURES) for _ in widths)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_weights(self, generator, slope=0.0)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return the vectors at the given places (numbers of cells, row by row) of each map."""
        found = []
        for k, (part, chosen) in enumerate(zip(maps, places, strict=True)):
            cells = part.flatten(2)[:, :, chosen].transpose(1, 2)
            found.append(F.normalize(self.second[k](F.relu(self.first[k](cells))), dim=2))
        return found
