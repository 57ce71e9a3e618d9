"""Encoders and decoders of autoencoders.

Images are decoded by the generators of :mod:`synthgan.networks.images`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan.networks.images import ImageTrunk, draw_residual
from synthgan.networks.layers import Linear
from synthgan.networks.rows import ResidualBlock, TokenEmbedding

__all__ = ["ImageEncoder", "RowDecoder", "RowEncoder"]


class ImageEncoder(nn.Module):
    """A normal distribution of latent vectors for each image.

    Parameters
    ----------
    size : (int, int)
        Height and width of the images.
    channels, latent : int
        Channels of an image, length of the latent vector.
    width : int
        Channels at half the full size.

    Shape: images (rows, channels, height, width) -> means and log-variances, (rows, latent) each.
    """

    def __init__(self, size: tuple[int, int], channels: int, latent: int, width: int) -> None:
        super().__init__()
        self.trunk = ImageTrunk(size, channels, width)
        self.head = Linear(self.trunk.last.out_features, 2 * latent)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights; all log-variances start close to 0."""
        draw_residual(self, generator)
        with torch.no_grad():
            self.head.weight.mul_(0.3)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances."""
        mean, log_variance = self.head(self.trunk(images)).chunk(2, dim=1)
        return mean, log_variance


class RowEncoder(nn.Module):
    """A normal distribution of latent vectors for each row of tokens.

    Parameters
    ----------
    sizes, n_ordered : sequence of int
        Tokens of each variable, and how many leading ones are in ascending order.
    latent : int
        Length of the latent vector.
    width, depth : int
        Width and number of residual blocks.

    Shape: tokens (rows, variables) int64 -> means and log-variances, (rows, latent) each.
    """

    def __init__(
        self, sizes: Sequence[int], n_ordered: Sequence[int], latent: int, width: int, depth: int
    ) -> None:
        super().__init__()
        self.inputs = TokenEmbedding(sizes, n_ordered, width, 1 / math.sqrt(max(len(sizes), 1)))
        self.trunk = _Trunk(width, depth)
        self.head = Linear(width, 2 * latent)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights; all log-variances start close to 0."""
        self.inputs.reset(generator)
        self.trunk.reset(generator)
        _draw_uniform(self.head, 0.5, generator)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances."""
        mean, log_variance = self.head(self.trunk(self.inputs.total(tokens))).chunk(2, dim=1)
        return mean, log_variance


class RowDecoder(nn.Module):
    """A distribution of tokens for each variable, given a latent vector.

    Given it, the variables are independent of each other.

    Parameters
    ----------
    sizes, n_ordered, latent, width, depth
        As for :class:`RowEncoder`.

    Shape: latents (rows, latent) -> one tensor of logits per variable, (rows, sizes[j]) each.
    """

    def __init__(
        self, sizes: Sequence[int], n_ordered: Sequence[int], latent: int, width: int, depth: int
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.n_ordered = tuple(n_ordered)
        self.first = Linear(latent, width)
        self.trunk = _Trunk(width, depth)
        self.outputs = TokenEmbedding(sizes, n_ordered, width, 0.3 / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))

    def reset(self, generator: torch.Generator, log_frequencies: Tensor) -> None:
        """Draw the starting weights; `log_frequencies` (sum of sizes,) start the biases."""
        _draw_uniform(self.first, 1.7, generator)
        self.trunk.reset(generator)
        self.outputs.reset(generator)
        with torch.no_grad():
            self.bias.copy_(log_frequencies)

    def forward(self, latents: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of each variable."""
        whole = F.linear(self.trunk(self.first(latents)), self.outputs(), self.bias)
        parts: tuple[Tensor, ...] = torch.split(whole, list(self.sizes), dim=1)
        return parts


class _Trunk(nn.Module):
    """Residual blocks, then a norm. Shape: (rows, width) -> (rows, width)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.gain = nn.Parameter(torch.ones(width))

    def reset(self, generator: torch.Generator) -> None:
        for block in self.blocks:
            block.reset(generator)  # type: ignore[operator]

    def forward(self, h: Tensor) -> Tensor:
        for block in self.blocks:
            h = block(h)
        return F.layer_norm(h, h.shape[-1:], self.gain.to(h.dtype))


def _draw_uniform(layer: Linear, size: float, generator: torch.Generator) -> None:
    bound = size / math.sqrt(layer.in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
