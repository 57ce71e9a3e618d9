"""What stays the same whatever images are judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.images.judges import Classifier, Extractor, random_features
from synthgan.evaluate.measure import Once
from synthgan.images import ImageSet

__all__ = ["ImageSetting", "codes_of"]

#: Fewest images of a class that the extractor learns from, and fewest classes.
MIN_IMAGES, MIN_CLASSES = 10, 2


@dataclass(frozen=True, slots=True, eq=False)
class ImageSetting:
    """Real images and how they are looked at.

    Attributes
    ----------
    train : ImageSet
        What the generator learned from.
    control : ImageSet or None
        Real images that it never saw. Attacks get one half of the holdout here.
    classes : tuple
        All classes of train, sorted; empty without labels.
    n_compared : int
        Images that are compared with each other at a time, the same for all.
    seed : int
    n_seeds : int
        Classifiers that are trained for each figure of utility.
    once : Once
    """

    train: ImageSet
    control: ImageSet | None
    classes: tuple[Any, ...]
    n_compared: int
    seed: int
    n_seeds: int
    once: Once = field(default_factory=Once, init=False, repr=False)

    @property
    def compared(self) -> npt.NDArray[np.uint8]:
        """The train images that others are compared with."""
        pixels: npt.NDArray[np.uint8] = self.train.pixels[self._order[: self.n_compared]]
        return pixels

    @property
    def _order(self) -> npt.NDArray[np.int64]:
        return numpy_generator(self.seed, "compared").permutation(len(self.train))

    def extractors(self) -> dict[str, Extractor]:
        """Return the ways to see images: ``"classifier"``, if there are labels, and ``"random"``.

        The classifier learns from the train images that are not compared.
        """
        found: dict[str, Extractor] = {}
        classifier = self.once("extractor", self._classifier)
        if classifier is not None:
            found["classifier"] = classifier.features
        return {**found, "random": random_features}

    def _classifier(self) -> Classifier | None:
        if len(self.classes) < MIN_CLASSES:
            return None
        rest = self.train.take(self._order[self.n_compared :])
        codes = codes_of(rest.labels, self.classes)
        present = np.bincount(codes, minlength=len(self.classes)) >= MIN_IMAGES
        if present.sum() < MIN_CLASSES:
            return None
        return Classifier(rest.pixels, codes, len(self.classes), self.seed)


def codes_of(labels: Any, classes: tuple[Any, ...]) -> npt.NDArray[np.int64]:
    """Return the number of each label's class; -1 if it is unknown."""
    places = {name: k for k, name in enumerate(classes)}
    return np.array([places.get(_plain(label), -1) for label in labels], dtype=np.int64)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
