"""Hidden cells of rows are drawn group by group, given all that is visible."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthgan.memory import rows_at_once
from synthgan.networks.layers import draw_one
from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
from synthgan.networks.predictor import KERNEL_ROWS, Predictor, converted
from synthgan.networks.rows import LatentClasses, RowGenerator
from synthgan.networks.shares import Shares

__all__ = ["MOST_START_SHARES", "Completer"]

#: Classes times tokens up to which the first step draws from one table for all rows (about 200 MB).
MOST_START_SHARES = 2**22

Weights = Sequence[Tensor | None]
Tie = LatentClasses | LatentChoice


class Completer:
    """Fills the hidden cells of rows.

    Parameters
    ----------
    generator : RowGenerator or MixtureGenerator
        In evaluation; its weights are not changed.
    precision : torch.dtype or None
        Dtype of the matrix products of the trunk, or None for float32.
    joint : LatentClasses or LatentChoice or None
        Ties the variables of a group together; None draws them independently.
    """

    def __init__(
        self,
        generator: RowGenerator | MixtureGenerator,
        precision: torch.dtype | None,
        joint: Tie | None,
    ) -> None:
        self.predictor, self.joint = Predictor(generator, precision), joint
        self._tie = None if joint is None else converted(joint, precision)
        self._start_of: dict[int, tuple[Weights, Shares]] = {}

    def forget(self) -> None:
        """Forget what followed from weights that have changed since."""
        self._start_of.clear()

    def complete(
        self,
        codes: Tensor,
        known: Tensor,
        groups: Sequence[Sequence[int]],
        uniforms: Tensor,
        weights: Weights,
        latents: Tensor | None = None,
    ) -> Tensor:
        """Fill the hidden cells of a block, as many rows at once as fit.

        Of rows of each of which something is known, or nothing of any: their first group is drawn
        in another way.

        Parameters
        ----------
        codes : Tensor, shape (rows, variables), int64
            Tokens; those of hidden cells are ignored.
        known : Tensor, shape (rows, variables), bool
        groups : sequence of lists of int
            Variables to reveal, group after group; those of one group are drawn independently of
            each other, given all that is visible and the latent class of the row.
        uniforms : Tensor, shape (rows, variables), float32 in [0, 1)
            One number per cell to draw.
        weights : sequence of Tensor or None
            For each variable, factors on the probabilities of its tokens.
        latents : Tensor, shape (groups, rows, 1), optional
            Uniform numbers for the choice of latent classes.

        Returns
        -------
        Tensor, shape (rows, variables), int64
        """
        widest = max((sum(self.predictor.sizes[j] for j in group) for group in groups), default=1)
        at_once = rows_at_once(widest)
        if len(codes) > at_once:
            cut = [torch.split(cells, at_once) for cells in (codes, known, uniforms)]
            ties: Sequence[Tensor | None] = [None] * len(cut[0])
            if latents is not None:
                ties = torch.split(latents, at_once, dim=1)
            parts = zip(*cut, ties, strict=True)
            return torch.cat(
                [self.complete(c, k, groups, u, weights, tie) for c, k, u, tie in parts]
            )
        return self.reveal(codes, known, groups, uniforms, weights, latents)[0]

    def reveal(
        self,
        codes: Tensor,
        known: Tensor,
        groups: Sequence[Sequence[int]],
        uniforms: Tensor,
        weights: Weights,
        latents: Tensor | None = None,
        tally: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the completed tokens and the log of the mass that the weights left, per row.

        As :meth:`complete`, of all rows at once. To `tally`, of shape (sum of sizes,), it adds how
        many rows are expected to have each token.
        """
        predictor, tie, steps = self.predictor, self._tie, len(groups)
        empty, fresh = not bool(known.any()), ~known
        codes = predictor.visible_only(codes, known)
        visible = _Visible(predictor, codes, empty)
        log_mass = torch.zeros(len(codes), device=codes.device)
        seen = known.sum(1)
        for number, group in enumerate(map(list, groups)):
            features, hidden = predictor.features(visible.total), fresh[:, group]
            if tie is None or latents is None or len(group) == 1:
                scores = predictor.scores(features, group, predictor.bias())
                shares = self._shares(scores, group, weights, visible.place)
            elif empty and not number:
                shares = self._first(tie, features, group, latents[number], steps, weights)
            else:
                asked = hidden[:1] if empty else hidden
                features = visible.of_rows(features)
                share = seen / codes.shape[1]
                scores = self._tied(tie, features, group, asked, share, latents[number], steps)
                shares = self._shares(scores, group, weights)
            drawn = shares.draw(uniforms[:, group])
            if tally is not None:
                tally[predictor.tokens(group)] += shares.expected(len(codes)).to(tally)
            if shares.log_mass is not None:
                log_mass = log_mass + torch.where(hidden, shares.log_mass, 0.0).sum(1)
            before = (predictor.hidden if empty else codes)[:, group]
            cells = drawn if empty else torch.where(hidden, drawn, before)
            if number < steps - 1:
                visible.reveal(group, before, cells)
            seen = seen + hidden.sum(1)
            codes[:, group] = cells
        return codes, log_mass

    def _shares(
        self, scores: Tensor, group: Sequence[int], weights: Weights, place: Tensor | None = None
    ) -> Shares:
        """Return the shares of the tokens of a group.

        Parameters
        ----------
        scores : Tensor, shape (n, tokens of the group)
            Logits.
        group : sequence of int
        weights : sequence of Tensor or None
            Factors of each variable.
        place : Tensor, shape (rows,), int64, optional
            Which of the `n` hold for each row; None if there are as many as rows.
        """
        sizes = [self.predictor.sizes[j] for j in group]
        factors = [weights[j] for j in group]
        if place is None or len(scores) == 1:
            return Shares.of(scores, sizes, factors)
        if any(factor is not None for factor in factors):  # whatever little they leave
            return Shares.of(scores[place], sizes, factors)
        shares = Shares.of(scores, sizes, factors, shared=True)
        return shares.taken(range(len(group)), place)

    def _first(
        self,
        tie: Tie,
        features: Tensor,
        group: Sequence[int],
        uniform: Tensor,
        steps: int,
        weights: Weights,
    ) -> Shares:
        """Draw classes for rows of which nothing is known; return the shares of the first group.

        A class has the same shares in all of these rows. Those of all variables are found at once,
        unless that takes much memory, and the last are kept: they are the same in all blocks.

        Shape: features (1, width), uniform (rows, 1).
        """
        likely = tie.scores(features, None).softmax(1)
        chosen, classes, sizes = draw_one(likely, uniform), likely.shape[1], self.predictor.sizes
        bias = self.predictor.bias(self.joint, steps)
        if classes * sum(sizes) > MOST_START_SHARES:
            tied = tie.features_of(features, chosen, None)
            return self._shares(self.predictor.scores(tied, group, bias), group, weights)
        held, shares = self._start_of.get(steps, ((), None))
        if shares is None or not _same(held, weights):
            every = torch.arange(classes, device=features.device)
            options = tie.features_of(features.expand(classes, -1), every, None)
            scores = self.predictor.scores(options, range(len(sizes)), bias)
            shares = Shares.of(scores, sizes, weights, shared=True)
            self._start_of.clear()
        self._start_of[steps] = weights, shares
        return shares.taken(group, chosen)

    def _tied(
        self,
        tie: Tie,
        features: Tensor,
        group: Sequence[int],
        hidden: Tensor,
        visible: Tensor,
        uniform: Tensor,
        steps: int,
    ) -> Tensor:
        """Draw classes for rows of which something is known; return the logits of a group.

        Rows in which fewer than two cells of the group are hidden have nothing to tie.

        Shape: features (rows, width), hidden (rows or 1, variables of the group) bool, visible
        (rows,), the share of the variables that is, uniform (rows, 1)
        -> (rows, tokens of the group).
        """
        predictor = self.predictor
        asked = features.new_zeros(len(hidden), len(predictor.sizes))
        asked[:, list(group)] = hidden.to(asked)
        chosen = draw_one(tie.scores(features, asked).softmax(1), uniform)
        bias, plain = predictor.bias(self.joint, steps), predictor.bias()
        tied = tie.features_of(features, chosen, visible)
        alone = hidden.sum(1, keepdim=True) < 2
        if not bool(alone.any()):
            return predictor.scores(tied, group, bias)
        scores = predictor.scores(torch.where(alone, features, tied), group, bias)
        if bias is None or plain is None:
            return scores
        return scores - torch.where(alone, (bias - plain)[predictor.tokens(group)], 0.0)


class _Visible:
    """What is visible of the rows of a block.

    What the network says follows from that alone, so it is asked once for rows that look alike.
    There are many of them in the first steps, when nothing or a column or two are visible. Once
    more than half of the rows are alone, each stands for itself. On other devices than the CPU it
    does from the first revealed column on: there, a row costs less than finding its like.

    Parameters
    ----------
    predictor : Predictor
    codes : Tensor, shape (rows, variables), int64
        Tokens, *hidden* ones among them.
    empty : bool
        Whether all are hidden.

    Attributes
    ----------
    total : Tensor, shape (n, width)
        Sums of the vectors of the tokens.
    place : Tensor, shape (rows,), int64, or None
        Which of the `n` belongs to each row; None if each row has its own.
    """

    def __init__(self, predictor: Predictor, codes: Tensor, empty: bool) -> None:
        self._predictor = predictor
        self.place: Tensor | None = codes.new_zeros(len(codes))
        if not empty:
            self.place = _parted(self.place, codes, predictor.sizes)
        self.total = predictor.total(codes[_one_of_each(self.place)])

    def of_rows(self, values: Tensor) -> Tensor:
        """Return what belongs to each row. Shape: (n, width) -> (rows, width)."""
        return values if self.place is None else values[self.place]

    def reveal(self, group: Sequence[int], before: Tensor, cells: Tensor) -> None:
        """Replace the tokens of a group by the cells that it has now.

        Shape: before (rows or 1, variables of the group) int64, cells (rows, the same).
        """
        predictor, old = self._predictor, self.place
        if old is not None:
            self.place = _parted(old, cells, [predictor.sizes[j] for j in group])
        rows = _one_of_each(self.place)
        total = self.total if old is None else self.total[old[rows]]
        before = before if len(before) == 1 else before[rows]
        after = predictor.total(cells[rows], group)
        self.total = total + after - predictor.total(before, group)


def _parted(place: Tensor, cells: Tensor, sizes: Sequence[int]) -> Tensor | None:
    """Return which rows are still alike when more of their cells are visible.

    Shape: place (rows,), equal for rows that were alike, cells (rows, variables) -> (rows,), from 0
    on; None if most rows are alone, or not on the CPU.
    """
    if place.device.type != "cpu":
        return None
    for column, size in zip(cells.T, sizes, strict=True):
        kinds, place = torch.unique(place * (size + 1) + column, return_inverse=True)
        if 2 * len(kinds) > len(place):
            return None
    return place


def _one_of_each(place: Tensor | None) -> Tensor | slice:
    """Return a row of each kind, and some more of the first: that many rows have a kernel."""
    if place is None:
        return slice(None)
    n = int(place.max()) + 1
    rows = place.new_zeros(n if n == 1 else -(-n // KERNEL_ROWS) * KERNEL_ROWS)
    rows[place] = torch.arange(len(place), device=place.device)
    return rows


def _same(ours: Weights, theirs: Weights) -> bool:
    """Return whether factors of as many variables are equal."""
    if ours is theirs:
        return True
    if len(ours) != len(theirs):
        return False
    return all(
        a is b or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(ours, theirs, strict=True)
    )
