"""Columns of very many levels: levels that say similar things about a row share a token.

A network pays for every token of a column in every row that it learns or draws, and has a vector to
learn for each. Of a hundred thousand levels most have too few rows to learn one from. As a number
is a bin and a draw within it, such a level is a group of levels and a draw among them, by their
shares of the rows.

Levels are placed by correspondence analysis (Greenacre 1984, *Theory and Applications of
Correspondence Analysis*) of what the other columns hold in their rows, and those that lie together
share a token, by k-means. Frequent levels keep a token of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from synthgan.exceptions import ModelFileError

__all__ = ["LevelGroups", "group_levels", "place_levels"]

Array = np.ndarray[Any, Any]
Floats = npt.NDArray[np.float64]

#: Directions in which levels are told apart.
_DIRECTIONS = 16
#: Rounds of k-means.
_ROUNDS = 20
#: Cells of other columns from which they are placed.
_MOST_CELLS = 2**25


@dataclass(frozen=True)
class LevelGroups:
    """Which levels share a token, and how often each is drawn for it.

    Attributes
    ----------
    group : ndarray of int, shape (levels,)
        Token of each level.
    share : ndarray of float32, shape (levels,)
        Share of each level among the rows of its token.
    """

    group: Array
    share: Array

    @classmethod
    def of(cls, group: Array, counts: Array) -> LevelGroups:
        """Return groups of levels that so many rows have; a level without any counts as half."""
        rows = np.maximum(counts, 0.5)
        return cls(group.astype(np.int32), (rows / np.bincount(group, rows)[group]).astype("f4"))

    def __len__(self) -> int:
        return int(self.group.max()) + 1

    def check(self, n_levels: int) -> LevelGroups:
        """Return these groups if they are groups of so many levels.

        Raises
        ------
        ModelFileError
        """
        group, share = self.group, self.share
        good = group.shape == share.shape == (n_levels,) and n_levels > 0
        good = good and group.dtype.kind == "i" and share.dtype.kind == "f"
        good = good and group.min() == 0 and group.max() < n_levels
        if not (good and np.bincount(group).all() and (share > 0).all() and (share <= 1).all()):
            raise ModelFileError("The file has levels that share tokens in no possible way.")
        return self

    @cached_property
    def _order(self) -> Array:
        """The levels, token by token."""
        return np.argsort(self.group, kind="stable")

    @cached_property
    def _running(self) -> Floats:
        """Running sums of the shares in that order, and 0 before them; tokens end at integers."""
        sizes = np.bincount(self.group)
        ends = np.cumsum(self.share[self._order], dtype=np.float64)
        lasts = np.cumsum(sizes) - 1
        starts = np.append(0.0, ends[lasts[:-1]])
        whole = ends[lasts] - starts
        scaled = (ends - np.repeat(starts, sizes)) / np.repeat(whole, sizes)
        scaled[lasts] = 1.0
        return np.append(0.0, scaled + np.repeat(np.arange(len(sizes)), sizes))

    def draw(self, tokens: Array, uniforms: Array) -> Array:
        """Return a level of each token. Shape: (cells,), uniforms in [0, 1), -> (cells,)."""
        places = np.minimum(tokens + uniforms, np.nextafter(tokens + 1.0, 0.0))
        return self._order[np.searchsorted(self._running, places, side="right") - 1]

    def split(self, probabilities: Array) -> Array:
        """Divide the probabilities of tokens. Shape: (rows, tokens) -> (rows, levels)."""
        found: Array = probabilities[:, self.group] * self.share
        return found


def group_levels(counts: Array, places: Floats, most: int) -> LevelGroups:
    """Return at most `most` groups of levels.

    A level that has more than its part of the rows is a group, the others are put together by
    weighted k-means. Those of which nothing is known share a group.

    Parameters
    ----------
    counts : ndarray of int, shape (levels,)
        Rows that have each level.
    places : ndarray, shape (levels, directions)
        Levels that are to share a token lie together.
    most : int
    """
    weights = np.maximum(counts, 0.5)
    alone = weights * most > weights.sum()
    rest = np.flatnonzero(~alone)
    group = np.empty(len(weights), np.int64)
    group[alone] = np.arange(alone.sum())
    if len(rest):
        distinct = len(np.unique(places[rest], axis=0))
        clusters = KMeans(
            min(most - int(alone.sum()), distinct), init="random", n_init=1, max_iter=_ROUNDS,
            random_state=0,
        )  # fmt: skip
        with threadpool_limits(1):  # several threads add up in any order
            group[rest] = alone.sum() + clusters.fit_predict(places[rest], None, weights[rest])
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    return LevelGroups.of(np.argsort(np.argsort(first))[group], counts)


def place_levels(levels: Array, n_levels: int, others: Sequence[tuple[Array, int]]) -> Floats:
    """Place levels by what the other columns hold in their rows.

    Parameters
    ----------
    levels : ndarray of int, shape (rows,)
        The level of each row; -1 if it has none.
    n_levels : int
    others : sequence of (ndarray of int, shape (rows,), int)
        Tokens of the other columns, and how many there are of each. Of very many rows a part of
        them, evenly spaced, is used.

    Returns
    -------
    ndarray of float64, shape (n_levels, directions)
        Levels whose rows look alike lie together. No directions, if there are no other columns.
    """
    wide = sum(size for _, size in others)
    n_directions = min(_DIRECTIONS, wide - 1, n_levels - 1)
    if n_directions < 1:
        return np.zeros((n_levels, 1))
    step = -(-len(levels) * len(others) // _MOST_CELLS)
    rows = np.flatnonzero(levels >= 0)[::step]
    halves = [_profiles(levels, n_levels, others, rows[k::2]) for k in (0, 1)]
    weights = [np.maximum(_sums(half, axis=1), 1e-9) for half in halves]
    scale = 1 / np.sqrt(np.maximum(_sums(halves[0], axis=0), 1.0))
    # the first direction is that of the margins, which all tables have
    svd = TruncatedSVD(n_directions + 1, random_state=0)
    with np.errstate(invalid="ignore"):  # parts of the variance, which are not read, may be 0 / 0
        svd.fit(halves[0].multiply(1 / np.sqrt(weights[0])[:, None]).multiply(scale).tocsr())
    axes = (svd.components_[1:] * scale).T
    seen, fresh = (half @ axes / w[:, None] for half, w in zip(halves, weights, strict=True))
    both = weights[0] + weights[1]
    places = (halves[0] + halves[1]) @ axes / both[:, None]
    seen, fresh, places = (x - np.average(x, axis=0, weights=both) for x in (seen, fresh, places))
    agreed = np.average(seen * fresh, axis=0, weights=both).clip(min=0.0)
    noise = (np.average(np.square(places), axis=0, weights=both) - agreed).clip(min=1e-12)
    noise *= both.sum() / n_levels
    return places * agreed / (agreed + noise / both[:, None])


def _profiles(
    levels: Array, n_levels: int, others: Sequence[tuple[Array, int]], rows: Array
) -> csr_matrix:
    """Return how many of the rows of each level have each token. Shape: (levels, tokens)."""
    first = np.cumsum([0, *(size for _, size in others)])
    columns = [tokens[rows] + start for (tokens, _), start in zip(others, first, strict=False)]
    ones = np.ones(len(rows) * len(others), np.float32)
    cells = (np.tile(levels[rows], len(others)), np.concatenate(columns))
    return csr_matrix((ones, cells), shape=(n_levels, int(first[-1])))


def _sums(counts: csr_matrix, axis: int) -> Floats:
    sums: Floats = np.asarray(counts.sum(axis), dtype=np.float64).ravel()
    return sums
