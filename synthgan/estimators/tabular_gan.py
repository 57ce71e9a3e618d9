"""TabularGAN: the masked conditional GAN for tables."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from sklearn.utils.validation import check_is_fitted

from synthgan._runtime import numpy_generator, on_device, resolve_device, seed_from
from synthgan.encoding.levels import LevelCoder
from synthgan.estimators.base import Arrays, BaseSynthesizer, check_number
from synthgan.estimators.private_rows import fit_privately
from synthgan.estimators.row_training import train_rows
from synthgan.estimators.table_form import (
    LARGEST_DEPTH,
    LARGEST_WIDTH,
    TableForm,
    join_target,
)
from synthgan.estimators.table_networks import TableNetworks
from synthgan.estimators.weights import with_prefix
from synthgan.evaluate import drift
from synthgan.evaluate.drift import Drift
from synthgan.exceptions import DataError, ParameterError
from synthgan.io import read_with_container, with_container
from synthgan.marginals import MarginalOptions
from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
from synthgan.networks.rows import LatentClasses, RowGenerator
from synthgan.options import (
    TrainingOptions,
    with_changes,
)
from synthgan.privacy import DifferentialPrivacy
from synthgan.runs import Callback, Run
from synthgan.schema import Schema
from synthgan.sources import infers_types
from synthgan.table_sampling import TableSampler, in_batches

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TabularGAN"]

Array = np.ndarray[Any, Any]


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
    checkpoint : path or None, default None
        File that keeps the state of the fit, about every half minute. If the process dies, the same
        call goes on from there, to the same model. It is removed when the model is saved.
    schema : Schema, dict or None, default None
        What the columns are; None infers it. See :func:`synthgan.inference.infer_schema`.
    min_count : int, default 5
        Values and levels in fewer rows are never repeated because they were seen; used when the
        schema is inferred.
    max_tokens : int or None, default None
        Most spikes plus bins of a numeric column. None: one for every 22 rows, from 12 to 256;
        finer bins than that lose more to guessing than they gain in resolution.
    max_rows : int or None, default None
        Most rows to learn from; of a larger table, a random part is taken, always the same. None:
        all, and of Parquet files as many as take an eighth of the memory. Two million rows tell
        shares of levels to a tenth of a per cent, less than what a model is off by.
    width, depth : int or None, default None
        Size of the generator. None chooses by the numbers of rows and tokens: 128 to 512 wide,
        3 deep.
    privacy : DifferentialPrivacy or None, default None
        Fit under differential privacy: noisy counts of pairs of columns, and a mixture fitted to
        them in place of the networks. `schema`, `min_count`, `max_tokens`, `max_rows`, `width`
        and `depth` have no part in it; the domain of `privacy` says what the columns are.
    options : dict, TrainingOptions, MarginalOptions or None, default None
        Rarely changed settings of the training: a dict of some fields of TrainingOptions, or of
        MarginalOptions with `privacy`, such as ``{"refinement_steps": 500}``. All others follow
        from the numbers of rows and tokens. Or all settings at once, as an instance.
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
    generator_ : RowGenerator or MixtureGenerator
        The trained network.
    joint_ : LatentClasses, LatentChoice or None
        What ties columns that are drawn in one step: latent classes, or the latent row of a private
        mixture. None if unseen rows were no more likely with classes.
    steps_ : int
        Groups in which columns are drawn unless a call says otherwise: the fewest that lose nothing
        measurable.
    step_costs_ : list of dict
        What fewer steps change: ``cost``, the log-likelihood that unseen rows lose against one
        column a step, in nats; its standard ``error``; and ``divergence``, what rows of so many
        steps lose themselves. ``steps_`` has at most .04 of the first two together, and .6 of the
        last, after what these lie below 0 is taken off it if there are 512 such rows; of more than
        15 columns, in proportion.
    privacy_ : dict or None
        What a private fit promises (``"text"``), and what it was charged.
    history_ : list of dict
        Figures of every epoch.
    suppressed_ : dict of str to float
        How many fresh rows per column have a level or an extreme that the model does not show,
        at most.
    n_rows_ : int
        Rows that the model was fitted on.
    target_ : str or None
        The column that was named as target, or came as `y`.
    seconds_ : float
        What the fit took.
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

    _options_kind: ClassVar = TrainingOptions
    _private_options_kind: ClassVar = MarginalOptions
    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {
        "min_count": (int, 1, 10**6),
        "max_tokens": (int, 4, 4096),
        "max_rows": (int, 2, 2**40),
        "width": (int, 8, LARGEST_WIDTH),
        "depth": (int, 1, LARGEST_DEPTH),
        "verbose": (int, 0, 10),
    }
    generator_: RowGenerator | MixtureGenerator
    joint_: LatentClasses | LatentChoice | None
    _networks: TableNetworks

    def __init__(
        self,
        *,
        random_state: Any = None,
        device: str = "auto",
        max_time: float | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        schema: Schema | Mapping[str, Any] | None = None,
        min_count: int = 5,
        max_tokens: int | None = None,
        max_rows: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        privacy: DifferentialPrivacy | None = None,
        options: Mapping[str, Any] | TrainingOptions | MarginalOptions | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> None:
        self.random_state = random_state
        self.device = device
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.schema = schema
        self.min_count = min_count
        self.max_tokens = max_tokens
        self.max_rows = max_rows
        self.width = width
        self.depth = depth
        self.privacy = privacy
        self.options = options
        self.callbacks = callbacks
        self.verbose = verbose

    # fitting ------------------------------------------------------------------------------------

    def fit(self, data: Any, y: Any = None, *, target: str | None = None) -> Self:
        """Learn the joint distribution of the columns.

        Parameters
        ----------
        data : DataFrame, Arrow table, polars frame, array, or path
            It is not changed. A path is that of a ``.parquet`` or ``.csv`` file, of a folder of
            Parquet files, a pattern such as ``"visits/*.parquet"``, or an address such as
            ``"s3://bucket/visits/"``.
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
        started = time.monotonic()
        device, seed = resolve_device(self.device), seed_from(self.random_state)
        if self.privacy is not None:
            return self._fit_privately(data, y, target, seed, device, started)
        form, table = TableForm.learn(
            data,
            y,
            target,
            schema=self.schema,
            min_count=int(self.min_count),
            max_tokens=None if self.max_tokens is None else int(self.max_tokens),
            max_rows=self.max_rows,
            progress=bool(self.verbose),
        )
        tokens, suppressed = form.tokens(table), form.encoder.suppressed(table)
        del table  # one that was read from files needs memory no longer
        pa.default_memory_pool().release_unused()
        run, seed = self._begin(seed, started, tokens)
        usual = TrainingOptions.for_rows(len(tokens), sum(form.sizes))
        train = functools.partial(
            train_rows,
            tokens,
            form,
            with_changes(usual, self.options),
            width=self.width,
            depth=self.depth,
            seed=seed,
            run=run,
        )
        networks, history = on_device(device, lambda device: train(device=device))
        return self._publish(run, form, networks, history, len(tokens), suppressed, None)

    def _fit_privately(
        self,
        data: Any,
        y: Any,
        target: str | None,
        seed: int,
        device: torch.device,
        started: float,
    ) -> Self:
        assert self.privacy is not None
        if infers_types(data) and self.privacy.domain is None:
            raise DataError(
                "The types of a CSV file are read off its cells, so they are not public. Declare a "
                "domain, or take a Parquet file."
            )
        table, container = join_target(data, y)
        named = target if y is None else table.column_names[-1]
        run, seed = self._begin(seed, started)
        release = fit_privately(
            table,
            self.privacy,
            named,
            with_changes(MarginalOptions(), self.options),
            never_missing=container.never_missing(table.column_names),
            seed=seed,
            device=device,
            run=run,
        )
        schema = release.encoder.schema
        kept = container.of(table.column_names, schema.names)
        if infers_types(data):
            typed = pa.schema([(column.name, column.arrow_type) for column in schema])
            kept = with_container(typed.empty_table())[1]
        form = TableForm(release.encoder, kept, y is not None, named)
        networks = TableNetworks(release.generator, LatentChoice(), None)
        history, n_rows = release.history, release.n_rows
        return self._publish(run, form, networks, history, n_rows, {}, release.privacy)

    def _publish(
        self,
        run: Run,
        form: TableForm,
        networks: TableNetworks,
        history: list[dict[str, Any]],
        n_rows: int,
        suppressed: dict[str, float],
        privacy: dict[str, Any] | None,
    ) -> Self:
        """Set the attributes of a fitted model, the fit being done."""
        self._set_networks(networks)
        self._form, self.history_, self.n_rows_ = form, history, n_rows
        self.suppressed_, self.privacy_ = suppressed, privacy
        form.publish(self)
        self.seconds_ = run.finish()
        return self

    def _set_networks(self, networks: TableNetworks) -> None:
        self._networks = networks
        self.generator_, self.joint_ = networks.generator, networks.joint
        self.steps_, self.step_costs_ = networks.steps, networks.step_costs

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
            Groups in which the columns are drawn; fewer is faster. None takes ``steps_``, or with
            conditions as many as make the groups no larger. As many as there are columns is what
            the network has learned, without any loss.
        random_state : int, Generator, RandomState or None, default None
            The same int gives the same rows, and the first rows do not depend on how many follow.
            (With a table of known cells they do: which cells others lack decides in what groups
            those of a block are drawn.)

        Returns
        -------
        table
            In the form that `fit` got, with its dtypes; ``(X, y)`` if `fit` got arrays and a `y`.
            Its index is that of a frame of conditions.

        Raises
        ------
        ConditionError
            If no row can satisfy the conditions.
        """
        check_is_fitted(self)
        if conditions is not None and not isinstance(conditions, Mapping):
            if n_samples is not None:
                raise ParameterError("Give n_samples or a table of known cells, not both.")
            _check_steps(steps)
            given, _ = read_with_container(conditions)
            if not given.num_columns:
                raise DataError("The table of known cells has no columns; ask for n_samples.")
            seed = seed_from(random_state)
            return self._like(conditions, self._sampler().complete(given, steps, seed, fill=False))
        blocks = self._blocks(
            1 if n_samples is None else n_samples, conditions, steps, random_state
        )
        return self._form.restore(pa.concat_tables(list(blocks)).combine_chunks())

    def sample_iter(
        self,
        n_samples: int,
        batch_rows: int = 65536,
        *,
        conditions: Mapping[str, Any] | None = None,
        steps: int | None = None,
        random_state: Any = None,
        start: int = 0,
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
        start : int, default 0
            Leaves out the rows before this one, and does not draw them: ``sample_iter(30, start=20,
            random_state=0)`` gives the last 10 of 30 rows. See :func:`synthgan.sample_shards`.

        Yields
        ------
        pyarrow.RecordBatch
        """
        check_is_fitted(self)
        check_number("sample_iter", "start", start, int, 0, 2**62)
        check_number("sample_iter", "batch_rows", batch_rows, int, 1, 2**31)
        blocks = self._blocks(n_samples, conditions, steps, random_state, start)
        yield from in_batches(blocks, batch_rows)

    def _blocks(
        self,
        n_samples: int,
        conditions: Mapping[Any, Any] | None,
        steps: int | None,
        seed: Any,
        start: int = 0,
    ) -> Iterator[pa.Table]:
        _check_count(n_samples)
        _check_steps(steps)
        labels = dict(zip(self._form.container.labels, self.schema_.names, strict=False))
        named = {labels.get(key, key): value for key, value in (conditions or {}).items()}
        return self._sampler().blocks(int(n_samples), named, steps, seed_from(seed), int(start))

    def _sampler(self) -> TableSampler:
        return TableSampler(
            self.encoder_, self._networks.sampler, tuple(self._form.active), self.n_rows_
        )

    def check(self, new: Any, *, n_rows: int = 10_000, random_state: Any = 0) -> Drift:
        """Say whether new rows still look like those that the model was fitted to.

        Parameters
        ----------
        new : table
            New rows. Columns may be missing, extra or of another type: that is an answer, not an
            error.
        n_rows : int, default 10_000
            Rows sampled from the model to compare with, since it holds no training rows; no more
            than it was fitted to. As many rare levels and extremes are allowed in `new` as the
            model pooled and clipped.
        random_state : int, Generator or None, default 0

        Returns
        -------
        Drift
            ``verdict`` is ``"ok"`` or ``"refit"``; see :func:`synthgan.evaluate.drift.check`.
        """
        check_is_fitted(self)
        check_number("check", "n_rows", n_rows, int, 100, 10**7)
        seed = seed_from(random_state)
        # A sample knows the population no better than the training rows did.
        n_rows = min(n_rows, max(self.n_rows_, 100))
        reference = pa.concat_tables(list(self._blocks(n_rows, None, None, seed)))
        return drift.check(
            reference,
            new,
            schema=self.schema_,
            suppressed=self.suppressed_,
            random_state=seed,
        )

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
            Known cells, and the index of a frame, are returned as they were given.
        """
        check_is_fitted(self)
        check_number("impute", "n_imputations", n_imputations, int, 1, 10**6)
        _check_steps(steps)
        seed = seed_from(random_state)
        table = self._form.read(data)
        sampler = self._sampler()
        others = numpy_generator(seed, "imputations").integers(2**63, size=int(n_imputations) - 1)
        completed = [
            self._like(data, sampler.complete(table, steps, each, fill=True))
            for each in (seed, *others.tolist())
        ]
        return completed[0] if n_imputations == 1 else completed

    def _like(self, data: Any, table: pa.Table) -> Any:
        """Return a table of one row for each row of `data`, under the same index."""
        made = self._form.restore(table)
        if isinstance(data, pd.DataFrame) and isinstance(made, pd.DataFrame):
            made.index = data.index
        return made

    def score_samples(self, data: Any, *, n_orders: int = 8) -> Array:
        """Return the log-likelihood of each row; low means unlike the fitted table.

        The estimate is the mean of the chain-rule log-probability over `n_orders` random orders of
        the columns (always the same), a lower bound on the log of the model's mixture over orders.
        Numbers count by their bin, levels that share a token by that, in nats.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order. If the target is not there, the
            likelihood is that of the others.
        n_orders : int, default 8

        Returns
        -------
        ndarray of float64, shape (rows,)
        """
        check_is_fitted(self)
        check_number("score_samples", "n_orders", n_orders, int, 1, 10**6)
        table = self._form.read(data, without=self.target_)
        return self._sampler().log_likelihood(table, n_orders)

    def score(self, data: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`, of features and `y` if `fit` got both.

        `y` may have another name than it had then.
        """
        check_is_fitted(self)
        if self._form.has_y and y is not None:
            named = pd.Series(y if isinstance(y, pd.Series) else np.asarray(y), name=self.target_)
            data, _ = join_target(self._form.read(data, without=self.target_), named)
        return float(self.score_samples(data).mean())

    def level_probabilities(self, data: Any, column: str) -> pd.DataFrame:
        """Return how likely each level of a column is, given all other cells of a row.

        Parameters
        ----------
        data : table
            With the other columns of the fitted table; what `column` holds does not matter.
        column : str
            A column of levels, such as the target.

        Returns
        -------
        DataFrame of float64, shape (rows, levels)
            One column per level. What is left to 1 are rare levels and missing cells.

        Raises
        ------
        DataError
            If `column` has no levels, or another column is not there.
        """
        check_is_fitted(self)
        name = str(column)
        coder = self.encoder_.coder(name) if name in self.schema_ else None
        if not isinstance(coder, LevelCoder) or coder.n_tokens < 2:
            raise DataError(f"{column!r} is no column of the model with two levels or more.")
        index = data.index if isinstance(data, pd.DataFrame) else None
        table, _ = read_with_container(data)
        if name in table.column_names:
            table = table.drop_columns([name])
        table = self._form.read(table, without=name)
        found = coder.split(np.exp(self._sampler().log_shares_given(table, name)))
        levels = pd.Index(coder.levels.to_pylist(), name=column)
        return pd.DataFrame(found, columns=levels, index=index)

    # description and storage --------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        return {
            "rows": self.n_rows_,
            "target": self.target_,
            **self._networks.describe(),
            "columns": self._form.describe(),
        }

    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        networks, weights = self._networks.to_model()
        encoder = {f"encoder.{name}": array for name, array in self._form.arrays().items()}
        model = {
            **self._form.to_dict(),
            **networks,
            "n_rows": self.n_rows_,
            "suppressed": self.suppressed_,
        }
        return model, {**weights, **encoder}

    def _restore(self, model: dict[str, Any], tensors: Arrays, device: torch.device) -> None:
        form = self._form = TableForm.from_dict(model, with_prefix(tensors, "encoder"))
        form.publish(self)
        self.n_rows_ = int(model["n_rows"])
        self.suppressed_ = {str(k): float(v) for k, v in model["suppressed"].items()}
        self._set_networks(TableNetworks.from_model(model, tensors, form, device))


def _check_count(n_samples: Any) -> None:
    if isinstance(n_samples, bool) or not isinstance(n_samples, (int, np.integer)) or n_samples < 0:
        shown = n_samples if isinstance(n_samples, (int, float)) else type(n_samples).__name__
        raise ParameterError(f"n_samples must be an int >= 0; got {shown}.")


def _check_steps(steps: Any) -> None:
    check_number("sample", "steps", steps, int, 1, 10**6, optional=True)
