"""Fit an image generator against a critic.

The defaults follow R3GAN (Huang et al. 2024, arXiv:2501.05441): relativistic pairing of a real and
a generated image of the same condition, penalties on both, averaged weights; and distortions of
both (Zhao et al. 2020, arXiv:2006.10738), since image sets here are small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from synthgan._runtime import autocast, torch_generator
from synthgan.adversarial.game import critic_step, generator_loss
from synthgan.distortions import DISTORTIONS, distort
from synthgan.networks.pixels import to_tensor
from synthgan.objectives import LOSSES
from synthgan.options import require_ranges
from synthgan.runs import Run
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = ["ImageOptions", "fit_images"]

#: Share of the steps after which the learning rate falls.
_FALL_FROM = 0.6
_WATCHED = 512


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """The rarely changed settings of a fit of images.

    Attributes
    ----------
    batch_size : int
    steps : int
        Steps of each side.
    learning_rate : float
        Of Adam, for both sides; it falls over the last two fifths of the steps.
    betas : (float, float)
        Of Adam.
    loss : str
        A name in ``synthgan.objectives.LOSSES``: ``"relativistic"``, ``"non-saturating"``,
        ``"hinge"`` or ``"least squares"``.
    penalty : float
        Weight of R1 + R2, which keep the critic smooth; 0 turns them off.
    penalty_every : int
        Steps from one penalty to the next; it weighs as many times more.
    ema : float
        Weight of the past in the averaged weights, the ones that are kept.
    distortions : tuple of str
        What both sides of the critic are shown: ``"shift"``, ``"cutout"``, ``"colour"``,
        ``"flip"``.
    """

    batch_size: int = 64
    steps: int = 8000
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.99)
    loss: str = "relativistic"
    penalty: float = 1.0
    penalty_every: int = 4
    ema: float = 0.999
    distortions: tuple[str, ...] = ("shift",)

    def __post_init__(self) -> None:
        checks = {
            "batch_size": 2 <= self.batch_size <= 2**16,
            "steps": 1 <= self.steps <= 10**8,
            "learning_rate": 0 < self.learning_rate < 1,
            "betas": len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "loss": self.loss in LOSSES,
            "penalty": 0 <= self.penalty < 10**6,
            "penalty_every": self.penalty_every >= 1,
            "ema": 0 <= self.ema < 1,
            "distortions": all(name in DISTORTIONS for name in self.distortions),
        }
        require_ranges(self, checks, {"loss": LOSSES, "distortions": DISTORTIONS})


def fit_images(
    generator: nn.Module,
    critic: nn.Module,
    pixels: Tensor,
    conditions: Tensor,
    options: ImageOptions,
    *,
    held_out: tuple[Tensor, Tensor] | None,
    seed: int,
    precision: torch.dtype | None,
    run: Run,
) -> LoopResult:
    """Train `generator` and `critic` in place; the generator keeps its averaged weights.

    Parameters
    ----------
    generator, critic : nn.Module
        As in :mod:`synthgan.networks.images`.
    pixels : Tensor of uint8, shape (images, channels, height, width)
    conditions : Tensor, shape (images, condition)
    options : ImageOptions
    held_out : (Tensor, Tensor) or None
        Images and conditions that are not learned; they show whether the critic memorises.
    seed : int
    precision : torch.dtype or None
        Of convolutions; None is float32.
    run : Run

    Returns
    -------
    LoopResult
        History with the figures of :mod:`synthgan.adversarial.game`, and ``overfit``: how far
        images that were held out look generated to the critic; 0 for as real as the learned ones,
        1 for as generated as samples (the gauge of Karras et al. 2020, arXiv:2006.06676).
    """
    device = pixels.device
    optimizers = [
        torch.optim.Adam(module.parameters(), lr=options.learning_rate, betas=options.betas)
        for module in (generator, critic)
    ]
    ema = Ema(generator, options.ema)
    batch = min(options.batch_size, len(pixels))
    depends_on_batch = any(isinstance(part, nn.BatchNorm2d) for part in critic.modules())

    def step(number: int, share: float) -> dict[str, Tensor]:
        draw = torch_generator(seed, "images", number, device=device)
        for optimizer in optimizers:
            set_rate(optimizer, options.learning_rate, number, share, fall_from=_FALL_FROM)
        rows = torch.randint(len(pixels), (batch,), generator=draw, device=device)
        real, condition = to_tensor(pixels[rows]), conditions[rows]

        def score(images: Tensor) -> Tensor:
            """Score real and generated images apart if a score depends on the whole batch."""
            parts = torch.split(images, batch) if depends_on_batch else (images,)
            with autocast(device, precision):
                scores = [
                    critic(
                        part.contiguous(memory_format=torch.channels_last),
                        condition.repeat(len(part) // batch, 1),
                    )
                    for part in parts
                ]
            return torch.cat(scores).float()

        def fake() -> Tensor:
            z = torch.randn(batch, generator.latent, generator=draw, device=device)  # type: ignore[call-overload]
            with autocast(device, precision):
                images = generator(z, condition)
            return distort(images.float(), options.distortions, draw)

        with torch.no_grad():
            made = fake()
        weight = (
            options.penalty * options.penalty_every if number % options.penalty_every == 0 else 0.0
        )
        shown = distort(real, options.distortions, draw)
        figures = critic_step(score, optimizers[1], shown, made, loss=options.loss, penalty=weight)
        shown = distort(real, options.distortions, draw)
        loss = generator_loss(score, critic, shown, fake(), loss=options.loss)
        descend(optimizers[0], loss)
        return figures | {"generator": loss}

    def watch(entry: dict[str, Any]) -> bool:
        if held_out is not None:
            entry["overfit"] = _overfit(
                generator, critic, (pixels, conditions), held_out, precision, seed
            )
        return False

    return fit_loop(
        step,
        phase="adversarial",
        steps=options.steps,
        epoch_steps=max(options.steps // 40, 1),
        ema=ema,
        validate=None,
        patience=1,
        parts={
            "generator": generator,
            "critic": critic,
            "generator steps": optimizers[0],
            "critic steps": optimizers[1],
        },
        run=replace(run, callbacks=[watch, *run.callbacks]),
    )


def _overfit(
    generator: nn.Module,
    critic: nn.Module,
    learned: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    precision: torch.dtype | None,
    seed: int,
) -> float:
    draw = torch_generator(seed, "watch", device=learned[0].device)
    modes = [(module, module.training) for module in (generator, critic)]
    for module, _ in modes:
        module.eval()
    means = []
    with torch.no_grad(), autocast(learned[0].device, precision):
        for pixels, conditions in (learned, held_out):
            rows = torch.randperm(len(pixels), generator=draw, device=pixels.device)[:_WATCHED]
            scores = critic(to_tensor(pixels[rows]), conditions[rows])
            means.append(float(scores.float().mean()))
        shown = held_out[1][:_WATCHED]
        z = torch.randn(len(shown), generator.latent, generator=draw, device=shown.device)  # type: ignore[call-overload]
        fake = float(critic(generator(z, shown).float(), shown).float().mean())
    for module, training in modes:
        module.train(training)
    width = means[0] - fake
    return (means[0] - means[1]) / width if width > 0 else 0.0
