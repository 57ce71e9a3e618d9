"""Fits a mixture of products to noisy counts, which is all that a private fit sees.

With P the probabilities of all tokens in each latent row, the shares of all pairs of tokens are the
Gram matrix ``P'P / rows``, and those within one level of a target the same with weighted rows. The
fit minimises the squared distance of these to the counts, each divided by the deviation of its
noise, plus a penalty on the trace of the covariance of P: its nuclear norm. That shrinks the
covariance like a threshold at the largest singular value of the noise (as for low-rank matrices in
Koltchinskii, Lounici and Tsybakov 2011), so that noise is not learned however long the fit runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthgan._runtime import torch_generator
from synthgan.networks.mixtures import MixtureGenerator
from synthgan.options import require_ranges
from synthgan.privacy.plan import Marginal
from synthgan.runs import Run
from synthgan.training import Ema, LoopResult, descend, fit_loop

__all__ = ["MarginalOptions", "NoisyCounts", "fit_marginals"]

_EPOCHS = 20


@dataclass(frozen=True, slots=True)
class MarginalOptions:
    """Rarely changed settings of a private fit.

    Attributes
    ----------
    rows : int
        Latent rows of the mixture.
    steps : int
        Most steps; each sees all counts.
    learning_rate : float
        Of Adam at its highest.
    shrinkage : float
        The penalty, as a share of the largest singular value that noise alone is expected to have;
        it falls with the fourth root of the misfit of independent columns. Where all that is
        measured stands high above the noise, shrinking it costs more than it saves.
    triples : float
        Share of the budget for the tables of two columns and the target, if there is one.
    """

    rows: int = 1000
    steps: int = 3000
    learning_rate: float = 0.05
    shrinkage: float = 0.7
    triples: float = 0.5

    def __post_init__(self) -> None:
        checks = {
            "rows": 1 <= self.rows <= 2**20,
            "steps": 1 <= self.steps <= 10**8,
            "learning_rate": 0 < self.learning_rate < 1,
            "shrinkage": 0 <= self.shrinkage < 100,
            "triples": 0 <= self.triples < 1,
        }
        require_ranges(self, checks)


@dataclass(frozen=True, slots=True)
class NoisyCounts:
    """Counts of one set of marginals, with the same noise in each.

    Attributes
    ----------
    marginals : sequence of tuple of int
        Positions of the variables: one, two, or two and the target.
    counts : sequence of ndarray of numbers
        One axis per variable.
    sigma : float
        Deviation of the noise.
    """

    marginals: Sequence[Marginal]
    counts: Sequence[npt.NDArray[Any]]
    sigma: float

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return everything as named arrays; :meth:`from_arrays` is the inverse."""
        named = {
            ".".join(map(str, marginal)): counts
            for marginal, counts in zip(self.marginals, self.counts, strict=True)
        }
        return {**named, "sigma": np.array(self.sigma)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> NoisyCounts:
        """Rebuild counts."""
        names = [name for name in arrays if name != "sigma"]
        marginals = [tuple(int(part) for part in name.split(".")) for name in names]
        return cls(marginals, [arrays[name] for name in names], float(arrays["sigma"]))


def fit_marginals(
    generator: MixtureGenerator,
    measured: Sequence[NoisyCounts],
    target: int | None,
    options: MarginalOptions,
    *,
    seed: int,
    run: Run,
) -> tuple[LoopResult, float]:
    """Fit `generator` in place.

    Parameters
    ----------
    generator : MixtureGenerator
    measured : sequence of NoisyCounts
    target : int or None
        The variable that triples share.
    options : MarginalOptions
    seed : int
    run : Run

    Returns
    -------
    LoopResult
        History with ``misfit``, the mean squared distance in deviations of the noise: about 1 if
        only noise is left.
    float
        The number of rows, estimated from the counts.
    """
    n_rows = _rows(measured)
    sums = _Sums(generator.sizes, target, measured, generator.table.device)
    shares = sums.shares(n_rows)
    generator.reset(torch_generator(seed, "mixture"), shares)
    optimizer = torch.optim.Adam(
        generator.parameters(), lr=options.learning_rate, betas=(0.9, 0.99)
    )
    ema = Ema(generator, 0.0)
    above = max(float(sums.misfit(shares[None], n_rows) / sums.cells), 1.0)
    penalty = options.shrinkage * sums.noise_norm(shares) * n_rows * above**-0.25

    def step(number: int, share: float) -> dict[str, Tensor]:
        rate = options.learning_rate * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)  # halved after a loss that is not finite
        chances = generator.log_shares().exp()
        misfit = sums.misfit(chances, n_rows)
        away = chances - chances.mean(dim=0)
        spread = away.square().sum() / len(chances)
        descend(optimizer, (misfit + penalty * spread) / sums.cells)
        return {"misfit": misfit / sums.cells}

    result = fit_loop(
        step,
        phase="marginals",
        steps=options.steps,
        epoch_steps=max(options.steps // _EPOCHS, 1),
        ema=ema,
        validate=None,
        patience=1,
        parts={"generator": generator, "steps": optimizer},
        run=run,
    )
    return result, n_rows


def _rows(measured: Sequence[NoisyCounts]) -> float:
    """Return the number of rows: each table sums to it, but for noise."""
    totals = [(float(c.sum()), m.sigma**2 * c.size) for m in measured for c in m.counts]
    weights = np.array([1 / variance for _, variance in totals])
    return max(float(np.average([total for total, _ in totals], weights=weights)), 1.0)


class _Sums:
    """Counts and precisions of pairs of tokens, and of pairs within each level of the target."""

    def __init__(
        self,
        sizes: Sequence[int],
        target: int | None,
        measured: Sequence[NoisyCounts],
        device: torch.device,
    ) -> None:
        ends = np.cumsum([0, *sizes])
        self.parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.target = None if target is None else self.parts[target]
        whole = int(ends[-1])
        self.weights = np.zeros((1, whole, whole), np.float32)
        self.counts = np.zeros_like(self.weights)
        n_levels = 0 if target is None else sizes[target]
        triples = any(len(marginal) == 3 for m in measured for marginal in m.marginals)
        self.weights_within = np.zeros((n_levels if triples else 0, whole, whole), np.float32)
        self.counts_within = np.zeros_like(self.weights_within)
        for found in measured:
            for marginal, counts in zip(found.marginals, found.counts, strict=True):
                self._add(marginal, counts, 1 / found.sigma**2)
        self.cells = int((self.weights > 0).sum() + (self.weights_within > 0).sum())
        for name in ("weights", "counts", "weights_within", "counts_within"):
            setattr(self, name, torch.from_numpy(getattr(self, name)).to(device))

    def _add(self, marginal: Marginal, counts: npt.NDArray[np.int64], precision: float) -> None:
        if len(marginal) == 1:
            part = self.parts[marginal[0]]
            diagonal = np.arange(part.start, part.stop)
            _mix(self.weights[0], self.counts[0], (diagonal, diagonal), counts, precision)
            return
        first, second = self.parts[marginal[0]], self.parts[marginal[1]]
        if len(marginal) == 2:
            _mix(self.weights[0], self.counts[0], (first, second), counts, precision)
            return
        for level in range(counts.shape[2]):
            weights, sums = self.weights_within[level], self.counts_within[level]
            _mix(weights, sums, (first, second), counts[:, :, level], precision)

    def shares(self, n_rows: float) -> Tensor:
        """Return the shares of all tokens as the tables have them, shape (sum of sizes,)."""
        found = torch.zeros(self.weights.shape[1])
        weights = self.weights[0].cpu()
        counts = self.counts[0].cpu()
        within = self.counts_within.sum(0).cpu()
        for j, part in enumerate(self.parts):
            sums = []
            for k, other in enumerate(self.parts):
                if weights[part, other].any() and j != k:
                    sums.append(counts[part, other].sum(1))
                elif weights[other, part].any() and j != k:
                    sums.append(counts[other, part].sum(0))
                elif len(self.counts_within) and within[part, other].any():
                    sums.append(within[part, other].sum(1))
            sums += [counts[part, part].diagonal()] if weights[part, part].any() else []
            mean = torch.stack(sums).mean(0) if sums else torch.ones(part.stop - part.start)
            mean = mean.clamp_min(0.0) + 1e-3 * n_rows / len(mean)
            found[part] = mean / mean.sum()
        return found.to(self.weights.device)

    def noise_norm(self, shares: Tensor) -> float:
        """Return the largest singular value that noise alone gives the gradient, about.

        Tokens count as far as they occur, a variable as the exponential of its entropy: noise on
        cells that are next to empty cannot be fitted, because no probability is negative.
        """
        entropy = torch.stack(
            [-(shares[p] * shares[p].clamp_min(1e-12).log()).sum() for p in self.parts]
        )
        pairs = self.weights.sum() + self.weights_within.sum() / max(len(self.weights_within), 1)
        cells = float(((self.weights[0] > 0) | (self.weights_within > 0).any(0)).sum())
        return 2 * math.sqrt(float(entropy.exp().sum()) * float(pairs) / max(cells, 1.0))

    def misfit(self, chances: Tensor, n_rows: float) -> Tensor:
        """Return the sum of squared distances to all counts, in variances of their noise."""
        scale = n_rows / len(chances)
        found = chances.new_zeros(())
        if len(self.weights_within):
            levels = [
                (chances * chance[:, None]).T @ chances * scale
                for chance in chances[:, self.target].T
            ]
            for within, weights, counts in zip(
                levels, self.weights_within, self.counts_within, strict=True
            ):
                found = found + (weights * (within - counts).square()).sum()
            pairs = torch.stack(levels).sum(0)  # a row is in one level or another
        else:
            pairs = chances.T @ chances * scale
        pairs = pairs - torch.diag(pairs.diagonal()) + torch.diag(chances.sum(0) * scale)
        return found + (self.weights[0] * (pairs - self.counts[0]).square()).sum()


def _mix(
    weights: npt.NDArray[np.float32],
    counts: npt.NDArray[np.float32],
    where: Any,
    new: npt.NDArray[np.int64],
    precision: float,
) -> None:
    """Average counts with those that are there, by their precisions."""
    total = weights[where] + precision
    counts[where] = (counts[where] * weights[where] + new * precision) / total
    weights[where] = total
