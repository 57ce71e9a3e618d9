"""Pictures of images, and files and folders of them, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgan.exceptions import DataError
from synthgan.files import write_atomically
from synthgan.images.pixels import Pixels
from synthgan.images.reading import read_images

__all__ = ["contact_sheet", "write_images", "write_png"]


def contact_sheet(images: Any, columns: int = 10, *, scale: int = 1, gap: int = 1) -> Pixels:
    """Return many images as one, row by row.

    Parameters
    ----------
    images : ndarray of uint8, shape (images, height, width[, channels]), or ImageSet
    columns : int, default 10
    scale : int, default 1
        Pixels of the sheet per pixel of an image.
    gap : int, default 1
        White pixels between images.

    Returns
    -------
    ndarray of uint8, shape (height, width, channels)

    Examples
    --------
    >>> contact_sheet(np.zeros((3, 8, 8), dtype=np.uint8), columns=2).shape
    (17, 17, 1)
    """
    pixels = read_images(images).pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width, channels = pixels.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    sheet = np.full(shape, 255, dtype=np.uint8)
    for k, image in enumerate(pixels):
        top, left = (k // columns) * (height + gap), (k % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def write_png(path: str | os.PathLike[str], image: Pixels) -> None:
    """Write one image, shape (height, width[, channels]), whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    from PIL import Image

    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    write_atomically(path, lambda handle: Image.fromarray(flat).save(handle, format="png"))


def write_images(
    folder: str | os.PathLike[str], images: Any, labels: Any = None, *, prefix: str = "image"
) -> list[Path]:
    """Write PNG files into a new folder, in a subfolder per class if there are labels.

    Parameters
    ----------
    folder : path
        It must not exist, or be empty. All files appear in it at once.
    images : ndarray of uint8, shape (images, height, width[, channels]), or ImageSet
    labels : sequence, optional
        One class per image.
    prefix : str, default "image"

    Returns
    -------
    list of Path

    Raises
    ------
    DataError
        If the folder has files already, or cannot be written.
    """
    found = read_images(images, labels)
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} exists and is not an empty folder.")
    digits = len(str(len(found) - 1))
    classes = found.labels if isinstance(found.labels, np.ndarray) else None
    if classes is not None and classes.ndim != 1:
        classes = None
    if classes is not None:
        folders = {label: _folder_name(label) for label in pd.unique(classes)}
        if len(set(folders.values())) < len(folders):
            raise DataError("Two classes would share a folder, since names of files are plain.")
    names = [
        Path("" if classes is None else _folder_name(classes[k])) / f"{prefix}_{k:0{digits}d}.png"
        for k in range(len(found))
    ]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            for name, image in zip(names, found.pixels, strict=True):
                (draft / name).parent.mkdir(exist_ok=True)
                write_png(draft / name, image)
            draft.chmod(0o755)
            draft.replace(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise DataError(f"Cannot write {target}: {error.strerror or error}.") from error
    return [target / name for name in names]


def _folder_name(label: Any) -> str:
    text = str(label)
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in text).strip(". ")
    return safe or "_"
