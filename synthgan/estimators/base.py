"""The thin base of all estimators: parameters, checks, saving and loading."""

from __future__ import annotations

import abc
import importlib
import importlib.metadata
import math
import numbers
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from synthgan import ranks
from synthgan._runtime import resolve_device
from synthgan.checkpoint import Checkpoint, digest_of, remove_checkpoint
from synthgan.evaluate.report import NO_GUARANTEE
from synthgan.exceptions import CheckpointError, DataWarning, ModelFileError, ParameterError
from synthgan.files import digest_of_file
from synthgan.options import check_options, options_from_dict, options_to_dict
from synthgan.privacy import DifferentialPrivacy
from synthgan.runs import Callback, Deadline, Run, parse_duration
from synthgan.storage import read_model, write_model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BaseSynthesizer", "load_model"]

Arrays = dict[str, np.ndarray[Any, Any]]

#: Parameters that a fit may go on with other values of.
_NOT_LEARNED = {
    "callbacks",
    "checkpoint",
    "device",
    "max_time",
    "preview",
    "random_state",
    "verbose",
}

#: Estimator that a model file may name -> the module that defines it.
ESTIMATORS = {
    "ImageGAN": "synthgan.estimators.image_gan",
    "ImageTranslator": "synthgan.estimators.image_translator",
    "ImageVAE": "synthgan.estimators.image_vae",
    "TabularGAN": "synthgan.estimators.tabular_gan",
    "TabularVAE": "synthgan.estimators.tabular_vae",
}

#: Parameters that no model file has: a checkpoint, say, is removed when the model is saved.
_NOT_STORED = {*_NOT_LEARNED, "privacy", "schema"}

#: What rebuilding a model from a damaged file may end in.
_DAMAGES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class BaseSynthesizer(BaseEstimator, abc.ABC):  # type: ignore[misc]
    """What all estimators share: parameter checks, the device, and one file per model.

    A subclass lists its numeric parameters in ``_bounds``, and implements ``_facts``, ``_contents``
    and ``_restore``.
    """

    random_state: Any
    max_time: float | str | None
    options: Any
    checkpoint: str | os.PathLike[str] | None
    callbacks: Sequence[Callback]
    verbose: int
    history_: list[dict[str, Any]]
    seconds_: float
    privacy_: dict[str, Any] | None = None

    #: Whether it learns images, of three or four axes, and not tables.
    _of_images: ClassVar[bool] = False
    #: Of what type `options` are; and with `privacy`, None if there is no private fit.
    _options_kind: ClassVar[type[Any]]
    _private_options_kind: ClassVar[type[Any] | None] = None
    #: Parameter -> (type, lowest, highest); None is always allowed.
    _bounds: ClassVar[dict[str, tuple[type, float, float]]] = {}

    def _check_parameters(self) -> None:
        for name, (kind, low, high) in self._bounds.items():
            value = getattr(self, name)
            check_number(type(self).__name__, name, value, kind, low, high, optional=True)
        parse_duration(self.max_time)
        promised = getattr(self, "privacy", None)  # not all estimators can
        if promised is not None and not isinstance(promised, DifferentialPrivacy):
            raise ParameterError(
                f"{type(self).__name__}: privacy must be a DifferentialPrivacy or None; got "
                f"{type(promised).__name__}."
            )
        wanted: Any = self._options_kind if promised is None else self._private_options_kind
        check_options(type(self).__name__, self.options, wanted)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = not self._of_images
        tags.input_tags.three_d_array = self._of_images
        for name in ("allow_nan", "string", "categorical"):
            setattr(tags.input_tags, name, not self._of_images)
        return tags

    def _begin(self, seed: int, started: float, *data: np.ndarray[Any, Any]) -> tuple[Run, int]:
        """Return how a fit is watched, and its seed: that of the checkpoint if there is one.

        Parameters
        ----------
        seed : int
        started : float
            When the fit began, on the monotonic clock.
        data : ndarray
            What is learned; a checkpoint of other data is refused.
        """
        run = Run(
            Deadline(started, parse_duration(self.max_time)),
            tuple(self.callbacks),
            bool(self.verbose),
        )
        if ranks.count() > 1 and getattr(self, "privacy", None) is not None:
            raise ParameterError("A private fit runs in one process: noise is drawn once.")
        seed = int(ranks.agreed(seed))
        if self.checkpoint is None:
            return run, seed
        parameters = self.get_params(deep=False)
        facts = {
            name: repr(value.item() if isinstance(value, np.generic) else value)
            for name, value in parameters.items()
            if name not in _NOT_LEARNED
        }
        facts |= {"data": digest_of(*data), "estimator": type(self).__name__}
        domain = getattr(parameters.get("privacy"), "domain", None)
        if isinstance(domain, (str, os.PathLike)):
            facts["domain"] = digest_of_file(domain)["sha256"]
        facts["version of synthgan"] = importlib.metadata.version("synthgan")
        fixed = isinstance(self.random_state, numbers.Integral)
        path = self.checkpoint
        found = ranks.in_turn(lambda: Checkpoint(path, facts, seed, keep_seed=fixed))
        if not ranks.is_same(found.progress()):
            raise CheckpointError(
                f"{path} is not the same file for all processes; share the folder."
            )
        if found.is_finished and not data:
            warnings.warn(
                f"{path} holds a private fit that is done, and gives it again, whatever the data "
                "are now: they are not compared. Save the model, or remove the file.",
                DataWarning,
                stacklevel=4,
            )
        earlier = run.deadline.earlier(found.spent)
        return replace(run, deadline=earlier, checkpoint=found), found.seed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, by convention ``*.synthgan``.

        The file holds JSON and safetensors, no pickle and no row of the training table. It is
        written to a temporary file first, so a failure leaves an older file as it was.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            If the file cannot be written.
        """
        check_is_fitted(self)
        write_model(path, *self._to_model())
        if self.checkpoint is not None:
            remove_checkpoint(self.checkpoint)

    def describe(self) -> dict[str, Any]:
        """Return what the model is: a JSON-able dict of sizes and figures of the fit."""
        check_is_fitted(self)
        return {
            "estimator": type(self).__name__,
            "privacy": NO_GUARANTEE if self.privacy_ is None else self.privacy_["text"],
            **self._facts(),
            "seconds": self.seconds_,
            "epochs": len(self.history_),
        }

    def _to_model(self) -> tuple[dict[str, Any], Arrays]:
        """Return the fitted model as a JSON-able dict and named arrays."""
        model, tensors = self._contents()
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k not in _NOT_STORED}
        return {
            **model,
            "estimator": type(self).__name__,
            "version": importlib.metadata.version("synthgan"),
            "parameters": {**parameters, "options": options_to_dict(self.options)},
            "privacy": self.privacy_,
            "history": self.history_,
            "seconds": self.seconds_,
        }, tensors

    @classmethod
    def _from_model(cls, model: dict[str, Any], tensors: Arrays, device: torch.device) -> Self:
        """Rebuild a fitted model; :meth:`_to_model` is the inverse."""
        parameters, promised = dict(model["parameters"]), model.get("privacy")
        stored = parameters.pop("options", None)
        loaded = cls(**parameters)
        loaded._check_parameters()
        kind: Any = cls._options_kind if promised is None else cls._private_options_kind
        if kind is None or (promised is not None and not isinstance(promised["text"], str)):
            raise ValueError("a promise that this estimator does not give")
        loaded.options, loaded.privacy_ = options_from_dict(stored, kind), promised
        loaded.history_, loaded.seconds_ = list(model["history"]), float(model["seconds"])
        loaded._restore(model, tensors, device)
        return loaded

    @abc.abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Return what :meth:`describe` says of this kind of model."""

    @abc.abstractmethod
    def _contents(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a model file holds of this kind of model: a JSON-able dict, and arrays."""

    @abc.abstractmethod
    def _restore(self, model: dict[str, Any], tensors: Arrays, device: torch.device) -> None:
        """Set the attributes of a fitted model; :meth:`_contents` is the inverse."""


def check_number(
    owner: str,
    name: str,
    value: Any,
    kind: type,
    low: float,
    high: float,
    *,
    optional: bool = False,
) -> None:
    """Raise if a parameter is not a number of `kind` in the closed range, or None if `optional`.

    Raises
    ------
    ParameterError
    """
    if value is None and optional:
        return
    wanted = numbers.Integral if kind is int else numbers.Real
    if (
        isinstance(value, bool)
        or not isinstance(value, wanted)
        or not math.isfinite(value)
        or not low <= float(value) <= high
    ):
        noun = "an int" if kind is int else "a number"
        shown = value if isinstance(value, (int, float)) else type(value).__name__
        raise ParameterError(
            f"The {name!r} parameter of {owner} must be {noun} in [{low:g}, {high:g}]"
            f"{' or None' if optional else ''}. Got {shown} instead."
        )


def load_model(path: str | os.PathLike[str], *, device: str = "auto") -> Any:
    """Load a model that an estimator saved.

    Parameters
    ----------
    path : path
    device : str, default "auto"
        Where to put the weights; a model fitted on a GPU loads on a CPU and the other way round.

    Returns
    -------
    estimator
        Fitted, of the class that was saved.

    Raises
    ------
    ModelFileError
        If the file is damaged, foreign, or from a newer release. Nothing in it is executed.
    """
    target = resolve_device(device)
    model, tensors = read_model(path)
    name = str(model.get("estimator"))
    if name not in ESTIMATORS:
        raise ModelFileError(f"{path} holds an estimator that this release does not know.")
    estimator: type[BaseSynthesizer] = getattr(importlib.import_module(ESTIMATORS[name]), name)
    try:
        if set(model["parameters"]) & _NOT_STORED:
            raise ValueError("a parameter that is never stored")
        loaded = estimator._from_model(model, tensors, target)
    except (ModelFileError, torch.OutOfMemoryError):
        raise
    except _DAMAGES as error:
        raise ModelFileError(
            f"{path} is damaged: {type(error).__name__} while rebuilding."
        ) from error
    return loaded
