"""The form of images that a model is fitted on: what it asks of images, and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synthgan.estimators.base import check_number
from synthgan.exceptions import DataError
from synthgan.images import ImageSet, read_images

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ImageForm"]

SMALLEST_SIDE, LARGEST_SIDE = 8, 128


@dataclass(frozen=True, slots=True)
class ImageForm:
    """The size and channels of images.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    channels : int
        1 if gray, 3 if RGB.
    flat : bool
        Whether images are given back without an axis for channels: they are gray, and did not come
        in an array with one.
    """

    size: tuple[int, int]
    channels: int
    flat: bool

    @classmethod
    def learn(cls, found: ImageSet, given: Any) -> Self:
        """Return the form of images, which came as `given`.

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
        deep = isinstance(given, np.ndarray) and given.ndim == 4
        return cls(found.size, found.channels, flat=found.channels == 1 and not deep)

    def read(self, images: Any, labels: Any = None) -> ImageSet:
        """Return images of this form.

        Raises
        ------
        DataError
            If they have another size, or other channels.
        """
        found = read_images(images, labels)
        if (found.size, found.channels) != (self.size, self.channels):
            raise DataError(
                f"The model was fitted on {self.size[0]} x {self.size[1]} images with "
                f"{self.channels} channels; these are {found.size[0]} x {found.size[1]} with "
                f"{found.channels}."
            )
        return found

    def restore(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return pixels, with an axis for channels, as the images came."""
        return pixels[..., 0] if self.flat else pixels

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; :meth:`from_dict` is its inverse."""
        return {"size": list(self.size), "channels": self.channels, "flat": self.flat}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a form.

        Raises
        ------
        ParameterError, TypeError, ValueError, KeyError
            If it is none.
        """
        height, width = (int(side) for side in data["size"])
        for side in (height, width):
            check_number("network", "size", side, int, SMALLEST_SIDE, LARGEST_SIDE)
        check_number("network", "channels", data["channels"], int, 1, 3)
        return cls((height, width), int(data["channels"]), bool(data["flat"]))
