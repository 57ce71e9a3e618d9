"""Encoders of autoencoders; the generators of :mod:`synthgan.networks.images` decode."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgan.networks.images import ImageTrunk, draw_residual
from synthgan.networks.layers import Linear

__all__ = ["ImageEncoder"]


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
