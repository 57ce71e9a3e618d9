"""First phase of a fit: learn to fill any hidden subset of columns given any visible one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synthgan import ranks
from synthgan._runtime import torch_generator
from synthgan.networks.rows import RowGenerator
from synthgan.objectives import masked_cross_entropy
from synthgan.options import TrainingOptions
from synthgan.runs import Deadline, Run
from synthgan.sampling import Sampler
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = ["calibrate", "draw_masks", "fit_likelihood", "validation_loss"]

#: Masked rows of a validation; the rows of small tables are repeated under other masks.
_VALIDATION_ROWS = 4096
#: Rows of a round of raking, in many orders of few rows each, since it is the orders that differ;
#: fewer, but four for every training row, in small tables, whose own shares are vague.
_RAKING_ROWS, _LEAST_RAKING_ROWS, _ORDER_ROWS, _FEW_STEP_ORDER_ROWS = 16_384, 2048, 128, 256
_FEWEST_ORDERS = 8


def draw_masks(rows: int, variables: int, generator: torch.Generator) -> Tensor:
    """Draw which cells are visible: a random number of them per row, 0 to all but one.

    Returns
    -------
    Tensor, shape (rows, variables), bool
    """
    visible = torch.randint(0, variables, (rows, 1), generator=generator)
    rank = torch.rand((rows, variables), generator=generator).argsort(1).argsort(1)
    return rank < visible


def fit_likelihood(
    generator: RowGenerator,
    tokens: Tensor,
    validation: Tensor,
    options: TrainingOptions,
    *,
    seed: int,
    precision: torch.dtype | None,
    run: Run,
) -> LoopResult:
    """Train `generator` in place on the masked cross-entropy; keep its best averaged weights.

    Parameters
    ----------
    generator : RowGenerator
    tokens, validation : Tensor, shape (rows, variables), integer
        Training and validation rows, on the device of the generator.
    options : TrainingOptions
    seed : int
    precision : torch.dtype or None
        Dtype of the matrix products.
    run : Run
    """
    device = tokens.device
    optimizer = torch.optim.AdamW(
        _parameter_groups(generator, options),
        lr=options.learning_rate,
        betas=(0.9, 0.99),
        fused=device.type in ("cpu", "cuda"),
    )
    ema = Ema(generator, options.ema)
    batch = min(options.batch_size, len(tokens))
    own = ranks.part(batch)

    def step(number: int, share: float) -> dict[str, Tensor]:
        draw = torch_generator(seed, "likelihood", number)
        rows = torch.randint(0, len(tokens), (batch,), generator=draw)[own].to(device)
        visible = draw_masks(batch, tokens.shape[1], draw)[own].to(device)
        dropout = torch_generator(seed, "dropout", number, device=device)
        chosen = tokens[rows].long()
        set_rate(optimizer, options.learning_rate, number, share)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            logits = generator.logits(generator.features(chosen, visible, dropout))
        loss = masked_cross_entropy(logits, chosen, visible)
        descend(optimizer, loss, part=len(rows) / batch, clip=1.0)
        return {"loss": loss}

    return fit_loop(
        step,
        phase="likelihood",
        steps=options.steps,
        epoch_steps=min(max(options.steps // 100, 10), options.steps),
        ema=ema,
        validate=lambda: validation_loss(generator, validation, seed, precision),
        patience=options.patience,
        tolerance=options.tolerance,
        least_gain=options.least_gain,
        parts={"generator": generator, "steps": optimizer},
        run=run,
    )


def _parameter_groups(generator: RowGenerator, options: TrainingOptions) -> list[dict[str, Any]]:
    """Group parameters by weight decay: fine parts of tokens, other matrices, vectors."""
    decays: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in generator.named_parameters():
        decay = options.weight_decay if parameter.ndim > 1 else 0.0
        decays.setdefault(options.fine_decay if name.endswith("fine") else decay, []).append(
            parameter
        )
    return [{"params": group, "weight_decay": decay} for decay, group in decays.items()]


@torch.no_grad()
def validation_loss(
    generator: RowGenerator, validation: Tensor, seed: int, precision: torch.dtype | None
) -> float:
    """Return the masked cross-entropy of held-out rows, always with the same masks."""
    copies = max(1, _VALIDATION_ROWS // max(len(validation), 1))
    rows = validation.repeat(copies, 1).long()
    visible = draw_masks(len(rows), rows.shape[1], torch_generator(seed, "validation"))
    total = 0.0
    for part, mask in zip(
        torch.split(rows, 4096), torch.split(visible.to(rows.device), 4096), strict=True
    ):
        with torch.autocast(rows.device.type, precision, enabled=precision is not None):
            logits = generator.logits(generator.features(part, mask))
        total += float(masked_cross_entropy(logits, part, mask)) * len(part)
    return total / len(rows)


@torch.no_grad()
def calibrate(
    sampler: Sampler,
    bias: Tensor,
    tokens: Tensor,
    *,
    steps: int,
    seed: int,
    rounds: int = 2,
    deadline: Deadline | None = None,
) -> None:
    """Shift biases so that samples have the marginals of the training rows.

    Stochastic steps leave every prediction off by a few per cent, and a sample adds these up over
    the order in which its columns are drawn. Each round multiplies the odds of every level by the
    ratio of its observed share to its mean share in samples of the model (raking).

    Parameters
    ----------
    sampler : Sampler
    bias : Tensor, shape (sum of sizes,)
        What `sampler` adds to the logits; changed in place.
    tokens : Tensor, shape (rows, variables), integer
        Training rows.
    steps : int
        Of the samples.
    seed : int
    rounds : int
    deadline : Deadline, optional
        After it, a round ends with the orders that it has, and no other begins.
    """
    sizes = sampler.generator.sizes
    wanted = min(max(4 * len(tokens), _LEAST_RAKING_ROWS), _RAKING_ROWS)
    if steps < len(sizes):  # there are fewer orders
        orders, rows = wanted // _FEW_STEP_ORDER_ROWS, _FEW_STEP_ORDER_ROWS
    else:
        orders, rows = min(wanted // _ORDER_ROWS, max(3000 // len(sizes), 16)), _ORDER_ROWS
    observed = [
        (torch.bincount(tokens[:, j].long(), minlength=size) + 0.5) / (len(tokens) + 0.5 * size)
        for j, size in enumerate(sizes)
    ]
    floor = 0.5 / (orders * rows)

    def stop(done: int) -> bool:
        return deadline is not None and deadline.used >= 1 and done >= _FEWEST_ORDERS

    for number in range(rounds):
        if number and stop(_FEWEST_ORDERS):
            break
        drawn = sampler.expected_shares(seed + number, orders, rows, steps, stop)
        ratios = [a / b.clamp_min(floor) for a, b in zip(observed, drawn, strict=True)]
        bias.add_(torch.cat(ratios).clamp(0.25, 4.0).log())
