"""Numeric columns: frequent values as tokens of their own, the rest in quantile bins.

A *spike* is a value that many rows share (zero, a rounded amount, every level of a short scale); it
has a token of its own and is reproduced exactly. All other values fall into bins that hold about
equally many rows. A value inside a bin is drawn from a piecewise linear inverse distribution
function, whose knots summarise at least ``2 * min_count`` rows each and are rounded to a grid
coarser than the spacing of single rows, so that no isolated value is stored or repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from synthgan.encoding.levels import _missing_or_raise
from synthgan.encoding.ticks import Scale
from synthgan.exceptions import DataError, SchemaError
from synthgan.schema import Column

Array = np.ndarray[Any, Any]

#: Linear pieces of the inverse distribution function inside one bin.
PIECES = 8
#: Declared bins, where their number is not given, and most whole numbers with a token each.
_BINS, _SINGLE = 20, 64


@dataclass(frozen=True, slots=True)
class NumberCoder:
    """Tokens of an integer, float, decimal, datetime or timedelta column.

    All positions are float64 offsets from ``scale.base`` in units of ``scale.step``.

    Attributes
    ----------
    column : Column
    scale : Scale
        How cells become numbers and back.
    knots : ndarray, shape (n_numbers, PIECES + 1)
        Values of each token at the quantiles 0, 1/8, ..., 1; all equal for a spike. Rows are in
        ascending order, so that neighbouring tokens are neighbouring values.
    has_missing : bool
        Whether the last token stands for a missing cell.
    """

    column: Column
    scale: Scale
    knots: Array
    has_missing: bool

    suppressed = ()

    @classmethod
    def fit(cls, column: Column, values: pa.ChunkedArray, max_tokens: int) -> NumberCoder:
        """Find the spikes and bins of a column.

        Parameters
        ----------
        column : Column
        values : pyarrow.ChunkedArray
        max_tokens : int
            Upper bound on the number of spikes plus bins.
        """
        scale = Scale.fit(column, values)
        numbers = np.sort(scale.to_numbers(values.drop_null()))
        knots = _summarise(numbers, column, scale, max_tokens)
        missing = bool(values.null_count) or not len(knots)
        return cls(column, scale, knots, missing)

    @classmethod
    def declared(cls, column: Column) -> NumberCoder:
        """Return the coder of a column whose bounds are declared, without any data.

        Inside a bin, all values are equally likely.

        Raises
        ------
        SchemaError
            If edges or spikes lie outside the bounds, or the bounds are none.
        """
        assert column.bounds is not None
        scale = Scale.declared(column)
        low, high = scale.declared_bounds()
        if not np.isfinite([low, high]).all():
            raise SchemaError(f"Column {column.name!r}: the bounds are not (low, high).")
        spikes = np.unique([scale.offset_of(value) for value in column.spikes or ()])
        inner = np.array([])
        if isinstance(column.bins, tuple):
            inner = np.array([scale.offset_of(edge) for edge in column.bins])
        for name, found in (("spikes", spikes), ("bins", inner)):
            if len(found) and not low <= found.min() <= found.max() <= high:
                raise SchemaError(f"Column {column.name!r}: {name} lie outside the bounds.")
        edges = _declared_edges(column.bins, inner, scale, low, high)
        single = scale.half_step and len(edges) == 2 + round(high - low)
        if single:
            rows = np.arange(round(high - low) + 1)[:, None] + low + np.zeros(PIECES + 1)
        else:
            rows = np.linspace(edges[:-1], edges[1:], PIECES + 1, axis=1)
        alone = spikes[~np.isin(spikes, rows[:, 0])] if single else spikes
        knots = np.concatenate([rows, alone[:, None] + np.zeros(PIECES + 1)])
        order = np.argsort(knots[:, PIECES // 2], kind="stable")
        return cls(column, scale, knots[order], column.missing is not False)

    def confine(self, values: pa.ChunkedArray) -> tuple[Array, int]:
        """Return the token of each cell, and how many cells were outside the bounds.

        Those count as the nearest bound; missing cells that may not be count as the lower one.
        """
        missing = values.is_null().to_numpy(zero_copy_only=False)
        codes = np.zeros(len(values), np.int64)
        numbers = self.scale.to_numbers(values.drop_null(), nearest=True)
        low, high = self.extremes
        codes[~missing] = self.tokens_of(np.clip(numbers, low, high))
        outside = int(((numbers < low) | (numbers > high)).sum())
        if self.missing_token is None:
            return codes, outside + int(missing.sum())
        codes[missing] = self.missing_token
        return codes, outside

    @property
    def n_ordered(self) -> int:
        """Number of tokens that stand for numbers in ascending order."""
        return len(self.knots)

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.knots) + self.has_missing

    @property
    def missing_token(self) -> int | None:
        """Token of a missing cell, or None if no cell was missing."""
        return len(self.knots) if self.has_missing else None

    @property
    def is_spike(self) -> Array:
        """Whether each number token is a single value, shape (n_ordered,)."""
        spikes: Array = self.knots[:, 0] == self.knots[:, -1]
        return spikes

    def encode(self, values: pa.ChunkedArray) -> Array:
        """Return the token of each cell, shape (rows,), int64; outliers go to the end bins."""
        missing = values.is_null().to_numpy(zero_copy_only=False)
        codes = np.empty(len(values), np.int64)
        codes[missing] = _missing_or_raise(self.missing_token, missing, self.column.name)
        if not len(self.knots):
            codes[:] = 0
            return codes
        codes[~missing] = self.tokens_of(self.scale.to_numbers(values.drop_null()))
        return codes

    def hidden(self, values: pa.ChunkedArray) -> int:
        """Return how many cells hold a number beyond those that can be drawn."""
        if not len(self.knots):
            return 0
        numbers = self.scale.to_numbers(values.drop_null())
        low, high = self.extremes
        return int(((numbers < low) | (numbers > high)).sum())

    def tokens_of(self, numbers: Array) -> Array:
        """Return the token of each number (offsets as in `knots`)."""
        spike = self.is_spike
        spike_tokens, bin_tokens = np.flatnonzero(spike), np.flatnonzero(~spike)
        spike_values = self.knots[spike_tokens, 0]
        if len(bin_tokens):
            inner = self.knots[bin_tokens[1:], 0]
            codes = bin_tokens[np.searchsorted(inner, numbers, side="right")]
        else:
            middle = (spike_values[1:] + spike_values[:-1]) / 2
            codes = spike_tokens[np.searchsorted(middle, numbers, side="right")]
        if len(spike_values):
            at = np.searchsorted(spike_values, numbers).clip(max=len(spike_values) - 1)
            codes = np.where(spike_values[at] == numbers, spike_tokens[at], codes)
        return codes

    def decode(
        self, codes: Array, uniforms: Array, limits: tuple[float, float] | None = None
    ) -> pa.Array:
        """Draw a value for each token.

        Parameters
        ----------
        codes : ndarray of int, shape (rows,)
        uniforms : ndarray of float in [0, 1), shape (rows,)
            Where in its bin each value lies.
        limits : (low, high), optional
            Closed range, as offsets, that the values must keep to.
        """
        missing = codes >= len(self.knots)
        if not len(self.knots):
            return pa.nulls(len(codes), self.column.arrow_type)
        rows = self.knots[np.where(missing, 0, codes)]
        if limits is not None:
            half, tokens = self._half_a_value, np.where(missing, 0, codes)
            low = self._inverse(tokens, limits[0] - half)
            high = self._inverse(tokens, limits[1] + half)
            uniforms = low + uniforms * (high - low)
        position = uniforms * PIECES
        piece = np.minimum(position.astype(np.int64), PIECES - 1)
        share = position - piece
        index = np.arange(len(codes))
        left, right = rows[index, piece], rows[index, piece + 1]
        numbers = left * (1.0 - share) + right * share
        inside = rows[:, 0] != rows[:, -1]
        rounded = self.scale.round(numbers)
        if limits is not None:
            rounded = np.clip(rounded, *limits)
        else:
            rounded = self.scale.round(np.clip(rounded, *self.extremes))
        return self.show(np.where(inside, rounded, rows[:, 0]), codes)

    def show(self, numbers: Array, codes: Array) -> pa.Array:
        """Return numbers, where tokens stand for some, as an Arrow array of the column's type.

        Shape: offsets (rows,), tokens (rows,) -> (rows,).
        """
        return self.scale.to_cells(numbers, codes >= len(self.knots))

    @property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest number that can be drawn, as offsets."""
        ends = float(self.knots[:, 0].min()), float(self.knots[:, -1].max())
        return self.scale.inside(*ends) or ends

    @property
    def _half_a_value(self) -> float:
        """How far from a value a number may lie to be rounded to it; 0 if none are rounded."""
        return 0.0 if self.scale.decimals is None else 0.5 * 10.0**-self.scale.decimals

    def _inverse(self, codes: Array, edge: float) -> Array:
        """Return the share of each token's bin that lies below `edge`."""
        return _shares_below(self.knots, edge)[codes]

    def weights(self, limits: tuple[float, float]) -> Array:
        """Return the share of each token that lies in the closed range `limits` (offsets)."""
        (low, high), half = limits, self._half_a_value
        weights = np.zeros(self.n_tokens)
        inside = _shares_below(self.knots, high + half) - _shares_below(self.knots, low - half)
        for token, knots in enumerate(self.knots):
            if knots[0] == knots[-1]:
                weights[token] = float(low <= knots[0] <= high)
            elif self._reaches(knots, low, high):
                weights[token] = max(inside[token], 0.0)
        return weights

    def shares_of(self, numbers: Array) -> Array:
        """Return the share of its token that each number has, shape (numbers,).

        1 for a spike, 0 for what cannot be drawn. Where numbers are not rounded, each stands for
        its bin, and several divide it in proportion to the density there.
        """
        (low, high), tokens = self.extremes, self.tokens_of(numbers)
        knots = self.knots[tokens]
        drawn = (low <= numbers) & (numbers <= high)
        drawn &= (knots[:, 0] <= numbers) & (numbers <= knots[:, -1])
        half = max(self._half_a_value or 1e-9 * (high - low), np.spacing(max(abs(low), abs(high))))
        shares = _shares_below(knots, numbers + half) - _shares_below(knots, numbers - half)
        shares = np.where(drawn, np.where(self.is_spike[tokens], 1.0, shares), 0.0)
        if self.scale.decimals is None:
            whole = np.bincount(tokens, shares, minlength=self.n_tokens)[tokens]
            shares = np.divide(shares, whole, out=np.zeros_like(shares), where=whole > 0)
        return shares

    def _reaches(self, knots: Array, low: float, high: float) -> bool:
        """Whether the bin holds a number of the column's grid inside the closed range."""
        ends = max(float(knots[0]), low), min(float(knots[-1]), high)
        return self.scale.inside(*ends) is not None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict without the column and the arrays."""
        return {"coder": "numbers", "scale": self.scale.to_dict(), "has_missing": self.has_missing}

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that are stored beside the JSON."""
        return {"knots": self.knots}

    @classmethod
    def from_dict(
        cls, column: Column, data: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> NumberCoder:
        """Rebuild a coder from :meth:`to_dict` and :meth:`arrays`."""
        knots = np.asarray(arrays["knots"], np.float64)
        if knots.ndim != 2 or knots.shape[1] != PIECES + 1 or not np.isfinite(knots).all():
            raise DataError(f"Column {column.name!r}: damaged bins.")
        return cls(column, Scale.from_dict(column, data["scale"]), knots, bool(data["has_missing"]))


def _declared_edges(
    bins: int | tuple[Any, ...] | None, inner: Array, scale: Scale, low: float, high: float
) -> Array:
    """Return the edges of declared bins, one more than there are bins.

    Whole numbers reach from half a step below them to half a step above.
    """
    if not scale.half_step:
        if not isinstance(bins, tuple):
            inner = np.linspace(low, high, (bins or _BINS) + 1)[1:-1]
        return np.unique(np.concatenate([[low], inner, [max(high, np.nextafter(low, np.inf))]]))
    if not isinstance(bins, tuple):
        if high - low + 1 <= (bins or _SINGLE):
            return np.arange(low, high + 2) - scale.half_step
        inner = np.linspace(low, high, (bins or _BINS) + 1)[1:-1]
    edges = np.concatenate([[low], np.ceil(inner), [high + 1]]) - scale.half_step
    return np.unique(edges)


def _shares_below(knots: Array, edges: Array | float) -> Array:
    """Return the shares of bins below `edges`, one for each or one for all; 0 or 1 outside.

    Shape: knots (bins, PIECES + 1) -> (bins,).
    """
    edges = np.broadcast_to(edges, len(knots))
    piece = ((knots <= edges[:, None]).sum(axis=1) - 1).clip(0, PIECES - 1)
    bins = np.arange(len(knots))
    left, right = knots[bins, piece], knots[bins, piece + 1]
    inside = np.divide(edges - left, right - left, out=np.zeros(len(bins)), where=right > left)
    shares = np.where(edges >= knots[:, -1], 1.0, (piece + inside) / PIECES)
    return np.where(edges <= knots[:, 0], 0.0, shares)


def _summarise(numbers: Array, column: Column, scale: Scale, max_tokens: int) -> Array:
    """Return the knots of all spikes and bins, ascending; `numbers` are sorted offsets."""
    k = column.min_count
    if len(numbers) < k and column.bounds is None:
        return np.empty((0, PIECES + 1))
    values, counts = np.unique(numbers, return_counts=True)
    spikes = _spikes(values, counts, len(numbers), k, max_tokens)
    rest = numbers[~np.isin(numbers, spikes)]
    n_bins = min(max_tokens - len(spikes), len(rest) // max(2 * k, 1))
    if n_bins < 1 and not len(spikes):
        n_bins = 1
    bins = np.empty((0, PIECES + 1))
    if n_bins > 0 and len(rest):
        low, high = scale.bounds(rest, k)
        bins = _bins(np.clip(rest, low, high), scale, n_bins, k, (low, high))
    if column.bounds is not None:  # what at least k rows share needs no other protection
        spikes = np.unique(np.clip(spikes, *scale.declared_bounds()))
    knots = np.concatenate([np.repeat(spikes[:, None], PIECES + 1, axis=1), bins])
    order = np.argsort(knots[:, PIECES // 2], kind="stable")
    return knots[order]


def _spikes(values: Array, counts: Array, n: int, min_count: int, max_tokens: int) -> Array:
    """Return the values that get a token of their own."""
    frequent = counts >= min_count
    if frequent.all() and len(values) <= max_tokens:
        return values
    if frequent.sum() > max_tokens * 3 // 4:
        frequent = counts >= max(min_count, 0.001 * n)
    most = max_tokens // 2
    if frequent.sum() > most:
        cut = np.sort(counts[frequent])[-most]
        frequent &= counts > cut if (counts[frequent] >= cut).sum() > most else counts >= cut
    chosen: Array = values[frequent]
    return chosen


def _bins(
    rest: Array, scale: Scale, n_bins: int, min_count: int, bounds: tuple[float, float]
) -> Array:
    """Return the knots of at most `n_bins` bins of about equally many rows."""
    spread = scale.spread_ties(rest)
    bounds = bounds[0] - scale.half_step, bounds[1] + scale.half_step
    edges = np.quantile(spread, np.linspace(0, 1, n_bins + 1))
    edges[0], edges[-1] = bounds
    if scale.half_step:
        edges[1:-1] = np.floor(edges[1:-1]) + scale.half_step
    else:
        edges[1:-1] = _coarsen(edges)[1:-1]
    edges = np.unique(np.clip(edges, *bounds))
    edges = _merge_thin(edges, spread, min_count)
    parts = np.searchsorted(spread, edges[1:-1], side="left")
    knots = []
    for (left, right), inside in zip(pairwise(edges), np.split(spread, parts), strict=True):
        pieces = int(np.clip(len(inside) // (2 * min_count), 1, PIECES))
        inner = np.quantile(inside, np.linspace(0, 1, pieces + 1)) if len(inside) else np.array([])
        path = np.concatenate([[left], inner[1:-1], [right]])
        path = np.clip(_coarsen(path), left, right)
        path[0], path[-1] = left, right
        knots.append(np.interp(np.linspace(0, 1, PIECES + 1), np.linspace(0, 1, len(path)), path))
    return np.maximum.accumulate(np.array(knots), axis=1)


def _merge_thin(edges: Array, spread: Array, min_count: int) -> Array:
    """Drop inner edges until every bin holds at least `min_count` rows."""
    kept = [edges[0]]
    for edge in edges[1:-1]:
        below = np.searchsorted(spread, edge) - np.searchsorted(spread, kept[-1])
        if below >= min_count:
            kept.append(edge)
    if len(kept) > 1 and len(spread) - np.searchsorted(spread, kept[-1]) < min_count:
        kept.pop()
    kept.append(edges[-1])
    if len(kept) == 2 and kept[0] == kept[1]:  # all values equal to one bound
        kept[1] = np.nextafter(kept[0], np.inf)
    return np.array(kept)


def _coarsen(path: Array) -> Array:
    """Round the inner points to a power of ten below a quarter of the narrower gap beside each."""
    out = path.copy()
    if len(path) < 3:
        return out
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        gaps = np.diff(path)
        narrow = np.minimum(gaps[:-1], gaps[1:]) / 4
        grid = 10.0 ** np.floor(np.log10(narrow))
        rounded = np.rint(path[1:-1] / grid) * grid
    usable = np.isfinite(rounded) & (narrow > 0)
    out[1:-1] = np.where(usable, rounded, path[1:-1])
    return out
