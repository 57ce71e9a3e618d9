"""Rows as a mixture of products: given a latent row, all variables are independent.

The marginals of such a model are products of matrices, so it can be fitted to noisy tables of
counts and needs no row. Conditioning is exact: what is known of a row weighs the latent rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LatentChoice", "MixtureGenerator"]


class MixtureGenerator(nn.Module):
    """Predicts every hidden variable of a row from the visible ones, by Bayes' rule.

    It has the interface of :class:`~synthgan.networks.rows.RowGenerator` for sampling: the sum of
    the vectors of visible tokens says how likely each latent row is.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each variable.
    width : int
        Latent rows.
    """

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.starts: Tensor
        self.hidden: Tensor
        self.sizes = tuple(sizes)
        self.width = width
        self.table = nn.Parameter(torch.zeros(width, sum(sizes)))
        starts = np.cumsum([0, *(s + 1 for s in sizes)], dtype=np.int64)[:-1]
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)
        hidden = torch.from_numpy(np.array(self.sizes, np.int64))
        self.register_buffer("hidden", hidden, persistent=False)

    def reset(self, generator: torch.Generator, shares: Tensor) -> None:
        """Draw the starting values, on the CPU, around the logs of the shares of all tokens."""
        drawn = torch.empty(self.table.shape).normal_(0.0, 0.5, generator=generator)
        with torch.no_grad():
            self.table.copy_(drawn + shares.cpu().clamp_min(1e-6).log())

    def log_shares(self) -> Tensor:
        """Return the log-probabilities of all tokens in each latent row, (width, sum of sizes)."""
        parts = torch.split(self.table, list(self.sizes), dim=1)
        return torch.cat([part.log_softmax(dim=1) for part in parts], dim=1)

    @property
    def bias(self) -> None:
        """None: nothing is added to the logits."""

    def inputs(self) -> Tensor:
        """Return one vector per token, hidden tokens among them: what it says of latent rows."""
        parts = torch.split(self.log_shares().T, list(self.sizes))
        return torch.cat([F.pad(part, (0, 0, 0, 1)) for part in parts])

    def outputs(self) -> Tensor:
        """Return the probabilities of all tokens, shape (sum of sizes, width)."""
        return self.log_shares().T.exp()

    def trunk(self, total: Tensor) -> Tensor:
        """Return the probabilities of latent rows. Shape: (rows, width) -> (rows, width)."""
        return total.float().softmax(dim=1)

    def head(self, features: Tensor, outputs: Tensor, bias: Tensor | None) -> Tensor:
        """Return log-probabilities of some tokens.

        Shape: features (rows, width), outputs (n, width), those of the tokens -> (rows, n).
        """
        return F.linear(features, outputs).clamp_min(1e-30).log()


class LatentChoice(nn.Module):
    """Draws a latent row, given which all variables are independent.

    So rows of a mixture can be drawn in one step as well as in many.
    """

    def scores(self, features: Tensor, group: Tensor | None) -> Tensor:
        """Return the log-probabilities of the latent rows, which are the logs of `features`."""
        return features.log()

    def features_of(self, features: Tensor, chosen: Tensor, visible: Tensor | None) -> Tensor:
        """Return what is known of rows that have certain latent rows: nothing else.

        Shape: features (rows, width), chosen (rows,) int64 -> (rows, width).
        """
        return F.one_hot(chosen, features.shape[1]).to(features.dtype)
