"""Fit translations between two sets of images of which no two belong together.

``cyclegan`` (Zhu et al. 2017, arXiv:1703.10593): two generators and two critics; what was
translated there and back must be what it was. ``cut`` (Park et al. 2020, arXiv:2007.15651): one of
each; a patch of the translation must resemble the patch at the same place of the original.

Loss, penalties and critics are those of :mod:`synthgan.adversarial.images`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan._runtime import autocast, numpy_generator, torch_generator
from synthgan.adversarial.game import critic_step, generator_loss
from synthgan.checkpoint import Part
from synthgan.distortions import DISTORTIONS, distort
from synthgan.networks.images import ResidualCritic
from synthgan.networks.pixels import to_tensor
from synthgan.networks.translation import PatchProjector, Translator
from synthgan.objectives import LOSSES, patch_contrast
from synthgan.options import require_ranges
from synthgan.runs import Run
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = ["ReplayPool", "TranslationOptions", "fit_contrast", "fit_cycle"]

_BETAS = (0.0, 0.99)
_PATCHES = 64


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """The rarely changed settings of a fit of a translation.

    Attributes
    ----------
    batch_size : int
    steps : int
    learning_rate : float
        Of Adam, for all networks; it falls over the second half of the steps.
    loss : str
        A name in ``synthgan.objectives.LOSSES``.
    content : float
        Weight of what keeps the content: the contrast of patches (cut), or the mean squared error
        of the way there and back (cyclegan; the absolute error of the paper has a kink at the
        identity, the start, and holds on to it).
    identity : float
        Weight of leaving images of the other domain as they are, as a share of `content`.
    penalty : float
        Weight of R1 + R2 on the critics; 0 turns them off.
    penalty_every : int
        Steps from one penalty to the next; it weighs as many times more.
    ema : float
        Weight of the past in the averaged weights, the ones that are kept.
    pool : int
        Translated images that critics are shown again within the same epoch; 0 for none.
    distortions : tuple of str
        What both sides of the critics are shown: ``"shift"``, ``"cutout"``, ``"colour"``,
        ``"flip"``.
    """

    batch_size: int = 64
    steps: int = 3000
    learning_rate: float = 5e-4
    loss: str = "relativistic"
    content: float = 1.0
    identity: float = 0.0
    penalty: float = 1.0
    penalty_every: int = 4
    ema: float = 0.998
    pool: int = 0
    distortions: tuple[str, ...] = ("shift",)

    def __post_init__(self) -> None:
        checks = {
            "batch_size": 1 <= self.batch_size <= 2**12,
            "steps": 1 <= self.steps <= 10**8,
            "learning_rate": 0 < self.learning_rate < 1,
            "loss": self.loss in LOSSES,
            "content": 0 <= self.content < 10**4,
            "identity": 0 <= self.identity < 10**2,
            "penalty": 0 <= self.penalty < 10**6,
            "penalty_every": self.penalty_every >= 1,
            "ema": 0 <= self.ema < 1,
            "pool": 0 <= self.pool < 10**6,
            "distortions": all(name in DISTORTIONS for name in self.distortions),
        }
        require_ranges(self, checks, {"loss": LOSSES, "distortions": DISTORTIONS})


class ReplayPool:
    """Translated images of earlier steps, which a critic is shown again.

    After Shrivastava et al. (2017), arXiv:1612.07828. Whoever holds one empties it at the start of
    each epoch: so a checkpoint, written between two epochs, has no image in it.

    Parameters
    ----------
    size : int
        Images that are kept; 0 for none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held: list[Tensor] = []

    def exchange(self, images: Tensor, generator: np.random.Generator) -> Tensor:
        """Return the images, half of them replaced by held ones, which they replace in turn."""
        shown = list(images)
        for k, image in enumerate(images if self.size else ()):
            if len(self.held) < self.size:
                self.held.append(image.clone())
            elif generator.random() < 0.5:
                place = int(generator.integers(self.size))
                shown[k], self.held[place] = self.held[place], image.clone()
        return torch.stack(shown)


class _Judge:
    """A critic of one domain: what it learns, and what it asks of a generator."""

    def __init__(self, critic: ResidualCritic, game: _Game, name: str) -> None:
        self.critic, self.game, self.name = critic, game, name
        self.optimizer = game.adam(critic)
        self.pool = ReplayPool(game.options.pool)

    def score(self, images: Tensor) -> Tensor:
        nothing = torch.zeros(len(images), 0, device=images.device)
        with autocast(images.device, self.game.precision):
            scores = self.critic(images.contiguous(memory_format=torch.channels_last), nothing)
        return scores.float()

    def learn(
        self, real: Tensor, fake: Tensor, number: int, share: float, draw: torch.Generator
    ) -> dict[str, Tensor]:
        options = self.game.options
        set_rate(self.optimizer, options.learning_rate, number, share)
        if number % self.game.epoch_steps == 0:
            self.pool.held.clear()
        chance = numpy_generator(self.game.seed, f"replay pool {self.name}", number)
        shown = self.pool.exchange(fake.detach(), chance)
        weight = options.penalty * options.penalty_every
        return critic_step(
            self.score,
            self.optimizer,
            distort(real, options.distortions, draw),
            distort(shown, options.distortions, draw),
            loss=options.loss,
            penalty=weight if number % options.penalty_every == 0 else 0.0,
        )

    def loss(self, real: Tensor, fake: Tensor, draw: torch.Generator) -> Tensor:
        options = self.game.options
        return generator_loss(
            self.score,
            self.critic,
            distort(real, options.distortions, draw),
            distort(fake, options.distortions, draw),
            loss=options.loss,
        )


@dataclass(frozen=True, slots=True)
class _Game:
    """What both fits share: batches, optimisers, precision, the loop."""

    a: Tensor
    b: Tensor
    options: TranslationOptions
    seed: int
    precision: torch.dtype | None

    @property
    def epoch_steps(self) -> int:
        return max(self.options.steps // 40, 1)

    def batch(self, number: int) -> tuple[Tensor, Tensor, torch.Generator]:
        draw = torch_generator(self.seed, "translation", number, device=self.a.device)
        size = min(self.options.batch_size, len(self.a), len(self.b))
        found = [
            to_tensor(part[torch.randint(len(part), (size,), generator=draw, device=part.device)])
            for part in (self.a, self.b)
        ]
        return found[0], found[1], draw

    def run(self, network: Translator, images: Tensor) -> Tensor:
        with autocast(images.device, self.precision):
            made = network(images)
        return made.float()

    def adam(self, module: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(module.parameters(), lr=self.options.learning_rate, betas=_BETAS)

    def play(
        self,
        step: Callable[[int, float], dict[str, Tensor]],
        kept: nn.Module,
        optimizer: torch.optim.Optimizer,
        judges: Sequence[_Judge],
        run: Run,
    ) -> LoopResult:
        parts: dict[str, Part] = {"generators": kept, "generator steps": optimizer}
        for judge in judges:
            parts |= {f"critic {judge.name}": judge.critic}
            parts |= {f"critic {judge.name} steps": judge.optimizer}
        ema = Ema(kept, self.options.ema)
        return fit_loop(
            step,
            phase="translation",
            steps=self.options.steps,
            epoch_steps=self.epoch_steps,
            ema=ema,
            validate=None,
            patience=1,
            parts=parts,
            run=run,
        )


def fit_cycle(
    generators: tuple[Translator, Translator],
    critics: tuple[ResidualCritic, ResidualCritic],
    a: Tensor,
    b: Tensor,
    options: TranslationOptions,
    *,
    seed: int,
    precision: torch.dtype | None,
    run: Run,
) -> LoopResult:
    """Train both directions in place; the generators keep their averaged weights.

    Parameters
    ----------
    generators : (Translator, Translator)
        From `a` to `b`, and back.
    critics : (ResidualCritic, ResidualCritic)
        Of images like `b`, and like `a`.
    a, b : Tensor of uint8, shape (images, channels, height, width)
    options : TranslationOptions
    seed : int
    precision : torch.dtype or None
        Of convolutions; None is float32.
    run : Run

    Returns
    -------
    LoopResult
        History with the figures of the critic of `b`, ``generator``, the sum of what both
        generators are asked by their critics, and ``content``, the error of both ways back.
    """
    game = _Game(a, b, options, seed, precision)
    judges = [_Judge(critic, game, name) for critic, name in zip(critics, "ba", strict=True)]
    both = nn.ModuleList(generators)
    optimizer = game.adam(both)
    forth, back = generators
    can_stay = options.identity > 0 and a.shape[1] == b.shape[1]

    def step(number: int, share: float) -> dict[str, Tensor]:
        real_a, real_b, draw = game.batch(number)
        fake_b, fake_a = game.run(forth, real_a), game.run(back, real_b)
        figures = judges[0].learn(real_b, fake_b, number, share, draw)
        judges[1].learn(real_a, fake_a, number, share, draw)
        asked = judges[0].loss(real_b, fake_b, draw) + judges[1].loss(real_a, fake_a, draw)
        cycle = F.mse_loss(game.run(back, fake_b), real_a) + F.mse_loss(
            game.run(forth, fake_a), real_b
        )
        total = asked + options.content * cycle
        if can_stay:
            stayed = F.mse_loss(game.run(forth, real_b), real_b) + F.mse_loss(
                game.run(back, real_a), real_a
            )
            total = total + options.content * options.identity * stayed
        set_rate(optimizer, options.learning_rate, number, share)
        descend(optimizer, total)
        return figures | {"generator": asked, "content": cycle}

    return game.play(step, both, optimizer, judges, run)


def fit_contrast(
    generator: Translator,
    critic: ResidualCritic,
    projector: PatchProjector,
    a: Tensor,
    b: Tensor,
    options: TranslationOptions,
    *,
    seed: int,
    precision: torch.dtype | None,
    run: Run,
) -> LoopResult:
    """Train one direction in place; the generator keeps its averaged weights.

    Parameters
    ----------
    generator : Translator
        From `a` to `b`, of as many channels.
    critic : ResidualCritic
        Of images like `b`.
    projector : PatchProjector
    a, b, options, seed, precision, run
        As for :func:`fit_cycle`.

    Returns
    -------
    LoopResult
        As from :func:`fit_cycle`; ``content`` is the contrast of patches, in nats.
    """
    game = _Game(a, b, options, seed, precision)
    judge = _Judge(critic, game, "b")
    trained = nn.ModuleList([generator, projector])
    optimizer = game.adam(trained)

    def contrast(before: Tensor, after: Tensor, draw: torch.Generator) -> Tensor:
        with autocast(a.device, precision):
            maps = [generator.features(images) for images in (after, before)]
            places = [
                torch.randperm(part[0, 0].numel(), generator=draw, device=part.device)[:_PATCHES]
                for part in maps[0]
            ]
            queries, keys = (projector(part, places) for part in maps)
        losses = [patch_contrast(q, k.detach()) for q, k in zip(queries, keys, strict=True)]
        return torch.stack(losses).mean()

    def step(number: int, share: float) -> dict[str, Tensor]:
        real_a, real_b, draw = game.batch(number)
        fake_b = game.run(generator, real_a)
        figures = judge.learn(real_b, fake_b, number, share, draw)
        asked = judge.loss(real_b, fake_b, draw)
        kept = contrast(real_a, fake_b, draw)
        total = asked + options.content * kept
        if options.identity:
            stayed = contrast(real_b, game.run(generator, real_b), draw)
            total = total + options.content * options.identity * stayed
        set_rate(optimizer, options.learning_rate, number, share)
        descend(optimizer, total)
        return figures | {"generator": asked, "content": kept}

    return game.play(step, trained, optimizer, [judge], run)
