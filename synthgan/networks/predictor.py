"""A trained generator made ready to predict: its weights and token tables, converted once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgan.networks.mixtures import MixtureGenerator
from synthgan.networks.rows import LatentClasses, RowGenerator

__all__ = ["KERNEL_ROWS", "Predictor", "converted"]

#: Numbers of rows should be multiples of this: a kernel is made, and kept, for each shape.
KERNEL_ROWS = 64

Module = TypeVar("Module", bound=nn.Module)


def converted(module: Module, precision: torch.dtype | None) -> Module:
    """Return a copy of a module in another precision, without gradients; itself if that is None."""
    if precision is None:
        return module
    return copy.deepcopy(module).to(precision).requires_grad_(False)


class Predictor:
    """Says what the visible part of a row tells of the other variables.

    Training converts weights to half precision, and makes the vectors of tokens from their
    parts, in every step. Here that is done once. What is said of a row starts from the sum of the
    vectors of its tokens, which changes by a difference when a variable is revealed.

    Parameters
    ----------
    generator : RowGenerator or MixtureGenerator
        Trained. Its ``bias`` may still change, nothing else.
    precision : torch.dtype or None
        Dtype of the matrix products, or None for float32.
    """

    def __init__(
        self, generator: RowGenerator | MixtureGenerator, precision: torch.dtype | None
    ) -> None:
        self.generator, self.sizes = generator, generator.sizes
        self.half, self.precision = precision, precision or torch.float32
        with torch.no_grad():
            self.inputs = generator.inputs().detach()
            self.outputs = generator.outputs().detach().to(self.precision)
        self._starts, self._hidden = generator.starts, generator.hidden
        self._network = converted(generator, precision)
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        every = torch.arange(sum(self.sizes), device=self.device)
        self._tokens = torch.split(every, list(self.sizes))
        self.parts = [slice(b - n, b) for n, b in zip(self.sizes, ends, strict=True)]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.inputs.device

    @property
    def hidden(self) -> Tensor:
        """A row of which nothing is known, shape (1, variables)."""
        return self._hidden[None]

    def tokens(self, variables: Sequence[int]) -> Tensor:
        """Return where the tokens of some variables are among all, shape (their tokens,)."""
        return torch.cat([self._tokens[j] for j in variables])

    def visible_only(self, tokens: Tensor, known: Tensor) -> Tensor:
        """Return rows with the token *hidden* in place of cells that are not known.

        Shape: tokens (rows, variables) int64, known (rows, variables) bool, or one row of it
        -> (rows, variables).
        """
        return torch.where(known, tokens, self._hidden)

    def total(self, tokens: Tensor, variables: Sequence[int] | None = None) -> Tensor:
        """Return the sum of the vectors of the tokens, hidden ones among them.

        Shape: tokens (rows, variables given, all by default) int64 -> (rows, width), float32.
        """
        starts = self._starts if variables is None else self._starts[list(variables)]
        return F.embedding_bag(tokens + starts, self.inputs, mode="sum")

    def features(self, total: Tensor) -> Tensor:
        """Return what the heads see. Shape: (rows, width) -> (rows, width)."""
        return self._network.trunk(total.to(self.precision))

    def bias(self, classes: nn.Module | None = None, steps: int = 0) -> Tensor | None:
        """Return what is added to all logits, if classes tie rows of so many steps."""
        plain = self.generator.bias
        if plain is None or not isinstance(classes, LatentClasses):
            return plain
        return plain + classes.bias_of(steps)

    def scores(self, features: Tensor, variables: Sequence[int], bias: Tensor | None) -> Tensor:
        """Return the logits of the tokens of some variables, in float32.

        Shape: features (rows, width), bias (sum of sizes,) -> (rows, tokens of these variables).
        """
        tokens = self.tokens(variables)
        own = None if bias is None else bias.index_select(0, tokens)
        outputs = self.outputs.index_select(0, tokens)
        return self.generator.head(features.to(self.precision), outputs, own)

    def log_probabilities(self, features: Tensor, variable: int) -> Tensor:
        """Return the log-probabilities of the tokens of one variable, without classes.

        Shape: features (rows, width) -> (rows, tokens of the variable).
        """
        return self.scores(features, [variable], self.generator.bias).log_softmax(1)
