"""The private fit of images: two noisy moments, and a generator that is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
import torch.nn.functional as F

from synthgan.encoding.labels import ConditionCoder
from synthgan.exceptions import DataError, ParameterError
from synthgan.images import ImageSet
from synthgan.networks.factors import FactorGenerator
from synthgan.privacy import DifferentialPrivacy, check_delta, statement
from synthgan.privacy.accounting import rho_of
from synthgan.privacy.private_images import PrivateImages
from synthgan.privacy.private_table import PrivateTable

__all__ = ["ImageRelease", "fit_images_privately"]

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
    generator : FactorGenerator
    coder : ConditionCoder
        Of the classes, with their noisy shares.
    n_images : int
        Estimated.
    privacy : dict
        The statement and the charges.
    """

    generator: FactorGenerator
    coder: ConditionCoder
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
    check_delta(privacy, len(found))
    if privacy.unit is not None:
        raise ParameterError("Images have no unit: each counts as one person.")
    labels = _class_labels(found)
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
        door = PrivateTable(pa.table({"label": pa.array(labels.tolist())}), ledger)
        classes = door.levels("label", privacy.discovery * rho, delta)
    elif labels is not None:
        classes = _declared(privacy)
    if labels is not None and not classes:
        raise DataError("No class is frequent enough to be seen through the noise; declare them.")
    private = PrivateImages(found.pixels, ledger)
    codes = np.zeros(len(found), np.int64)
    if labels is not None:
        codes = pd.Index(classes).get_indexer(pd.Index(labels.tolist()))
    radius = 1.1 * private.typical_norm(_NORM * left)
    sums, counts = private.class_sums(
        codes, max(len(classes), 1), radius, (1 - _NORM - _SECOND) * left
    )
    small = min(found.size[0], _SIDE), min(found.size[1], _SIDE)
    second, deviation = private.second_moment(small, radius, _SECOND * left)
    counts = np.maximum(counts, 1.0)
    generator = _generator(found, sums / counts[:, None], counts, second, deviation, small)
    shares = (counts / counts.sum()).tolist()
    coder = ConditionCoder("none")
    if classes:
        combinations = [((k,), share) for k, share in enumerate(shares)]
        coder = ConditionCoder("classes", {"": classes}, combinations)
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
    return ImageRelease(generator, coder, round(counts.sum()), said)


def _class_labels(found: ImageSet) -> npt.NDArray[Any] | None:
    if found.labels is None or (isinstance(found.labels, np.ndarray) and found.labels.ndim == 1):
        return found.labels
    raise ParameterError("Under differential privacy, images have one class each, or no labels.")


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
