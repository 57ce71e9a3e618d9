"""Generators and critics of images by the name of a preset."""

from __future__ import annotations

import torch
from torch import nn

from synthgan._runtime import torch_generator
from synthgan.adversarial.images import ImageOptions
from synthgan.encoding.labels import ConditionCoder
from synthgan.estimators.image_form import ImageForm
from synthgan.networks.images import ARCHITECTURES
from synthgan.networks.pixels import placed

__all__ = ["PRESETS", "build_networks", "draw_networks"]

#: Architecture and options by name.
PRESETS: dict[str, tuple[str, ImageOptions]] = {
    "resnet": ("residual", ImageOptions()),
    "dcgan": (
        "convolutional",
        ImageOptions(
            batch_size=128,
            betas=(0.5, 0.999),
            loss="non-saturating",
            penalty=0.0,
            ema=0.0,
            distortions=(),
        ),
    ),
    "vanilla": (
        "dense",
        ImageOptions(
            batch_size=128,
            betas=(0.5, 0.999),
            loss="non-saturating",
            penalty=0.0,
            ema=0.0,
            distortions=(),
        ),
    ),
}


def build_networks(
    preset: str, form: ImageForm, latent: int, coder: ConditionCoder, width: int
) -> tuple[nn.Module, nn.Module]:
    """Return a generator and a critic without weights."""
    make_generator, make_critic = ARCHITECTURES[PRESETS[preset][0]]
    return (
        make_generator(form.size, form.channels, latent, coder.width, width),
        make_critic(form.size, form.channels, coder.width, width),
    )


def draw_networks(
    networks: tuple[nn.Module, nn.Module], seed: int, device: torch.device
) -> tuple[nn.Module, nn.Module]:
    """Draw the starting weights of both, and put them on a device."""
    for network, purpose in zip(networks, ("generator", "critic"), strict=True):
        network.reset(torch_generator(seed, purpose))  # type: ignore[operator]
        placed(network, device)
    return networks
