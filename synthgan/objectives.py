"""What the networks minimise: pure functions from tensors to a scalar."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "LOSSES",
    "AdversarialLoss",
    "gaussian_error",
    "gradient_penalty",
    "kl_to_normal",
    "masked_cross_entropy",
    "patch_contrast",
    "token_log_likelihood",
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


def token_log_likelihood(logits: Sequence[Tensor], tokens: Tensor) -> Tensor:
    """Return the log-probability of each row if its variables are independent, in nats.

    Shape: logits, one of (rows, tokens of the variable) each; tokens (rows, variables) int64
    -> (rows,).
    """
    total = torch.zeros(len(tokens), device=tokens.device)
    for j, scores in enumerate(logits):
        total = total - F.cross_entropy(scores.float(), tokens[:, j], reduction="none")
    return total


@dataclass(frozen=True, slots=True)
class AdversarialLoss:
    """Two sides of a game, each a function ``(scores of real, scores of fake) -> ()``."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


#: Losses of a game by name: relativistic pairing (Huang et al. 2024, arXiv:2501.05441), the
#: original non-saturating one (Goodfellow et al. 2014, arXiv:1406.2661), hinge (Lim, Ye 2017,
#: arXiv:1705.02894), and least squares (Mao et al. 2017, arXiv:1611.04076).
LOSSES = {
    "relativistic": AdversarialLoss(
        lambda real, fake: F.softplus(fake - real).mean(),
        lambda real, fake: F.softplus(real - fake).mean(),
    ),
    "non-saturating": AdversarialLoss(
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda real, fake: F.softplus(-fake).mean(),
    ),
    "hinge": AdversarialLoss(
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        lambda real, fake: -fake.mean(),
    ),
    "least squares": AdversarialLoss(
        lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
        lambda real, fake: 0.5 * (fake - 1).square().mean(),
    ),
}


def gradient_penalty(scores: Tensor, inputs: Tensor) -> Tensor:
    """Return the mean squared norm of the gradient of `scores` at `inputs`, half of it.

    On real rows this is R1, on generated rows R2 (Mescheder et al. 2018, arXiv:1801.04406).

    Shape: scores (rows,), inputs (rows, ...), part of the graph of `scores` -> ().
    """
    (gradient,) = torch.autograd.grad(scores.sum(), inputs, create_graph=True)
    return 0.5 * gradient.float().flatten(1).square().sum(1).mean()


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of normal distributions from the standard one, in nats.

    Shape: (rows, latent), (rows, latent) -> (rows,).
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def gaussian_error(values: Tensor, decoded: Tensor) -> Tensor:
    """Return the mean negative log-density of rows around what was decoded, in nats.

    The variance, one for all, is the best one for the batch, the mean squared error (sigma-VAE,
    Rybkin et al. 2021, arXiv:2006.13202), but at least 1e-4; so no weight has to be chosen
    between this and the divergence.

    Shape: (rows, ...), (rows, ...) -> ().
    """
    error = (values - decoded).float().square()
    variance = error.mean().clamp_min(1e-4)
    size = values[0].numel()
    return 0.5 * size * (variance.log() + math.log(2 * math.pi) + error.mean() / variance)


def patch_contrast(queries: Tensor, keys: Tensor) -> Tensor:
    """Return PatchNCE: a patch must be most like the patch at the same place of the other image.

    The other patches of the same image are the negatives (Park et al. 2020, arXiv:2007.15651,
    equation 4). The temperature is that of the paper.

    Shape: queries, keys (rows, patches, features), of length 1 -> ().
    """
    likeness = torch.bmm(queries.float(), keys.float().transpose(1, 2)) / 0.07
    truth = torch.arange(queries.shape[1], device=queries.device).expand(len(queries), -1)
    return F.cross_entropy(likeness.flatten(0, 1), truth.flatten())
