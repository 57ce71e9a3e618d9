"""From a trained generator to rows, also under conditions, and what is likely.

Rows are drawn in blocks (:mod:`synthgan.blocks`). A block of a sample depends on the seed and its
first row alone, so the rows do not depend on how many are asked for, nor on batch sizes, threads or
processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthgan._runtime import numpy_generator, widest
from synthgan.completion import Completer
from synthgan.group_likelihood import GroupLikelihood
from synthgan.memory import rows_at_once
from synthgan.networks.layers import draw_one
from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
from synthgan.networks.predictor import KERNEL_ROWS, Predictor
from synthgan.networks.rows import LatentClasses, RowGenerator
from synthgan.schedules import Schedule, group_sizes, random_groups

__all__ = ["Sampler"]

#: Candidates per row among which a joint range condition chooses.
CANDIDATES = 16
#: Rows that do so at once, unless a column has very many levels.
_RESTRICTED_ROWS = 512
#: Rows by which the probability of a condition is estimated.
_TRIALS = 1024

#: Orders by which mean probabilities are estimated: one for every row, if there are at most so
#: many variables; more of them would make for many products of few rows.
_OWN_ORDERS, _TALLIED_ORDERS, _TALLIED_SPLITS = 32, 16, 8


@dataclass(frozen=True)
class Sampler:
    """Draws tokens from a trained generator.

    Parameters
    ----------
    generator : RowGenerator or MixtureGenerator
        In evaluation; its weights are not changed.
    precision : torch.dtype or None
        Dtype of the matrix products of the trunk, or None for float32.
    joint : LatentClasses or LatentChoice, optional
        Ties the variables of a group together; None draws them independently.
    schedule : Schedule, optional
        Which variables are revealed together; None takes any.
    steps : int, optional
        Groups of variables if a call does not say; None takes each variable alone, or all at once
        where latent rows tie them.
    """

    generator: RowGenerator | MixtureGenerator
    precision: torch.dtype | None = None
    joint: LatentClasses | LatentChoice | None = None
    schedule: Schedule | None = None
    steps: int | None = None
    _completer: Completer = field(init=False, repr=False)
    _free: Sequence[None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        completer = Completer(self.generator, self.precision, self.joint)
        object.__setattr__(self, "_completer", completer)
        object.__setattr__(self, "_free", [None] * len(self.generator.sizes))

    @property
    def predictor(self) -> Predictor:
        """What says how likely tokens are, given the visible ones."""
        return self._completer.predictor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.predictor.device

    @property
    def default_steps(self) -> int:
        """How many groups of variables there are if a call does not say."""
        exact = 1 if isinstance(self.joint, LatentChoice) else len(self.generator.sizes)
        return self.steps or exact

    def forget(self) -> None:
        """Forget what followed from weights that have changed since."""
        self._completer.forget()

    @torch.no_grad()
    def draw(
        self,
        rng: np.random.Generator,
        rows: int,
        groups: Sequence[Sequence[int]],
        tally: Tensor | None = None,
    ) -> Tensor:
        """Draw rows of which nothing is known, whose variables are revealed in `groups`.

        To `tally`, of shape (sum of sizes,), it adds how many of the rows are expected to have each
        token.

        Returns
        -------
        Tensor, shape (rows, variables), int64
        """
        codes, known = self._nothing(rows)
        uniforms, latents = self._uniforms(rng, rows), self._latents(rng, rows, groups)
        return self._completer.reveal(codes, known, groups, uniforms, self._free, latents, tally)[0]

    @torch.no_grad()
    def draw_block(
        self,
        seed: int,
        first: int,
        rows: int,
        *,
        steps: int | None = None,
        weights: Sequence[Tensor | None],
        restricted: Sequence[int] = (),
        codes: Tensor | None = None,
        known: Tensor | None = None,
    ) -> Tensor:
        """Draw a block of the sample with this `seed`.

        Parameters
        ----------
        seed, first, rows : int
            The first row of the block, and how many it has.
        steps : int, optional
            Groups in which the unrestricted variables are revealed. None takes the default; where
            something of a row is known, as many as its later groups need to be no larger.
        weights : sequence of Tensor or None
            Factors on the token probabilities of each variable.
        restricted : sequence of int
            Variables that a condition confines; they are drawn first, and jointly: among several
            candidates for each row one is chosen by the probability that the model gives to the
            confinement, so that the rows follow the model's conditional distribution
            (sampling-importance resampling).
        codes, known : Tensor, shape (rows, variables), optional
            Cells that are given.

        Returns
        -------
        Tensor, shape (rows, variables), int64
        """
        if codes is None or known is None:
            codes, known = self._nothing(rows)
        rng = numpy_generator(seed, "tokens", first)
        if restricted:
            codes, known = self._draw_restricted(rng, codes, known, list(restricted), weights)
        begun = known.any(1, keepdim=True)
        drawn = codes
        if bool(begun.any()):
            drawn = self._draw_open(rng, codes, known, steps, weights, begun=True)
        if not bool(begun.all()):  # drawn as if all were so, lest others change a row
            rng = numpy_generator(seed, "tokens", first)
            fresh = self._draw_open(rng, *self._nothing(rows), steps, weights, begun=False)
            drawn = torch.where(begun, drawn, fresh)
        return drawn

    def _draw_open(
        self,
        rng: np.random.Generator,
        codes: Tensor,
        known: Tensor,
        steps: int | None,
        weights: Sequence[Tensor | None],
        *,
        begun: bool,
    ) -> Tensor:
        """Draw what is not known of a block of rows, all of which have begun, or none."""
        columns = [j for j, whole in enumerate(known.all(0).tolist()) if not whole]
        if steps is None:
            steps = self._steps_given(len(columns)) if begun else self.default_steps
        groups = self._groups(columns, steps, rng, begun=begun)
        uniforms = self._uniforms(rng, len(codes))
        latents = self._latents(rng, len(codes), groups)
        return self._completer.complete(codes, known, groups, uniforms, weights, latents)

    def _steps_given(self, columns: int) -> int:
        """Return in how many groups so many columns are drawn by default, if others are known.

        None is larger than the later groups of plain samples: no more classes tie it than them,
        and only of those is it measured that they lose nothing.
        """
        plain = self.default_steps
        if plain == 1 or self.schedule is None:
            return plain
        largest = group_sizes(len(self.generator.sizes), plain, begun=False)[1]
        return max(-(-columns // largest), 1)

    def _nothing(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return tokens and knownness of rows of which nothing is known."""
        codes = torch.zeros((rows, len(self.generator.sizes)), dtype=torch.long, device=self.device)
        return codes, torch.zeros_like(codes, dtype=torch.bool)

    def _latents(
        self, rng: np.random.Generator, rows: int, groups: Sequence[Sequence[int]]
    ) -> Tensor | None:
        if self.joint is None or all(len(group) == 1 for group in groups):
            return None
        return self._uniforms(rng, rows, len(groups)).T[:, :, None]

    def _groups(
        self, columns: Sequence[int], steps: int, rng: np.random.Generator, *, begun: bool
    ) -> list[list[int]]:
        if self.schedule is None:
            return random_groups(columns, steps, rng)
        return self.schedule.groups(columns, steps, rng, begun=begun)

    def _uniforms(self, rng: np.random.Generator, rows: int, columns: int | None = None) -> Tensor:
        """Return one uniform number per cell, stratified within each column.

        Every cell is uniform, and the cells of a column fall into different strata of width
        ``1 / rows`` (systematic sampling), so that a sample repeats shares of levels more evenly
        than independent draws would.
        """
        shape = (len(self.generator.sizes) if columns is None else columns, rows)
        strata = rng.permuted(np.broadcast_to(np.arange(rows, dtype=np.float32), shape), axis=1)
        draws = (strata + rng.random(shape, dtype=np.float32)) / np.float32(rows)
        draws = np.minimum(draws, np.float32(1 - 2**-24))
        return torch.from_numpy(np.ascontiguousarray(draws.T)).to(self.device)

    def _draw_restricted(
        self,
        rng: np.random.Generator,
        codes: Tensor,
        known: Tensor,
        restricted: list[int],
        weights: Sequence[Tensor | None],
    ) -> tuple[Tensor, Tensor]:
        """Draw the confined variables of a block in sequence, resampling by the mass left."""
        copies = CANDIDATES if len(restricted) > 1 else 1
        at_once = self._at_once(restricted, copies, _RESTRICTED_ROWS)
        if len(codes) > at_once:
            cut = (torch.split(cells, at_once) for cells in (codes, known))
            found = [
                self._draw_restricted(rng, some, there, restricted, weights)
                for some, there in zip(*cut, strict=True)
            ]
            return torch.cat([rows for rows, _ in found]), torch.cat([there for _, there in found])
        rows = len(codes)
        tall, tall_known = codes.repeat(copies, 1), known.repeat(copies, 1)
        groups = [[j] for j in restricted]
        uniforms = self._uniforms(rng, rows * copies)
        drawn, log_mass = self._completer.reveal(tall, tall_known, groups, uniforms, weights)
        pick = torch.zeros(rows, dtype=torch.long, device=self.device)
        if copies > 1:
            share = log_mass.view(copies, rows).T.contiguous().softmax(1).cumsum(1)
            choice = torch.from_numpy(rng.random((rows, 1), dtype=np.float32)).to(self.device)
            pick = torch.searchsorted(share, choice).squeeze(1).clamp_(max=copies - 1)
        drawn = drawn.view(copies, rows, -1)[pick, torch.arange(rows, device=self.device)]
        known = known.clone()
        known[:, restricted] = True
        return drawn, known

    @torch.no_grad()
    def log_probability_of_weights(
        self, restricted: Sequence[int], weights: Sequence[Tensor | None]
    ) -> float:
        """Estimate the log-probability that a row satisfies a condition, by 1,024 draws."""
        uniforms = self._uniforms(numpy_generator(0, "condition"), _TRIALS)
        groups = [[j] for j in restricted]
        masses = [
            self._completer.reveal(*self._nothing(len(part)), groups, part, weights)[1]
            for part in torch.split(uniforms, self._at_once(restricted, 1, _TRIALS))
        ]
        return float(torch.cat(masses).logsumexp(0) - np.log(_TRIALS))

    def _at_once(self, restricted: Sequence[int], copies: int, most: int) -> int:
        """Return how many rows are confined at once, `copies` of each, so that logits fit."""
        if len(restricted) == 1:  # all rows have the same
            return most
        return rows_at_once(copies * max(self.generator.sizes), 16, most)

    @torch.no_grad()
    def log_likelihood(
        self, codes: Tensor, orders: int, seed: int, variables: Sequence[int] | None = None
    ) -> Tensor:
        """Return the log-probability of rows, averaged over random orders, shape (rows,).

        That of some `variables` alone if they are given; the tokens of the others do not matter.
        """
        likelihood, every = GroupLikelihood(self.predictor), range(len(self.generator.sizes))
        found = codes.new_zeros(len(codes), dtype=widest(codes.device))
        for number in range(orders):
            order = numpy_generator(seed, "score", number).permutation(every)
            if variables is not None:
                order = order[np.isin(order, variables)]
            found += likelihood.of_rows(codes, [[j] for j in order.tolist()], None)
        return found / orders

    @torch.no_grad()
    def log_shares_given(self, codes: Tensor, variable: int) -> Tensor:
        """Return the log-probabilities of the tokens of one variable, given all others.

        Shape: codes (rows, variables) -> (rows, tokens of the variable).
        """
        known = torch.ones_like(codes[:1], dtype=torch.bool)
        known[:, variable] = False
        total = self.predictor.total(self.predictor.visible_only(codes, known))
        return self.predictor.log_probabilities(self.predictor.features(total), variable)

    @torch.no_grad()
    def expected_shares(self, seed: int, number: int, rows: int, steps: int) -> list[Tensor]:
        """Return the shares of tokens that samples of so many steps have on average.

        Means of the probabilities from which rows are drawn; they are far less noisy than the
        shares of the drawn tokens. What is drawn depends on `seed` and `number`. One variable a
        step, each row has an order of its own, or, if there are many variables, one of a few;
        groups are shared by an eighth of the rows.

        Returns
        -------
        list of Tensor, one of shape (tokens,) per variable
        """
        sizes = self.generator.sizes
        rng = numpy_generator(seed, "shares", number)
        tally = torch.zeros(sum(sizes), device=self.device)
        self.forget()  # biases may have changed
        if steps >= len(sizes):
            self._tally_in_turn(rng, rows, tally)
        else:
            part = -(-rows // _TALLIED_SPLITS)
            rows = part * _TALLIED_SPLITS
            for _ in range(_TALLIED_SPLITS):
                groups = self._groups(range(len(sizes)), steps, rng, begun=False)
                self.draw(rng, part, groups, tally)
        return list(torch.split(tally / rows, list(sizes)))

    def _tally_in_turn(self, rng: np.random.Generator, rows: int, tally: Tensor) -> None:
        """Draw rows one variable at a time, in many orders at once; add up all probabilities."""
        predictor, n_variables = self.predictor, len(self.generator.sizes)
        distinct = (
            rows if n_variables <= _OWN_ORDERS else min(-(-rows // KERNEL_ROWS), _TALLIED_ORDERS)
        )
        plain = np.broadcast_to(np.arange(n_variables), (distinct, n_variables))
        orders = torch.from_numpy(rng.permuted(plain, axis=1)).to(self.device)
        orders = orders[torch.arange(rows, device=self.device) * distinct // rows]
        uniforms = self._uniforms(rng, rows)
        hidden = predictor.hidden
        total = predictor.total(hidden).repeat(rows, 1)
        bias = predictor.bias()
        for turn in orders.T:
            features = predictor.features(total)
            present, counts = turn.unique(return_counts=True)
            parts = torch.split(turn.argsort(), counts.tolist())
            for j, places in zip(present.tolist(), parts, strict=True):
                padded = F.pad(places, (0, -len(places) % KERNEL_ROWS))  # by row 0
                scores = predictor.scores(features[padded], [j], bias)
                shares = scores[: len(places)].softmax(1)
                tally[predictor.parts[j]] += shares.sum(0)
                drawn = draw_one(shares, uniforms[places, j : j + 1])[:, None]
                before = predictor.total(hidden[:, [j]], [j])
                total[places] += predictor.total(drawn, [j]) - before
