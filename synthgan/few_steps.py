"""Second phase of a fit: learn to draw the columns of one step together.

After the first phase the columns of one step are independent, given what is visible. A
:class:`~synthgan.networks.rows.LatentClasses` makes them a mixture of products, and is trained by
the likelihood of that mixture; the rest of the generator stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthgan import ranks
from synthgan._runtime import autocast, has_fused_steps, numpy_generator, widest
from synthgan.networks.predictor import Predictor
from synthgan.networks.rows import LatentClasses
from synthgan.options import LOGITS, TrainingOptions
from synthgan.runs import Run
from synthgan.schedules import Schedule
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = [
    "STEPS",
    "GroupLikelihood",
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
        seen = torch.zeros_like(tokens[:1], dtype=torch.bool)
        seen[:, list(known)] = True
        rows = tokens if known else tokens[:1]  # the same is said of all, if of nothing
        total = self.predictor.total(self.predictor.visible_only(rows, seen))
        return self._given(total, tokens, len(known), group, classes, bias)

    def _given(
        self,
        total: Tensor,
        tokens: Tensor,
        n_known: int,
        group: Sequence[int],
        classes: LatentClasses | None,
        bias: Tensor | None,
    ) -> Tensor:
        """Return the log-probability of a group, given the sum of the vectors of what is known."""
        with autocast(tokens.device, self.predictor.half):
            with torch.no_grad():
                features = self.predictor.features(total)
            if classes is None or len(group) == 1:
                return self._separate(features, tokens, group)
            if not n_known:
                return self._from_start(features, tokens, group, classes, bias)
            return self._together(features, tokens, group, classes, n_known, bias)

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
        return (total + classes.scores(features, None).log_softmax(1)).logsumexp(1)

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
        total = classes.scores(features, asked).log_softmax(1)
        shifts = classes.shifts(n_known / tokens.shape[1])
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

        In float64, where the device has it.
        """
        predictor, n_known = self.predictor, 0
        at_once = max(LOGITS // max(predictor.sizes), 64)
        if len(tokens) > at_once:
            parts = torch.split(tokens, at_once)
            return torch.cat([self.of_rows(part, groups, classes) for part in parts])
        dtype = widest(tokens.device)
        found = torch.zeros(len(tokens), dtype=dtype, device=tokens.device)
        bias = None if classes is None else classes.bias_of(len(groups))
        hidden = predictor.hidden
        total = predictor.total(hidden)
        for group in map(list, groups):
            found = found + self._given(total, tokens, n_known, group, classes, bias).to(dtype)
            after = predictor.total(tokens[:, group], group)
            total = total + after - predictor.total(hidden[:, group], group)
            n_known += len(group)
        return found


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
            groups = schedule.groups(range(tokens.shape[1]), steps, rng)
            losses.append(-float(likelihood.of_rows(rows, groups, classes).mean()))
    return float(np.mean(losses))
