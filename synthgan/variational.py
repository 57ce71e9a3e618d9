"""Fit an autoencoder: maximise a bound on the likelihood, or just reconstruct.

The encoder gives each datum a normal distribution of latent vectors, the decoder is scored on draws
from it, and the divergence from the standard normal distribution is paid for (Kingma, Welling 2014,
arXiv:1312.6114). Without the divergence and the draws it is a plain autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthgan._runtime import torch_generator
from synthgan.objectives import kl_to_normal
from synthgan.options import batch_size, require_ranges
from synthgan.runs import Run
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate

__all__ = ["AutoencoderOptions", "fit_autoencoder"]

#: Share of the steps over which the divergence is brought in.
_WARM_UP = 0.2
#: Steps over which the learning rate rises.
_RATE_STEPS = 200
_EPOCHS = 40

#: Rows to data and conditions; latent vectors and rows to the mean negative log-density.
Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
Error = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class AutoencoderOptions:
    """The rarely changed settings of a fit of an autoencoder.

    Attributes
    ----------
    batch_size : int
    steps : int
    learning_rate : float
        Of Adam; it falls over the second half of the steps.
    beta : float
        Weight of the divergence; 1 maximises the bound on the likelihood.
    ema : float
        Weight of the past in the averaged weights, the ones that are kept.
    patience : int
        Epochs (fortieths of the steps) in a row without an improvement on held-out data after
        which the fit ends.
    """

    batch_size: int = 128
    steps: int = 4000
    learning_rate: float = 5e-4
    beta: float = 1.0
    ema: float = 0.998
    patience: int = 10

    def __post_init__(self) -> None:
        checks = {
            "batch_size": 1 <= self.batch_size <= 2**16,
            "steps": 1 <= self.steps <= 10**8,
            "learning_rate": 0 < self.learning_rate < 1,
            "beta": 0 <= self.beta < 10**3,
            "ema": 0 <= self.ema < 1,
            "patience": self.patience >= 1,
        }
        require_ranges(self, checks)

    @classmethod
    def for_rows(cls, n_rows: int, n_tokens: int = 0) -> AutoencoderOptions:
        """Return options for a table of `n_rows`: batches and steps grow with it.

        Batches are smaller if there are many tokens of all columns together.
        """
        return cls(
            batch_size=batch_size(n_rows, n_tokens, 1024),
            steps=int(2000 * min(n_rows / 10_000, 1.0) ** 0.25),
            learning_rate=1e-3,
        )


def fit_autoencoder(
    networks: nn.ModuleList,
    encode: Encode,
    error: Error,
    rows: Tensor,
    held_out: Tensor,
    options: AutoencoderOptions,
    *,
    variational: bool,
    seed: int,
    run: Run,
) -> LoopResult:
    """Train `networks` in place; they keep the averaged weights that were best on held-out data.

    Parameters
    ----------
    networks : nn.ModuleList
        All that is trained.
    encode : callable
        Row numbers to means and log-variances, (rows, latent) each.
    error : callable
        ``error(latents, row numbers)``, the mean negative log-density of the rows.
    rows, held_out : Tensor of int64
        Numbers of the rows to learn and of those that are not.
    options : AutoencoderOptions
    variational : bool
        False leaves out draws and divergence.
    seed : int
    run : Run

    Returns
    -------
    LoopResult
        History with ``loss``, ``error``, ``divergence`` (in nats per row) and ``validation``.
    """
    device = rows.device
    optimizer = torch.optim.Adam(networks.parameters(), lr=options.learning_rate)
    ema = Ema(networks, options.ema)
    batch = min(options.batch_size, len(rows))

    def bound(
        chosen: Tensor, draw: torch.Generator, weight: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = encode(chosen)
        if not variational:
            missed = error(mean, chosen)
            return missed, missed, torch.zeros((), device=device)
        noise = torch.randn(mean.shape, generator=draw, device=device)
        missed = error(mean + (0.5 * log_variance).exp() * noise, chosen)
        divergence = kl_to_normal(mean, log_variance).mean()
        return missed + weight * divergence, missed, divergence

    def step(number: int, share: float) -> dict[str, Tensor]:
        draw = torch_generator(seed, "autoencoder", number, device=device)
        set_rate(optimizer, options.learning_rate, number, share, warm_up=_RATE_STEPS)
        chosen = rows[torch.randint(len(rows), (batch,), generator=draw, device=device)]
        weight = options.beta * min(1.0, share / _WARM_UP)
        loss, missed, divergence = bound(chosen, draw, weight)
        descend(optimizer, loss)
        return {"loss": loss, "error": missed, "divergence": divergence}

    def validate() -> float:
        draw = torch_generator(seed, "held out", device=device)
        with torch.no_grad():
            parts = [
                (float(bound(part, draw, options.beta)[0]), len(part))
                for part in torch.split(held_out, 512)
            ]
        return sum(value * n for value, n in parts) / sum(n for _, n in parts)

    return fit_loop(
        step,
        phase="autoencoder",
        steps=options.steps,
        epoch_steps=max(options.steps // _EPOCHS, 1),
        ema=ema,
        validate=validate,
        patience=options.patience,
        parts={"networks": networks, "steps": optimizer},
        run=run,
    )
