"""How much two columns say about each other: if nothing else is known, and if others are.

The two differ. Month and day of a month are independent, until the weather is known: it was that of
one day. What age says about marital status, other columns of a person say in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthgan import ranks
from synthgan._runtime import numpy_generator
from synthgan.networks.predictor import KERNEL_ROWS, Predictor
from synthgan.runs import Deadline

__all__ = ["coarse", "conditional_information", "mutual_information"]

#: Groups of tokens by which dependence is measured, in tables of few and of many columns.
_LEVELS, _LEVELS_WIDE, _WIDE = 16, 8, 100
_ROWS, _CELLS = 20_000, 2_000_000
_COLUMNS_AT_ONCE = 64
#: Sets of columns that are given, at least (half as many as there are columns, if that is more),
#: how many of them are tried even after a deadline, and how many of the other columns are revealed
#: in turn.
_SETS, _LEAST_SETS, _REVEALED = 32, 8, 16
#: Rows that each set is tried on; fewer where they ask for more logits than this.
_LEAST_ROWS, _MOST_ROWS, _LOGITS = 64, 512, 2**22
#: Columns up to which that is worth its time.
_MOST_COLUMNS = 150

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def coarse(tokens: Array, size: int, levels: int) -> Array:
    """Return the group of every token of a variable, shape (size,).

    At most `levels` groups of neighbouring tokens, which hold about equally many of the `tokens`.
    """
    if size <= levels:
        return np.arange(size)
    share = np.bincount(tokens, minlength=size) / max(len(tokens), 1)
    middle = share.cumsum() - share / 2
    return np.minimum((middle * levels).astype(np.int64), levels - 1)


def mutual_information(codes: Array, sizes: Sequence[int], seed: int) -> Floats:
    """Return the mutual information of all pairs of variables, in nats.

    Of up to 20,000 rows, fewer if there are more than 100 variables, and of tokens in at most 16
    groups (8 if there are more than 100 variables), less the bias of the plug-in estimate (Miller
    1955), rounded to half precision.

    Shape: codes (rows, variables) of int -> (variables, variables), 0 on the diagonal.
    """
    n = len(sizes)
    rows, most = codes, min(_ROWS, max(_CELLS // max(n, 1), 2000))
    if len(codes) > most:
        rows = codes[np.sort(numpy_generator(seed, "dependence").permutation(len(codes))[:most])]
    levels = _LEVELS if n <= _WIDE else _LEVELS_WIDE
    tables = [coarse(rows[:, j], size, levels) for j, size in enumerate(sizes)]
    counts = [int(table.max(initial=0)) + 1 for table in tables]
    chunks = [range(a, min(a + _COLUMNS_AT_ONCE, n)) for a in range(0, n, _COLUMNS_AT_ONCE)]

    def onehot(chunk: range) -> Floats:
        ends = np.cumsum([0, *(counts[j] for j in chunk)])
        out = np.zeros((len(rows), ends[-1]), np.float32)
        for start, j in zip(ends, chunk, strict=False):
            out[np.arange(len(rows)), start + tables[j][rows[:, j]]] = 1.0
        return out

    found = np.zeros((n, n), np.float32)
    for k, first in enumerate(chunks):
        left = onehot(first)
        for second in chunks[k:]:
            right = left if second is first else onehot(second)
            part = _information(left, right, [[counts[j] for j in c] for c in (first, second)])
            found[first.start : first.stop, second.start : second.stop] = part
            found[second.start : second.stop, first.start : first.stop] = part.T
    np.fill_diagonal(found, 0.0)
    return _rounded(found)


def _information(left: Floats, right: Floats, counts: list[list[int]]) -> Floats:
    """Return the mutual information of each variable of one chunk with each of another."""
    n = len(left)
    joint = (left.T @ right) / n
    product = np.outer(left.mean(0), right.mean(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(joint > 0, joint * np.log(joint / product), 0.0)
    edges = [np.cumsum([0, *c]) for c in counts]
    sums = np.add.reduceat(np.add.reduceat(terms, edges[0][:-1], 0), edges[1][:-1], 1)
    levels = [
        np.array([(x[:, a:b].any(0)).sum() for a, b in pairwise(e)])
        for x, e in zip((left, right), edges, strict=True)
    ]
    bias = np.outer(levels[0] - 1, levels[1] - 1) / (2 * n)
    return np.maximum(sums - bias, 0.0).astype(np.float32)


def _rounded(found: Array) -> Floats:
    """Return numbers as a model file keeps them."""
    return found.astype(np.float16).astype(np.float32)


@torch.no_grad()
def conditional_information(
    predictor: Predictor, tokens: Tensor, seed: int, deadline: Deadline | None = None
) -> Floats:
    """Return the mutual information of all pairs of variables, given others, in nats.

    It is what a trained network gains: by how much the cell of one variable becomes more likely
    when that of the other is revealed too. This is averaged over random sets of variables that are
    visible before, at least a quarter of all, and both ways; noise below 0 is dropped, and the rest
    rounded to half precision. The few pairs that no set meets have the mean of the others. All 0 if
    there are more than 150 variables, too many to try.

    Parameters
    ----------
    predictor : Predictor
    tokens : Tensor, shape (rows, variables), integer
        Rows that it has not seen.
    seed : int
    deadline : Deadline, optional
        After it, no other set is tried, but for the first 8.

    Returns
    -------
    ndarray of float32, shape (variables, variables)
        Symmetric, 0 on the diagonal.
    """
    n, device = tokens.shape[1], tokens.device
    gained = torch.zeros(n, n, device=device)
    rows_tried = torch.zeros_like(gained)
    if not 3 <= n <= _MOST_COLUMNS:
        return _rounded(gained.cpu().numpy())
    for number in range(max(_SETS, n // 2)):
        rng = numpy_generator(seed, "conditional dependence", number)
        order = rng.permutation(n).tolist()
        given = int(rng.integers(-(-n // 4), n - 1))
        hidden = order[given:]
        asked = sum(predictor.sizes[j] for j in hidden) * min(len(hidden), _REVEALED)
        most = int(np.clip(_LOGITS // asked, _LEAST_ROWS, _MOST_ROWS))
        chosen = rng.permutation(len(tokens))[: most // KERNEL_ROWS * KERNEL_ROWS]
        rows = tokens[torch.from_numpy(chosen).to(device)].long()
        known = torch.zeros_like(rows[:1], dtype=torch.bool)
        known[:, order[:given]] = True
        total = predictor.total(predictor.visible_only(rows, known))
        before = _log_likelihood(predictor, total, rows, hidden)
        for j in hidden[:_REVEALED]:
            new, old = (predictor.total(cells[:, [j]], [j]) for cells in (rows, predictor.hidden))
            after = _log_likelihood(predictor, total + new - old, rows, hidden)
            gained[j, hidden] += (after - before).sum(0)
            rows_tried[j, hidden] += len(rows)
        if number + 1 >= _LEAST_SETS and deadline is not None and deadline.used >= 1:
            break
    gained, rows_tried = gained + gained.T, rows_tried + rows_tried.T
    found = (gained / rows_tried.clamp_min(1.0)).clamp_min(0.0).fill_diagonal_(0.0)
    tried = (rows_tried > 0).fill_diagonal_(True)
    found[~tried] = found.sum() / (tried.sum() - n)
    return _rounded(np.reshape(ranks.average(found.flatten().tolist()), (n, n)))


def _log_likelihood(
    predictor: Predictor, total: Tensor, rows: Tensor, variables: Sequence[int]
) -> Tensor:
    """Return the log-probabilities of cells, shape (rows, variables asked for)."""
    features = predictor.features(total)
    found = [
        predictor.log_probabilities(features, j).gather(1, rows[:, j : j + 1]) for j in variables
    ]
    return torch.cat(found, dim=1)
