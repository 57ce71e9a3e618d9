"""The turn, reflection or negative that brings one set of images closest to another.

Two kinds of images often differ first of all by how they are held or by what is white in them.
A network that starts at the identity finds neither quickly, and nothing in two sets without pairs
tells it that a turned 6 is no 9; a search over sixteen possibilities does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from synthgan._runtime import numpy_generator

__all__ = ["ALIGNMENTS", "aligned", "find_alignment"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Names of all possibilities: quarter turns, after a reflection, after a negative.
ALIGNMENTS = tuple(
    " ".join(filter(None, [negative, mirrored, turned])) or "none"
    for negative in ("", "negative")
    for mirrored in ("", "mirrored")
    for turned in ("", "turned 90", "turned 180", "turned 270")
)
_COMPARED, _SIDE = 1000, 8
#: Share of the distance of images as they are that an alignment must go below.
_LARGEST_SHARE = 0.5


def aligned(images: Pixels, name: str, *, back: bool = False) -> Pixels:
    """Return images turned, reflected and as negatives, as the name says.

    Parameters
    ----------
    images : ndarray of uint8, shape (images, height, width, channels)
    name : str
        One of :data:`ALIGNMENTS`. Turns are to the left.
    back : bool, default False
        Undo it instead.
    """
    turns = next((k for k in (1, 2, 3) if f"turned {90 * k}" in name), 0)
    if "negative" in name:
        images = np.uint8(255) - images
    if "mirrored" in name and not back:
        images = images[:, :, ::-1]
    images = np.rot90(images, -turns if back else turns, axes=(1, 2))
    if "mirrored" in name and back:
        images = images[:, :, ::-1]
    return np.ascontiguousarray(images)


def find_alignment(a: Pixels, b: Pixels, seed: int) -> str:
    """Return how images `a` must be aligned to be most like images `b`.

    Up to 1,000 thumbnails of each are compared by their energy distance (Székely, Rizzo 2013).
    Anything but ``"none"`` must at least halve it.

    Parameters
    ----------
    a, b : ndarray of uint8, shape (images, height, width, channels)
        Of the same size; quarter turns are tried if it is square.
    seed : int

    Returns
    -------
    str
        One of :data:`ALIGNMENTS`.
    """
    a, b = (_some(images, seed) for images in (a, b))
    target = _thumbnails(b)
    within = _spread(target)
    distances = {}
    for name in ALIGNMENTS:
        changed = aligned(a, name)
        if changed.shape[1:3] == b.shape[1:3]:
            found = _thumbnails(changed)
            distances[name] = 2 * cdist(found, target).mean() - _spread(found) - within
    best = min(distances, key=distances.__getitem__)
    return best if distances[best] < _LARGEST_SHARE * distances["none"] else "none"


def _some(images: Pixels, seed: int) -> Pixels:
    order = numpy_generator(seed, "alignment").permutation(len(images))
    return images[order[:_COMPARED]]


def _thumbnails(images: Pixels) -> Floats:
    """Return images as gray vectors of at most 8 x 8 means, shape (images, 64)."""
    gray = images.mean(axis=3, dtype=np.float64)
    for axis in (1, 2):
        cells = np.array_split(np.arange(gray.shape[axis]), min(_SIDE, gray.shape[axis]))
        gray = np.stack([gray.take(cell, axis).mean(axis=axis) for cell in cells], axis=axis)
    return gray.reshape(len(gray), -1)


def _spread(vectors: Floats) -> float:
    """Return the mean distance of two vectors, which may be the same."""
    return float(cdist(vectors, vectors).mean())
