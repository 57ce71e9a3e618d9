"""Which columns are revealed together: those that say little about each other.

The columns of one step are drawn independently, given all that is visible. What that costs is their
mutual information; so columns are split into groups with as little of it inside as can be found.
One fixed split would repeat the same small errors in every row. There is a pool of splits instead,
and each block of rows takes one of them, in an order of its own.

Where nothing of a row is known, the first group is the largest, and stays the first: its columns
are tied by far more latent classes than those of later groups (:mod:`synthgan.networks.rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.exceptions import ModelFileError

__all__ = ["Schedule", "coarse", "group_sizes", "mutual_information", "random_groups"]

#: Splits of the same columns into the same number of groups; fewer in tables of many columns.
POOL, _POOLED_COLUMNS = 32, 6400
#: Groups of tokens by which dependence is measured, in tables of few and of many columns.
_LEVELS, _LEVELS_WIDE, _WIDE = 16, 8, 100
_ROWS, _CELLS = 20_000, 2_000_000
_COLUMNS_AT_ONCE = 64
_SWEEPS = 4

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def group_sizes(columns: int, steps: int, *, begun: bool) -> list[int]:
    """Return the sizes of `steps` groups, from 2 to as many as there are columns.

    They are nearly equal. If nothing is known, the first has twice its share, up to half of the
    columns.

    Examples
    --------
    >>> group_sizes(12, 4, begun=True), group_sizes(12, 4, begun=False)
    ([3, 3, 3, 3], [6, 2, 2, 2])
    """
    first = -(-columns // steps)
    if not begun:
        most = min(columns // 2, columns - steps + 1)  # so that each other has one
        first = max(min(2 * columns // steps, most), first)
    return [first, *map(len, np.array_split(np.arange(columns - first), steps - 1))]


def random_groups(
    columns: Sequence[int], steps: int, generator: np.random.Generator
) -> list[list[int]]:
    """Split `columns`, in random order, into `steps` groups of nearly equal size.

    Examples
    --------
    >>> groups = random_groups(range(5), 2, numpy_generator(0, "order"))
    >>> sorted(map(len, groups)), sorted(sum(groups, []))
    ([2, 3], [0, 1, 2, 3, 4])
    """
    order = generator.permutation(np.asarray(columns, dtype=np.int64))
    parts = np.array_split(order, min(steps, max(len(order), 1)))
    return [part.tolist() for part in parts if len(part)]


@dataclass(frozen=True)
class Schedule:
    """Splits columns into groups that are revealed one after another.

    Parameters
    ----------
    dependence : ndarray of float, shape (variables, variables)
        How much two variables say about each other; symmetric, 0 on the diagonal.
    """

    dependence: Floats
    _pools: dict[tuple[tuple[int, ...], int, bool], list[list[list[int]]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def from_array(cls, dependence: Array, variables: int) -> Schedule:
        """Return the schedule of a model file.

        Raises
        ------
        ModelFileError
            If the array has another shape than (variables, variables), or is not of numbers >= 0.
        """
        if dependence.shape != (variables, variables) or not (dependence >= 0).all():
            raise ModelFileError("The schedule of the model is damaged.")
        return cls(dependence.astype(np.float32))

    def groups(
        self,
        columns: Sequence[int],
        steps: int,
        generator: np.random.Generator,
        *,
        begun: bool,
    ) -> list[list[int]]:
        """Return the groups of one block, in the order in which they are revealed.

        Parameters
        ----------
        columns : sequence of int
            Variables to reveal.
        steps : int
            How many groups. As many as there are columns, or more: each is alone.
        generator : numpy Generator
            Chooses one of the pool, and the order.
        begun : bool
            Whether something of the rows is known. If not, the first group is the largest.
        """
        if not 1 < steps < len(columns):
            return random_groups(columns, steps, generator)
        pool = self.pool(columns, steps, begun=begun)
        return _shuffled(pool[int(generator.integers(len(pool)))], begun, generator)

    def split(
        self,
        columns: Sequence[int],
        steps: int,
        generator: np.random.Generator,
        *,
        begun: bool,
    ) -> list[list[int]]:
        """Return groups like :meth:`groups`, made for this call; for columns met but once."""
        if not 1 < steps < len(columns):
            return random_groups(columns, steps, generator)
        names = np.asarray(columns)
        dependence = self.dependence[np.ix_(columns, columns)]
        found = _split(dependence, group_sizes(len(names), steps, begun=begun), generator)
        return _shuffled([names[group].tolist() for group in found], begun, generator)

    def pool(self, columns: Sequence[int], steps: int, *, begun: bool) -> list[list[list[int]]]:
        """Return all splits of some columns into `steps` groups; the same ones at every call."""
        key = tuple(columns), steps, begun
        found = self._pools.get(key)
        if found is None:
            draw = numpy_generator(0, "schedule", len(columns), steps)
            count = min(POOL, max(_POOLED_COLUMNS // len(columns), 4))
            found = [self.split(columns, steps, draw, begun=begun) for _ in range(count)]
            if len(self._pools) >= POOL:  # of conditions that were asked for once
                self._pools.clear()
            self._pools[key] = found
        return found


def _shuffled(
    groups: Sequence[list[int]], begun: bool, generator: np.random.Generator
) -> list[list[int]]:
    """Return groups in random order; the first stays the first where nothing is known."""
    first = [] if begun else [0]
    rest = generator.permutation(np.arange(len(first), len(groups)))
    return [groups[k] for k in (*first, *rest)]


def _split(dependence: Floats, sizes: Sequence[int], draw: np.random.Generator) -> list[Array]:
    """Split variables into groups of these sizes with little dependence inside.

    Each, in random order, joins the group where it adds least; then pairs swap their places as long
    as that helps.
    """
    n, steps = len(dependence), len(sizes)
    room = np.array(sizes)
    place = np.full(n, -1)
    inside = np.zeros((steps, n), np.float32)  # dependence of each variable on each group
    for j in draw.permutation(n):
        cost = np.where(room > 0, inside[:, j], np.inf)
        best = int(draw.choice(np.flatnonzero(cost == cost.min())))
        place[j] = best
        room[best] -= 1
        inside[best] += dependence[j]
    everyone = np.arange(n)
    for _ in range(_SWEEPS):
        swapped = False
        for a in draw.permutation(n):
            here = place[a]
            gain = inside[here, a] + inside[place, everyone]
            gain = gain - inside[place, a] - inside[here] + 2 * dependence[a]
            gain[place == here] = 0.0
            b = int(gain.argmax())
            if gain[b] > 1e-6:
                there = place[b]
                place[a], place[b] = there, here
                inside[here] += dependence[b] - dependence[a]
                inside[there] += dependence[a] - dependence[b]
                swapped = True
        if not swapped:
            break
    return [np.flatnonzero(place == k) for k in range(steps)]


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
    return found.astype(np.float16).astype(np.float32)


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
