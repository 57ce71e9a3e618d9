"""Layers whose weights are drawn by their owner, from a generator that is handed in."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Convolution", "Linear", "draw_one", "draw_weights"]


class Linear(nn.Linear):
    """An affine map whose weights are drawn by its owner, not from the global generator."""

    def reset_parameters(self) -> None:
        """Leave the weights undrawn."""


class Convolution(nn.Conv2d):
    """A convolution whose weights are drawn by its owner, not from the global generator."""

    def reset_parameters(self) -> None:
        """Leave the weights undrawn."""


def draw_one(shares: Tensor, uniform: Tensor) -> Tensor:
    """Draw one class per row, by inversion.

    Shape: shares (rows or 1, classes), uniform (rows, 1) in [0, 1) -> (rows,), int64.
    """
    running = shares.cumsum(dim=1)
    whole = running[:, -1:]
    # below the whole, so that classes without a share are not drawn, at the end neither
    where = torch.minimum(uniform * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    if len(running) == 1:  # the same shares in all rows
        chosen = torch.searchsorted(running[0], where, right=True)
    else:
        chosen = torch.searchsorted(running, where, right=True)
    return chosen.squeeze(1).clamp(max=shares.shape[1] - 1)


def draw_weights(module: nn.Module, generator: torch.Generator, slope: float = 0.2) -> None:
    """Draw all weight matrices of a module, and set its biases to 0.

    Variances keep the size of activations behind leaky rectifiers (He et al. 2015,
    arXiv:1502.01852).

    Parameters
    ----------
    module : nn.Module
    generator : torch.Generator
    slope : float, default 0.2
        Of the leaky rectifier.
    """
    for part in module.modules():
        if isinstance(part, (Linear, Convolution)):
            fan_in = part.weight[0].numel()
            _normal(part.weight, math.sqrt(2 / (1 + slope**2) / fan_in), generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _normal(weight: Tensor, deviation: float, generator: torch.Generator) -> None:
    with torch.no_grad():
        weight.normal_(0.0, deviation, generator=generator)
