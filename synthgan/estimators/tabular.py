"""TabularGAN: the masked conditional GAN for tables."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from synthgan._runtime import (
    half_precision,
    logger,
    numpy_generator,
    resolve_device,
    seed_from,
    torch_generator,
)
from synthgan.conditions import Confinement, parse_conditions
from synthgan.encoding import IdentifierCoder, LevelCoder, NumberCoder, TableEncoder
from synthgan.estimators.base import BaseSynthesizer, check_number
from synthgan.exceptions import ConditionError, DataError, DataWarning, ParameterError
from synthgan.io import Container, read_with_container
from synthgan.likelihood import fit_likelihood
from synthgan.networks import RowGenerator
from synthgan.sampling import BLOCK, Sampler
from synthgan.schema import Schema, infer_schema
from synthgan.training import Callback, Deadline, TrainingOptions, parse_duration

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TabularGAN"]

Array = np.ndarray[Any, Any]
_LARGEST_WIDTH, _LARGEST_DEPTH = 8192, 64


class TabularGAN(BaseSynthesizer):
    """A masked conditional GAN for tables.

    One network learns to fill any hidden subset of columns given any visible one. Plain sampling,
    conditional sampling, imputation and anomaly scores are the same network under different masks.

    Parameters
    ----------
    random_state : int, numpy Generator, RandomState or None, default None
        Seeds everything that is drawn in `fit`. The same int gives the same model on one machine
        (unless `max_time` cuts the fit short).
    device : {"auto", "cpu", "cuda", "cuda:<index>", "mps"}, default "auto"
        Where to train and sample.
    max_time : float, str or None, default None
        Budget of the whole fit: seconds, or a text such as ``"10m"``. The learning-rate schedule
        shortens to fit, and a usable model always results. None: as long as it takes.
    schema : Schema, dict or None, default None
        What the columns are; None infers it. See :func:`synthgan.schema.infer_schema`.
    min_count : int, default 5
        Values and levels in fewer rows are never repeated because they were seen; used when the
        schema is inferred.
    max_tokens : int, default 256
        Most spikes plus bins of a numeric column; fewer are faster and coarser.
    width, depth : int or None, default None
        Size of the generator. None chooses by the number of rows: 128 to 768 wide, 3 deep.
    options : TrainingOptions or None, default None
        Rarely changed settings of the training. None chooses by the number of rows.
    callbacks : sequence of callable, default ()
        Called after each epoch with a dict of figures; returning True ends the phase.
    verbose : int, default 1
        0 is silent, 1 shows progress bars on standard error.

    Attributes
    ----------
    schema_ : Schema
        The columns as they were modelled.
    encoder_ : TableEncoder
        Maps tables to tokens and back.
    generator_ : RowGenerator
        The trained network.
    history_ : list of dict
        Figures of every epoch.
    n_rows_ : int
        Rows that the model was fitted on.
    n_features_in_ : int
        Columns of the table, without `y`.
    feature_names_in_ : ndarray of str
        Their names.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"age": [20, 30, 40, 50] * 50, "smoker": ["yes", "no"] * 100})
    >>> gan = TabularGAN(random_state=0, max_time="2s", verbose=0).fit(table)
    >>> gan.sample(3, conditions={"smoker": "no"})["smoker"].tolist()
    ['no', 'no', 'no']
    """

    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {
        "min_count": (int, 1, 10**6),
        "max_tokens": (int, 4, 4096),
        "width": (int, 8, _LARGEST_WIDTH),
        "depth": (int, 1, _LARGEST_DEPTH),
        "verbose": (int, 0, 10),
    }

    def __init__(
        self,
        *,
        random_state: Any = None,
        device: str = "auto",
        max_time: float | str | None = None,
        schema: Schema | Mapping[str, Any] | None = None,
        min_count: int = 5,
        max_tokens: int = 256,
        width: int | None = None,
        depth: int | None = None,
        options: TrainingOptions | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> None:
        self.random_state = random_state
        self.device = device
        self.max_time = max_time
        self.schema = schema
        self.min_count = min_count
        self.max_tokens = max_tokens
        self.width = width
        self.depth = depth
        self.options = options
        self.callbacks = callbacks
        self.verbose = verbose

    # fitting ------------------------------------------------------------------------------------

    def fit(self, data: Any, y: Any = None, *, target: str | None = None) -> Self:
        """Learn the joint distribution of the columns.

        Parameters
        ----------
        data : DataFrame, Arrow table, polars frame, array, or path to a .parquet or .csv file
            It is not changed.
        y : array-like, optional
            One more column, the target; it becomes the last column, named ``"target"`` or by its
            own name.
        target : str, optional
            Name of the target column, recorded in the model for evaluation and rebalancing.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, SchemaError, DataError
            Before any training, naming the parameter or column and the fix.
        """
        self._check_parameters()
        deadline = Deadline.after(parse_duration(self.max_time))
        device, seed = resolve_device(self.device), seed_from(self.random_state)
        started = time.monotonic()
        table, container = _join_target(data, y)
        schema = self._resolve_schema(table)
        _check_rows(table, schema)
        if target is not None and target not in schema:
            raise DataError(f"target={target!r} is not a column of the table.")
        encoder = self._fit_encoder(table, schema)
        codes = encoder.encode(table).codes
        active = [j for j, size in enumerate(encoder.sizes) if size > 1]
        options = self.options or TrainingOptions.for_rows(len(codes))
        generator, history = self._train(
            codes[:, active], encoder, active, options, seed, device, deadline
        )
        self.schema_, self.encoder_, self.generator_ = schema, encoder, generator
        self.history_, self.n_rows_ = history, len(codes)
        self.target_ = target if y is None else schema.names[-1]
        self.seconds_ = round(time.monotonic() - started, 3)
        self._container, self._has_y = container, y is not None
        self._remember_features()
        return self

    def _remember_features(self) -> None:
        names = self.schema_.names[:-1] if self._has_y else self.schema_.names
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.array(names, dtype=object)
        self._active = [j for j, size in enumerate(self.encoder_.sizes) if size > 1]

    def _resolve_schema(self, table: pa.Table) -> Schema:
        inferred = infer_schema(table, min_count=self.min_count) if self.schema is None else None
        if inferred is not None:
            return inferred
        schema = self.schema if isinstance(self.schema, Schema) else Schema.from_dict(self.schema)  # type: ignore[arg-type]
        if differences := schema.differences(table):
            raise DataError("The table does not fit the schema: " + "; ".join(differences) + ".")
        return schema

    def _fit_encoder(self, table: pa.Table, schema: Schema) -> TableEncoder:
        with tqdm(
            total=len(schema), desc="encoding", unit="column", disable=not self.verbose, leave=False
        ) as bar:
            return TableEncoder.fit(
                table, schema, max_tokens=self.max_tokens, progress=lambda name: bar.update()
            )

    def _train(
        self,
        codes: Array,
        encoder: TableEncoder,
        active: list[int],
        options: TrainingOptions,
        seed: int,
        device: torch.device,
        deadline: Deadline,
    ) -> tuple[RowGenerator, list[dict[str, Any]]]:
        n_rows = len(codes)
        sizes = [encoder.sizes[j] for j in active]
        generator = RowGenerator(
            sizes,
            [encoder.n_ordered[j] for j in active],
            self.width or _default_width(n_rows),
            self.depth or 3,
            options.dropout,
        )
        if not active:
            return generator.eval(), []
        generator.reset(torch_generator(seed, "weights"), _log_frequencies(codes, sizes))
        generator.to(device)
        held_out, kept = _split(n_rows, seed)
        tokens = torch.from_numpy(codes).to(device)
        result = fit_likelihood(
            generator,
            tokens[kept],
            tokens[held_out],
            options,
            seed=seed,
            precision=half_precision(device),
            deadline=deadline,
            callbacks=tuple(self.callbacks),
            progress=bool(self.verbose),
        )
        logger.info("likelihood phase ended: %s", result.reason)
        return generator.eval(), result.history

    # sampling -----------------------------------------------------------------------------------

    def sample(
        self,
        n_samples: int | None = None,
        conditions: Any = None,
        steps: int | None = None,
        random_state: Any = None,
    ) -> Any:
        """Draw synthetic rows.

        Parameters
        ----------
        n_samples : int, optional
            Rows to draw; 1 if neither this nor a frame of conditions is given.
        conditions : mapping or table, optional
            A mapping of column to value, list of values, ``(low, high)`` range,
            ``synthgan.MISSING`` or ``synthgan.NOT_MISSING``: every row satisfies all of them, and
            the rest is drawn from the model's conditional distribution. Or a table of known cells,
            missing where unknown: one row comes out per row.
        steps : int, optional
            Groups in which the columns are drawn; all columns one by one (the default) is exact,
            fewer is faster.
        random_state : int, Generator, RandomState or None, default None
            The same int gives the same rows, and the first rows do not depend on how many follow.

        Returns
        -------
        table
            In the form that `fit` got, with its dtypes; ``(X, y)`` if `fit` got arrays and a `y`.

        Raises
        ------
        ConditionError
            If no row can satisfy the conditions.
        """
        check_is_fitted(self)
        if conditions is not None and not isinstance(conditions, Mapping):
            if n_samples is not None:
                raise ParameterError("Give n_samples or a table of known cells, not both.")
            return self._restore(self._complete(conditions, steps, seed_from(random_state)))
        n_samples = 1 if n_samples is None else n_samples
        _check_count(n_samples)
        batches = list(self._blocks(n_samples, conditions, steps, seed_from(random_state)))
        return self._restore(pa.concat_tables(batches).combine_chunks())

    def sample_iter(
        self,
        n_samples: int,
        batch_rows: int = 65536,
        *,
        conditions: Mapping[str, Any] | None = None,
        steps: int | None = None,
        random_state: Any = None,
    ) -> Iterator[pa.RecordBatch]:
        """Draw synthetic rows as a stream of Arrow record batches, in bounded memory.

        The rows are those that :meth:`sample` gives for the same seed, whatever `batch_rows` is.

        Parameters
        ----------
        n_samples : int
        batch_rows : int, default 65536
            Rows of each batch; the last may be shorter.
        conditions, steps, random_state
            As for :meth:`sample`.

        Yields
        ------
        pyarrow.RecordBatch
        """
        check_is_fitted(self)
        _check_count(n_samples)
        check_number("sample_iter", "batch_rows", batch_rows, int, 1, 2**31)
        held: list[pa.Table] = []
        for table in self._blocks(n_samples, conditions, steps, seed_from(random_state)):
            held.append(table)
            while sum(map(len, held)) >= batch_rows:
                whole = pa.concat_tables(held)
                yield whole.slice(0, batch_rows).combine_chunks().to_batches()[0]
                held = [whole.slice(batch_rows)]
        rest = pa.concat_tables(held).combine_chunks()
        if rest.num_rows:
            yield rest.to_batches()[0]

    def _blocks(
        self, n_samples: int, conditions: Mapping[str, Any] | None, steps: int | None, seed: int
    ) -> Iterator[pa.Table]:
        """Yield tables of one block each; one empty table if no row is asked for."""
        confinements = self._parse_conditions(conditions)
        steps = self._resolve_steps(steps)
        sampler = self._sampler()
        weights = self._weights(confinements)
        restricted = self._restricted(confinements)
        if restricted:
            self._require_possible(sampler, restricted, weights)
        if not n_samples:
            yield self._decode(np.empty((0, len(self.schema_)), np.int64), 0, seed, confinements)
        for block in range(-(-n_samples // BLOCK)):
            codes = self._draw(sampler, seed, block, steps, weights, restricted)
            rows = min(BLOCK, n_samples - block * BLOCK)
            yield self._decode(codes, block, seed, confinements).slice(0, rows)

    def _draw(
        self,
        sampler: Sampler,
        seed: int,
        block: int,
        steps: int,
        weights: list[torch.Tensor | None],
        restricted: list[int],
        given: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> Array:
        """Return the tokens of all columns of one block, shape (BLOCK, columns)."""
        rows = BLOCK if given is None else len(given[0])
        codes = np.zeros((rows, len(self.schema_)), np.int64)
        if self._active:
            drawn = sampler.draw_block(
                seed,
                block,
                steps=steps,
                weights=weights,
                restricted=restricted,
                codes=None if given is None else given[0],
                known=None if given is None else given[1],
            )
            codes[:, self._active] = drawn.cpu().numpy()
        return codes

    def _decode(
        self, codes: Array, block: int, seed: int, confinements: Sequence[Confinement] = ()
    ) -> pa.Table:
        limits = {
            self.schema_.names[c.column]: c.limits for c in confinements if c.limits is not None
        }
        table = self.encoder_.decode(
            codes,
            numpy_generator(seed, "cells", block),
            limits=limits,
            first_row=block * BLOCK,
            key_seed=seed,
        )
        for confinement in confinements:
            if confinement.choices is not None:
                column = _choose(self.encoder_, confinement, codes, seed, block)
                name = self.schema_.names[confinement.column]
                table = table.set_column(confinement.column, name, column)
        return table

    def _sampler(self) -> Sampler:
        return Sampler(self.generator_, half_precision(self.generator_.bias.device))

    def _resolve_steps(self, steps: int | None) -> int:
        most = max(len(self._active), 1)
        if steps is None:
            return most
        check_number("sample", "steps", steps, int, 1, 10**6)
        return min(int(steps), most)

    def _parse_conditions(self, conditions: Mapping[str, Any] | None) -> list[Confinement]:
        if not conditions:
            return []
        labels = dict(zip(self._container.labels, self.schema_.names, strict=False))
        return parse_conditions(conditions, self.encoder_, labels)

    def _weights(self, confinements: Sequence[Confinement]) -> list[torch.Tensor | None]:
        """Return the factors on the token probabilities of each active column."""
        device = self.generator_.bias.device
        factors: dict[int, Array] = {}
        for j, coder in enumerate(self.encoder_.coders):
            if coder.suppressed:
                factors[j] = np.ones(coder.n_tokens)
                factors[j][list(coder.suppressed)] = 0.0
        for c in confinements:
            weights = factors.get(c.column, 1.0) * c.weights
            if not weights.any():
                name = self.schema_.names[c.column]
                raise ConditionError(f"Column {name!r}: only suppressed rare levels satisfy this.")
            factors[c.column] = weights
        return [
            torch.tensor(factors[j], dtype=torch.float32, device=device) if j in factors else None
            for j in self._active
        ]

    def _restricted(self, confinements: Sequence[Confinement]) -> list[int]:
        """Return the active positions of confined columns, the most confined first."""
        ordered = sorted(confinements, key=lambda c: float(c.weights.sum()))
        return [self._active.index(c.column) for c in ordered if c.column in self._active]

    def _require_possible(
        self, sampler: Sampler, restricted: list[int], weights: list[torch.Tensor | None]
    ) -> None:
        log_probability = sampler.log_probability_of_weights(restricted, weights)
        probability = float(np.exp(log_probability))
        if probability < 1e-9:
            raise ConditionError(
                "The conditions contradict each other in all that the model has learned: it gives "
                f"their combination a probability of {probability:.0e}. Relax one of them."
            )
        if probability < 0.1 / self.n_rows_:
            warnings.warn(
                f"The model gives these conditions together a probability of {probability:.1e}; "
                "rows this rare rest on little evidence.",
                DataWarning,
                stacklevel=5,
            )

    def _restore(self, table: pa.Table) -> Any:
        if self._container.kind == "numpy" and self._has_y:
            names = table.column_names
            dtypes = self._container.dtypes
            features = Container("numpy", tuple(names[:-1]), dtypes[:-1])
            target = Container("numpy", tuple(names[-1:]), dtypes[-1:])
            return features.restore(table.select(names[:-1])), target.restore(
                table.select(names[-1:])
            ).ravel()
        return self._container.restore(table)

    # given cells --------------------------------------------------------------------------------

    def impute(
        self,
        data: Any,
        n_imputations: int = 1,
        *,
        steps: int | None = None,
        random_state: Any = None,
    ) -> Any:
        """Fill missing cells with draws from their distribution given the cells that are there.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order.
        n_imputations : int, default 1
            How many completed tables to draw; several show how uncertain the filled cells are
            (multiple imputation, Rubin 1987).
        steps, random_state
            As for :meth:`sample`.

        Returns
        -------
        table, or list of tables if ``n_imputations > 1``
            Known cells are returned as they were given.
        """
        check_is_fitted(self)
        check_number("impute", "n_imputations", n_imputations, int, 1, 10**6)
        seed = seed_from(random_state)
        table, _ = read_with_container(data)
        self._require_columns(table)
        completed = [
            self._restore(self._complete(table, steps, seed + i, fill=True))
            for i in range(n_imputations)
        ]
        return completed[0] if n_imputations == 1 else completed

    def _complete(self, data: Any, steps: int | None, seed: int, fill: bool = False) -> pa.Table:
        """Return one complete row per row of `data`; with `fill`, no drawn cell is missing."""
        table, _ = read_with_container(data)
        unknown = [name for name in table.column_names if name not in self.schema_]
        if unknown:
            raise ConditionError(f"No column {unknown[0]!r} in the model; known cells must match it.")
        if not table.num_rows:
            return self._decode(np.empty((0, len(self.schema_)), np.int64), 0, seed)
        codes, known = self._encode_known(table)
        weights = self._weights(())
        if fill:
            for position, j in enumerate(self._active):
                token = self.encoder_.coders[j].missing_token
                if token is not None and self.encoder_.sizes[j] > 1:
                    held = weights[position]
                    held = torch.ones(self.encoder_.sizes[j]) if held is None else held.cpu()
                    held[token] = 0.0
                    weights[position] = held.to(self.generator_.bias.device)
        sampler, steps = self._sampler(), self._resolve_steps(steps)
        device = self.generator_.bias.device
        out = []
        for block, start in enumerate(range(0, len(codes), BLOCK)):
            part = slice(start, start + BLOCK)
            rows = len(codes[part])
            pad = ((0, BLOCK - rows), (0, 0))
            given = (
                torch.from_numpy(np.pad(codes[part][:, self._active], pad)).to(device),
                torch.from_numpy(np.pad(known[part][:, self._active], pad)).to(device),
            )
            drawn = self._draw(sampler, seed, block, steps, weights, [], given)
            out.append(self._decode(drawn, block, seed).slice(0, rows))
        return self._put_back(pa.concat_tables(out), table)

    def _encode_known(self, table: pa.Table) -> tuple[Array, Array]:
        shape = (table.num_rows, len(self.schema_))
        codes, known = np.zeros(shape, np.int64), np.zeros(shape, bool)
        for name in table.column_names:
            j, column = self.encoder_.index(name), table[name]
            present = column.is_valid().to_numpy()
            known[:, j] = present
            if present.any():
                filled = column.filter(pa.array(present))
                try:
                    codes[present, j] = self.encoder_.coders[j].encode(filled)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    wanted = self.schema_[name].type
                    raise ConditionError(
                        f"Column {name!r} is {column.type}, the model has {wanted}."
                    ) from None
        return codes, known

    def _put_back(self, drawn: pa.Table, given: pa.Table) -> pa.Table:
        """Replace drawn cells by the given ones, which stay exactly as they were."""
        for name in given.column_names:
            j = self.encoder_.index(name)
            target = drawn.schema.field(name).type
            ours = drawn[name].combine_chunks()
            theirs = given[name].combine_chunks()
            if pa.types.is_dictionary(target):
                plain = target.value_type
                merged = pc.coalesce(theirs.cast(plain), ours.cast(plain)).dictionary_encode()
                drawn = drawn.set_column(j, name, merged.cast(target))
            else:
                drawn = drawn.set_column(j, name, pc.coalesce(theirs.cast(target), ours))
        return drawn

    def score_samples(self, data: Any, *, n_orders: int = 8) -> Array:
        """Return the log-likelihood of each row; low means unlike the fitted table.

        The estimate is the mean of the chain-rule log-probability over `n_orders` random orders of
        the columns (always the same), a lower bound on the log of the model's mixture over orders.
        Numbers count by their bin, in nats.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order.
        n_orders : int, default 8

        Returns
        -------
        ndarray of float64, shape (rows,)
        """
        check_is_fitted(self)
        check_number("score_samples", "n_orders", n_orders, int, 1, 10**6)
        table, _ = read_with_container(data)
        self._require_columns(table)
        codes = self.encoder_.encode(table).codes[:, self._active].astype(np.int64)
        if not self._active:
            return np.zeros(len(codes))
        sampler, device = self._sampler(), self.generator_.bias.device
        parts = [
            sampler.log_likelihood(torch.from_numpy(codes[i : i + 8192]).to(device), n_orders, 0)
            for i in range(0, len(codes), 8192)
        ]
        return torch.cat(parts).cpu().numpy() if parts else np.zeros(0)

    def score(self, data: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`."""
        return float(self.score_samples(data).mean())

    def _require_columns(self, table: pa.Table) -> None:
        if differences := self.schema_.differences(table):
            raise DataError("The table does not fit the model: " + "; ".join(differences) + ".")

    # description and storage --------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Return what the model is: a JSON-able dict of columns, sizes and figures of the fit."""
        check_is_fitted(self)
        columns = []
        for column, coder in zip(self.schema_, self.encoder_.coders, strict=True):
            entry = {"name": column.name, "kind": column.kind, "tokens": coder.n_tokens}
            entry["missing"] = coder.missing_token is not None
            if isinstance(coder, LevelCoder):
                entry["levels"], entry["pooled_rare_levels"] = len(coder.levels), coder.has_rare
            elif isinstance(coder, NumberCoder) and len(coder.knots):
                ends = np.array(coder.extremes)
                low, high = coder.scale.to_cells(ends, np.zeros(2, bool)).to_pylist()
                entry.update(spikes=int(coder.is_spike.sum()), lowest=str(low), highest=str(high))
            elif isinstance(coder, IdentifierCoder):
                entry["generated"] = True
            columns.append(entry)
        return {
            "estimator": type(self).__name__,
            "privacy": "no formal guarantee",
            "rows": self.n_rows_,
            "target": self.target_,
            "seconds": self.seconds_,
            "parameters": sum(p.numel() for p in self.generator_.parameters()),
            "width": self.generator_.width,
            "depth": len(self.generator_.blocks),
            "steps": len(self._active),
            "epochs": len(self.history_),
            "columns": columns,
        }

    def _to_model(self) -> tuple[dict[str, Any], dict[str, Array]]:
        weights = {
            f"generator.{name}": value.detach().cpu().numpy()
            for name, value in self.generator_.state_dict().items()
        }
        encoder = {f"encoder.{name}": array for name, array in self.encoder_.arrays().items()}
        model = {
            "schema": self.schema_.to_dict(),
            "encoder": self.encoder_.to_dict(),
            "container": self._container.to_dict(),
            "network": {"width": self.generator_.width, "depth": len(self.generator_.blocks)},
            "history": self.history_,
            "n_rows": self.n_rows_,
            "target": self.target_,
            "seconds": self.seconds_,
            "has_y": self._has_y,
            "parameters": {
                "min_count": self.min_count,
                "max_tokens": self.max_tokens,
                "width": self.width,
                "depth": self.depth,
                "options": None if self.options is None else dataclasses.asdict(self.options),
            },
        }
        return model, {**weights, **encoder}

    @classmethod
    def _from_model(
        cls, model: dict[str, Any], tensors: dict[str, Array], device: torch.device
    ) -> Self:
        parameters = dict(model["parameters"])
        if parameters.get("options") is not None:
            parameters["options"] = TrainingOptions(**parameters["options"])
        loaded = cls(**parameters)
        loaded._check_parameters()
        loaded.schema_ = Schema.from_dict(model["schema"])
        arrays = _with_prefix(tensors, "encoder.")
        loaded.encoder_ = TableEncoder.from_dict(loaded.schema_, model["encoder"], arrays)
        loaded._container = Container.from_dict(model["container"])
        loaded._has_y = bool(model["has_y"])
        loaded.history_, loaded.n_rows_ = list(model["history"]), int(model["n_rows"])
        loaded.target_, loaded.seconds_ = model["target"], float(model["seconds"])
        loaded._remember_features()
        loaded.generator_ = _rebuild(
            model["network"], loaded.encoder_, loaded._active, _with_prefix(tensors, "generator.")
        ).to(device)
        return loaded


def _with_prefix(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _rebuild(
    network: Mapping[str, Any], encoder: TableEncoder, active: list[int], weights: dict[str, Array]
) -> RowGenerator:
    """Build the generator that the description names and check that the weights fit it."""
    width, depth = int(network["width"]), int(network["depth"])
    check_number("network", "width", width, int, 1, _LARGEST_WIDTH)
    check_number("network", "depth", depth, int, 1, _LARGEST_DEPTH)
    with torch.device("meta"):
        planned = RowGenerator(
            [encoder.sizes[j] for j in active], [encoder.n_ordered[j] for j in active], width, depth
        ).state_dict()
    expected = {name: tuple(value.shape) for name, value in planned.items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != found:
        raise ValueError("the weights do not fit the network")
    generator = RowGenerator(
        [encoder.sizes[j] for j in active], [encoder.n_ordered[j] for j in active], width, depth
    )
    generator.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
    return generator.eval()


def _join_target(data: Any, y: Any) -> tuple[pa.Table, Container]:
    """Return the table with `y` as its last column."""
    table, container = read_with_container(data)
    if y is None:
        return table, container
    name = getattr(y, "name", None) or "target"
    frame = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y))
    if frame.ndim != 1 or len(frame) != table.num_rows:
        raise DataError(f"y has {len(frame)} values for {table.num_rows} rows.")
    column, kind = read_with_container(frame.to_frame(str(name)))
    if str(name) in table.column_names:
        raise DataError(f"The table already has a column {str(name)!r}; rename y.")
    labels = (*(container.labels or tuple(table.column_names)), name)
    joined = table.append_column(str(name), column.column(0))
    return joined, Container(container.kind, labels, (*container.dtypes, *kind.dtypes))


def _check_rows(table: pa.Table, schema: Schema) -> None:
    needed = max(2, *(column.min_count for column in schema))
    if table.num_rows < needed:
        raise DataError(
            f"The table has {table.num_rows} rows; at least {needed} are needed, because values in "
            "fewer than min_count rows are never repeated."
        )


def _check_count(n_samples: Any) -> None:
    if isinstance(n_samples, bool) or not isinstance(n_samples, (int, np.integer)) or n_samples < 0:
        shown = n_samples if isinstance(n_samples, (int, float)) else type(n_samples).__name__
        raise ParameterError(f"n_samples must be an int >= 0; got {shown}.")


def _default_width(n_rows: int) -> int:
    return 128 if n_rows < 2000 else 256 if n_rows < 8000 else 512


def _split(n_rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions of held-out and training rows: a tenth is held out, at most 4,000."""
    order = torch.from_numpy(numpy_generator(seed, "split").permutation(n_rows))
    count = min(max(n_rows // 10, 1), 4000)
    return order[:count], order[count:]


def _log_frequencies(codes: Array, sizes: Sequence[int]) -> torch.Tensor:
    parts = []
    for j, size in enumerate(sizes):
        counts = np.bincount(codes[:, j], minlength=size) + 0.5
        parts.append(np.log(counts / counts.sum()))
    return torch.from_numpy(np.concatenate(parts)).float()


def _choose(
    encoder: TableEncoder, confinement: Confinement, codes: Array, seed: int, block: int
) -> pa.Array:
    """Return, for each cell, one of the chosen numbers that its token holds."""
    coder = encoder.coders[confinement.column]
    assert isinstance(coder, NumberCoder) and confinement.choices is not None
    choices = confinement.choices
    tokens = coder.encode_numbers(choices)
    rng = numpy_generator(seed, "choices", block, confinement.column)
    drawn = np.zeros(len(codes))
    for token in np.unique(tokens):
        cells = codes[:, confinement.column] == token
        drawn[cells] = rng.choice(choices[tokens == token], cells.sum())
    return coder.scale.to_cells(drawn, np.zeros(len(codes), bool))
