"""How far are two sets of images apart? Fréchet and kernel distances of features.

References
----------
.. [1] M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
   Equilibrium", NeurIPS 2017: the Fréchet distance.
.. [2] M. Bińkowski et al., "Demystifying MMD GANs", ICLR 2018: the kernel distance, which is
   unbiased.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.images.setting import ImageSetting
from synthgan.evaluate.intervals import clipped, folds, jackknife_interval
from synthgan.evaluate.measure import Measurement
from synthgan.evaluate.score import Score
from synthgan.images import ImageSet

__all__ = ["frechet_distance", "kernel_distance", "measure"]

MIN_IMAGES = 50

Floats = npt.NDArray[np.float64]


def measure(setting: ImageSetting, images: ImageSet) -> Measurement:
    """Return the distance to train images under both extractors.

    Both sets are cut to the same number of images, since the Fréchet distance is biased upwards
    for few. Read it as a multiple of the holdout's: identical sets score 0, but so do copies.

    Returns
    -------
    Measurement
        ``fid_classifier``, ``fid_random`` and ``kid_classifier``, ``kid_random``, with jackknife
        intervals.
    """
    scores = []
    real = setting.compared
    n_images = min(len(real), len(images))
    generator = numpy_generator(setting.seed, "distances")
    chosen = generator.permutation(len(images))[:n_images]
    for extractor in ("classifier", "random"):
        names = [f"fid_{extractor}", f"kid_{extractor}"]
        see = setting.extractors().get(extractor)
        if see is None or n_images < MIN_IMAGES:
            few = f"needs {MIN_IMAGES} images of each set"
            reason = "needs a class for each train image" if see is None else few
            scores += [Score.not_computable(name, reason, "lower", 0.0) for name in names]
            continue
        a = setting.once(f"features {extractor}", partial(see, real))[:n_images]
        b = see(images.pixels[chosen])
        for name, distance in zip(names, (frechet_distance, kernel_distance), strict=True):
            value = distance(a, b)
            kept = folds(n_images)
            ends = jackknife_interval(value, np.array([distance(a[k], b[k]) for k in kept]))
            low = 0.0 if name.startswith("fid") else -np.inf
            ends = None if ends is None else clipped(ends, value, low)
            scores.append(Score(name, value, "lower", 0.0, ends))
    return Measurement(scores)


def frechet_distance(a: Floats, b: Floats) -> float:
    """Return the Fréchet distance of normal distributions fitted to two sets of features.

    Parameters
    ----------
    a, b : ndarray of float64, shape (images, features)

    Examples
    --------
    >>> a = np.random.default_rng(0).normal(size=(500, 3))
    >>> round(frechet_distance(a, a + 1), 6)
    3.0
    """
    means = a.mean(axis=0), b.mean(axis=0)
    first, second = (np.cov(x, rowvar=False).reshape(x.shape[1], -1) for x in (a, b))
    root = _root(first)
    # The trace of (first second)^1/2 is that of a symmetric matrix with the same eigenvalues.
    middle = np.linalg.eigvalsh(root @ second @ root)
    trace = float(np.trace(first) + np.trace(second) - 2 * np.sqrt(np.maximum(middle, 0)).sum())
    return max(float(((means[0] - means[1]) ** 2).sum()) + trace, 0.0)


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def kernel_distance(a: Floats, b: Floats) -> float:
    """Return the unbiased squared MMD of two sets of features under a cubic kernel.

    Parameters
    ----------
    a, b : ndarray of float64, shape (images, features)
        The mean over draws of two equal distributions is 0; single values may lie below.
    """
    width = a.shape[1]

    def kernel(x: Floats, y: Floats) -> Floats:
        return np.asarray((x @ y.T / width + 1) ** 3)

    within = []
    for x in (a, b):
        products = kernel(x, x)
        within.append((products.sum() - np.trace(products)) / (len(x) * (len(x) - 1)))
    return float(within[0] + within[1] - 2 * kernel(a, b).mean())
