"""Images of any kind to 8-bit pixels of one size: nothing is changed silently."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthgan.exceptions import DataError, DataWarning

__all__ = ["FITS", "MAX_BYTES", "Fit", "Pixels", "stack"]

Pixels = npt.NDArray[np.uint8]
Fit = Literal["crop", "pad", "stretch"]

#: How an image is brought to a size of another shape.
FITS = ("crop", "pad", "stretch")
#: Most bytes of pixels that are read.
MAX_BYTES = 2**34


def stack(found: Any, size: tuple[int, int] | None, fit: Fit, gray: bool | None) -> Pixels:
    """Return images as one array, shape (images, height, width, channels).

    Parameters
    ----------
    found : ndarray or iterable of (name, array or Pillow image)
    size : (int, int) or None
        Height and width to bring all to.
    fit : {"crop", "pad", "stretch"}
    gray : bool or None
        True turns images gray, False makes RGB of gray ones.

    Raises
    ------
    DataError
        If there are none, they differ in size or channels, or values are not 8-bit.
    """
    if isinstance(found, np.ndarray):
        pixels = _eight_bit(_channels_last(found), "images")
        if not len(pixels):
            raise DataError("There are no images.")
        if size is None or pixels.shape[1:3] == size:
            return _recoloured(pixels, gray)
        found = ((f"image {k}", image) for k, image in enumerate(pixels))
    parts: list[Pixels] = []
    names: list[str] = []
    held = 0
    for name, image in found:
        part = _recoloured(_one(image, name)[None], gray)[0]
        if size is not None:
            part = _resized(part, size, fit)
        if parts and part.shape != parts[0].shape:
            raise DataError(
                f"{name} is {_described(part)}, but {names[0]} is {_described(parts[0])}; give "
                "size=... or gray=... to make them alike."
            )
        held += part.nbytes
        if held > MAX_BYTES:
            raise DataError(f"More than {MAX_BYTES / 2**30:.0f} GiB of pixels; give a size=...")
        parts.append(part)
        names.append(name)
    if not parts:
        raise DataError("There are no images.")
    return np.stack(parts)


def _described(image: Pixels) -> str:
    colour = "gray" if image.shape[2] == 1 else "RGB"
    return f"{image.shape[0]} x {image.shape[1]} {colour}"


def _channels_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.ndim == 3:
        return array[..., None]
    if array.ndim == 4 and array.shape[3] in (1, 3, 4):
        return array
    if array.ndim == 4 and array.shape[1] in (1, 3, 4):
        raise DataError(
            f"Images of shape {array.shape} have their channels first; use "
            "images.transpose(0, 2, 3, 1)."
        )
    raise DataError(
        "Images must have shape (images, height, width) or (images, height, width, channels) with "
        f"1, 3 or 4 channels; got {array.shape}."
    )


def _one(image: Any, name: str) -> Pixels:
    from PIL import Image

    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3):
            raise DataError(f"{name} has shape {image.shape}, not (height, width[, channels]).")
        return _eight_bit(_channels_last(image[None]), name)[0]
    if not isinstance(image, Image.Image):
        if hasattr(image, "__array__"):
            return _one(np.asarray(image), name)
        raise DataError(
            f"{name} is a {type(image).__name__}; images are arrays, paths or of Pillow."
        )
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        return _eight_bit(np.asarray(image).clip(0, 2**16 - 1).astype(np.uint16)[..., None], name)
    if image.mode == "F":
        return _eight_bit(np.asarray(image)[..., None], name)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _eight_bit(np.asarray(image.convert("RGBA")), name)
    return np.asarray(image.convert("RGB"))


def _eight_bit(array: npt.NDArray[Any], name: str) -> Pixels:
    """Return uint8 without transparency; the last axis holds channels."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if (array.dtype.kind in "iu" and array.dtype.itemsize > 2) or array.dtype == np.int16:
        # the type decides, and not the largest value: one image must not rescale the others
        if array.size and not 0 <= array.min() <= array.max() <= 255:
            raise DataError(
                f"{name}: values are {array.dtype} beyond 0 to 255; cast them to uint8, or to "
                "uint16 if they have 16 bits."
            )
        array = array.astype(np.uint8)
    if array.dtype == np.uint16:
        warnings.warn("16-bit images were divided by 257.", DataWarning, stacklevel=2)
        array = (array // 257).astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataError(
            f"{name}: values are {array.dtype}, but must be uint8, 0 to 255. For floats in 0..1: "
            "(255 * images).round().astype('uint8')."
        )
    if array.shape[-1] == 4:
        warnings.warn("Transparent pixels were laid over black.", DataWarning, stacklevel=2)
        alpha = array[..., 3:].astype(np.uint16)
        array = ((array[..., :3] * alpha + 127) // 255).astype(np.uint8)
    return array


def _recoloured(pixels: Pixels, gray: bool | None) -> Pixels:
    if gray is True and pixels.shape[-1] == 3:  # ITU-R 601, as Pillow has it
        mixed = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        return mixed.round().astype(np.uint8)[..., None]
    if gray is False and pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    return pixels


def _resized(image: Pixels, size: tuple[int, int], fit: Fit) -> Pixels:
    from PIL import Image, ImageOps

    if image.shape[:2] == size:
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    box = size[1], size[0]
    way = Image.Resampling.LANCZOS
    if fit == "stretch":
        picture = picture.resize(box, way)
    else:
        picture = (ImageOps.fit if fit == "crop" else ImageOps.pad)(picture, box, way)
    return np.asarray(picture).reshape(*size, image.shape[2])
