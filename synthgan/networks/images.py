"""Images: generators from a latent vector and a condition, and critics that judge images.

Images are tensors of shape (rows, channels, height, width) in [-1, 1]; a condition is a vector per
image (one-hot for classes), possibly of length 0. All generators take ``(z, condition)``, all
critics ``(images, condition)``, and critics have ``features(images)``.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan.networks.layers import Convolution, Linear, draw_weights

__all__ = [
    "ARCHITECTURES",
    "ConvolutionalCritic",
    "ConvolutionalGenerator",
    "DenseCritic",
    "DenseGenerator",
    "ImageTrunk",
    "ResidualCritic",
    "ResidualGenerator",
    "ResidualUnit",
    "draw_residual",
    "enlarged",
    "pyramid",
]

_SLOPE = 0.2
_SMALLEST = 7
#: Widths grow by 2 at every halving, up to this multiple of the first.
_WIDEST = 4
#: Length of the embedded condition.
_EMBEDDING = 64


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes from an image down to at most 7 x 7, each about half of the former.

    Examples
    --------
    >>> pyramid(28, 28), pyramid(9, 16)
    ([(28, 28), (14, 14), (7, 7)], [(9, 16), (5, 8), (3, 4)])
    """
    sizes = [(height, width), ((height + 1) // 2, (width + 1) // 2)]
    while max(sizes[-1]) > _SMALLEST:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def _widths(n: int, width: int) -> list[int]:
    return [width * min(2**k, _WIDEST) for k in range(n)]


class ResidualUnit(nn.Module):
    """``skip(h) + out(relu(style * in(relu(h))))`` with 3 x 3 convolutions and no normalisation.

    Without batch statistics, an image does not depend on the others of its batch. The second
    convolution starts small, so that the unit starts close to its skip.

    Parameters
    ----------
    before, after : int
        Channels.
    style : int
        Length of the vector that scales and shifts the inner channels; 0 for none.

    Shape: (rows, before, height, width), (rows, style) -> (rows, after, height, width).
    """

    def __init__(self, before: int, after: int, style: int = 0) -> None:
        super().__init__()
        self.expand = Convolution(before, after, 3, padding=1)
        self.project = Convolution(after, after, 3, padding=1)
        self.skip = Convolution(before, after, 1, bias=False) if before != after else None
        self.style = Linear(style, 2 * after) if style else None

    def shrink(self) -> None:
        """Make the drawn weights of the branch small."""
        with torch.no_grad():
            self.project.weight.mul_(0.1)
            if self.style is not None:
                self.style.weight.mul_(0.3)

    def forward(self, h: Tensor, style: Tensor | None = None) -> Tensor:
        """Apply the unit."""
        u = self.expand(F.leaky_relu(h, _SLOPE))
        if self.style is not None and style is not None:
            scale, shift = self.style(style)[:, :, None, None].chunk(2, dim=1)
            u = u * (1 + scale) + shift
        u = self.project(F.leaky_relu(u, _SLOPE))
        kept = h if self.skip is None else self.skip(h)
        out: Tensor = kept + u
        return out


def draw_residual(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of a module of residual units, which start close to their skips."""
    draw_weights(module, generator)
    for part in module.modules():
        if isinstance(part, ResidualUnit):
            part.shrink()


def enlarged(h: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps at a larger size, each cell repeated."""
    return F.interpolate(h, size=size, mode="nearest")


class ResidualGenerator(nn.Module):
    """Residual units at growing sizes, styled by latent vector and condition.

    After R3GAN (Huang et al. 2024, arXiv:2501.05441), smaller: nearest-neighbour upsampling, no
    normalisation; the full size has no unit, only two convolutions.

    Parameters
    ----------
    size : (int, int)
        Height and width of the images.
    channels, latent, condition : int
        Channels of an image, lengths of the latent vector and of the condition.
    width : int
        Channels at half the full size.

    Shape: z (rows, latent), condition (rows, condition) -> (rows, channels, height, width).
    """

    def __init__(
        self, size: tuple[int, int], channels: int, latent: int, condition: int, width: int
    ) -> None:
        super().__init__()
        self.latent = latent
        self.sizes = pyramid(*size)[::-1]
        widths = _widths(len(self.sizes) - 1, width)[::-1]
        self.embed = Linear(condition, _EMBEDDING, bias=False) if condition else None
        style = latent + (_EMBEDDING if condition else 0)
        self.first = Linear(style, widths[0] * math.prod(self.sizes[0]))
        self.units = nn.ModuleList(
            ResidualUnit(before, after, style)
            for before, after in zip([widths[0], *widths], widths, strict=False)
        )
        self.smooth = Convolution(widths[-1], max(width // 2, 8), 3, padding=1)
        self.last = Convolution(max(width // 2, 8), channels, 3, padding=1)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_residual(self, generator)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        style = z
        if self.embed is not None:
            e = self.embed(condition)
            style = torch.cat([z, e * torch.rsqrt(e.square().mean(1, keepdim=True) + 1e-6)], dim=1)
        h = self.first(style).unflatten(1, (-1, *self.sizes[0]))
        h = h.contiguous(memory_format=torch.channels_last)
        for k, unit in enumerate(self.units):
            h = unit(h if k == 0 else enlarged(h, self.sizes[k]), style)
        h = self.smooth(enlarged(F.leaky_relu(h, _SLOPE), self.sizes[-1]))
        return torch.tanh(self.last(F.leaky_relu(h, _SLOPE)))


class ImageTrunk(nn.Module):
    """What an image is about, as a vector: residual units at shrinking sizes.

    Parameters
    ----------
    size, channels, width
        As for :class:`ResidualGenerator`.

    Shape: (rows, channels, height, width) -> (rows, 256).
    """

    def __init__(self, size: tuple[int, int], channels: int, width: int) -> None:
        super().__init__()
        sizes = pyramid(*size)
        widths = _widths(len(sizes) - 1, width)
        self.padding = (0, size[1] % 2, 0, size[0] % 2)
        self.first = Convolution(channels, width, 4, stride=2, padding=1)
        self.units = nn.ModuleList(
            ResidualUnit(before, after)
            for before, after in zip([width, *widths], widths, strict=False)
        )
        self.last = Linear(widths[-1] * math.prod(sizes[-1]), 256)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        h = F.pad(images, self.padding, mode="replicate") if any(self.padding) else images
        h = self.first(h.contiguous(memory_format=torch.channels_last))
        for k, unit in enumerate(self.units):
            h = unit(h if k == 0 else F.avg_pool2d(h, 2, ceil_mode=True))
        return F.leaky_relu(self.last(F.leaky_relu(h, _SLOPE).flatten(1)), _SLOPE)


class _Projection(nn.Module):
    """A score of features, given a condition (Miyato, Koyama 2018, arXiv:1802.05637).

    Shape: features (rows, n_features), condition (rows, condition) -> (rows,).
    """

    def __init__(self, n_features: int, condition: int) -> None:
        super().__init__()
        self.score = Linear(n_features, 1)
        self.embed = Linear(condition, n_features, bias=False) if condition else None

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scores: Tensor = self.score(features).squeeze(1)
        if self.embed is None:
            return scores
        return scores + (features * self.embed(condition)).sum(1) / math.sqrt(features.shape[1])


class ResidualCritic(nn.Module):
    """The mirror image of :class:`ResidualGenerator`, with a projection on the condition.

    Shape: images (rows, channels, height, width), condition (rows, condition) -> (rows,).
    """

    def __init__(self, size: tuple[int, int], channels: int, condition: int, width: int) -> None:
        super().__init__()
        self.features = ImageTrunk(size, channels, width)
        self.head = _Projection(self.features.last.out_features, condition)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_residual(self, generator)

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """Return one score per image, higher is more real."""
        scores: Tensor = self.head(self.features(images), condition)
        return scores


class ConvolutionalGenerator(nn.Module):
    """The generator of DCGAN (Radford et al. 2016, arXiv:1511.06434), given a condition.

    Transposed convolutions with batch normalisation; the condition is appended to the latent
    vector. Parameters and shapes as for :class:`ResidualGenerator`.
    """

    def __init__(
        self, size: tuple[int, int], channels: int, latent: int, condition: int, width: int
    ) -> None:
        super().__init__()
        self.latent = latent
        self.sizes = pyramid(*size)[::-1]
        widths = _widths(len(self.sizes) - 1, width)[::-1]
        self.first = Linear(latent + condition, widths[0] * math.prod(self.sizes[0]))
        self.norm = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [_Transposed(before, after), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.last = _Transposed(widths[-1], channels)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        _draw_classic(self, generator)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        h = self.first(torch.cat([z, condition], dim=1)).unflatten(1, (-1, *self.sizes[0]))
        h = self.layers(F.relu(self.norm(h.contiguous(memory_format=torch.channels_last))))
        images = torch.tanh(self.last(h))
        height, width = self.sizes[-1]
        return images[:, :, :height, :width]


class _Transposed(nn.ConvTranspose2d):
    """A transposed convolution that doubles the size, its weights drawn by its owner."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 4, stride=2, padding=1)

    def reset_parameters(self) -> None:
        """Leave the weights undrawn."""


def _draw_classic(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights with a deviation of 0.02, as DCGAN has it."""
    for part in module.modules():
        if isinstance(part, (Linear, Convolution, _Transposed)):
            with torch.no_grad():
                part.weight.normal_(0.0, 0.02, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class ConvolutionalCritic(nn.Module):
    """The discriminator of DCGAN, with a projection on the condition.

    Strided convolutions with batch normalisation. Parameters and shapes as for
    :class:`ResidualCritic`.
    """

    def __init__(self, size: tuple[int, int], channels: int, condition: int, width: int) -> None:
        super().__init__()
        sizes = pyramid(*size)
        widths = _widths(len(sizes) - 1, width)
        layers: list[nn.Module] = [
            Convolution(channels, widths[0], 4, stride=2, padding=1),
            nn.LeakyReLU(_SLOPE),
        ]
        for before, after in itertools.pairwise(widths):
            layers += [
                Convolution(before, after, 4, stride=2, padding=1),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(_SLOPE),
            ]
        self.layers = nn.Sequential(*layers)
        self.size = tuple(side << (len(sizes) - 1) for side in sizes[-1])
        self.head = _Projection(widths[-1] * math.prod(sizes[-1]), condition)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        _draw_classic(self, generator)

    def features(self, images: Tensor) -> Tensor:
        """Return what the score is made from, shape (rows, features)."""
        missing = [full - side for full, side in zip(self.size, images.shape[2:], strict=True)]
        h = F.pad(images, (0, missing[1], 0, missing[0]), mode="replicate")
        features: Tensor = self.layers(h.contiguous(memory_format=torch.channels_last)).flatten(1)
        return features

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """Return one score per image, higher is more real."""
        scores: Tensor = self.head(self.features(images), condition)
        return scores


class DenseGenerator(nn.Module):
    """The fully connected generator of the first GANs (Goodfellow et al. 2014, arXiv:1406.2661).

    The condition is appended to the latent vector (Mirza, Osindero 2014, arXiv:1411.1784).
    Parameters and shapes as for :class:`ResidualGenerator`; `width` is a quarter of the first
    hidden layer.
    """

    def __init__(
        self, size: tuple[int, int], channels: int, latent: int, condition: int, width: int
    ) -> None:
        super().__init__()
        self.latent = latent
        self.shape = (channels, *size)
        widths = [latent + condition, 4 * width, 8 * width, math.prod(self.shape)]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in itertools.pairwise(widths))

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_weights(self, generator)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        h = torch.cat([z, condition], dim=1)
        for layer in self.layers[:-1]:
            h = F.leaky_relu(layer(h), _SLOPE)
        return torch.tanh(self.layers[-1](h)).view(-1, *self.shape)


class DenseCritic(nn.Module):
    """A fully connected discriminator; the condition is appended to its hidden layer.

    Parameters and shapes as for :class:`ResidualCritic`.
    """

    def __init__(self, size: tuple[int, int], channels: int, condition: int, width: int) -> None:
        super().__init__()
        self.first = Linear(channels * math.prod(size), 8 * width)
        self.second = Linear(8 * width + condition, 4 * width)
        self.last = Linear(4 * width, 1)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        draw_weights(self, generator)

    def features(self, images: Tensor) -> Tensor:
        """Return the first hidden layer, shape (rows, 8 * width)."""
        return F.leaky_relu(self.first(images.flatten(1)), _SLOPE)

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """Return one score per image, higher is more real."""
        h = torch.cat([self.features(images), condition], dim=1)
        scores: Tensor = self.last(F.leaky_relu(self.second(h), _SLOPE)).squeeze(1)
        return scores


#: Generator and critic by name.
ARCHITECTURES = {
    "residual": (ResidualGenerator, ResidualCritic),
    "convolutional": (ConvolutionalGenerator, ConvolutionalCritic),
    "dense": (DenseGenerator, DenseCritic),
}
