"""Between training and use: biases are shifted until samples have the marginals of the table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgan.memory import rows_at_once
from synthgan.runs import Deadline
from synthgan.sampling import Sampler

__all__ = ["rake"]

#: Rows that are drawn, in `_ROUNDS` parts: four for every training row, since the shares of small
#: tables are vague themselves; at most so many, and so many cells, in large and wide ones.
_ROWS, _LEAST_ROWS, _CELLS = 16_384, 2048, 750_000
_ROUNDS = 8


@torch.no_grad()
def rake(
    sampler: Sampler,
    bias: Tensor,
    tokens: Tensor,
    *,
    steps: int,
    seed: int,
    deadline: Deadline | None = None,
) -> None:
    """Shift biases so that samples have the marginals of the training rows.

    Stochastic steps leave every prediction off by a few per cent, and a sample adds these up over
    the order in which its columns are drawn. The odds of every level are multiplied by the ratio of
    its observed share to its mean share in samples of the model. This happens in rounds; the
    exponent of the ratio is 1 in the first two, and then 1/2, 1/3 and so on, so that the noise of
    the rounds averages out (Robbins and Monro 1951).

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
    deadline : Deadline, optional
        After it, no other round begins.
    """
    sizes = sampler.generator.sizes
    most = min(_ROWS, max(_CELLS // len(sizes), _LEAST_ROWS))
    rows = min(max(4 * len(tokens), _LEAST_ROWS), most) // _ROUNDS
    rows = rows_at_once(max(sizes), most=rows)
    little = 0.5 / (rows * _ROUNDS)  # so that ratios of next to nothing do not matter
    observed = smoothed_shares(tokens, sizes)
    for number in range(_ROUNDS):
        drawn = torch.cat(sampler.expected_shares(seed, number, rows, steps))
        bias.add_(log_ratio(observed, drawn, little) / max(number, 1))
        if deadline is not None and deadline.used >= 1:
            break


def smoothed_shares(tokens: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the shares of all tokens, half a row added to each, shape (sum of sizes,).

    Shape: tokens (rows, variables), integer.
    """
    counts = [
        torch.bincount(tokens[:, j].long(), minlength=size) + 0.5 for j, size in enumerate(sizes)
    ]
    return torch.cat([torch.zeros(0, device=tokens.device), *(c / c.sum() for c in counts)])


def log_ratio(observed: Tensor, drawn: Tensor, little: float) -> Tensor:
    """Return by how much the logits of tokens are too low, between -log 4 and log 4.

    `little` is added to the shares, so that ratios of next to nothing do not matter.
    """
    return ((observed + little) / (drawn + little)).clamp(0.25, 4.0).log()
