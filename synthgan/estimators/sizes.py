"""What image estimators ask of the images that they get."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthgan.exceptions import DataError
from synthgan.images import ImageSet

__all__ = ["LARGEST_SIDE", "SMALLEST_SIDE", "check_sides", "is_flat", "require_size"]

SMALLEST_SIDE, LARGEST_SIDE = 8, 128


def check_sides(found: ImageSet) -> None:
    """Raise if images cannot be learned.

    Raises
    ------
    DataError
        If a side is not between 8 and 128 pixels, or there is a single image.
    """
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in found.size):
        raise DataError(
            f"Images are {found.size[0]} x {found.size[1]}; both sides must lie between "
            f"{SMALLEST_SIDE} and {LARGEST_SIDE}. See size=... of synthgan.images.read_images."
        )
    if len(found) < 2:
        raise DataError("At least two images are needed.")


def is_flat(found: ImageSet, given: Any) -> bool:
    """Return whether images are to be given back without an axis for channels.

    They are if they are gray and did not come in an array with one.
    """
    return found.channels == 1 and not (isinstance(given, np.ndarray) and given.ndim == 4)


def require_size(found: ImageSet, size: tuple[int, int], channels: int) -> ImageSet:
    """Return the images if they are like those that a model was fitted on.

    Raises
    ------
    DataError
        If they have another size, or other channels.
    """
    if (found.size, found.channels) != (size, channels):
        raise DataError(
            f"The model was fitted on {size[0]} x {size[1]} images with {channels} channels; these "
            f"are {found.size[0]} x {found.size[1]} with {found.channels}."
        )
    return found
