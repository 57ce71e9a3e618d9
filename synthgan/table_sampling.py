"""From a trained generator to tables: plain, conditional and completed rows, and likelihoods.

:class:`TableSampler` joins the two halves of a fitted model, the encoder (tables and tokens) and
the :class:`~synthgan.sampling.Sampler` (tokens and networks).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from synthgan._runtime import numpy_generator
from synthgan.arrow import plain_values, value_type_of
from synthgan.blocks import blocks
from synthgan.conditions import Confinement, parse_conditions
from synthgan.encoding import IdentifierCoder, TableEncoder
from synthgan.exceptions import ConditionError, DataError, DataWarning
from synthgan.memory import rows_at_once
from synthgan.sampling import Sampler

__all__ = ["TableSampler", "in_batches"]

Array = np.ndarray[Any, Any]

#: Conditions that are together rarer than if they had nothing to do with each other, by this
#: factor, are refused as contradictory.
IMPOSSIBLE = 1e-9
#: Rows that are scored at once.
_SCORED_ROWS = 8192


@dataclass(frozen=True, slots=True)
class TableSampler:
    """Draws tables from a fitted encoder and generator.

    Attributes
    ----------
    encoder : TableEncoder
    sampler : Sampler
    active : tuple of int
        Columns that the generator knows: those with more than one token.
    n_rows : int
        Rows that the model was fitted on.
    """

    encoder: TableEncoder
    sampler: Sampler
    active: tuple[int, ...]
    n_rows: int

    def blocks(
        self,
        n_samples: int,
        conditions: Mapping[Any, Any] | None,
        steps: int | None,
        seed: int,
        start: int = 0,
    ) -> Iterator[pa.Table]:
        """Yield tables of at most one block; one empty table if no row is asked for.

        Parameters
        ----------
        n_samples : int
        conditions : mapping of column name to condition, or None
        steps : int or None
            Groups of columns; None leaves it to the sampler.
        seed : int
        start : int
            Rows of the sample before this one are left out, and not drawn.
        """
        confinements = parse_conditions(conditions or {}, self.encoder)
        self.encoder.require_keys(n_samples)
        weights = self._weights(confinements)
        restricted = self._restricted(confinements)
        self._require_possible(restricted, weights)
        if n_samples <= start:
            empty = np.empty((0, len(self.encoder.coders)), np.int64)
            yield self._decode(empty, 0, seed, confinements)
        for first, rows in blocks(start, n_samples):
            codes = self._draw(seed, first, rows, steps, weights, restricted)
            skipped = max(start - first, 0)
            table = self._decode(codes, first, seed, confinements)
            yield table.slice(skipped, min(rows, n_samples - first) - skipped)

    def complete(self, given: pa.Table, steps: int | None, seed: int, *, fill: bool) -> pa.Table:
        """Return one complete row for each row of known cells.

        Parameters
        ----------
        given : pyarrow.Table
            Some or all columns of the model; a missing cell is unknown.
        steps, seed
            As for :meth:`blocks`.
        fill : bool
            Whether drawn cells must have a value (imputation).
        """
        codes, known = self._encode_known(given)
        self.encoder.require_keys(given.num_rows)
        weights = self._weights(())
        if fill:
            weights = [
                self._without_missing(j, w) for j, w in zip(self.active, weights, strict=True)
            ]
        tables = [self._decode(codes[:0], 0, seed)]
        for first, rows in blocks(0, len(codes)):
            part = slice(first, first + rows)
            drawn = self._draw(seed, first, rows, steps, weights, [], codes[part], known[part])
            tables.append(self._decode(drawn, first, seed))
        return _put_back(pa.concat_tables(tables), given)

    def log_likelihood(self, table: pa.Table, n_orders: int) -> Array:
        """Return the mean log-probability of each row over `n_orders` random orders, (rows,).

        Of the columns that `table` has.
        """
        codes, there = self._encode_some(table)
        scores = np.zeros(len(codes))
        if self.active:
            at_once = self._scored_at_once
            for start in range(0, len(codes), at_once):
                rows = slice(start, start + at_once)
                part = torch.from_numpy(codes[rows]).to(self.sampler.device)
                scores[rows] = self.sampler.log_likelihood(part, n_orders, 0, there).cpu().numpy()
        return scores

    def log_shares_given(self, table: pa.Table, column: str) -> Array:
        """Return log-probabilities of the tokens of a column, given the others, (rows, tokens)."""
        codes, _ = self._encode_some(table)
        variable = self.active.index(self.encoder.index(column))
        at_once = self._scored_at_once
        parts = [
            self.sampler.log_shares_given(
                torch.from_numpy(codes[start : start + at_once]).to(self.sampler.device), variable
            )
            for start in range(0, max(len(codes), 1), at_once)
        ]
        return torch.cat(parts).cpu().double().numpy()

    @property
    def _scored_at_once(self) -> int:
        """Rows that are scored at once."""
        return rows_at_once(max(self.sampler.generator.sizes), most=_SCORED_ROWS)

    def _encode_some(self, table: pa.Table) -> tuple[Array, list[int] | None]:
        """Return tokens of the active columns, and which of these the table has; None is all."""
        codes = np.zeros((table.num_rows, len(self.active)), np.int64)
        there = []
        for k, j in enumerate(self.active):
            name = self.encoder.schema.names[j]
            if name in table.column_names:
                codes[:, k] = self._encode(name, table[name], DataError)
                there.append(k)
        return codes, there if len(there) < len(self.active) else None

    def _draw(
        self,
        seed: int,
        first: int,
        rows: int,
        steps: int | None,
        weights: Sequence[Tensor | None],
        restricted: Sequence[int],
        codes: Array | None = None,
        known: Array | None = None,
    ) -> Array:
        """Return the tokens of all columns of one block, or of the rows of it that are given."""
        asked = rows if codes is None else len(codes)
        out = np.zeros((asked, len(self.encoder.coders)), np.int64)
        if not self.active:
            return out
        given: list[Tensor | None] = [None, None]
        if codes is not None and known is not None:
            pad = ((0, rows - asked), (0, 0))  # rows of a last block that nobody asked for
            parts = (
                np.pad(codes[:, self.active], pad),
                np.pad(known[:, self.active], pad, constant_values=True),
            )
            given = [torch.from_numpy(part).to(self.sampler.device) for part in parts]
        drawn = self.sampler.draw_block(
            seed,
            first,
            rows,
            steps=steps,
            weights=weights,
            restricted=restricted,
            codes=given[0],
            known=given[1],
        )
        out[:, self.active] = drawn.cpu().numpy()[:asked]
        return out

    def _decode(
        self, codes: Array, first: int, seed: int, confinements: Sequence[Confinement] = ()
    ) -> pa.Table:
        names = self.encoder.schema.names
        table = self.encoder.decode(
            codes,
            numpy_generator(seed, "cells", first),
            limits={names[c.column]: c.limits for c in confinements if c.limits is not None},
            first_row=first,
            key_seed=seed,
        )
        for c in confinements:
            if c.choices is not None:
                rng = numpy_generator(seed, "choices", first, c.column)
                column = _choose(self.encoder, c, codes[:, c.column], rng)
                table = table.set_column(c.column, names[c.column], column)
        return table

    def _weights(self, confinements: Sequence[Confinement]) -> list[Tensor | None]:
        """Return the factors on the token probabilities of each active column."""
        factors: dict[int, Array] = {}
        for j, coder in enumerate(self.encoder.coders):
            if coder.suppressed:
                factors[j] = np.ones(coder.n_tokens)
                factors[j][list(coder.suppressed)] = 0.0
        for c in confinements:
            factors[c.column] = factors.get(c.column, 1.0) * c.weights
            if not factors[c.column].any():
                name = self.encoder.schema.names[c.column]
                raise ConditionError(f"Column {name!r}: only suppressed rare levels satisfy this.")
        return [self._tensor(factors[j]) if j in factors else None for j in self.active]

    def _without_missing(self, column: int, weights: Tensor | None) -> Tensor | None:
        coder = self.encoder.coders[column]
        if coder.missing_token is None:
            return weights
        factors = np.ones(coder.n_tokens) if weights is None else weights.cpu().numpy().copy()
        factors[coder.missing_token] = 0.0
        return self._tensor(factors) if factors.any() else weights

    def _tensor(self, factors: Array) -> Tensor:
        return torch.tensor(factors, dtype=torch.float32, device=self.sampler.device)

    def _restricted(self, confinements: Sequence[Confinement]) -> list[int]:
        """Return the positions of confined columns among the active, the most confined first."""
        ordered = sorted(confinements, key=lambda c: float(c.weights.sum()))
        return [self.active.index(c.column) for c in ordered if c.column in self.active]

    def _require_possible(
        self, restricted: Sequence[int], weights: Sequence[Tensor | None]
    ) -> None:
        if not restricted:
            return
        log_probability, least = self.sampler.log_probability_of_weights, np.log(IMPOSSIBLE)
        together = log_probability(restricted, weights)
        probability = float(np.exp(together))
        if not together > least:  # rare, but perhaps no rarer than by chance
            least += sum(log_probability([j], weights) for j in restricted)
        if not together > least:
            raise ConditionError(
                "The conditions contradict each other in all that the model has learned: it gives "
                f"their combination a probability of {probability:.0e}. Relax one of them."
            )
        if probability < 0.1 / self.n_rows:
            warnings.warn(
                f"The model gives these conditions together a probability of {probability:.1e}; "
                "rows this rare rest on little evidence.",
                DataWarning,
                stacklevel=4,
            )

    def _encode_known(self, table: pa.Table) -> tuple[Array, Array]:
        """Return tokens and knownness of all columns, each of shape (rows, columns)."""
        shape = (table.num_rows, len(self.encoder.coders))
        codes, known = np.zeros(shape, np.int64), np.zeros(shape, bool)
        for name in table.column_names:
            if name not in self.encoder.schema:
                raise ConditionError(f"No column {name!r} in the model; known cells must match it.")
            j, column = self.encoder.index(name), plain_values(table[name])
            present = column.is_valid().to_numpy()
            known[:, j] = present
            if not present.any():
                continue
            codes[present, j] = self._encode(name, column.drop_null(), ConditionError, whole=True)
        return codes, known

    def _encode(
        self, name: str, cells: pa.ChunkedArray, fault: type[Exception], *, whole: bool = False
    ) -> Array:
        """Return the tokens of cells of a column; what cannot be read as such is a fault.

        So is, with `whole`, what does not fit into the type of the column.
        """
        try:
            if whole:
                cells.cast(value_type_of(self.encoder.schema[name].arrow_type))
            return self.encoder.coder(name).encode(cells)
        except DataError as error:
            raise fault(str(error)) from None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            wanted = self.encoder.schema[name].type
            raise fault(
                f"Column {name!r} is {cells.type}, the model has {wanted}, which does not hold all "
                "of its cells."
            ) from None


def in_batches(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.RecordBatch]:
    """Cut a stream of tables into batches of so many rows; the last may be shorter."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        while sum(map(len, held)) >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows).combine_chunks().to_batches()[0]
            held = [whole.slice(rows)]
    rest = pa.concat_tables(held).combine_chunks()
    if rest.num_rows:
        yield rest.to_batches()[0]


def _put_back(drawn: pa.Table, given: pa.Table) -> pa.Table:
    """Replace drawn cells by the given ones, which stay exactly as they were."""
    for name in given.column_names:
        if given[name].null_count == len(given):
            continue
        target, ours = drawn.schema.field(name).type, plain_values(drawn[name]).combine_chunks()
        theirs = plain_values(given[name]).cast(ours.type).combine_chunks()
        merged = pc.coalesce(theirs, ours)
        if pa.types.is_dictionary(target):
            known = plain_values(drawn[name].combine_chunks().dictionary)
            levels = pc.unique(pa.concat_arrays([known, merged.drop_null()]))
            codes, index = pc.index_in(merged, value_set=levels), target.index_type
            if len(levels) > 2 ** (index.bit_width - 1):
                index = pa.int32()
            merged = pa.DictionaryArray.from_arrays(
                codes.cast(index), levels.cast(target.value_type), ordered=target.ordered
            )
        else:
            merged = merged.cast(target)
        drawn = drawn.set_column(drawn.column_names.index(name), name, merged)
    return drawn


def _choose(
    encoder: TableEncoder, confinement: Confinement, tokens: Array, rng: np.random.Generator
) -> pa.Array:
    """Return, for each cell, one of the chosen numbers or levels that its token holds."""
    coder, choices, odds = encoder.coders[confinement.column], confinement.choices, confinement.odds
    if isinstance(coder, IdentifierCoder) or choices is None or odds is None:
        raise TypeError("only numbers and levels are chosen")
    held = coder.tokens_of(choices)
    drawn = np.zeros(len(tokens), choices.dtype)
    for token in np.intersect1d(held, tokens):
        cells, there = tokens == token, held == token
        share = odds[there] / odds[there].sum()
        drawn[cells] = rng.choice(choices[there], cells.sum(), p=share)
    return coder.show(drawn, tokens)
