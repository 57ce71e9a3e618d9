"""Fit translations between two sets of images of which no two belong together.

``cyclegan`` (Zhu et al. 2017, arXiv:1703.10593): two generators and two critics; what was
translated there and back must be what it was. ``cut`` (Park et al. 2020, arXiv:2007.15651): one of
each; a patch of the translation must resemble the patch at the same place of the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan._runtime import autocast, numpy_generator, torch_generator
from synthgan.adversarial.game import critic_step, frozen
from synthgan.exceptions import ParameterError
from synthgan.networks.pixels import to_tensor
from synthgan.networks.translation import PatchCritic, PatchProjector, Translator
from synthgan.objectives import LOSSES, patch_contrast
from synthgan.training import Callback, Deadline, Ema, LoopResult, fit_loop

__all__ = ["ReplayPool", "TranslationOptions", "fit_contrast", "fit_cycle"]

_LOSS = "least squares"
_BETAS = (0.5, 0.999)
_WARM_UP, _FALL_FROM, _FALL_TO = 100, 0.5, 0.02
_PATCHES = 64
_PENALTY_EVERY = 8


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """The rarely changed settings of a fit of a translation.

    Attributes
    ----------
    batch_size : int
    steps : int
    learning_rate : float
        Of Adam, for all networks; it falls over the second half of the steps.
    content : float
        Weight of what keeps the content: the cycle (half of it for the identity), or the contrast
        of patches (as much for the identity).
    penalty : float
        Weight of R1 + R2 on the critics; 0 turns them off.
    ema : float
        Weight of the past in the averaged weights, the ones that are kept.
    pool : int
        Translated images that the critics are shown again later (cyclegan).
    """

    batch_size: int = 16
    steps: int = 4000
    learning_rate: float = 5e-4
    content: float = 10.0
    penalty: float = 0.1
    ema: float = 0.998
    pool: int = 50

    def __post_init__(self) -> None:
        checks = {
            "batch_size": 1 <= self.batch_size <= 2**12,
            "steps": 1 <= self.steps <= 10**8,
            "learning_rate": 0 < self.learning_rate < 1,
            "content": 0 <= self.content < 10**4,
            "penalty": 0 <= self.penalty < 10**6,
            "ema": 0 <= self.ema < 1,
            "pool": 0 <= self.pool < 10**6,
        }
        for name, good in checks.items():
            if not good:
                raise ParameterError(
                    f"TranslationOptions: {name}={getattr(self, name)!r} is out of range."
                )


class ReplayPool:
    """Translated images of earlier steps, which critics are shown again (Shrivastava et al. 2017).

    Parameters
    ----------
    size : int
        Images that are kept; 0 for none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held: list[Tensor] = []

    def exchange(self, images: Tensor, seed: int, number: int) -> Tensor:
        """Return the images, half of them replaced by held ones, which they replace in turn."""
        if not self.size:
            return images
        generator = numpy_generator(seed, "replay pool", number)
        shown = []
        for image in images:
            if len(self.held) < self.size:
                self.held.append(image.clone())
                shown.append(image)
            elif generator.random() < 0.5:
                place = int(generator.integers(self.size))
                shown.append(self.held[place])
                self.held[place] = image.clone()
            else:
                shown.append(image)
        return torch.stack(shown)


@dataclass(frozen=True, slots=True)
class _Draws:
    """What both fits share: batches, schedules, averages."""

    a: Tensor
    b: Tensor
    options: TranslationOptions
    seed: int

    def batch(self, number: int) -> tuple[Tensor, Tensor, torch.Generator]:
        draw = torch_generator(self.seed, "translation", number, device=self.a.device)
        size = min(self.options.batch_size, len(self.a), len(self.b))
        found = [
            to_tensor(part[torch.randint(len(part), (size,), generator=draw, device=part.device)])
            for part in (self.a, self.b)
        ]
        return found[0], found[1], draw

    def set_rate(
        self, optimizers: Sequence[torch.optim.Optimizer], number: int, share: float
    ) -> None:
        warm = min(1.0, (number + 1) / _WARM_UP)
        falling = max(min(1.0, (1 - share) / (1 - _FALL_FROM)), _FALL_TO)
        for optimizer in optimizers:
            for part in optimizer.param_groups:
                part["lr"] = self.options.learning_rate * warm * falling

    def penalty(self, number: int) -> float:
        return self.options.penalty * _PENALTY_EVERY if number % _PENALTY_EVERY == 0 else 0.0

    def adam(self, module: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(module.parameters(), lr=self.options.learning_rate, betas=_BETAS)

    def loop(
        self,
        step: Any,
        kept: nn.Module,
        deadline: Deadline,
        callbacks: Sequence[Callback],
        progress: bool,
    ) -> LoopResult:
        ema = Ema(kept, self.options.ema)
        result = fit_loop(
            step,
            phase="translation",
            steps=self.options.steps,
            epoch_steps=max(self.options.steps // 40, 1),
            ema=ema,
            validate=None,
            patience=1,
            deadline=deadline,
            callbacks=callbacks,
            progress=progress,
        )
        ema.install(ema.snapshot())
        return result


def fit_cycle(
    generators: tuple[Translator, Translator],
    critics: tuple[PatchCritic, PatchCritic],
    a: Tensor,
    b: Tensor,
    options: TranslationOptions,
    *,
    seed: int,
    precision: torch.dtype | None,
    deadline: Deadline,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> LoopResult:
    """Train both directions in place; the generators keep their averaged weights.

    Parameters
    ----------
    generators : (Translator, Translator)
        From `a` to `b`, and back.
    critics : (PatchCritic, PatchCritic)
        Of images like `b`, and like `a`.
    a, b : Tensor of uint8, shape (images, channels, height, width)
    options : TranslationOptions
    seed : int
    precision : torch.dtype or None
    deadline, callbacks, progress
        As for :func:`synthgan.training.fit_loop`.
    """
    draws = _Draws(a, b, options, seed)
    both = nn.ModuleList(generators)
    optimizers = [draws.adam(both), *(draws.adam(critic) for critic in critics)]
    pools = [ReplayPool(options.pool) for _ in critics]
    same_channels = a.shape[1] == b.shape[1]

    def step(number: int, share: float) -> dict[str, Tensor]:
        draws.set_rate(optimizers, number, share)
        first, second, _ = draws.batch(number)
        with autocast(a.device, precision):
            fakes = [generators[0](first).float(), generators[1](second).float()]
        figures: dict[str, Tensor] = {}
        for k, real in enumerate((second, first)):
            shown = pools[k].exchange(fakes[k].detach(), seed, 2 * number + k)
            found = critic_step(
                _scorer(critics[k], a.device, precision),
                optimizers[1 + k],
                real,
                shown,
                loss=_LOSS,
                penalty=draws.penalty(number),
            )
            figures |= found if k == 0 else {}
        with frozen(critics[0]), frozen(critics[1]):
            fooled = torch.zeros((), device=a.device)
            for k in range(2):
                score = _scorer(critics[k], a.device, precision)
                fooled = fooled + LOSSES[_LOSS].generator(fakes[k], score(fakes[k]))
            with autocast(a.device, precision):
                back = generators[1](fakes[0]).float(), generators[0](fakes[1]).float()
            cycle = F.l1_loss(back[0], first) + F.l1_loss(back[1], second)
            total = fooled + options.content * cycle
            if same_channels:
                with autocast(a.device, precision):
                    kept = generators[0](second).float(), generators[1](first).float()
                identity = F.l1_loss(kept[0], second) + F.l1_loss(kept[1], first)
                total = total + options.content / 2 * identity
            optimizers[0].zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizers[0].step()
        return figures | {"generator": fooled, "content": cycle}

    return draws.loop(step, both, deadline, callbacks, progress)


def fit_contrast(
    generator: Translator,
    critic: PatchCritic,
    projector: PatchProjector,
    a: Tensor,
    b: Tensor,
    options: TranslationOptions,
    *,
    seed: int,
    precision: torch.dtype | None,
    deadline: Deadline,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> LoopResult:
    """Train one direction in place; the generator keeps its averaged weights.

    Parameters
    ----------
    generator : Translator
        From `a` to `b`, of as many channels.
    critic : PatchCritic
        Of images like `b`.
    projector : PatchProjector
    a, b, options, seed, precision, deadline, callbacks, progress
        As for :func:`fit_cycle`.
    """
    draws = _Draws(a, b, options, seed)
    trained = nn.ModuleList([generator, projector])
    optimizers = [draws.adam(trained), draws.adam(critic)]

    def contrast(before: Tensor, after: Tensor, draw: torch.Generator) -> Tensor:
        with autocast(a.device, precision):
            maps = [generator.features(x) for x in (after, before)]
            places = [
                torch.randperm(m[0, 0].numel(), generator=draw, device=m.device)[:_PATCHES]
                for m in maps[0]
            ]
            queries, keys = (projector(part, places) for part in maps)
        losses = [patch_contrast(q, k.detach()) for q, k in zip(queries, keys, strict=True)]
        return torch.stack(losses).mean()

    def step(number: int, share: float) -> dict[str, Tensor]:
        draws.set_rate(optimizers, number, share)
        first, second, draw = draws.batch(number)
        with autocast(a.device, precision):
            fake = generator(first).float()
        score = _scorer(critic, a.device, precision)
        figures = critic_step(
            score, optimizers[1], second, fake.detach(), loss=_LOSS, penalty=draws.penalty(number)
        )
        with frozen(critic):
            fooled = LOSSES[_LOSS].generator(fake, score(fake))
            with autocast(a.device, precision):
                kept = generator(second).float()
            content = contrast(first, fake, draw) + contrast(second, kept, draw)
            total = fooled + options.content / 10 * content
            optimizers[0].zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizers[0].step()
        return figures | {"generator": fooled, "content": content}

    return draws.loop(step, generator, deadline, callbacks, progress)


def _scorer(critic: PatchCritic, device: torch.device, precision: torch.dtype | None) -> Any:
    def score(images: Tensor) -> Tensor:
        with autocast(device, precision):
            scores = critic(images.contiguous(memory_format=torch.channels_last))
        return scores.float()

    return score
