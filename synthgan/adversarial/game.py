"""One round of the game: a step of the critic, a loss of the generator, whatever they judge.

Penalties are zero-centred, on real and on generated inputs (R1 + R2, Huang et al. 2024,
arXiv:2501.05441), and computed every few steps (lazy regularisation, Karras et al. 2020,
arXiv:1912.04958, appendix B).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from synthgan.objectives import LOSSES, gradient_penalty
from synthgan.training import descend

__all__ = ["Score", "critic_step", "generator_loss"]

#: Scores a batch, higher is more real: inputs (rows, ...) -> (rows,).
Score = Callable[[Tensor], Tensor]


def critic_step(
    score: Score,
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    *,
    loss: str,
    penalty: float,
) -> dict[str, Tensor]:
    """Make one step of the critic.

    Parameters
    ----------
    score : callable
        Gets real and generated inputs as one batch, in this order.
    optimizer : torch.optim.Optimizer
        Of the critic.
    real, fake : Tensor, shape (rows, ...)
        As many of each; `fake` carries no gradient of the generator.
    loss : str
        A name in :data:`synthgan.objectives.LOSSES`.
    penalty : float
        Weight of R1 + R2 in this step; 0 leaves them out.

    Returns
    -------
    dict of str to Tensor
        ``critic``, the loss; ``sign_real`` and ``sign_fake``, shares scored above zero; and, if
        there is one, ``penalty``, unweighted.
    """
    both = torch.cat([real, fake])
    if penalty:
        both.requires_grad_()
    scores = score(both)
    on_real, on_fake = scores[: len(real)], scores[len(real) :]
    total = LOSSES[loss].critic(on_real, on_fake)
    figures = {
        "critic": total,
        "sign_real": (on_real > 0).float().mean(),
        "sign_fake": (on_fake > 0).float().mean(),
    }
    if penalty:  # one pass over both: the mean over the halves is half of their sum
        square = 2 * gradient_penalty(scores, both)
        total = total + penalty * square
        figures["penalty"] = square
    descend(optimizer, total)
    return figures


def generator_loss(
    score: Score, critic: nn.Module, real: Tensor, fake: Tensor, *, loss: str
) -> Tensor:
    """Return what the generator minimises; the critic gets no gradient of it.

    Parameters
    ----------
    score : callable
        Gets `real` or `fake`, each as one batch.
    critic : nn.Module
        What `score` asks.
    real, fake : Tensor, shape (rows, ...)
        `fake` carries the gradient.
    loss : str
        A name in :data:`synthgan.objectives.LOSSES`.
    """
    with _frozen(critic):
        with torch.no_grad():
            on_real = score(real)
        return LOSSES[loss].generator(on_real, score(fake))


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
