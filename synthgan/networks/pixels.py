"""8-bit pixels to what networks see, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["BLOCK", "as_bytes", "in_blocks", "placed", "to_pixels", "to_tensor"]

#: Images that networks see together outside of training, always as many, so that a result does
#: not depend on how many are asked for.
BLOCK = 64


def as_bytes(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return pixels as a uint8 tensor of shape (images, channels, height, width)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def to_tensor(pixels: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_pixels(images: Tensor) -> npt.NDArray[np.uint8]:
    """Return images in [-1, 1] as uint8 of shape (images, height, width, channels)."""
    pixels = ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())


def in_blocks(
    network: nn.Module, see: Callable[..., npt.NDArray[Any]], *inputs: Tensor
) -> npt.NDArray[Any]:
    """Return what a network makes of tensors, block by block, each of 64 rows.

    Parameters
    ----------
    network : nn.Module
        Blocks are moved to its device.
    see : callable
        Gets a block of each input, and returns an array with a row for each of theirs.
    inputs : Tensor, shape (rows, ...)
    """
    device = next(network.parameters()).device
    n_rows = len(inputs[0])
    parts = []
    with torch.no_grad():
        for start in range(0, max(n_rows, 1), BLOCK):  # one block at least, for the shape
            blocks = []
            for rows in inputs:
                part = rows[start : start + BLOCK]
                rest = part.new_zeros(BLOCK - len(part), *part.shape[1:])
                blocks.append(torch.cat([part, rest]).to(device))
            parts.append(see(*blocks))
    return np.concatenate(parts)[:n_rows]


def placed(network: Any, device: torch.device) -> Any:
    """Return a network on a device, in the memory layout that convolutions are fast in."""
    assert isinstance(network, nn.Module)
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
