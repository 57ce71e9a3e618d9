"""The private fit of images: two noisy moments, and a generator that is made of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import nn

from synthgan.adversarial.dp_sgd import PrivateSgdOptions, fit_dp_sgd
from synthgan.encoding.labels import ConditionCoder
from synthgan.estimators.image_presets import draw_networks
from synthgan.exceptions import DataError, DataWarning, ParameterError
from synthgan.images import ImageSet
from synthgan.networks.factors import FactorGenerator
from synthgan.networks.pixels import as_bytes, to_tensor
from synthgan.privacy import DifferentialPrivacy, check_delta, statement
from synthgan.privacy.accounting import rho_of
from synthgan.privacy.private_gradients import PrivateGradients
from synthgan.privacy.private_images import PrivateImages
from synthgan.privacy.private_table import PrivateTable
from synthgan.runs import Run

__all__ = ["ImageRelease", "fit_images_by_dp_sgd", "fit_images_privately"]

#: Shares of the budget: the norm of images, the second moment; the rest is for the classes.
_NORM, _SECOND = 0.02, 0.48
#: Side of the images whose second moment is taken, at most.
_SIDE = 14
#: How much sharper a mean is made: averages of images are blurred.
_CONTRAST = 2.0
_DELTA_OF_CLASSES = 0.1


@dataclass(frozen=True, slots=True)
class ImageRelease:
    """What a private fit of images gives away: all of it.

    Attributes
    ----------
    generator : nn.Module
    critic : nn.Module or None
        Only after a fit by DP-SGD.
    coder : ConditionCoder
        Of the classes, with their noisy shares.
    history : list of dict
    n_images : int
        Estimated.
    privacy : dict
        The statement and the charges.
    """

    generator: nn.Module
    critic: nn.Module | None
    coder: ConditionCoder
    history: list[dict[str, Any]]
    n_images: int
    privacy: dict[str, Any]


def fit_images_privately(found: ImageSet, privacy: DifferentialPrivacy) -> ImageRelease:
    """Make a generator of noisy moments: a mean per class, and one covariance for all.

    Parameters
    ----------
    found : ImageSet
        With one class per image, or without labels.
    privacy : DifferentialPrivacy
        Its domain has one column, ``"label"``, with the classes.

    Raises
    ------
    ParameterError, SchemaError, DataError, BudgetError
        Before anything is released.
    """
    labels = _checked_labels(found, privacy)
    ledger = privacy.open_ledger()
    begun = len(ledger.entries)
    bought = labels is not None and privacy.domain is None
    delta = _DELTA_OF_CLASSES * privacy.delta if bought else 0.0
    rho = rho_of(privacy.epsilon, privacy.delta - delta)
    ledger.require(rho, delta)
    classes: list[Any] = []
    left = rho
    if labels is not None and bought:
        if not privacy.discovery:
            raise DataError("The classes are not declared, and discovery=0 buys none.")
        left -= privacy.discovery * rho
        door = PrivateTable(pa.table({"label": _cells(labels)}), ledger)
        classes = door.levels("label", privacy.discovery * rho, delta)
    elif labels is not None:
        classes = _declared(privacy)
    if labels is not None and not classes:
        raise DataError("No class is frequent enough to be seen through the noise; declare them.")
    private = PrivateImages(found.pixels, ledger)
    codes = _codes(labels, classes, len(found))
    radius = 1.1 * private.typical_norm(_NORM * left)
    sums, counts = private.class_sums(
        codes, max(len(classes), 1), radius, (1 - _NORM - _SECOND) * left
    )
    small = min(found.size[0], _SIDE), min(found.size[1], _SIDE)
    second, deviation = private.second_moment(codes, small, radius, _SECOND * left)
    counts = np.maximum(counts, 1.0)
    generator = _generator(found, sums / counts[:, None], counts, second, deviation, small)
    public = ["size and channels of the images"] + ([] if bought or labels is None else ["classes"])
    charged = ["the mean image of each class", "the second moment of all images"]
    said = statement(
        privacy,
        rho,
        unit="image",
        public=public,
        charged=charged + (["the classes"] if bought else []),
        charges=ledger.entries[begun:],
    )
    n_images = round(counts.sum())
    return ImageRelease(generator, None, _coder(classes, counts), [], n_images, said)


def fit_images_by_dp_sgd(
    found: ImageSet,
    privacy: DifferentialPrivacy,
    build: Callable[[ConditionCoder], tuple[nn.Module, nn.Module]],
    options: PrivateSgdOptions,
    *,
    device: torch.device,
    seed: int,
    run: Run,
) -> ImageRelease:
    """Train a generator against a critic that learns by DP-SGD.

    Parameters
    ----------
    found : ImageSet
        With one declared class per image, or without labels.
    privacy : DifferentialPrivacy
    build : callable
        Makes generator and critic for a coder.
    options : PrivateSgdOptions
    device : torch.device
    seed : int
    run : Run
        Without a checkpoint: steps that were repeated would be charged again.

    Raises
    ------
    ParameterError, DataError, BudgetError
        Before anything is released.
    """
    labels = _checked_labels(found, privacy)
    classes = [] if labels is None else _declared(privacy)
    networks = build(_coder(classes, np.ones(max(len(classes), 1))))
    generator, critic = draw_networks(networks, seed, device)
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in critic.modules()):
        raise ParameterError(
            "The critic of this preset normalises over batches, which lets images see each other; "
            'use preset="resnet".'
        )
    ledger = privacy.open_ledger()
    begun = len(ledger.entries)
    conditions = torch.eye(len(classes), device=device)
    if not classes:
        conditions = torch.zeros(1, 0, device=device)
    private = PrivateGradients(
        to_tensor(as_bytes(found.pixels)),
        _codes(labels, classes, len(found)),
        conditions,
        ledger,
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        sample_rate=options.sample_rate,
        steps=options.steps,
        clip=options.clip,
    )
    result = fit_dp_sgd(generator, critic, private, conditions, options, seed=seed, run=run)
    said = statement(
        privacy,
        None,
        unit="image",
        public=["size and channels of the images"] + (["classes"] if classes else []),
        charged=[f"{options.steps} gradients of a critic (DP-SGD)", "the counts of classes"],
        charges=ledger.entries[begun:],
    )
    n_images, coder = round(private.counts.sum()), _coder(classes, private.counts)
    for network in (generator, critic):
        network.eval().requires_grad_(False)
    return ImageRelease(generator, critic, coder, result.history, n_images, said)


def _coder(classes: list[Any], counts: npt.NDArray[np.float64]) -> ConditionCoder:
    if not classes:
        return ConditionCoder("none")
    shares = (counts / counts.sum()).tolist()
    return ConditionCoder(
        "classes", {"": classes}, [((k,), share) for k, share in enumerate(shares)]
    )


def _codes(
    labels: npt.NDArray[Any] | None, classes: list[Any], n_images: int
) -> npt.NDArray[np.int64]:
    if labels is None:
        return np.zeros(n_images, np.int64)
    cells = labels.tolist()
    if classes and cells and isinstance(cells[0], str) is not isinstance(classes[0], str):
        raise DataError(
            f"Labels are of type {type(cells[0]).__name__}, the levels of the domain of type "
            f"{type(classes[0]).__name__}."
        )
    found = pd.Index(classes).get_indexer(pd.Index(cells))
    if outside := int((found < 0).sum()):
        warnings.warn(
            f"{outside} images are of no class of the domain; they do not count. (This number has "
            "no noise: it is for the holder of the data.)",
            DataWarning,
            stacklevel=4,
        )
    return np.asarray(found, np.int64)


def _checked_labels(found: ImageSet, privacy: DifferentialPrivacy) -> npt.NDArray[Any] | None:
    if privacy.max_rows != 1:
        raise ParameterError("max_rows is for tables: of images, each is protected by itself.")
    check_delta(privacy, len(found))
    if privacy.unit is not None:
        raise ParameterError("Images have no unit: each counts as one person.")
    if found.labels is None or (isinstance(found.labels, np.ndarray) and found.labels.ndim == 1):
        return found.labels
    raise ParameterError("Under differential privacy, images have one class each, or no labels.")


def _cells(labels: npt.NDArray[Any]) -> pa.Array:
    try:
        return pa.array(labels.tolist())
    except pa.ArrowException:
        raise DataError("Labels are of several types; make them all texts, or all ints.") from None


def _declared(privacy: DifferentialPrivacy) -> list[Any]:
    schema = privacy.read_domain()
    if schema is None or schema.names != ("label",) or schema["label"].levels is None:
        raise DataError('The domain of images has one column, "label", with levels: the classes.')
    return sorted(schema["label"].levels)


def _generator(
    found: ImageSet,
    means: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    deviation: float,
    small: tuple[int, int],
) -> FactorGenerator:
    """Return the generator that has these moments."""
    size, channels = found.size, found.channels
    images = torch.from_numpy(means.clip(0, 1)).float().view(-1, *size, channels)
    images = images.permute(0, 3, 1, 2)
    low = F.adaptive_avg_pool2d(images.mean(1, keepdim=True), small).flatten(1)
    scatter = (
        torch.from_numpy(second).float() - (low * torch.from_numpy(counts).float()[:, None]).T @ low
    )
    values, vectors = torch.linalg.eigh((scatter + scatter.T) / 2)
    edge = 2 * deviation * len(values) ** 0.5
    strong = FactorGenerator.shrunk(values, edge)
    directions = vectors[:, values > edge] * (strong / counts.sum()).sqrt()
    generator = FactorGenerator(size, channels, len(means), len(strong))
    rest = max(float(values.sum() - strong.sum()), 0.0) / counts.sum() / len(values)
    with torch.no_grad():
        generator.means.copy_(images)
        if len(strong):
            basis = directions.T.reshape(-1, 1, *small)
            generator.basis.copy_(F.interpolate(basis, size, mode="bilinear", align_corners=False))
        generator.noise.fill_(rest**0.5)
        generator.contrast.fill_(_CONTRAST)
    return generator.eval().requires_grad_(False)
