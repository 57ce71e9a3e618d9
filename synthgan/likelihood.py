"""First phase of a fit: learn to fill any hidden subset of columns given any visible one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synthgan import ranks
from synthgan._runtime import autocast, has_fused_steps, torch_generator
from synthgan.memory import rows_at_once
from synthgan.networks.rows import RowGenerator
from synthgan.objectives import masked_cross_entropy
from synthgan.options import TrainingOptions
from synthgan.runs import Run
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = ["draw_masks", "fit_likelihood", "validation_loss"]

#: Masked rows of a validation; the rows of small tables are repeated under other masks.
_VALIDATION_ROWS = 4096


def draw_masks(rows: int, variables: int, generator: torch.Generator) -> Tensor:
    """Draw which cells are visible: a random number of them per row, 0 to all but one.

    Returns
    -------
    Tensor, shape (rows, variables), bool
    """
    visible = torch.randint(0, variables, (rows, 1), generator=generator)
    draws = torch.rand((rows, variables), generator=generator)
    return draws < draws.sort(1).values.gather(1, visible)


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
        fused=has_fused_steps(device),
    )
    ema = Ema(generator, options.ema)
    batch = min(options.batch_size, len(tokens))
    own = ranks.part(batch)

    def step(number: int, share: float) -> dict[str, Tensor]:
        draw = torch_generator(seed, "likelihood", number)
        rows = torch.randint(0, len(tokens), (batch,), generator=draw)[own].to(device)
        visible = draw_masks(batch, tokens.shape[1], draw)[own].to(device)
        chosen = tokens[rows].long()
        set_rate(optimizer, options.learning_rate, number, share)
        with autocast(device, precision):
            logits = generator.logits(generator.features(chosen, visible))
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
    total, at_once = 0.0, rows_at_once(sum(generator.sizes), most=_VALIDATION_ROWS)
    for part, mask in zip(
        torch.split(rows, at_once), torch.split(visible.to(rows.device), at_once), strict=True
    ):
        with autocast(rows.device, precision):
            logits = generator.logits(generator.features(part, mask))
        total += float(masked_cross_entropy(logits, part, mask)) * len(part)
    return total / len(rows)
