"""Second phase of a fit: learn to draw the columns of one step together, and how many to take.

After the first phase the columns of one step are independent, given what is visible. A
:class:`~synthgan.networks.rows.LatentClasses` makes them a mixture of products, and is trained by
the likelihood of that mixture; the rest of the generator stays as it is. What few steps cost is
then a number: the log-likelihood that unseen rows lose against one column a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthgan import ranks
from synthgan._runtime import numpy_generator
from synthgan.networks.predictor import Predictor
from synthgan.networks.rows import LatentClasses
from synthgan.options import TrainingOptions
from synthgan.runs import Run
from synthgan.schedules import Schedule
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = [
    "STEPS",
    "GroupLikelihood",
    "choose_steps",
    "few_step_loss",
    "fit_classes",
    "fit_start",
    "step_cost",
]

#: Numbers of steps whose groups the classes are trained on.
STEPS = (1, 2, 4, 8)
#: Rows by which numbers of steps are compared, and cells in them. If there are `_MANY` rows,
#: several splits of the columns share them; if not, each of a few splits is tried on all.
_ROWS, _CELLS, _MANY, _SPLITS, _SPLITS_OF_FEW = 4096, 100_000, 512, 8, 2
#: Nats per row that fewer steps may cost, with one standard error. Whoever knows both densities
#: tells rows that differ by so much apart with an AUC of .58 (if the log-ratio is normal).
TOLERANCE = 0.04
#: More steps than this save little time against one column a step.
_MOST_STEPS = 16
#: Peak learning rates. The classes of the first step have nothing visible to lean on, and go far.
_RATE, _START_RATE = 3e-3, 0.02
#: Steps in which these are learned; later they learn rows by heart.
_START_STEPS = 300


@dataclass(frozen=True, slots=True)
class GroupLikelihood:
    """The log-likelihood of a group of variables, given others.

    Attributes
    ----------
    predictor : Predictor
        Of a trained :class:`~synthgan.networks.rows.RowGenerator`.
    """

    predictor: Predictor

    def __call__(
        self,
        tokens: Tensor,
        known: Sequence[int],
        group: Sequence[int],
        classes: LatentClasses | None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Return the log-probability of the cells of `group`, given those of `known`, in nats.

        Shape: tokens (rows, variables) int64, bias (sum of sizes,) -> (rows,).
        """
        predictor, precision = self.predictor, self.predictor.precision
        half = precision is not torch.float32
        with torch.autocast(tokens.device.type, precision if half else None, enabled=half):
            with torch.no_grad():
                seen = torch.zeros_like(tokens[:1], dtype=torch.bool)
                seen[:, list(known)] = True
                rows = tokens if known else tokens[:1]  # the same is said of all, if of nothing
                features = predictor.features(predictor.total(predictor.visible_only(rows, seen)))
            if classes is None or len(group) == 1:
                return self._separate(features, tokens, group)
            if not known:
                return self._from_start(features, tokens, group, classes, bias)
            return self._together(features, tokens, group, classes, len(known), bias)

    def _separate(self, features: Tensor, tokens: Tensor, group: Sequence[int]) -> Tensor:
        total = torch.zeros(len(tokens), device=tokens.device)
        for j in group:
            scores = self.predictor.log_probabilities(features, j).expand(len(tokens), -1)
            total = total + scores.gather(1, tokens[:, j : j + 1]).squeeze(1)
        return total

    def _from_start(
        self,
        features: Tensor,
        tokens: Tensor,
        group: Sequence[int],
        classes: LatentClasses,
        bias: Tensor | None,
    ) -> Tensor:
        """Sum over the classes where nothing is known: each is one product in all rows."""
        predictor = self.predictor
        whole = predictor.bias()
        if whole is not None and bias is not None:
            whole = whole + bias
        scores = predictor.scores(features + classes.start, group, whole)
        sizes = [predictor.sizes[j] for j in group]
        parts = [part.log_softmax(1) for part in torch.split(scores, sizes, dim=1)]
        table = torch.cat(parts, dim=1).T.contiguous()  # a row of all classes for each token
        ends = torch.tensor(sizes, device=tokens.device).cumsum(0)
        places = tokens[:, list(group)] + ends - ends.new_tensor(sizes)
        total = F.embedding_bag(places, table, mode="sum")
        return (total + classes.log_shares(features, total, 0.0)).logsumexp(1)

    def _together(
        self,
        features: Tensor,
        tokens: Tensor,
        group: Sequence[int],
        classes: LatentClasses,
        n_known: int,
        bias: Tensor | None,
    ) -> Tensor:
        """Sum over the classes.

        A class adds a vector to the features, so it multiplies the probability of each token by a
        factor that is the same in all rows; the sums of these products over the tokens, one per
        row and class, are one matrix product.
        """
        asked = torch.zeros(1, tokens.shape[1], device=tokens.device)
        asked[:, list(group)] = 1.0
        visible = n_known / tokens.shape[1]
        total, shifts = classes.log_shares(features, asked, visible), classes.shifts(visible)
        for j in group:
            part = self.predictor.parts[j]
            scores = self.predictor.log_probabilities(features, j)
            if bias is not None:
                scores = scores + bias[part]
            factors = F.linear(shifts, self.predictor.outputs[part]).float()
            highest = factors.max(dim=1, keepdim=True).values.detach()
            sums = (scores.exp() @ (factors - highest).exp().T).float().clamp_min(1e-30).log()
            cells = tokens[:, j]
            own = scores.gather(1, cells[:, None])
            total = total + own + factors.T.index_select(0, cells) - sums - highest.T
        return total.logsumexp(1)

    def of_rows(
        self, tokens: Tensor, groups: Sequence[Sequence[int]], classes: LatentClasses | None
    ) -> Tensor:
        """Return the log-probability of whole rows whose columns are revealed in `groups`, (rows,).

        In float64.
        """
        total = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
        known: list[int] = []
        bias = None if classes is None else classes.bias_of(len(groups))
        with torch.no_grad():
            for group in groups:
                total += self(tokens, known, group, classes, bias).double()
                known += group
        return total


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
    optimizer = torch.optim.Adam(
        [p for p in classes.parameters() if p.requires_grad], _RATE, (0.9, 0.99), fused=True
    )
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
            groups = schedule.split(sorted(set(range(variables)) - set(first)), steps, rng)
        else:
            first, groups = [], schedule.groups(range(variables), steps, rng)
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
    optimizer = torch.optim.Adam(learned, _START_RATE, (0.9, 0.99), fused=True)
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


def few_step_loss(
    likelihood: GroupLikelihood, schedule: Schedule, classes: LatentClasses | None, tokens: Tensor
) -> float:
    """Return the mean negative log-likelihood of rows over numbers of steps, in nats per row."""
    rows, losses = tokens[:_ROWS].long(), []
    for steps in STEPS:
        if steps < tokens.shape[1]:
            rng = numpy_generator(0, "loss", steps)
            groups = schedule.groups(range(tokens.shape[1]), steps, rng)
            losses.append(-float(likelihood.of_rows(rows, groups, classes).mean()))
    return float(np.mean(losses))


def step_cost(
    likelihood: GroupLikelihood,
    schedule: Schedule,
    classes: LatentClasses | None,
    tokens: Tensor,
    steps: int,
) -> dict[str, float]:
    """Return what `steps` steps cost against one column a step, in the same order.

    Parameters
    ----------
    likelihood : GroupLikelihood
    schedule : Schedule
    classes : LatentClasses or None
    tokens : Tensor, shape (rows, variables), integer
        Rows that the model has not seen.
    steps : int

    Returns
    -------
    dict
        ``steps``, ``cost`` (nats per row) and ``error`` (its standard error).
    """
    variables = tokens.shape[1]
    rows = tokens[: int(np.clip(_CELLS // variables, 256, _ROWS))].long()
    shared = len(rows) >= _MANY
    rng = numpy_generator(0, "costs", steps)
    lost = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    for number in range(_SPLITS if shared else _SPLITS_OF_FEW):
        part = slice(number, None, _SPLITS) if shared else slice(None)
        groups = schedule.groups(range(variables), steps, rng)
        single = [[j] for group in groups for j in rng.permutation(group).tolist()]
        lost[part] += likelihood.of_rows(rows[part], single, None)
        lost[part] -= likelihood.of_rows(rows[part], groups, classes)
    if not shared:
        lost /= _SPLITS_OF_FEW
    error = float(lost.std()) / max(len(rows), 1) ** 0.5 if len(rows) > 1 else 0.0
    return {"steps": steps, "cost": float(lost.mean()), "error": error}


def choose_steps(
    likelihood: GroupLikelihood, schedule: Schedule, classes: LatentClasses | None, tokens: Tensor
) -> tuple[int, list[dict[str, float]]]:
    """Return the fewest steps that change next to nothing, and what fewer ones cost.

    1, 2, 4, 8 and 16 steps are tried in turn, until a cost, of either sign, and its standard error
    are at most 0.04 nats per row together; if none are, as in small tables, where few rows can
    tell, it takes as many steps as there are variables. Parameters as for :func:`step_cost`.

    A cost below zero is no gain: unseen rows of small tables are more likely under a mixture, which
    hedges, but its samples are easier to tell from real rows.
    """
    variables = tokens.shape[1]
    costs: list[dict[str, float]] = []
    for steps in (2**k for k in range(_MOST_STEPS.bit_length()) if 2**k < variables):
        costs.append(step_cost(likelihood, schedule, classes, tokens, steps))
        if abs(costs[-1]["cost"]) + costs[-1]["error"] <= TOLERANCE:
            return steps, costs
    return variables, costs
