"""Rows of tokens to latent vectors and back, with the networks of an autoencoder.

Rows are worked on in blocks of fixed size outside of training, so that what becomes of a row does
not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthgan._runtime import numpy_generator
from synthgan.networks.autoencoders import RowDecoder, RowEncoder
from synthgan.networks.layers import draw_one
from synthgan.objectives import token_log_likelihood
from synthgan.raking import log_ratio, smoothed_shares

__all__ = ["LatentRows"]

Floats = npt.NDArray[np.float64]
Latents = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]

#: Rows that the networks see at once.
_BLOCK = 1024


@dataclass(frozen=True)
class LatentRows:
    """Encodes, decodes and scores rows.

    Attributes
    ----------
    encoder : RowEncoder
    decoder : RowDecoder
        Both in evaluation.
    hidden : sequence of list of int
        Tokens of each variable that are never shown.
    """

    encoder: RowEncoder
    decoder: RowDecoder
    hidden: Sequence[Sequence[int]]

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.decoder.bias.device

    def posteriors(self, tokens: Tokens) -> tuple[Latents, Latents]:
        """Return means and deviations of the latent vectors of rows.

        Without variables, they are those of the standard normal distribution.

        Shape: (rows, variables) -> (rows, latent), (rows, latent).
        """
        latent = self.decoder.first.in_features
        if not self.decoder.sizes:
            shape = (len(tokens), latent)
            return np.zeros(shape, np.float32), np.ones(shape, np.float32)
        parts = [(np.zeros((0, latent), np.float32),) * 2]
        for block, count in self._blocks(tokens):
            with torch.no_grad():
                mean, log_variance = self.encoder(block)
            deviation = (0.5 * log_variance).exp()
            parts.append((_numpy(mean)[:count], _numpy(deviation)[:count]))
        means, deviations = zip(*parts, strict=True)
        return np.concatenate(means), np.concatenate(deviations)

    def draw(self, latents: Latents, seed: int) -> Tokens:
        """Draw every token from its distribution given the latent vector, (rows, variables).

        The first rows do not depend on how many follow.
        """
        drawn = [np.zeros((0, len(self.decoder.sizes)), np.int64)]
        for number, (block, count) in enumerate(self._blocks(latents)):
            uniforms = numpy_generator(seed, "tokens", number).random(
                (_BLOCK, len(self.decoder.sizes)), dtype=np.float32
            )
            tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
            for j, shares in enumerate(self._shares(block)):
                uniform = torch.from_numpy(uniforms[:, j : j + 1]).to(self.device)
                tokens[:, j] = draw_one(shares, uniform)
            drawn.append(tokens.numpy()[:count])
        return np.concatenate(drawn)

    def likeliest(self, latents: Latents) -> Tokens:
        """Return the most likely token of every variable, of ordered ones the median.

        Shape: (rows, latent) -> (rows, variables).
        """
        found = [np.zeros((0, len(self.decoder.sizes)), np.int64)]
        for block, count in self._blocks(latents):
            tokens = torch.zeros((len(block), len(self.decoder.sizes)), dtype=torch.int64)
            for j, shares in enumerate(self._shares(block)):
                tokens[:, j] = _middle(shares, self.decoder.n_ordered[j])
            found.append(tokens.numpy()[:count])
        return np.concatenate(found)

    def log_probability(self, tokens: Tokens, latents: Latents) -> Floats:
        """Return the log-probability of each row given its latent vector, (rows,)."""
        parts = [np.zeros(0)]
        for (block, count), (rows, _) in zip(
            self._blocks(latents), self._blocks(tokens), strict=True
        ):
            with torch.no_grad():
                scores = token_log_likelihood(self.decoder(block), rows)
            parts.append(_numpy(scores)[:count].astype(np.float64))
        return np.concatenate(parts)

    def log_bound(
        self, tokens: Tokens, log_prior: Callable[[Floats], Floats], draws: int
    ) -> Floats:
        """Return the importance-weighted bound on the log-likelihood of each row, (rows,).

        ``log(mean of p(row | z) p(z) / q(z | row))`` over `draws` latent vectors from the encoder's
        distribution q (Burda et al. 2016, arXiv:1509.00519). All rows share the same standard
        normal numbers, so a score is that of the row alone.

        Parameters
        ----------
        tokens : ndarray, shape (rows, variables)
        log_prior : callable
            Latent vectors to log-densities.
        draws : int
        """
        means, deviations = self.posteriors(tokens)
        noise = numpy_generator(0, "bound").normal(size=(draws, means.shape[1]))
        total = np.full(len(tokens), -np.inf)
        for vector in noise:
            latents = means + deviations * vector
            density = -0.5 * (vector**2 + np.log(2 * np.pi)) - np.log(deviations)
            given = self.log_probability(tokens, latents.astype(np.float32))
            weight = given + log_prior(latents) - density.sum(axis=1)
            total = np.logaddexp(total, weight)
        return np.asarray(total - np.log(draws))

    @torch.no_grad()
    def rake(self, tokens: Tokens, latents: Latents, rounds: int = 3) -> None:
        """Shift the biases so that rows drawn from `latents` have the marginals of `tokens`.

        As :func:`synthgan.raking.rake`: each round multiplies the odds of a token by the
        ratio of its observed share to its mean share.

        Parameters
        ----------
        tokens : ndarray, shape (rows, variables)
            Training rows.
        latents : ndarray, shape (vectors, latent)
            Draws of the distribution that samples are decoded from.
        rounds : int
        """
        sizes = self.decoder.sizes
        target = smoothed_shares(torch.from_numpy(tokens), sizes).to(self.device)
        little = 0.5 / max(len(latents), 1)
        for _ in range(rounds):
            sums = torch.zeros_like(target)
            for block, count in self._blocks(latents):
                shares = [scores.softmax(1)[:count].sum(0) for scores in self.decoder(block)]
                sums += torch.cat(shares)
            self.decoder.bias.add_(log_ratio(target, sums / len(latents), little))

    def _shares(self, latents: Tensor) -> list[Tensor]:
        """Return the probabilities of the tokens that are shown."""
        with torch.no_grad():
            logits = self.decoder(latents)
        for scores, hidden in zip(logits, self.hidden, strict=True):
            if hidden:
                scores[:, list(hidden)] = -torch.inf
        return [scores.softmax(1) for scores in logits]

    def _blocks(self, rows: np.ndarray[Any, Any]) -> Iterator[tuple[Tensor, int]]:
        """Yield blocks of rows on the device, padded to the same size, and their true lengths."""
        for start in range(0, len(rows), _BLOCK):
            part = rows[start : start + _BLOCK]
            padded = np.pad(part, ((0, _BLOCK - len(part)), (0, 0)))
            yield torch.from_numpy(padded).to(self.device), len(part)


def _middle(shares: Tensor, n_ordered: int) -> Tensor:
    """Return the most likely token, or the median if one of the leading ordered ones is.

    Shape: (rows, tokens) -> (rows,).
    """
    likeliest = shares.argmax(1)
    if not n_ordered:
        return likeliest
    running = shares[:, :n_ordered].cumsum(1)
    mass = running[:, -1]
    median = torch.searchsorted(running, 0.5 * mass[:, None]).squeeze(1)
    if n_ordered == shares.shape[1]:
        return median
    rest, other = shares[:, n_ordered:].max(1)
    return torch.where(mass >= rest, median, other + n_ordered)


def _numpy(values: Tensor) -> npt.NDArray[np.float32]:
    return np.asarray(values.float().cpu().numpy())
