"""First phase of a fit: learn to fill any hidden subset of columns given any visible one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgan._runtime import torch_generator
from synthgan.networks import RowGenerator
from synthgan.objectives import masked_cross_entropy
from synthgan.training import Callback, Deadline, Ema, LoopResult, TrainingOptions, fit_loop

__all__ = ["draw_masks", "fit_likelihood", "validation_loss"]

#: Masks drawn for each validation row; more of them for small tables.
_VALIDATION_CELLS = 8192


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
    deadline: Deadline,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
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
    deadline : Deadline
    callbacks, progress
        As for :func:`synthgan.training.fit_loop`.
    """
    device = tokens.device
    matrices = [p for p in generator.parameters() if p.ndim > 1]
    vectors = [p for p in generator.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": options.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=options.learning_rate,
        betas=(0.9, 0.99),
        fused=device.type in ("cpu", "cuda"),
    )
    ema = Ema(generator, options.ema)
    batch = min(options.batch_size, len(tokens))

    def step(number: int, share: float) -> dict[str, Tensor]:
        draw = torch_generator(seed, "likelihood", number)
        rows = torch.randint(0, len(tokens), (batch,), generator=draw).to(device)
        visible = draw_masks(batch, tokens.shape[1], draw).to(device)
        dropout = torch_generator(seed, "dropout", number, device=device)
        chosen = tokens[rows].long()
        rate = options.learning_rate * min(1.0, (number + 1) / 100) * (1 - share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, precision, enabled=precision is not None):
            logits = generator.logits(generator.features(chosen, visible, dropout))
        loss = masked_cross_entropy(logits, chosen, visible)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimizer.step()
        return {"loss": loss}

    result = fit_loop(
        step,
        phase="likelihood",
        steps=options.steps,
        epoch_steps=max(1, min(options.steps // 20, len(tokens) // batch)),
        ema=ema,
        validate=lambda: validation_loss(generator, validation, seed, precision),
        patience=options.patience,
        deadline=deadline,
        callbacks=callbacks,
        progress=progress,
    )
    ema.install(result.best if result.best is not None else ema.snapshot())
    return result


@torch.no_grad()
def validation_loss(
    generator: RowGenerator, validation: Tensor, seed: int, precision: torch.dtype | None
) -> float:
    """Return the masked cross-entropy of held-out rows, always with the same masks."""
    copies = max(1, _VALIDATION_CELLS // max(len(validation), 1))
    rows = validation.repeat(copies, 1).long()
    visible = draw_masks(len(rows), rows.shape[1], torch_generator(seed, "validation"))
    total = 0.0
    for part, mask in zip(rows.split(4096), visible.to(rows.device).split(4096), strict=True):
        with torch.autocast(rows.device.type, precision, enabled=precision is not None):
            logits = generator.logits(generator.features(part, mask))
        total += float(masked_cross_entropy(logits, part, mask)) * len(part)
    return total / len(rows)
