"""Distances between rows of mixed type, and nearest neighbours under them.

The distance of two rows is the sum over columns: numbers differ by their gap over the train range
(Gower's), categories by 1 if unequal (papers that take L1 on one-hot codes count 2), a missing
value from a present one by 1.

References
----------
.. [1] J. C. Gower, "A General Coefficient of Similarity and Some of Its Properties", Biometrics
   27, 1971.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from synthgan.evaluate.tables import Table

__all__ = ["Space", "nearest", "row_budget"]

#: Searches compare about this many cells at most; see :func:`row_budget`.
MAX_COMPARISONS = 5e8
_CHUNK_ROWS = 256
_MAX_RANGES = 1e3

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def row_budget(n_columns: int, most: int) -> int:
    """Return how many rows to compare with as many others, so that wide tables take no longer.

    Examples
    --------
    >>> row_budget(15, 5000), row_budget(500, 5000)
    (5000, 1000)
    """
    return min(most, int((MAX_COMPARISONS / n_columns) ** 0.5))


class Space:
    """The scale on which rows are compared, taken from the train table.

    Parameters
    ----------
    train : Table
    """

    def __init__(self, train: Table) -> None:
        self.codes = np.array([c.kind == "categorical" for c in train.columns], dtype=bool)
        self.low = np.zeros(len(train.columns))
        self.span = np.ones(len(train.columns))
        for k, (column, values) in enumerate(zip(train.columns, train.values, strict=True)):
            present = values[~np.isnan(values)] if column.kind == "numerical" else values[:0]
            if len(present):
                self.low[k], self.span[k] = float(present.min()), float(np.ptp(present)) or 1.0

    def scaled(self, table: Table) -> Floats:
        """Return (rows, columns), numbers on the train range, NaN for missing.

        Numbers are cut a thousand ranges away from it, where float32 still tells them apart.
        """
        matrix = table.matrix()
        numbers = ~self.codes
        matrix[:, numbers] = (matrix[:, numbers] - self.low[numbers]) / self.span[numbers]
        matrix[:, numbers] = np.clip(matrix[:, numbers], -_MAX_RANGES, _MAX_RANGES)
        return matrix.astype(np.float32)

    def distances(self, a: Floats, b: Floats, columns: Ints | None = None) -> Floats:
        """Return the distance of every row of `a` to every row of `b`; shape (a, b).

        Parameters
        ----------
        a, b : ndarray of shape (rows, all columns), float32
            From :meth:`scaled`.
        columns : ndarray of int, optional
            The columns that count; all by default.
        """
        total = np.zeros((len(a), len(b)), dtype=np.float32)
        for k in range(a.shape[1]) if columns is None else columns:
            total += self._gap(a[:, k], b[:, k], bool(self.codes[k]))
        return total

    @staticmethod
    def _gap(x: Floats, y: Floats, code: bool) -> Floats:
        if code:
            gone = np.float32(-1)
            x, y = np.where(np.isnan(x), gone, x), np.where(np.isnan(y), gone, y)
            return (x[:, None] != y[None, :]).astype(np.float32)
        gap = np.abs(x[:, None] - y[None, :])
        missing = np.isnan(x), np.isnan(y)
        if missing[0].any() or missing[1].any():
            gap[np.isnan(gap)] = 1.0
            gap[np.ix_(*missing)] = 0.0
        return gap


def nearest(
    space: Space,
    rows: Table,
    others: Table,
    k: int = 1,
    *,
    columns: Ints | None = None,
    not_itself: bool = False,
) -> tuple[Floats, Ints]:
    """Return the distances to the `k` nearest of `others`, nearest first, and their row numbers.

    Parameters
    ----------
    space : Space
    rows, others : Table
    k : int, default 1
        Cut to the number of rows there are.
    columns : ndarray of int, optional
        The columns that count.
    not_itself : bool, default False
        `others` is `rows`; a row is no neighbour of itself.

    Returns
    -------
    ndarray of shape (rows, k), float32
    ndarray of shape (rows, k), int64
    """
    k = max(min(k, len(others) - not_itself), 1)
    found, places = [], []
    for part, distance in _chunks(space, rows, others, columns):
        if not_itself:
            distance[np.arange(len(distance)), part] = np.inf
        if k == 1:
            place = distance.argmin(axis=1)[:, None]
        else:
            place = np.argpartition(distance, k - 1, axis=1)[:, :k]
            order = np.take_along_axis(distance, place, axis=1).argsort(axis=1, kind="stable")
            place = np.take_along_axis(place, order, axis=1)
        places.append(place)
        found.append(np.take_along_axis(distance, place, axis=1))
    return np.concatenate(found), np.concatenate(places)


def _chunks(
    space: Space, rows: Table, others: Table, columns: Ints | None
) -> Iterator[tuple[Ints, Floats]]:
    a, b = space.scaled(rows), space.scaled(others)
    for start in range(0, len(a), _CHUNK_ROWS):
        part = np.arange(start, min(start + _CHUNK_ROWS, len(a)))
        yield part, space.distances(a[part], b, columns)
