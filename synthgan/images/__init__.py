"""Images in, images out: arrays, folders and ``.npz`` files as one set of 8-bit pixels with labels.

Everything becomes ``uint8`` of shape (images, height, width, channels), gray or RGB. Nothing is
resized, cropped or turned gray unless asked for.
"""

from __future__ import annotations

from synthgan.images.pixels import FITS
from synthgan.images.reading import ImageSet, read_images
from synthgan.images.writing import contact_sheet, write_images, write_png

__all__ = ["FITS", "ImageSet", "contact_sheet", "read_images", "write_images", "write_png"]
