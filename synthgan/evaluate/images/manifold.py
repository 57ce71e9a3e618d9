"""Do synthetic images lie among real ones, does every region have some, and do they repeat?

References
----------
.. [1] T. Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative
   Models", NeurIPS 2019.
.. [2] M. F. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML
   2020: density and coverage.
.. [3] S. Arora, Y. Zhang, "Do GANs Learn the Distribution? Some Theory and Empirics", ICLR 2018:
   the birthday test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.images.setting import ImageSetting, codes_of
from synthgan.evaluate.intervals import clipped, mean_interval, wilson
from synthgan.evaluate.measure import Measurement
from synthgan.evaluate.roc import found_at
from synthgan.evaluate.score import Score
from synthgan.images import ImageSet

__all__ = ["Neighbourhood", "measure", "nearest_distances", "neighbourhood"]

K = 5
MIN_IMAGES = 20
_CHUNK = 500

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """Where two sets lie, by balls to the k-th nearest neighbour of each point of its own set.

    Attributes
    ----------
    precision : ndarray of bool, shape (synthetic,)
        In the ball of a real image?
    recall : ndarray of bool, shape (real,)
        In the ball of a synthetic image?
    density : ndarray of float64, shape (synthetic,)
        Real balls that it is in, over k.
    coverage : ndarray of bool, shape (real,)
        Is a synthetic image in its ball?
    """

    precision: npt.NDArray[np.bool_]
    recall: npt.NDArray[np.bool_]
    density: Floats
    coverage: npt.NDArray[np.bool_]


def measure(setting: ImageSetting, images: ImageSet) -> Measurement:
    """Return precision, recall, density, coverage, near-duplicates and diversity.

    Features are those of the classifier, or of the random network without labels. Sets are cut to
    the same number of images.

    Returns
    -------
    Measurement
        ``precision``, ``recall``, ``density`` and ``coverage`` with balls to the fifth neighbour;
        ``duplicate_rate``, the share of images that are closer to another one of their set than
        99 % of real images are among as many real ones (0.01 by chance): the birthday test;
        ``diversity_ratio``, the mean distance of images of one class over that of train.
    """
    real = setting.compared
    n_images = min(len(real), len(images))
    names = ["precision", "recall", "density", "coverage", "duplicate_rate", "diversity_ratio"]
    if n_images < MIN_IMAGES:
        reason = f"needs {MIN_IMAGES} images of each set"
        return Measurement([Score.not_computable(n, reason, "higher", 1.0) for n in names])
    kind, see = next(iter(setting.extractors().items()))
    a = setting.once(f"features {kind}", lambda: see(real))[:n_images]
    chosen = numpy_generator(setting.seed, "manifold").permutation(len(images))[:n_images]
    b = see(images.pixels[chosen])
    found = neighbourhood(a, b)
    density = float(found.density.mean())
    scores = [_share(name, np.asarray(getattr(found, name))) for name in ("precision", "recall")]
    ends = clipped(mean_interval(found.density), density, 0.0)
    scores += [Score("density", density, "near", 1.0, ends), _share("coverage", found.coverage)]
    own, other = (nearest_distances(x, x, not_itself=True)[:, 0] for x in (b, a))
    scores.append(found_at("duplicate_rate", -own, -other, 0.01))
    scores.append(_diversity(setting, images.take(chosen), b, a))
    return Measurement(scores)


def _share(name: str, hits: npt.NDArray[np.bool_]) -> Score:
    share = float(hits.mean())
    return Score(name, share, "higher", 1.0, wilson(share, len(hits)))


def _diversity(setting: ImageSetting, images: ImageSet, found: Floats, real: Floats) -> Score:
    name = "diversity_ratio"
    train = setting.train.labels if setting.classes else None
    if train is None or images.labels is None:
        reason = "needs a class for each image"
        return Score.not_computable(name, reason, "near", 1.0)
    order = numpy_generator(setting.seed, "compared").permutation(len(setting.train))[: len(real)]
    sides = [
        _within(x, codes_of(labels, setting.classes), len(setting.classes))
        for x, labels in ((found, images.labels), (real, np.asarray(train)[order]))
    ]
    both = [(a, b) for a, b in zip(*sides, strict=True) if a is not None and b]
    if len(both) < 2:
        return Score.not_computable(name, "needs two images of two classes", "near", 1.0)
    ratios = np.array([a / b for a, b in both])
    value = float(ratios.mean())
    return Score(name, value, "near", 1.0, clipped(mean_interval(ratios), value, 0.0))


def _within(features: Floats, codes: npt.NDArray[np.int64], n_classes: int) -> list[float | None]:
    """Return the root mean square distance within each class; None with fewer than two images."""
    parts = [features[codes == k] for k in range(n_classes)]
    return [float(np.sqrt(2 * x.var(axis=0, ddof=1).sum())) if len(x) > 1 else None for x in parts]


def neighbourhood(real: Floats, synthetic: Floats, k: int = K) -> Neighbourhood:
    """Return which points lie in whose balls; matrices are never held whole.

    Parameters
    ----------
    real, synthetic : ndarray of float64, shape (images, features)
    k : int, default 5
    """
    radii = [nearest_distances(x, x, k, not_itself=True)[:, -1] for x in (real, synthetic)]
    n_in = np.zeros(len(synthetic))
    recall, coverage = (np.zeros(len(real), dtype=bool) for _ in range(2))
    for start in range(0, len(real), _CHUNK):
        part = slice(start, start + _CHUNK)
        distance = _distances(real[part], synthetic)
        within = distance <= radii[0][part, None]
        n_in += within.sum(axis=0)
        coverage[part] = within.any(axis=1)
        recall[part] = (distance <= radii[1]).any(axis=1)
    return Neighbourhood(n_in > 0, recall, n_in / k, coverage)


def nearest_distances(
    points: Floats, others: Floats, k: int = 1, *, not_itself: bool = False
) -> Floats:
    """Return the distances to the `k` nearest of `others`, nearest first; shape (points, k)."""
    k = max(min(k, len(others) - not_itself), 1)
    found = []
    for start in range(0, len(points), _CHUNK):
        distance = _distances(points[start : start + _CHUNK], others)
        if not_itself:
            rows = np.arange(len(distance))
            distance[rows, start + rows] = np.inf
        found.append(np.sort(np.partition(distance, k - 1, axis=1)[:, :k], axis=1))
    return np.concatenate(found)


def _distances(a: Floats, b: Floats) -> Floats:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
