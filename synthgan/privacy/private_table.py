"""The only door to the data of a private fit: every answer has noise, and is charged before.

What is public of a table: the names and types of its columns. All else is asked for here.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synthgan.arrow import plain_values, without_views
from synthgan.encoding import TableEncoder
from synthgan.encoding.ticks import Scale
from synthgan.exceptions import DataError, ParameterError
from synthgan.privacy import mechanisms
from synthgan.privacy.accounting import sigma_of
from synthgan.privacy.ledger import Ledger
from synthgan.privacy.plan import Marginal
from synthgan.schema import Column

__all__ = ["PrivateTable", "count_cells"]

Counts = npt.NDArray[np.int64]

#: Edges of the histogram that bounds are found by: eight to an octave, from 2**-10 to 2**40.
_OCTAVES = 2.0 ** (np.arange(-10 * 8, 40 * 8 + 1) / 8)
LOG_EDGES = np.concatenate([-_OCTAVES[::-1], _OCTAVES])


class PrivateTable:
    """A table that answers with noise only.

    Parameters
    ----------
    table : pyarrow.Table
    ledger : Ledger
    unit : str, optional
        Column that says whose row it is; None protects single rows.
    max_rows : int, default 1
        Rows per unit that count; of a unit with more, so many are drawn.

    Attributes
    ----------
    types : pyarrow.Schema
        Names and types of the columns.

    Examples
    --------
    >>> from synthgan.schema import Column, Schema
    >>> ledger = Ledger(None, epsilon=8.0, delta=1e-6)
    >>> private = PrivateTable(pa.table({"sick": [True, False] * 500}), ledger)
    >>> schema = Schema((Column("sick", "boolean", "bool", missing=False),))
    >>> outside = private.bind(TableEncoder.declared(schema))
    >>> counts = private.measure([(0,)], rho=0.5)[0]  # 500 each, and noise of deviation 1
    >>> counts.shape
    (2,)
    """

    def __init__(
        self, table: pa.Table, ledger: Ledger, *, unit: str | None = None, max_rows: int = 1
    ) -> None:
        self.types = pa.schema(list(zip(table.column_names, table.schema.types, strict=True)))
        self.ledger = ledger
        self.max_rows = max_rows
        self._table = table if unit is None else _at_most(table, unit, max_rows)
        self._codes: Counts | None = None
        self._sizes: tuple[int, ...] = ()

    def bind(self, encoder: TableEncoder) -> dict[str, int]:
        """Turn the rows into tokens of a public domain.

        Returns
        -------
        dict of str to int
            How many cells of each column were outside the domain, and were moved to its nearest
            value. For the eyes of the holder of the data alone: it has no noise.
        """
        self._codes, outside = encoder.confine(self._table)
        self._sizes = encoder.sizes
        return outside

    def measure(self, marginals: Sequence[Marginal], rho: float) -> list[Counts]:
        """Return the counts of several marginals, with the same noise in each cell.

        Parameters
        ----------
        marginals : sequence of tuple of int
            Positions of the columns of each.
        rho : float
            What all of them cost together.

        Returns
        -------
        list of ndarray of int64
            One axis per column; counts can be negative.
        """
        sigma = self._charge(rho, len(marginals), f"{len(marginals)} marginals")
        exact = [self._count(marginal) for marginal in marginals]
        flat = np.concatenate([counts.ravel() for counts in exact])
        noisy = mechanisms.discrete_gaussian(flat, sigma)
        ends = np.cumsum([counts.size for counts in exact])[:-1]
        return [
            part.reshape(counts.shape)
            for part, counts in zip(np.split(noisy, ends), exact, strict=True)
        ]

    def sigma(self, n_marginals: int, rho: float) -> float:
        """Return the deviation of the noise of so many marginals for `rho`.

        A unit has at most `max_rows` rows in each marginal, all perhaps in one cell.
        """
        return sigma_of(rho, self._sensitivity(n_marginals))

    def distances(
        self, marginals: Sequence[Marginal], answers: Sequence[Counts], rho: float
    ) -> Counts:
        """Return how far the counts of marginals are from `answers`, with noise.

        Parameters
        ----------
        marginals : sequence of tuple of int
        answers : sequence of ndarray of int64
            Counts, of a model or a synthetic table.
        rho : float
            What all of them cost together: as much as the counts themselves with the same noise,
            but a distance has that noise once, and a table in each cell.

        Returns
        -------
        ndarray of int64, shape (marginals,)
            Sums of absolute gaps.
        """
        sigma = self._charge(rho, len(marginals), f"distances of {len(marginals)} marginals")
        return mechanisms.discrete_gaussian(self._gaps(marginals, answers), sigma)

    def _gaps(self, marginals: Sequence[Marginal], answers: Sequence[npt.NDArray[Any]]) -> Any:
        return np.array(
            [
                np.abs(self._count(marginal) - answer).sum()
                for marginal, answer in zip(marginals, answers, strict=True)
            ]
        )

    def _count(self, marginal: Marginal) -> Counts:
        if self._codes is None:
            raise RuntimeError("bind an encoder first")
        return count_cells(self._codes, self._sizes, marginal)

    # what a domain is made of, where nobody declared it -------------------------------------------

    def log_histogram(self, column: Column, rho: float) -> tuple[Counts, float]:
        """Return noisy counts of numbers between fixed edges, and the deviation of the noise.

        Returns
        -------
        ndarray of int64, shape (edges - 1,)
            Between the edges of :data:`LOG_EDGES`; the middle bin holds zero.
        float
        """
        sigma = self._charge(rho, 1, f"bounds of {column.name!r}")
        scale = Scale(column, 0, 1, None)
        numbers = scale.to_numbers(self._table[column.name].drop_null(), nearest=True)
        found = np.clip(numbers, LOG_EDGES[0], LOG_EDGES[-1])
        counts = np.histogram(found, LOG_EDGES)[0]
        return mechanisms.discrete_gaussian(counts, sigma), sigma

    def levels(self, name: str, rho: float, delta: float) -> list[Any]:
        """Return the levels that so many rows have that their number may be known.

        A level that only one unit has passes with a probability of at most `delta`, which is
        charged as well (stability of histograms; Korolova et al. 2009).
        """
        from scipy.stats import norm

        sigma = self.sigma(1, rho)
        threshold = self.max_rows + sigma * float(norm.isf(delta / self.max_rows)) + 1
        self._charge(rho, 1, f"levels of {name!r}", delta, threshold=threshold)
        counted = plain_values(self._table[name].drop_null()).value_counts()
        counted = counted.take(pc.sort_indices(counted.field("values")))  # noise knows no order
        names, counts = counted.field("values"), counted.field("counts").to_numpy()
        noisy = mechanisms.discrete_gaussian(counts.astype(np.int64), sigma)
        return sorted(names.filter(pa.array(noisy > threshold)).to_pylist())

    def _charge(
        self, rho: float, n_tables: int, what: str, delta: float = 0.0, **facts: Any
    ) -> float:
        """Write down the cost of so many tables of counts, and return the noise that it buys."""
        sigma = self.sigma(n_tables, rho)
        self.ledger.charge(
            rho,
            delta,
            mechanism="discrete Gaussian",
            sigma=sigma,
            sensitivity=self._sensitivity(n_tables),
            what=what,
            **facts,
        )
        return sigma

    def _sensitivity(self, n_tables: int) -> float:
        return self.max_rows * math.sqrt(n_tables)


def count_cells(codes: Counts, sizes: Sequence[int], marginal: Marginal) -> Counts:
    """Return how many rows each combination of the tokens of some columns has.

    Parameters
    ----------
    codes : ndarray of int64, shape (rows, columns)
    sizes : sequence of int
        Tokens of each column.
    marginal : tuple of int

    Returns
    -------
    ndarray of int64
        One axis per column of `marginal`.
    """
    shape = tuple(sizes[j] for j in marginal)
    cells = np.ravel_multi_index(tuple(codes[:, j] for j in marginal), shape)
    return np.bincount(cells, minlength=math.prod(shape)).reshape(shape)


def _at_most(table: pa.Table, unit: str, max_rows: int) -> pa.Table:
    """Return at most so many rows of each unit, drawn by a secret key and not by their order."""
    if unit not in table.column_names:
        raise DataError(f"unit={unit!r} is not a column of the table.")
    if max_rows < 1:
        raise ParameterError(f"max_rows must be at least 1; got {max_rows}.")
    frame = without_views(table).to_pandas(types_mapper=pd.ArrowDtype)
    plain = frame.astype("string").fillna("")
    order = pd.util.hash_pandas_object(plain, index=False, hash_key=secrets.token_hex(8))
    place = order.groupby(frame[unit], dropna=False).rank(method="first")
    return table.filter(pa.array((place <= max_rows).to_numpy(dtype=bool)))
