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
#: Tokens of a variable, on average, from which on they are searched block by block.
_WIDE = 2**9


@dataclass(frozen=True, slots=True)
class Shares:
    """Distributions of the tokens of some variables in some rows.

    All variables of a row are drawn from by one search in the running sums over all their tokens,
    in float64: each has a span of these, and a uniform number is a place in the span. Where
    variables have hundreds of tokens on average, the sums run over blocks of tokens, and a second
    search, within the block found, ends at the token.

    Attributes
    ----------
    terms : Tensor, shape (rows, tokens of all variables), float32
        Weights of tokens.
    running : Tensor, shape (rows, blocks of all variables), float64
        Running sums of the weights of blocks.
    below, ends : Tensor, shape (rows, variables), float64
        Where the span of each variable begins and ends.
    sizes : Tensor, shape (variables,), int64
        Tokens of each variable.
    block : int
        Tokens of a block. The last of a variable has what is left.
    starts, first : Tensor, shape (variables,), int64
        The first token of each variable, and the first of its blocks.
    log_mass : Tensor, shape (rows, variables), or None
        Logs of the probabilities that the factors left; None if there were none.
    chosen : Tensor, shape (n,), int64, or None
        The row that holds for each of n others that share them; None if they are not shared.
    """

    terms: Tensor
    running: Tensor
    below: Tensor
    ends: Tensor
    sizes: Tensor
    block: int
    starts: Tensor
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
            Overwritten.
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
        block, lengths = _block(sizes), torch.tensor(sizes, device=device)
        terms = scores.to(device)  # Apple's devices have no float64
        parts = torch.split(terms, list(sizes), dim=1)
        for part in parts:
            part -= part.amax(1, keepdim=True)
        terms.exp_()
        confined, log_mass = any(weight is not None for weight in weights), None
        if confined:
            whole = torch.stack([part.sum(1) for part in parts], dim=1).double()
            ones = (torch.ones(size, device=device) for size in sizes)
            known = zip(ones, weights, strict=True)
            factors = torch.cat([one if w is None else w.to(device) for one, w in known])
            terms *= factors
        blocks = -(-lengths // block)
        starts, first = lengths.cumsum(0) - lengths, blocks.cumsum(0) - blocks
        running, below, ends = _spans(terms, sizes, block, first + blocks - 1)
        if confined:
            mass = ends - below
            empty = mass <= (_LITTLE if shared else _NOTHING) * whole
            log_mass = torch.where(empty, _NOTHING, mass / whole).log().float().to(home)
            if bool(empty.any()):
                terms = torch.where(empty.repeat_interleave(lengths, dim=1), factors, terms)
                running, below, ends = _spans(terms, sizes, block, first + blocks - 1)
        if shared:
            lifts = torch.arange(len(running), device=device)[:, None] * (running.max() * 1.5)
            for sums in (running, below, ends):
                sums += lifts
        return cls(terms, running, below, ends, lengths, block, starts, first, log_mass)

    def taken(self, variables: Sequence[int], chosen: Tensor) -> Shares:
        """Return those of some variables, of which `chosen`, of shape (n,), names the rows."""
        wanted = torch.tensor(variables, device=self.below.device)
        mass = self.log_mass
        return replace(
            self,
            below=self.below[:, wanted],
            ends=self.ends[:, wanted],
            sizes=self.sizes[wanted],
            starts=self.starts[wanted],
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
        where = _inside(below + uniforms.to(below) * (ends - below), below, ends)
        if chosen is not None:
            found = torch.searchsorted(self.running.view(-1), where, right=True)
            found = found - chosen[:, None] * self.running.shape[1]
        elif len(self.running) == 1:
            found = torch.searchsorted(self.running[0], where, right=True)
        else:
            found = torch.searchsorted(self.running, where, right=True)
        found -= self.first
        if self.block > 1:
            found = found * self.block + self._within(found, where)
        return found.to(uniforms.device)

    def _within(self, blocks: Tensor, where: Tensor) -> Tensor:
        """Return the tokens, of blocks of variables, where running sums reach a place.

        Shape: blocks (n, variables) int64, where (n, variables) -> (n, variables), from 0 on.
        """
        rows = self.chosen
        if rows is None:
            rows = torch.arange(len(self.running), device=blocks.device)
        tops = self.running[rows[:, None], self.first + blocks]
        tokens = blocks[..., None] * self.block + torch.arange(self.block, device=blocks.device)
        last = self.sizes[:, None] - 1
        terms = self.terms[rows[:, None, None], self.starts[:, None] + tokens.minimum(last)]
        running = (terms * (tokens <= last)).cumsum(2, dtype=torch.float64)
        whole = running[..., -1]
        place = _inside(whole - (tops - where), torch.zeros_like(whole), whole)
        return torch.searchsorted(running, place[..., None], right=True).squeeze(2)

    def expected(self, rows: int) -> Tensor:
        """Return how many of `rows` rows are expected to have each token, shape (tokens,)."""
        spans = self.ends - self.below
        if self.chosen is None:
            counts = torch.full_like(spans[:, :1], rows / len(spans))
        else:
            counts = torch.bincount(self.chosen, minlength=len(spans))[:, None]
        weights = (counts / spans).to(self.terms).T  # one row per variable
        places = zip(weights, self.starts.tolist(), self.sizes.tolist(), strict=True)
        return torch.cat([own @ self.terms[:, n : n + size] for own, n, size in places])


def _block(sizes: Sequence[int]) -> int:
    """Return how many tokens are a block: about as many as a variable then has blocks."""
    mean = sum(sizes) // len(sizes)
    return 2 ** (mean.bit_length() // 2) if mean >= _WIDE else 1


def _inside(where: Tensor, below: Tensor, ends: Tensor) -> Tensor:
    """Return places within spans: from their ends on, shares are 0."""
    return torch.maximum(torch.minimum(where, torch.nextafter(ends, below)), below)


def _spans(
    terms: Tensor, sizes: Sequence[int], block: int, last: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return running sums of blocks, and where the span of each variable begins and ends.

    Shape: terms (rows, tokens), last block of each variable (variables,) -> (rows, blocks), twice
    (rows, variables).
    """
    sums = terms
    if block > 1:
        parts = torch.split(terms, list(sizes), dim=1)
        sums = torch.cat([_sums(part, block) for part in parts], dim=1)
    running = sums.cumsum(1, dtype=torch.float64)
    ends = running[:, last]
    below = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1)
    return running, below, ends


def _sums(terms: Tensor, block: int) -> Tensor:
    """Return the sums of blocks of tokens. Shape: (rows, tokens) -> (rows, blocks)."""
    blocks = terms.shape[1] // block
    whole, rest = terms[:, : blocks * block], terms[:, blocks * block :]
    sums = whole.view(len(terms), blocks, block).sum(2)
    return torch.cat([sums, rest.sum(1, keepdim=True)], 1) if rest.shape[1] else sums
