"""Which columns are revealed together: those that say little about each other.

The columns of one step are drawn independently, given all that is visible. What that costs is their
mutual information; so columns are split into groups with as little of it inside as can be found.
What columns say about each other changes once others are visible (:mod:`synthgan.dependence`). So
later groups, of which little or much is visible, count both, what they say alone and given others;
the first group of rows of which nothing is known counts the former, by half.

One fixed split would repeat the same small errors in every row. There is a pool of splits instead,
and each block of rows takes one of them, in an order of its own.

Where nothing of a row is known, the first group is the largest, and stays the first: its columns
are tied by far more latent classes than those of later groups (:mod:`synthgan.networks.rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.exceptions import ModelFileError

__all__ = ["Schedule", "group_sizes", "random_groups"]

#: Splits of the same columns into the same number of groups; fewer in tables of many columns.
POOL, _POOLED_COLUMNS = 32, 6400
#: What dependence costs inside of the first group, of that in a later one: more classes tie it.
_FIRST_SHARE = 0.5
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
    alone, given : ndarray of float, shape (variables, variables)
        How much two variables say about each other if nothing else is known, and if others are;
        symmetric, 0 on the diagonal.
    """

    alone: Floats
    given: Floats
    _pools: dict[tuple[tuple[int, ...], int, bool], list[list[list[int]]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def from_array(cls, dependence: Array, variables: int) -> Schedule:
        """Return the schedule of a model file.

        Raises
        ------
        ModelFileError
            If the array has another shape than (2, variables, variables), or is not of
            numbers >= 0.
        """
        if dependence.shape != (2, variables, variables) or not (dependence >= 0).all():
            raise ModelFileError("The schedule of the model is damaged.")
        alone, given = dependence.astype(np.float32)
        return cls(alone, given)

    def to_array(self) -> Array:
        """Return what a model file keeps, (2, variables, variables), in half precision."""
        return np.stack([self.alone, self.given]).astype(np.float16)

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
        names, cells = np.asarray(columns), np.ix_(columns, columns)
        later = self.alone[cells] + self.given[cells]
        first = later if begun else _FIRST_SHARE * self.alone[cells]
        found = _split(first, later, group_sizes(len(names), steps, begun=begun), generator)
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


def _split(
    first: Floats, later: Floats, sizes: Sequence[int], draw: np.random.Generator
) -> list[Array]:
    """Split variables into groups of these sizes with little dependence inside.

    Each, in random order, joins the group where it adds least; then pairs swap their places as long
    as that helps. `first` is what counts in the first group, `later` in the others.
    """
    n, steps = len(later), len(sizes)
    tables = [first] + [later] * (steps - 1)
    room = np.array(sizes)
    place = np.full(n, -1)
    inside = np.zeros((steps, n), np.float32)  # dependence of each variable on each group
    for j in draw.permutation(n):
        cost = np.where(room > 0, inside[:, j], np.inf)
        best = int(draw.choice(np.flatnonzero(cost == cost.min())))
        place[j] = best
        room[best] -= 1
        inside[best] += tables[best][j]
    everyone = np.arange(n)
    for _ in range(_SWEEPS):
        swapped = False
        for a in draw.permutation(n):
            here = place[a]
            with_a = np.where(place == 0, first[a], later[a])  # of others, in their groups
            gain = inside[here, a] + inside[place, everyone]
            gain = gain - (inside[place, a] - with_a) - (inside[here] - tables[here][a])
            gain[place == here] = 0.0
            b = int(gain.argmax())
            if gain[b] > 1e-6:
                there = place[b]
                place[a], place[b] = there, here
                inside[here] += tables[here][b] - tables[here][a]
                inside[there] += tables[there][a] - tables[there][b]
                swapped = True
        if not swapped:
            break
    return [np.flatnonzero(place == k) for k in range(steps)]
