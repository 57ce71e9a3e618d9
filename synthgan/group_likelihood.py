"""How likely rows are whose columns are revealed group by group: the chain rule.

Latent classes make a group a mixture of products, so its likelihood is a plain sum over classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synthgan._runtime import autocast, widest
from synthgan.memory import rows_at_once
from synthgan.networks.predictor import Predictor
from synthgan.networks.rows import LatentClasses

__all__ = ["GroupLikelihood"]


@dataclass(frozen=True, slots=True)
class GroupLikelihood:
    """The log-likelihood of a group of variables, given others.

    Attributes
    ----------
    predictor : Predictor
        Of a trained :class:`~synthgan.networks.rows.RowGenerator`.
    """

    predictor: Predictor

    def __call__(
        self,
        tokens: Tensor,
        known: Sequence[int],
        group: Sequence[int],
        classes: LatentClasses | None,
    ) -> Tensor:
        """Return the log-probability of the cells of `group`, given those of `known`, in nats.

        Without what raking adds to the classes. Shape: tokens (rows, variables) int64 -> (rows,).
        """
        seen = torch.zeros_like(tokens[:1], dtype=torch.bool)
        seen[:, list(known)] = True
        rows = tokens if known else tokens[:1]  # the same is said of all, if of nothing
        total = self.predictor.total(self.predictor.visible_only(rows, seen))
        return self._given(total, tokens, len(known), group, classes, None)

    def _given(
        self,
        total: Tensor,
        tokens: Tensor,
        n_known: int,
        group: Sequence[int],
        classes: LatentClasses | None,
        bias: Tensor | None,
    ) -> Tensor:
        """Return the log-probability of a group, given the sum of the vectors of what is known."""
        with autocast(tokens.device, self.predictor.half):
            with torch.no_grad():
                features = self.predictor.features(total)
            if classes is None or len(group) == 1:
                return self._separate(features, tokens, group)
            if not n_known:
                return self._from_start(features, tokens, group, classes, bias)
            return self._together(features, tokens, group, classes, n_known, bias)

    def _separate(self, features: Tensor, tokens: Tensor, group: Sequence[int]) -> Tensor:
        total = torch.zeros(len(tokens), device=tokens.device)
        for j in group:
            scores = self.predictor.log_probabilities(features, j).expand(len(tokens), -1)
            total = total + scores.gather(1, tokens[:, j : j + 1]).squeeze(1)
        return total

    def _from_start(
        self,
        features: Tensor,
        tokens: Tensor,
        group: Sequence[int],
        classes: LatentClasses,
        bias: Tensor | None,
    ) -> Tensor:
        """Sum over the classes where nothing is known: each is one product in all rows."""
        predictor = self.predictor
        whole = predictor.bias()
        if whole is not None and bias is not None:
            whole = whole + bias
        scores = predictor.scores(features + classes.start, group, whole)
        sizes = [predictor.sizes[j] for j in group]
        parts = [part.log_softmax(1) for part in torch.split(scores, sizes, dim=1)]
        table = torch.cat(parts, dim=1).T.contiguous()  # a row of all classes for each token
        ends = torch.tensor(sizes, device=tokens.device).cumsum(0)
        places = tokens[:, list(group)] + ends - ends.new_tensor(sizes)
        total = F.embedding_bag(places, table, mode="sum")
        return (total + classes.scores(features, None).log_softmax(1)).logsumexp(1)

    def _together(
        self,
        features: Tensor,
        tokens: Tensor,
        group: Sequence[int],
        classes: LatentClasses,
        n_known: int,
        bias: Tensor | None,
    ) -> Tensor:
        """Sum over the classes.

        A class adds a vector to the features, so it multiplies the probability of each token by a
        factor that is the same in all rows; the sums of these products over the tokens, one per
        row and class, are one matrix product.
        """
        asked = torch.zeros(1, tokens.shape[1], device=tokens.device)
        asked[:, list(group)] = 1.0
        total = classes.scores(features, asked).log_softmax(1)
        shifts = classes.shifts(n_known / tokens.shape[1])
        for j in group:
            part = self.predictor.parts[j]
            scores = self.predictor.log_probabilities(features, j)
            if bias is not None:
                scores = scores + bias[part]
            factors = F.linear(shifts, self.predictor.outputs[part]).float()
            highest = factors.max(dim=1, keepdim=True).values.detach()
            sums = (scores.exp() @ (factors - highest).exp().T).float().clamp_min(1e-30).log()
            cells = tokens[:, j]
            own = scores.gather(1, cells[:, None])
            total = total + own + factors.T.index_select(0, cells) - sums - highest.T
        return total.logsumexp(1)

    def of_rows(
        self, tokens: Tensor, groups: Sequence[Sequence[int]], classes: LatentClasses | None
    ) -> Tensor:
        """Return the log-probability of whole rows whose columns are revealed in `groups`, (rows,).

        In float64, where the device has it.
        """
        predictor, n_known = self.predictor, 0
        at_once = rows_at_once(max(predictor.sizes))
        if len(tokens) > at_once:
            parts = torch.split(tokens, at_once)
            return torch.cat([self.of_rows(part, groups, classes) for part in parts])
        dtype = widest(tokens.device)
        found = torch.zeros(len(tokens), dtype=dtype, device=tokens.device)
        bias = None if classes is None else classes.bias_of(len(groups))
        hidden = predictor.hidden
        total = predictor.total(hidden)
        for group in map(list, groups):
            found = found + self._given(total, tokens, n_known, group, classes, bias).to(dtype)
            after = predictor.total(tokens[:, group], group)
            total = total + after - predictor.total(hidden[:, group], group)
            n_known += len(group)
        return found
