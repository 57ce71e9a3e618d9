"""Rows: a generator that completes them, and a critic that judges them.

A row is a tensor of tokens, one small categorical variable per column. The extra token ``sizes[j]``
of variable ``j`` means *hidden*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan.networks.layers import Linear

#: Cosines that describe the tokens of an ordered variable.
WAVES = 32
#: A variable with at most so many ordered tokens is treated like one without an order.
_SHORT = 8
#: Biases: of rows of one step, of 2 or 3, of 4 to 7, and on to those of 64 steps and more.
_BIASES = 7
#: Stages of a row after the first with shifts of their own.
_STAGES = 3
_CLASS_WIDTH = 128


class TokenEmbedding(nn.Module):
    """One vector per token of every variable.

    Tokens without an order have a free vector each. Ordered ones (numbers) have a smooth part, a
    sum of cosines of the token's rank with coefficients shared by the variable, and a fine part of
    their own, which training holds small. Gradients of one bin so reach its neighbours, and fine
    bins can be learned from few rows without memorising them.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each variable.
    n_ordered : sequence of int
        Leading tokens of each variable that are in ascending order; 0 for unordered variables.
    width : int
        Length of each vector.
    scale : float
        Standard deviation of the entries at the start.

    Shape: () -> (sum of sizes, width).
    """

    def __init__(
        self, sizes: Sequence[int], n_ordered: Sequence[int], width: int, scale: float
    ) -> None:
        super().__init__()
        self.basis: Tensor
        self.source: Tensor
        self.place: Tensor
        self.starts: Tensor
        self.scale = scale
        lengths = [n if n > _SHORT else 0 for n in n_ordered]
        longest = max(lengths, default=0)
        ordered = [(j, n) for j, n in enumerate(lengths) if n]
        basis = np.zeros((len(ordered), longest, WAVES), np.float32)
        source = np.empty(0, np.int64)
        for v, (_, n) in enumerate(ordered):
            basis[v, :n] = _cosines(n)
            source = np.append(source, v * longest + np.arange(n))
        ranks = [np.arange(s) < n for s, n in zip(sizes, lengths, strict=True)]
        smooth = np.concatenate([np.empty(0, bool), *ranks])
        place = np.argsort(np.argsort(smooth, kind="stable"), kind="stable")
        starts = np.cumsum([0, *sizes], dtype=np.int64)[:-1]
        buffers = {"basis": basis, "source": source, "place": place, "starts": starts}
        for name, array in buffers.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)
        n_smooth = sum(lengths)
        self.free = nn.Parameter(torch.zeros(sum(sizes) - n_smooth, width))
        self.fine = nn.Parameter(torch.zeros(n_smooth, width))
        self.smooth = nn.Parameter(torch.zeros(len(ordered), WAVES, width))

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting values."""
        with torch.no_grad():
            for parameter in (self.free, self.fine, self.smooth):
                parameter.normal_(0.0, self.scale, generator=generator)

    def forward(self) -> Tensor:
        """Return the vectors of all tokens."""
        if not self.fine.numel():
            return self.free
        curves = torch.bmm(self.basis, self.smooth).flatten(0, 1)  # (variables * longest, width)
        ordered = self.fine + curves.index_select(0, self.source).to(self.fine.dtype)
        return torch.cat([self.free, ordered]).index_select(0, self.place)

    def total(self, tokens: Tensor) -> Tensor:
        """Return the sum of the vectors of rows. Shape: (rows, variables) -> (rows, width)."""
        return F.embedding_bag(tokens + self.starts, self(), mode="sum")


def _cosines(n: int) -> np.ndarray[Any, Any]:
    """Return ``WAVES`` cosines on `n` equal steps, higher frequencies smaller, shape (n, WAVES)."""
    position = (np.arange(n) + 0.5) / n
    frequency = np.arange(1, WAVES + 1)
    waves = np.cos(np.pi * position[:, None] * frequency) * math.sqrt(2.0)
    return np.where(frequency < n, waves / np.sqrt(frequency), 0.0)


class ResidualBlock(nn.Module):
    """``h + project(a * silu(b))``, where ``a, b = expand(norm(h))``.

    A gated unit (Shazeer 2020, arXiv:2002.05202): products let a few layers learn what three or
    more columns say together. Each half has two thirds of `width` units, in whole multiples of 32,
    so that a block costs what one hidden layer of `width` units would.

    Shape: (rows, width) -> (rows, width).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(round(width / 48), 1) * 32  # kernels like multiples of 32
        self.gain = nn.Parameter(torch.ones(width))
        self.expand = Linear(width, 2 * inner)
        self.project = Linear(inner, width)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting values: the block starts as the identity plus a little noise."""
        bound = 1.0 / math.sqrt(self.expand.in_features)
        with torch.no_grad():
            self.expand.weight.uniform_(-bound * 1.7, bound * 1.7, generator=generator)
            self.project.weight.uniform_(-bound * 0.3, bound * 0.3, generator=generator)
            self.expand.bias.zero_()
            self.project.bias.zero_()

    def forward(self, h: Tensor) -> Tensor:
        """Apply the block."""
        u = F.layer_norm(h, h.shape[-1:], self.gain.to(h.dtype))
        value, gate = self.expand(u).chunk(2, dim=-1)
        out: Tensor = h + self.project(value * F.silu(gate))
        return out


class RowGenerator(nn.Module):
    """Predicts every hidden variable of a row from the visible ones.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each variable.
    n_ordered : sequence of int
        Leading tokens of each variable that are in ascending order.
    width, depth : int
        Width and number of residual blocks.
    """

    def __init__(
        self, sizes: Sequence[int], n_ordered: Sequence[int], width: int, depth: int
    ) -> None:
        super().__init__()
        self.hidden: Tensor
        self.sizes = tuple(sizes)
        self.width = width
        self.inputs = TokenEmbedding(
            [s + 1 for s in sizes], n_ordered, width, 1 / math.sqrt(max(len(sizes), 1))
        )
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.gain = nn.Parameter(torch.ones(width))
        self.outputs = TokenEmbedding(self.sizes, n_ordered, width, 0.3 / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))
        hidden = torch.from_numpy(np.array(self.sizes, np.int64))
        self.register_buffer("hidden", hidden, persistent=False)

    def reset(self, generator: torch.Generator, log_frequencies: Tensor) -> None:
        """Draw the starting weights; `log_frequencies` (sum of sizes,) start the biases."""
        self.inputs.reset(generator)
        self.outputs.reset(generator)
        for block in self.blocks:
            block.reset(generator)  # type: ignore[operator]
        with torch.no_grad():
            self.bias.copy_(log_frequencies)

    @property
    def starts(self) -> Tensor:
        """Where the vectors of each variable begin among those of `inputs`, shape (variables,)."""
        return self.inputs.starts

    def features(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return what the visible part of each row says.

        Shape: tokens (rows, variables) int64, visible (rows, variables) bool -> (rows, width).
        """
        return self.trunk(self.inputs.total(torch.where(visible, tokens, self.hidden)))

    def trunk(self, h: Tensor) -> Tensor:
        """Apply the residual blocks and the last norm. Shape: (rows, width) -> (rows, width)."""
        kind = h.device.type
        if torch.is_autocast_enabled(kind):
            h = h.to(torch.get_autocast_dtype(kind))
        for block in self.blocks:
            h = block(h)
        return F.layer_norm(h, (self.width,), self.gain.to(h.dtype))

    def logits(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return one tensor of logits per variable, each of shape (rows, sizes[j])."""
        whole = F.linear(features, self.outputs(), self.bias)
        parts: tuple[Tensor, ...] = torch.split(whole, list(self.sizes), dim=1)
        return parts

    def head(self, features: Tensor, outputs: Tensor, bias: Tensor | None) -> Tensor:
        """Return the logits of some tokens, in float32.

        Shape: features (rows, width), outputs (n, width) and bias (n,), those of the tokens
        -> (rows, n).
        """
        scores = F.linear(features, outputs).float()
        return scores if bias is None else scores.add_(bias)


class LatentClasses(nn.Module):
    """Ties together the variables that are revealed in one step.

    Given what is visible, the heads of :class:`RowGenerator` draw the variables of a group
    independently of each other. Here a row first draws one of a number of latent classes, whose
    probabilities depend on what is visible, and the class shifts the features that the heads see.
    So a group follows a mixture of products, whose likelihood is a sum over classes. Groups of one
    variable need no tie and are left alone, which keeps full-step sampling exactly as it was
    learned.

    Where nothing is visible, all that the heads say is the same in all rows, and classes cost next
    to nothing. So there are more of them, with probabilities of their own.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each variable.
    width : int
        Width of the generator's features.
    classes, start_classes : int
        Number of latent classes, and of those where nothing is visible.
    """

    def __init__(self, sizes: Sequence[int], width: int, classes: int, start_classes: int) -> None:
        super().__init__()
        self.bias: Tensor
        self.classes, self.start_classes = classes, start_classes
        self.seen = Linear(width, _CLASS_WIDTH)
        self.asked = Linear(len(sizes), _CLASS_WIDTH, bias=False)
        self.prior = Linear(_CLASS_WIDTH, classes)
        self.start_prior = nn.Parameter(torch.zeros(start_classes))
        self.start = nn.Parameter(torch.zeros(start_classes, width))
        self.later = nn.Parameter(torch.zeros(_STAGES, classes, width))
        self.register_buffer("bias", torch.zeros(_BIASES, sum(sizes)))

    def bias_of(self, steps: int) -> Tensor:
        """Return what is added to all logits if rows take so many steps, shape (sum of sizes,)."""
        return self.bias[min(steps.bit_length(), _BIASES) - 1]

    def extend_bias(self, steps: int) -> None:
        """Let rows of more steps have the biases of so many, until they have their own."""
        self.bias[steps.bit_length() :] = self.bias_of(steps)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights; all classes are equally likely."""
        bound = 1.7 / math.sqrt(self.seen.in_features + self.asked.in_features)
        with torch.no_grad():
            for matrix in (self.seen.weight, self.asked.weight):
                matrix.uniform_(-bound, bound, generator=generator)
            for shift in (self.start, self.later):
                shift.normal_(0.0, 0.3, generator=generator)
            for zero in (self.seen.bias, self.prior.weight, self.prior.bias, self.start_prior):
                zero.zero_()

    def scores(self, features: Tensor, group: Tensor | None) -> Tensor:
        """Return the logits of the classes, in float32.

        Shape: features (rows, width), group (rows or 1, variables) 0/1 -> (rows, classes); if
        nothing is visible, `group` is None -> (1, start classes).
        """
        if group is None:
            return self.start_prior.float()[None]
        u = F.relu(self.seen(features) + self.asked(group))
        scores: Tensor = self.prior(u).float()
        return scores

    def shifts(self, visible: float) -> Tensor:
        """Return what each class adds to the features, shape (classes, width).

        `visible` is the share of the variables that are visible. The beginning is a stage of its
        own, and so is each third of the way.
        """
        return self.later[min(int(visible * _STAGES), _STAGES - 1)] if visible else self.start

    def features_of(self, features: Tensor, chosen: Tensor, visible: Tensor | None) -> Tensor:
        """Return the features of rows of known classes.

        Shape: features (rows, width), chosen (rows,) int64, visible (rows,), the share of the
        variables that are visible in each row, or None: nothing is in any -> (rows, width).
        """
        if visible is None:
            return features + self.start.index_select(0, chosen)
        stages = (visible * _STAGES).long().clamp(max=_STAGES - 1)
        return features + self.later[stages, chosen]


class RowCritic(nn.Module):
    """Scores whole rows: how real they are.

    Parameters
    ----------
    sizes, n_ordered : sequence of int
        As for :class:`RowGenerator`.
    width, depth : int
        Width and number of residual blocks.
    packed : int, default 1
        Rows that are judged together, so that too little variety shows (PacGAN, Lin et al. 2018,
        arXiv:1712.04086).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        n_ordered: Sequence[int],
        width: int,
        depth: int,
        packed: int = 1,
    ) -> None:
        super().__init__()
        self.packed = packed
        every = list(sizes) * packed
        self.inputs = TokenEmbedding(every, list(n_ordered) * packed, width, 1.0)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.score = Linear(width, 1)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the starting weights."""
        self.inputs.reset(generator)
        bound = 1 / math.sqrt(self.score.in_features)
        with torch.no_grad():
            self.score.weight.uniform_(-bound, bound, generator=generator)
            self.score.bias.zero_()
        for block in self.blocks:
            block.reset(generator)  # type: ignore[operator]

    def embed(self, rows: Tensor) -> Tensor:
        """Return the sum of the vectors of all cells.

        Shape: (rows, variables) int64 -> (rows / packed, width).
        """
        variables = len(self.inputs.starts)
        return self.inputs.total(rows.reshape(-1, variables)) / math.sqrt(variables)

    def judge(self, h: Tensor) -> Tensor:
        """Score embedded rows, higher is more real. Shape: (rows, width) -> (rows,)."""
        for block in self.blocks:
            h = block(h)
        scores: Tensor = self.score(F.relu(h))
        return scores.squeeze(1)

    def forward(self, rows: Tensor) -> Tensor:
        """Score rows. Shape: (rows, variables) int64 -> (rows / packed,)."""
        return self.judge(self.embed(rows))
