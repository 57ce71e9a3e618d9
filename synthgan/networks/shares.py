"""Probabilities of the tokens of several variables, side by side, ready to draw from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Shares"]

_NOTHING = 1e-30
#: The same where sums go on from row to row, up to millions, which leaves them ten digits.
_LITTLE = 1e-9


@dataclass(frozen=True, slots=True)
class Shares:
    """Distributions of the tokens of some variables in some rows.

    All variables of a row are drawn from by one search in the running sums over all their tokens,
    in float64: each has a span of these, and a uniform number is a place in the span.

    Attributes
    ----------
    running : Tensor, shape (rows, tokens of all variables), float64
        Running sums of the weights of tokens.
    below, ends : Tensor, shape (rows, variables), float64
        Where the span of each variable begins and ends.
    sizes, first : Tensor, shape (variables,), int64
        Tokens of each variable, and where they begin.
    log_mass : Tensor, shape (rows, variables), or None
        Logs of the probabilities that the factors left; None if there were none.
    chosen : Tensor, shape (n,), int64, or None
        The row that holds for each of n others that share them; None if they are not shared.
    """

    running: Tensor
    below: Tensor
    ends: Tensor
    sizes: Tensor
    first: Tensor
    log_mass: Tensor | None
    chosen: Tensor | None = None

    @classmethod
    def of(
        cls,
        scores: Tensor,
        sizes: Sequence[int],
        weights: Sequence[Tensor | None],
        *,
        shared: bool = False,
    ) -> Shares:
        """Return the distributions with logits `scores`, times factors.

        Parameters
        ----------
        scores : Tensor, shape (rows, tokens of all variables)
        sizes : sequence of int
            Tokens of each variable.
        weights : sequence of Tensor or None
            Factors of each variable, of shape (tokens,). Where they leave nothing of a row, they
            take its place.
        shared : bool, default False
            Whether others than these rows draw from them, which :meth:`taken` names. The sums then
            go on from row to row.
        """
        home = scores.device
        device = torch.device("cpu") if home.type == "mps" else home
        lengths = torch.tensor(sizes, device=device)  # Apple's devices have no float64
        scores = scores.to(device)
        terms = torch.empty_like(scores)
        cut = (torch.split(table, list(sizes), dim=1) for table in (scores, terms))
        for part, out in zip(*cut, strict=True):
            torch.sub(part, part.amax(1, keepdim=True), out=out)
        terms.exp_()
        confined, log_mass = any(weight is not None for weight in weights), None
        if confined:
            parts = torch.split(terms, list(sizes), dim=1)
            whole = torch.stack([part.sum(1) for part in parts], dim=1).double()
            ones = (torch.ones(size, device=device) for size in sizes)
            known = zip(ones, weights, strict=True)
            factors = torch.cat([one if w is None else w.to(device) for one, w in known])
            terms *= factors
        running, below, ends = _spans(terms, lengths)
        if confined:
            mass = ends - below
            empty = mass <= (_LITTLE if shared else _NOTHING) * whole
            log_mass = torch.where(empty, _NOTHING, mass / whole).log().float().to(home)
            if bool(empty.any()):
                terms = torch.where(empty.repeat_interleave(lengths, dim=1), factors, terms)
                running, below, ends = _spans(terms, lengths)
        if shared:
            lifts = torch.arange(len(running), device=device)[:, None] * (running.max() * 1.5)
            for sums in (running, below, ends):
                sums += lifts
        return cls(running, below, ends, lengths, lengths.cumsum(0) - lengths, log_mass)

    def taken(self, variables: Sequence[int], chosen: Tensor) -> Shares:
        """Return those of some variables, of which `chosen`, of shape (n,), names the rows."""
        wanted = torch.tensor(variables, device=self.below.device)
        mass = self.log_mass
        return replace(
            self,
            below=self.below[:, wanted],
            ends=self.ends[:, wanted],
            sizes=self.sizes[wanted],
            first=self.first[wanted],
            log_mass=None if mass is None else mass[chosen.to(mass.device)][:, wanted],
            chosen=chosen.to(wanted.device),
        )

    def draw(self, uniforms: Tensor) -> Tensor:
        """Draw tokens by inversion.

        Shape: uniforms (n, variables) in [0, 1) -> (n, variables), int64.
        """
        below, ends, chosen = self.below, self.ends, self.chosen
        if chosen is not None:
            below, ends = below[chosen], ends[chosen]
        where = below + uniforms.to(below) * (ends - below)
        where = torch.minimum(where, torch.nextafter(ends, below))  # from there on shares are 0
        if chosen is not None:
            found = torch.searchsorted(self.running.view(-1), where, right=True)
            found = found - chosen[:, None] * self.running.shape[1]
        elif len(self.running) == 1:
            found = torch.searchsorted(self.running[0], where, right=True)
        else:
            found = torch.searchsorted(self.running, where, right=True)
        return (found - self.first).to(uniforms.device)

    def expected(self, rows: int) -> Tensor:
        """Return how many of `rows` rows are expected to have each token, shape (tokens,)."""
        spans = self.ends - self.below
        if self.chosen is None:
            counts = torch.full_like(spans[:, :1], rows / len(spans))
        else:
            counts = torch.bincount(self.chosen, minlength=len(spans))[:, None]
        places = zip(self.first.tolist(), self.sizes.tolist(), strict=True)
        weights = (counts / spans).T  # one row per variable
        sums = [
            (own @ self.running[:, first : first + size]).diff(prepend=(own @ start)[None])
            for own, start, (first, size) in zip(weights, self.below.T, places, strict=True)
        ]
        return torch.cat(sums)


def _spans(terms: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return running sums, and where the span of each variable begins and ends.

    Shape: terms (rows, tokens), sizes (variables,) -> (rows, tokens), twice (rows, variables).
    """
    running = terms.cumsum(1, dtype=torch.float64)
    ends = running[:, sizes.cumsum(0) - 1]
    below = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1)
    return running, below, ends
