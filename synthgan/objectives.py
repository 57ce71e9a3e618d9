"""What the networks minimise: pure functions from tensors to a scalar."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "gradient_penalty",
    "masked_cross_entropy",
    "relativistic_critic_loss",
    "relativistic_generator_loss",
]


def masked_cross_entropy(logits: Sequence[Tensor], tokens: Tensor, visible: Tensor) -> Tensor:
    """Return the cross-entropy of hidden cells: mean over a row's hidden cells, then over rows.

    With the number of visible cells drawn uniformly, this is the order-agnostic bound on the
    log-likelihood of a row, per variable (Uria et al. 2014, arXiv:1310.1757; Hoogeboom et al. 2022,
    arXiv:2110.02037, equation 5).

    Parameters
    ----------
    logits : sequence of Tensor, each of shape (rows, tokens of the variable)
    tokens : Tensor, shape (rows, variables), int64
    visible : Tensor, shape (rows, variables), bool
        At least one cell of each row must be hidden.
    """
    hidden = (~visible).float()
    weight = hidden / hidden.sum(1, keepdim=True).clamp_min(1.0)
    loss = weight.new_zeros(())
    for j, scores in enumerate(logits):
        cells = F.cross_entropy(scores.float(), tokens[:, j], reduction="none")
        loss = loss + torch.dot(cells, weight[:, j])
    return loss / len(tokens)


def relativistic_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return ``mean softplus(fake - real)`` of paired scores (Huang et al., arXiv:2501.05441)."""
    return F.softplus(fake - real).mean()


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return ``mean softplus(real - fake)``, the mirror image of the critic's loss."""
    return F.softplus(real - fake).mean()


def gradient_penalty(scores: Tensor, inputs: Tensor) -> Tensor:
    """Return the mean squared norm of the gradient of `scores` at `inputs`, half of it.

    On real rows this is R1, on generated rows R2 (Mescheder et al. 2018, arXiv:1801.04406).

    Shape: scores (rows,), inputs (rows, features), part of the graph of `scores` -> ().
    """
    (gradient,) = torch.autograd.grad(scores.sum(), inputs, create_graph=True)
    return 0.5 * gradient.square().sum(1).mean()
