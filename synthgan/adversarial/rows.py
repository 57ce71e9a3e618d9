"""Third phase of a fit: a critic teaches the classes what rows of few steps lack.

The critic compares rows of few steps with real ones. How likely a generated row was is known
exactly (:class:`~synthgan.group_likelihood.GroupLikelihood`), so the classes learn from the scores
without a relaxation of the discrete cells: what scored above the mean becomes more likely (Williams
1992). The rest of the generator stays as it is, so full-step sampling, which reveals one column at
a time, loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synthgan._runtime import autocast, numpy_generator
from synthgan.adversarial.game import critic_step
from synthgan.blocks import blocks
from synthgan.dependence import coarse
from synthgan.group_likelihood import GroupLikelihood
from synthgan.networks.rows import LatentClasses, RowCritic
from synthgan.options import TrainingOptions
from synthgan.runs import Run
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = ["Game", "few_step_error", "fit_adversarial"]

#: Numbers of steps of the rows that the critic sees.
_STEPS = (1, 2, 4)
_PENALTY_EVERY = 4
#: Decay of the critic's weights, without which it learns rows by heart.
_DECAY = 1.0
#: Rate of the classes of the first step, as a multiple of that of the others.
_START_FACTOR = 4.0
_PAIRS, _GROUPS, _DRAWN = 200, 12, 8192


@dataclass(frozen=True, slots=True)
class Game:
    """Rules of the game. The defaults are what a fit plays, others are there to be compared.

    Attributes
    ----------
    loss : str
        Of the critic; a name in :data:`synthgan.objectives.LOSSES`.
    likelihood : float
        Weight of the log-likelihood of real rows beside the critic's scores.
    head_start : float
        Share of the steps that the critic makes alone. One that learns from the start together with
        the classes sees nothing.
    """

    loss: str = "relativistic"
    likelihood: float = 1.0
    head_start: float = 1 / 3


def fit_adversarial(
    likelihood: GroupLikelihood,
    classes: LatentClasses,
    critic: RowCritic,
    schedule: Schedule,
    tokens: Tensor,
    options: TrainingOptions,
    *,
    seed: int,
    run: Run,
    game: Game | None = None,
) -> LoopResult:
    """Train `classes` in place against `critic`; keep their averaged weights.

    Parameters
    ----------
    likelihood : GroupLikelihood
        Of a generator that is trained, and not changed.
    classes : LatentClasses
    critic : RowCritic
    schedule : Schedule
    tokens : Tensor, shape (rows, variables), integer
        Training rows.
    options : TrainingOptions
    seed : int
    run : Run
    game : Game, optional
    """
    game = game or Game()
    device, variables = tokens.device, tokens.shape[1]
    batch = min(options.batch_size, 512, len(tokens))
    batch -= batch % critic.packed
    counts = [steps for steps in _STEPS if steps < variables]
    start = [classes.start, classes.start_prior]
    later = [p for name, p in classes.named_parameters() if not name.startswith("start")]
    both: list[dict[str, Any]] = [{"params": later}, {"params": start, "factor": _START_FACTOR}]
    optimizer = torch.optim.Adam(both, betas=(0.9, 0.99))
    judging = torch.optim.AdamW(critic.parameters(), betas=(0.0, 0.99), weight_decay=_DECAY)
    ema = Ema(classes, options.ema)
    predictor = likelihood.predictor
    sampler = Sampler(predictor.generator, None, classes, schedule)  # with weights of the moment
    alone = int(game.head_start * options.refinement_steps)

    def step(number: int, share: float) -> dict[str, Tensor]:
        rng = numpy_generator(seed, "game", number)
        groups = schedule.groups(range(variables), int(rng.choice(counts)), rng, begun=False)
        real = tokens[torch.from_numpy(rng.integers(len(tokens), size=batch)).to(device)].long()
        sampler.forget()
        with autocast(device, predictor.half):
            fake = sampler.draw(rng, batch, groups)
        set_rate(judging, options.refinement_rate, number, share)
        figures = critic_step(
            critic.judge,
            judging,
            critic.embed(real),
            critic.embed(fake),
            loss=game.loss,
            penalty=0.0 if number % _PENALTY_EVERY else options.penalty * _PENALTY_EVERY,
        )
        if number < alone:
            return figures
        with torch.no_grad():
            scores = critic(fake)
        gains = (scores - scores.mean()).clamp(-1.0, 1.0).repeat_interleave(critic.packed)
        loss = -(gains * likelihood.of_rows(fake, groups, classes)).mean()
        if game.likelihood:
            loss = loss - game.likelihood * likelihood.of_rows(real, groups, classes).mean()
        set_rate(optimizer, options.refinement_rate, number - alone, share)
        descend(optimizer, loss / variables)
        return figures | {"generator": loss / variables}

    return fit_loop(
        step,
        phase="adversarial",
        steps=options.refinement_steps,
        epoch_steps=max(1, options.refinement_steps // 20),
        ema=ema,
        validate=None,
        patience=options.patience,
        parts={"classes": classes, "critic": critic, "steps": optimizer, "judging": judging},
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
    drawn = torch.cat(
        [sampler.draw_block(seed, *part, steps=2, weights=free) for part in blocks(0, _DRAWN)]
    )
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
