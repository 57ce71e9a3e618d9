"""Second phase of a fit: a critic teaches the columns of one step to agree with each other.

Variables that are revealed together are tied by latent classes, which maximised a likelihood
(:mod:`synthgan.few_steps`). Here they complete a group of hidden columns in one go, and the critic
compares real and generated completions of the same visible cells. The rest of the generator stays
as it is, so full-step sampling, which reveals one column at a time, loses nothing.

Losses: relativistic pairing with zero-centred gradient penalties, see
:mod:`synthgan.adversarial.game`. Discrete cells pass the gradient straight through a Gumbel-softmax
(Jang et al. 2017, arXiv:1611.01144).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from synthgan._runtime import numpy_generator, torch_generator
from synthgan.adversarial.game import critic_step, generator_loss
from synthgan.few_steps import STEPS
from synthgan.networks.rows import LatentClasses, RowCritic, RowGenerator
from synthgan.options import TrainingOptions
from synthgan.runs import Run
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule, coarse
from synthgan.training import Ema, LoopResult, descend, fit_loop

__all__ = ["few_step_error", "fit_adversarial"]

_PENALTY_EVERY = 4
_GENERATOR_RATE = 0.25
_PAIRS, _GROUPS, _BLOCKS = 200, 12, 8
_BETAS = (0.0, 0.99)


def fit_adversarial(
    generator: RowGenerator,
    classes: LatentClasses,
    critic: RowCritic,
    schedule: Schedule,
    tokens: Tensor,
    options: TrainingOptions,
    *,
    seed: int,
    run: Run,
) -> LoopResult:
    """Train `classes` in place against `critic`; keep their averaged weights.

    Parameters
    ----------
    generator : RowGenerator
        Trained, and not changed.
    classes : LatentClasses
    critic : RowCritic
    schedule : Schedule
    tokens : Tensor, shape (rows, variables), integer
        Training rows.
    options : TrainingOptions
    seed : int
    run : Run
    """
    rate = options.refinement_rate
    optimizers = [
        torch.optim.Adam(classes.parameters(), lr=rate * _GENERATOR_RATE, betas=_BETAS),
        torch.optim.Adam(critic.parameters(), lr=rate, betas=_BETAS),
    ]
    ema = Ema(classes, options.ema)
    device, variables = tokens.device, tokens.shape[1]
    batch = min(options.batch_size, 512, len(tokens))

    def step(number: int, share: float) -> dict[str, Tensor]:
        rng = numpy_generator(seed, "groups", number)
        draw = torch_generator(seed, "adversarial", number, device=device)
        steps = int(rng.choice([s for s in STEPS if s < variables]))
        groups = schedule.groups(range(variables), steps, rng)
        at = int(rng.integers(len(groups)))
        visible = _mask([j for group in groups[:at] for j in group], variables, device)
        group = _mask(groups[at], variables, device)
        now = rate * min(1.0, (number + 1) / 100) * (1 - share)
        for optimizer, factor in zip(optimizers, (_GENERATOR_RATE, 1.0), strict=True):
            for part in optimizer.param_groups:
                part["lr"] = now * factor

        rows = tokens[torch.randint(0, len(tokens), (batch,), generator=draw, device=device)].long()
        seen, asked = visible.expand(batch, -1), group.expand(batch, -1)
        with torch.no_grad():
            features = generator.features(rows, seen.bool())
            real = _onehots(rows, generator.sizes, seen + asked)
        uniform = torch.rand(batch, 1, generator=draw, device=device)
        tied = classes(features, uniform, asked, sum(map(len, groups[:at])) / variables)
        fake = _complete(generator, tied, real, asked, draw)

        def score(onehots: Tensor) -> Tensor:
            n = len(onehots) // len(real)
            return critic(onehots, seen.repeat(n, 1), asked.repeat(n, 1))

        weight = options.penalty * _PENALTY_EVERY if number % _PENALTY_EVERY == 0 else 0.0
        figures = critic_step(score, optimizers[1], real, fake.detach(), penalty=weight)
        loss = generator_loss(score, critic, real, fake)
        descend(optimizers[0], loss)
        return figures | {"generator": loss}

    return fit_loop(
        step,
        phase="adversarial",
        steps=options.refinement_steps,
        epoch_steps=max(1, options.refinement_steps // 20),
        ema=ema,
        validate=None,
        patience=options.patience,
        parts={
            "classes": classes,
            "critic": critic,
            "class steps": optimizers[0],
            "critic steps": optimizers[1],
        },
        run=run,
    )


def few_step_error(sampler: Sampler, tokens: Tensor, *, seed: int) -> float:
    """Return how far the pairs of columns of a few-step sample are from those of real rows.

    The mean total variation distance over up to 200 pairs of columns, each cut to at most 12
    groups of tokens, for samples of two steps.

    Parameters
    ----------
    sampler : Sampler
    tokens : Tensor, shape (rows, variables), integer
    seed : int
    """
    sizes = sampler.generator.sizes
    free: list[Tensor | None] = [None] * len(sizes)
    drawn = torch.cat([sampler.draw_block(seed, b, steps=2, weights=free) for b in range(_BLOCKS)])
    real = tokens.long()
    parts = []
    for j, size in enumerate(sizes):
        group = torch.from_numpy(coarse(real[:, j].cpu().numpy(), size, _GROUPS)).to(real.device)
        parts.append((group[real[:, j]], group[drawn[:, j]]))
    pairs = [(i, j) for i in range(len(sizes)) for j in range(i)]
    chosen = numpy_generator(seed, "pairs").permutation(len(pairs))[:_PAIRS]
    total = 0.0
    for i, j in (pairs[k] for k in chosen):
        joint = [a * _GROUPS + b for a, b in zip(parts[i], parts[j], strict=True)]
        shares = [torch.bincount(x, minlength=_GROUPS**2) / len(x) for x in joint]
        total += 0.5 * float((shares[0] - shares[1]).abs().sum())
    return total / max(len(chosen), 1)


def _mask(columns: Sequence[int], variables: int, device: torch.device) -> Tensor:
    mask = torch.zeros(1, variables, device=device)
    mask[:, list(columns)] = 1.0
    return mask


def _onehots(tokens: Tensor, sizes: Sequence[int], shown: Tensor) -> Tensor:
    """Return concatenated one-hot cells, zero where `shown` is 0. Shape: (rows, sum of sizes)."""
    parts = [F.one_hot(tokens[:, j], size) * shown[:, j : j + 1] for j, size in enumerate(sizes)]
    return torch.cat(parts, dim=1)


def _complete(
    generator: RowGenerator, features: Tensor, real: Tensor, asked: Tensor, draw: torch.Generator
) -> Tensor:
    """Return one-hot rows whose asked cells are generated, with straight-through gradients."""
    logits = generator.logits(features)
    parts = []
    for j, (scores, truth) in enumerate(
        zip(logits, torch.split(real, list(generator.sizes), dim=1), strict=True)
    ):
        if not bool(asked[0, j]):
            parts.append(truth)
            continue
        uniform = torch.rand(scores.shape, generator=draw, device=scores.device)
        noisy = scores - (-uniform.clamp(1e-9, 1 - 1e-7).log()).log()
        soft = noisy.softmax(1)
        hard = F.one_hot(noisy.argmax(1), scores.shape[1]).to(soft.dtype)
        parts.append(hard + soft - soft.detach())
    return torch.cat(parts, dim=1)
