"""TabularVAE: a variational autoencoder for tables, or a plain one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from synthgan._runtime import (
    autocast,
    half_precision,
    logger,
    numpy_generator,
    on_device,
    resolve_device,
    seed_from,
    torch_generator,
)
from synthgan.blocks import blocks
from synthgan.estimators.base import Arrays, BaseSynthesizer, check_number
from synthgan.estimators.latents import LatentMixture
from synthgan.estimators.table_form import (
    LARGEST_DEPTH,
    LARGEST_WIDTH,
    TableForm,
    default_width,
    network_size,
    split_rows,
    tokens_on,
)
from synthgan.estimators.weights import arrays_of, rebuild, with_prefix
from synthgan.exceptions import DataError
from synthgan.latent_rows import LatentRows
from synthgan.networks.autoencoders import RowDecoder, RowEncoder
from synthgan.objectives import token_log_likelihood
from synthgan.options import with_changes
from synthgan.raking import smoothed_shares
from synthgan.runs import Callback, Run
from synthgan.schema import Schema
from synthgan.variational import AutoencoderOptions, fit_autoencoder

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TabularVAE"]

Array = np.ndarray[Any, Any]
Floats = npt.NDArray[np.float64]
Latents = npt.NDArray[np.float32]

_DEPTH = 2
#: Latent vectors that marginals are raked over.
_RAKED = 20_000


class TabularVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseSynthesizer):  # type: ignore[misc]
    """A variational autoencoder for tables.

    Take it to encode rows: as numbers for other models, for a map of the table, for anomaly scores.
    Given the latent vector it draws all columns independently of each other, and so it ties them
    less closely than :class:`~synthgan.TabularGAN`, which is the better generator (Adult: a judge's
    AUC of .69 against .53), for six to seven tenths of the sampling time.

    The encoder sees tokens, so numbers, levels and missing cells go in alike, and every cell comes
    out as a distribution of tokens, as in TVAE (Xu et al. 2019, arXiv:1907.00503). After the fit, a
    mixture of normal distributions is fitted to the latent vectors; samples are decoded from it
    (Ghosh et al. 2020, arXiv:1903.12436), and the biases of the decoder are shifted so that they
    have the marginals of the table.

    Parameters
    ----------
    random_state : int, numpy Generator, RandomState or None, default None
        The same int gives the same model on one machine (unless `max_time` cuts the fit short).
    device : {"auto", "cpu", "cuda", "cuda:<index>", "mps"}, default "auto"
    max_time : float, str or None, default None
        Budget of the fit: seconds, or a text such as ``"10m"``.
    checkpoint : path or None, default None
        File that keeps the state of the fit, about every half minute. If the process dies, the same
        call goes on from there, to the same model. It is removed when the model is saved.
    variational : bool, default True
        False makes a plain autoencoder: closer reconstructions, worse samples.
    schema : Schema, dict or None, default None
        What the columns are; None infers it. See :func:`synthgan.inference.infer_schema`.
    min_count : int, default 5
        As for :class:`~synthgan.TabularGAN`.
    max_tokens : int or None, default None
        As for :class:`~synthgan.TabularGAN`.
    max_rows : int or None, default None
        As for :class:`TabularGAN`.
    latent : int, default 32
        Length of the latent vector.
    width, depth : int or None, default None
        Size of both networks. None chooses by the numbers of rows and tokens: 128 to 512 wide, 2
        deep.
    options : dict, AutoencoderOptions or None, default None
        Rarely changed settings of the training: a dict of some fields of AutoencoderOptions; all
        others follow from the numbers of rows and tokens. Or all of them, as an instance.
    callbacks : sequence of callable, default ()
        Called after each epoch with a dict of figures; returning True ends the fit.
    verbose : int, default 1
        0 is silent, 1 shows progress bars on standard error.

    Attributes
    ----------
    schema_ : Schema
    encoder_ : TableEncoder
        Maps tables to tokens and back.
    row_encoder_, row_decoder_ : nn.Module
        The trained networks.
    mixture_ : LatentMixture
        Where latent vectors lie.
    history_ : list of dict
        Figures of every epoch.
    n_rows_ : int
        Rows that the model was fitted on.
    target_ : str or None
        The column that was named as target.
    seconds_ : float
        What the fit took.
    n_features_in_ : int
        Columns of the table.
    feature_names_in_ : ndarray of str
        Their names.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"age": [20, 30, 40, 50] * 50, "smoker": ["yes", "no"] * 100})
    >>> vae = TabularVAE(random_state=0, max_time="2s", latent=2, verbose=0).fit(table)
    >>> vae.transform(table).shape, vae.sample(3).shape
    ((200, 2), (3, 2))
    """

    _options_kind: ClassVar = AutoencoderOptions
    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {
        "min_count": (int, 1, 10**6),
        "max_tokens": (int, 4, 4096),
        "max_rows": (int, 2, 2**40),
        "latent": (int, 1, 1024),
        "width": (int, 8, LARGEST_WIDTH),
        "depth": (int, 1, LARGEST_DEPTH),
        "verbose": (int, 0, 10),
    }

    def __init__(
        self,
        *,
        random_state: Any = None,
        device: str = "auto",
        max_time: float | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        variational: bool = True,
        schema: Schema | Mapping[str, Any] | None = None,
        min_count: int = 5,
        max_tokens: int | None = None,
        max_rows: int | None = None,
        latent: int = 32,
        width: int | None = None,
        depth: int | None = None,
        options: Mapping[str, Any] | AutoencoderOptions | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int = 1,
    ) -> None:
        self.random_state = random_state
        self.device = device
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.variational = variational
        self.schema = schema
        self.min_count = min_count
        self.max_tokens = max_tokens
        self.max_rows = max_rows
        self.latent = latent
        self.width = width
        self.depth = depth
        self.options = options
        self.callbacks = callbacks
        self.verbose = verbose

    # fitting ------------------------------------------------------------------------------------

    def fit(self, data: Any, y: Any = None, *, target: str | None = None) -> Self:
        """Learn to encode and decode rows.

        Parameters
        ----------
        data : DataFrame, Arrow table, polars frame, array, or path to a .parquet or .csv file
            It is not changed.
        y : array-like, optional
            Left aside, so that features of a pipeline know nothing of it. To learn the target too,
            give it as a column of `data`.
        target : str, optional
            Name of the target column, recorded in the model for evaluation.

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
        form, table = TableForm.learn(
            data,
            None,
            target,
            schema=self.schema,
            min_count=self.min_count,
            max_tokens=self.max_tokens,
            max_rows=self.max_rows,
            progress=bool(self.verbose),
        )
        tokens = form.tokens(table).astype(np.int64)
        run, seed = self._begin(seed, started, tokens)
        rows, history = on_device(
            device, lambda device: self._train(tokens, form, seed, device, run.part(0.9))
        )
        means, deviations = rows.posteriors(tokens)
        spread = means.astype(np.float64)
        if self.variational:
            noise = numpy_generator(seed, "posterior").normal(size=means.shape)
            spread = means + deviations * noise
        self.mixture_ = LatentMixture.fit(spread, seed)
        if form.sizes:
            rows.rake(tokens, self.mixture_.draw(_RAKED, seed))
        self.row_encoder_, self.row_decoder_, self._rows = rows.encoder, rows.decoder, rows
        self.history_, self.n_rows_ = history, len(tokens)
        self._form = form
        form.publish(self)
        self.seconds_ = run.finish()
        return self

    def _train(
        self, codes: Array, form: TableForm, seed: int, device: torch.device, run: Run
    ) -> tuple[LatentRows, list[dict[str, Any]]]:
        """Fit the networks."""
        width = self.width or default_width(len(codes), sum(form.sizes))
        encoder, decoder = _build(form, self.latent, width, self.depth or _DEPTH)
        encoder.reset(torch_generator(seed, "row encoder"))
        shares = smoothed_shares(torch.from_numpy(codes), form.sizes)
        decoder.reset(torch_generator(seed, "row decoder"), shares.log())
        encoder.to(device)
        decoder.to(device)
        history: list[dict[str, Any]] = []
        if form.sizes:
            tokens, precision = tokens_on(device, codes), half_precision(device)

            def encode(rows: Tensor) -> tuple[Tensor, Tensor]:
                with autocast(device, precision):
                    mean, log_variance = encoder(tokens[rows])
                return mean.float(), log_variance.float()

            def error(latents: Tensor, rows: Tensor) -> Tensor:
                with autocast(device, precision):
                    logits = decoder(latents)
                return -token_log_likelihood(logits, tokens[rows].long()).mean()

            kept, aside = split_rows(len(codes), seed)
            usual = AutoencoderOptions.for_rows(len(codes), sum(form.sizes))
            result = fit_autoencoder(
                nn.ModuleList([encoder, decoder]),
                encode,
                error,
                kept.to(device),
                aside.to(device),
                with_changes(usual, self.options),
                variational=self.variational,
                seed=seed,
                run=run,
            )
            logger.info("fit of an autoencoder ended: %s", result.reason)
            history = result.history
        return _latent_rows(encoder, decoder, form), history

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # latent vectors are float32
        return tags

    # encoding and decoding ----------------------------------------------------------------------

    def transform(self, data: Any) -> Latents:
        """Return the latent vector of each row: the mean of its distribution.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order.

        Returns
        -------
        ndarray of float32, shape (rows, latent)
        """
        tokens = self._tokens(data)
        return self._rows.posteriors(tokens)[0]

    def _tokens(self, data: Any) -> npt.NDArray[np.int64]:
        check_is_fitted(self)
        return self._form.tokens(self._form.read(data)).astype(np.int64)

    @property
    def _n_features_out(self) -> int:
        return self.latent

    def inverse_transform(self, latents: Any) -> Any:
        """Return the most likely rows that latent vectors stand for.

        Parameters
        ----------
        latents : ndarray, shape (rows, latent)

        Returns
        -------
        table
            In the form that `fit` got. Levels are the most likely ones and numbers medians, so this
            table is less varied than a sample; identifiers are new.
        """
        check_is_fitted(self)
        found = np.asarray(latents, dtype=np.float32)
        if found.ndim != 2 or found.shape[1] != self.latent or not np.isfinite(found).all():
            raise DataError(f"Latent vectors must be finite, of shape (rows, {self.latent}).")
        tokens = self._form.whole(self._rows.likeliest(found))
        return self._form.restore(self.encoder_.decode(tokens, None))

    def reconstruct(self, data: Any) -> Any:
        """Return rows after encoding and decoding: what the model takes for usual in them.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order.

        Returns
        -------
        table
            As from :meth:`inverse_transform`.
        """
        return self.inverse_transform(self.transform(data))

    def score_samples(self, data: Any, *, n_draws: int = 16) -> Floats:
        """Return the log-likelihood of each row; low means unlike the fitted table.

        An importance-weighted lower bound (Burda et al. 2016, arXiv:1509.00519) under the mixture
        that samples are drawn from, in nats; numbers count by their bin. A plain autoencoder gives
        the log-probability of the row given its latent vector.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order.
        n_draws : int, default 16
            Latent vectors per row, always the same; more make the bound closer.

        Returns
        -------
        ndarray of float64, shape (rows,)
        """
        check_is_fitted(self)
        check_number("score_samples", "n_draws", n_draws, int, 1, 10**6)
        tokens = self._tokens(data)
        if not self._form.sizes:
            return np.zeros(len(tokens))
        if not self.variational:
            return self._rows.log_probability(tokens, self._rows.posteriors(tokens)[0])
        return self._rows.log_bound(tokens, self.mixture_.log_density, n_draws)

    def score(self, data: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`."""
        return float(self.score_samples(data).mean())

    def latent_map(self, data: Any) -> Floats:
        """Return the two principal components of latent vectors, for a picture.

        Parameters
        ----------
        data : table
            With the columns of the fitted table, in any order.

        Returns
        -------
        ndarray of float64, shape (rows, 2)
            Axes are those of the training rows' latent vectors; the second is 0 if there is one.
        """
        return self.mixture_.project(self.transform(data).astype(np.float64))

    # sampling -----------------------------------------------------------------------------------

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> Any:
        """Draw synthetic rows.

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, Generator, RandomState or None, default None
            The same int gives the same rows, and the first rows do not depend on how many follow.

        Returns
        -------
        table
            In the form that `fit` got, with its dtypes.
        """
        check_is_fitted(self)
        check_number("sample", "n_samples", n_samples, int, 0, 2**31)
        self.encoder_.require_keys(n_samples)
        seed = seed_from(random_state)
        drawn = self._form.whole(self._rows.draw(self.mixture_.draw(n_samples, seed), seed))
        tables = [
            self.encoder_.decode(
                drawn[first : first + rows],
                numpy_generator(seed, "cells", first),
                first_row=first,
                key_seed=seed,
            )
            for first, rows in blocks(0, max(n_samples, 1))
        ]
        return self._form.restore(pa.concat_tables(tables).combine_chunks())

    # description and storage --------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        parts = (self.row_encoder_, self.row_decoder_)
        return {
            "variational": self.variational,
            "rows": self.n_rows_,
            "target": self.target_,
            "parameters": sum(p.numel() for part in parts for p in part.parameters()),
            "latent": self.latent,
            "columns": self._form.describe(),
        }

    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        trunk = self.row_decoder_.trunk
        model = {
            **self._form.to_dict(),
            "network": {"width": len(trunk.gain), "depth": len(trunk.blocks)},
            "n_rows": self.n_rows_,
        }
        return model, {
            **arrays_of("row_encoder", self.row_encoder_),
            **arrays_of("row_decoder", self.row_decoder_),
            **{f"encoder.{name}": array for name, array in self._form.arrays().items()},
            **{f"mixture.{name}": array for name, array in self.mixture_.arrays().items()},
        }

    def _restore(self, model: dict[str, Any], tensors: Arrays, device: torch.device) -> None:
        form = self._form = TableForm.from_dict(model, with_prefix(tensors, "encoder"))
        form.publish(self)
        self.n_rows_ = int(model["n_rows"])
        size = (form, self.latent, *network_size(model["network"]))
        self.row_encoder_ = rebuild(
            lambda: _build(*size)[0], with_prefix(tensors, "row_encoder")
        ).to(device)
        self.row_decoder_ = rebuild(
            lambda: _build(*size)[1], with_prefix(tensors, "row_decoder")
        ).to(device)
        self._rows = _latent_rows(self.row_encoder_, self.row_decoder_, form)
        self.mixture_ = LatentMixture.from_arrays(with_prefix(tensors, "mixture"), self.latent)


def _build(form: TableForm, latent: int, width: int, depth: int) -> tuple[RowEncoder, RowDecoder]:
    size = (form.sizes, form.n_ordered, latent, width, depth)
    return RowEncoder(*size), RowDecoder(*size)


def _latent_rows(encoder: RowEncoder, decoder: RowDecoder, form: TableForm) -> LatentRows:
    hidden = [form.encoder.coders[j].suppressed for j in form.active]
    for network in (encoder, decoder):
        network.eval().requires_grad_(False)
    return LatentRows(encoder, decoder, hidden)
