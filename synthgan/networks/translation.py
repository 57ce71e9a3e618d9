"""Image to image: a generator that starts as the identity, and vectors of patches to compare.

Images are tensors of shape (rows, channels, height, width) in [-1, 1].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan.networks.images import ResidualUnit, draw_residual, enlarged, pyramid
from synthgan.networks.layers import Convolution, Linear, draw_weights

__all__ = ["PatchProjector", "Translator"]

_SLOPE = 0.2
#: Most halvings on the way to the middle.
_HALVINGS = 2
#: The output starts as tanh of this multiple of the input.
_SKIP = 2.0
#: The weights of the skip are held divided by this, so that they learn as many times faster: one
#: number here does what thousands do elsewhere, and Adam moves each of them as far.
_GAIN = 20.0
#: Length of the vectors that patches are compared as.
_PATCH_FEATURES = 64


class Translator(nn.Module):
    """Residual units at a quarter of the size, around a skip from the input to the output.

    The skip, a linear map of the channels, makes the identity the start: what the other domain does
    not ask for is left as it is. One linear map over all places in the middle lets parts of an
    image move. There is no normalisation, which would remove the mean colour of an image.

    Parameters
    ----------
    size : (int, int)
        Height and width of the images.
    before, after : int
        Channels of the images that come in and go out.
    width : int
        Channels at half the size; twice as many at a quarter.
    depth : int
        Residual units in the middle.

    Shape: (rows, before, height, width) -> (rows, after, height, width).
    """

    def __init__(
        self, size: tuple[int, int], before: int, after: int, width: int, depth: int
    ) -> None:
        super().__init__()
        self.sizes = pyramid(*size)[: 1 + _HALVINGS]
        widths = [max(width // 2, 1), *(width * 2**k for k in range(len(self.sizes) - 1))]
        n_places = math.prod(self.sizes[-1])
        self.first = Convolution(before, widths[0], 3, padding=1)
        self.down = nn.ModuleList(ResidualUnit(a, b) for a, b in itertools.pairwise(widths))
        self.places = Linear(n_places, n_places, bias=False)
        self.units = nn.ModuleList(ResidualUnit(widths[-1], widths[-1]) for _ in range(depth))
        self.up = nn.ModuleList(
            ResidualUnit(b, a) for a, b in zip(widths[-2:0:-1], widths[:1:-1], strict=True)
        )
        self.smooth = Convolution(widths[1], widths[0], 3, padding=1)
        self.last = Convolution(widths[0], after, 3, padding=1)
        self.skip = Convolution(before, after, 1)
        self.map_widths = [*widths, widths[-1]]

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_residual(self, generator)
        before, after = self.skip.in_channels, self.skip.out_channels
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.places.weight.mul_(0.3)
            if before == after:
                self.skip.weight.copy_(_SKIP / _GAIN * torch.eye(after)[:, :, None, None])
            else:
                self.skip.weight.fill_(_SKIP / _GAIN / before)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return maps of the image: after the first layer, each halving, and the middle."""
        h = self.first(images.contiguous(memory_format=torch.channels_last))
        maps = [h]
        for unit in self.down:
            h = unit(F.avg_pool2d(h, 2, ceil_mode=True))
            maps.append(h)
        h = h + self.places(h.flatten(2)).view_as(h)
        for unit in self.units:
            h = unit(h)
        return [*maps, h]

    def forward(self, images: Tensor) -> Tensor:
        """Return translated images."""
        h = self.features(images)[-1]
        for unit, size in zip(self.up, self.sizes[-2:0:-1], strict=True):
            h = unit(enlarged(h, size))
        h = self.smooth(enlarged(F.leaky_relu(h, _SLOPE), self.sizes[0]))
        return torch.tanh(self.last(F.leaky_relu(h, _SLOPE)) + _GAIN * self.skip(images))


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
