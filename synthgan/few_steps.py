"""Second phase of a fit: learn to draw the columns of one step together.

After the first phase the columns of one step are independent, given what is visible. A
:class:`~synthgan.networks.rows.LatentClasses` makes them a mixture of products, and is trained by
the likelihood of that mixture; the rest of the generator stays as it is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from synthgan import ranks
from synthgan._runtime import has_fused_steps, numpy_generator
from synthgan.group_likelihood import GroupLikelihood
from synthgan.networks.rows import LatentClasses
from synthgan.options import TrainingOptions
from synthgan.runs import Run
from synthgan.schedules import Schedule
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = [
    "STEPS",
    "few_step_loss",
    "fit_classes",
    "fit_start",
]

#: Numbers of steps whose groups the classes are trained on.
STEPS = (1, 2, 4, 8)
#: Validation rows by which classes are judged.
_ROWS = 4096
#: Peak learning rates. The classes of the first step have nothing visible to lean on, and go far.
_RATE, _START_RATE = 3e-3, 0.02
#: Steps in which these are learned; later they learn rows by heart.
_START_STEPS = 300


def fit_classes(
    likelihood: GroupLikelihood,
    classes: LatentClasses,
    schedule: Schedule,
    tokens: Tensor,
    validation: Tensor,
    options: TrainingOptions,
    *,
    seed: int,
    run: Run,
) -> LoopResult:
    """Train `classes` in place on groups that the schedule makes; keep the best averaged weights.

    Those of the first step stay as they are. Half of the batches are later groups of plain samples,
    the others have any columns visible, as conditions and missing cells leave them.

    Parameters
    ----------
    likelihood : GroupLikelihood
    classes : LatentClasses
    schedule : Schedule
    tokens, validation : Tensor, shape (rows, variables), integer
        Training and validation rows.
    options : TrainingOptions
    seed : int
    run : Run
    """
    for parameter in (classes.start, classes.start_prior):
        parameter.requires_grad_(False)
    learned = [p for p in classes.parameters() if p.requires_grad]
    fused = has_fused_steps(tokens.device)
    optimizer = torch.optim.Adam(learned, _RATE, (0.9, 0.99), fused=fused)
    ema = Ema(classes, options.ema)
    variables, device = tokens.shape[1], tokens.device
    batch = min(options.batch_size, 512, len(tokens))
    own = ranks.part(batch)
    counts = [steps for steps in STEPS if 1 < steps < variables]
    n_steps = options.steps if options.class_steps is None else options.class_steps

    def step(number: int, share: float) -> dict[str, Tensor]:
        rng = numpy_generator(seed, "classes", number)
        steps = int(rng.choice([1, *counts] if number % 2 else counts))
        if number % 2:
            order = rng.permutation(variables)
            first = order[: int(rng.integers(1, variables - 1))].tolist()
            rest = sorted(set(range(variables)) - set(first))
            groups = schedule.split(rest, steps, rng, begun=True)
        else:
            first, groups = [], schedule.groups(range(variables), steps, rng, begun=False)
        at = int(rng.integers(0 if first else 1, len(groups)))
        known = first + [j for group in groups[:at] for j in group]
        rows = torch.from_numpy(rng.integers(len(tokens), size=batch))[own].to(device)
        set_rate(optimizer, _RATE, number, share)
        loss = -likelihood(tokens[rows].long(), known, groups[at], classes).mean()
        if loss.requires_grad:  # a group of one variable has nothing to learn
            descend(optimizer, loss / len(groups[at]), part=len(rows) / batch)
        return {"loss": loss.detach() / len(groups[at])}

    result = fit_loop(
        step,
        phase="classes",
        steps=n_steps,
        epoch_steps=max(1, n_steps // 10),
        ema=ema,
        validate=lambda: few_step_loss(likelihood, schedule, classes, validation),
        patience=options.patience,
        parts={"classes": classes, "steps": optimizer},
        run=run,
    )
    classes.requires_grad_(True)
    return result


def fit_start(
    likelihood: GroupLikelihood,
    classes: LatentClasses,
    tokens: Tensor,
    validation: Tensor,
    options: TrainingOptions,
    *,
    seed: int,
    run: Run,
) -> LoopResult:
    """Train the classes of the first step in place, by the likelihood of whole rows.

    Their probabilities do not depend on the group, so the first group of any number of steps has
    the right mixture as well. Parameters as for :func:`fit_classes`.
    """
    learned = [classes.start, classes.start_prior]
    fused = has_fused_steps(tokens.device)
    optimizer = torch.optim.Adam(learned, _START_RATE, (0.9, 0.99), fused=fused)
    classes.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_(True)
    ema = Ema(classes, min(options.ema, 0.99))
    every, batch = list(range(tokens.shape[1])), min(options.batch_size, 512, len(tokens))
    held_out, own = validation[:_ROWS].long(), ranks.part(batch)

    def step(number: int, share: float) -> dict[str, Tensor]:
        drawn = numpy_generator(seed, "start", number).integers(len(tokens), size=batch)[own]
        rows = tokens[torch.from_numpy(drawn).to(tokens.device)].long()
        set_rate(optimizer, _START_RATE, number, share, warm_up=20)
        loss = -likelihood(rows, [], every, classes).mean()
        descend(optimizer, loss, part=len(rows) / batch)
        return {"loss": loss.detach()}

    def validate() -> float:
        with torch.no_grad():
            return -float(likelihood(held_out, [], every, classes).mean())

    result = fit_loop(
        step,
        phase="start",
        steps=_START_STEPS,
        epoch_steps=_START_STEPS // 25,
        ema=ema,
        validate=validate,
        patience=options.patience,
        parts={"classes": classes, "steps": optimizer},
        run=run,
    )
    classes.requires_grad_(True)
    return result


@torch.no_grad()
def few_step_loss(
    likelihood: GroupLikelihood, schedule: Schedule, classes: LatentClasses | None, tokens: Tensor
) -> float:
    """Return the mean negative log-likelihood of rows over numbers of steps, in nats per row."""
    rows, losses = tokens[:_ROWS].long(), []
    for steps in STEPS:
        if steps < tokens.shape[1]:
            rng = numpy_generator(0, "loss", steps)
            groups = schedule.groups(range(tokens.shape[1]), steps, rng, begun=False)
            losses.append(-float(likelihood.of_rows(rows, groups, classes).mean()))
    return float(np.mean(losses))
