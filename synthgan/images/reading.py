"""Arrays, folders, tables of paths and ``.npz`` files to one set of images."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan.exceptions import DataError, ParameterError
from synthgan.images.pixels import FITS, MAX_BYTES, Fit, Pixels, stack
from synthgan.io import read_frame

__all__ = ["ImageSet", "read_images"]

#: Files that are read as images.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
MAX_SIDE = 4096
#: Pixels of a file, so that its few copies in colour take less than 256 MB.
MAX_PIXELS = 2**25


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Images of one size, with what is known of each.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (images, height, width, channels)
        1 channel (gray) or 3 (RGB).
    labels : ndarray, DataFrame or None
        One class per image, shape (images,); several attributes, a frame with a row per image; or
        vectors, float64 of shape (images, numbers).
    """

    pixels: Pixels
    labels: Any = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def channels(self) -> int:
        """1 if gray, 3 if RGB."""
        return int(self.pixels.shape[3])

    def take(self, rows: npt.NDArray[Any]) -> ImageSet:
        """Return the images of the given numbers (or boolean mask)."""
        labels = self.labels
        if isinstance(labels, pd.DataFrame):
            return ImageSet(self.pixels[rows], labels.iloc[rows].reset_index(drop=True))
        return ImageSet(self.pixels[rows], None if labels is None else labels[rows])


def read_images(
    source: Any,
    labels: Any = None,
    *,
    size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    gray: bool | None = None,
    split: str = "train",
) -> ImageSet:
    """Read images from wherever they are.

    Parameters
    ----------
    source : ndarray, sequence of arrays or Pillow images, path, or ImageSet
        An array is ``uint8`` of shape (images, height, width) or (images, height, width, channels).
        A path is a folder of images (subfolders are classes), a ``.csv`` or ``.parquet`` file with
        a column ``path`` (relative to the file) and columns of labels, or an ``.npz`` file with
        ``images`` and ``labels``, also in MedMNIST's layout (``train_images``, ``train_labels``)
        or with ``x_train``, ``y_train``. Nothing is unpickled.
    labels : array, Series, DataFrame or sequence, optional
        One class per image; a frame of attributes; or an array of vectors, float of shape
        (images, numbers). They replace what `source` has.
    size : int or (int, int), optional
        Height and width to bring all images to. By default they must agree already.
    fit : {"crop", "pad", "stretch"}
        What happens to images of another shape than `size`: cut at the centre, filled with black,
        or distorted.
    gray : bool, optional
        True turns images gray, False makes RGB of gray ones. By default all stay as they are, and
        must agree.
    split : str, default "train"
        Part of an ``.npz`` file with several.

    Returns
    -------
    ImageSet

    Raises
    ------
    DataError
        If there are no images, a file cannot be read, images differ in size or channels, values
        are not 8-bit, or labels are missing or of another length; with the file or number.
    ParameterError
        If `size` or `fit` make no sense.

    Warns
    -----
    DataWarning
        Once, if 16-bit values were divided by 257, or transparency was laid over black.

    Examples
    --------
    >>> images = read_images(np.zeros((4, 8, 8), dtype=np.uint8), labels=[0, 0, 1, 1])
    >>> images.pixels.shape, images.labels.tolist()
    ((4, 8, 8, 1), [0, 0, 1, 1])
    """
    wanted = _check_size(size)
    if fit not in FITS:
        raise ParameterError(f"fit must be one of {', '.join(map(repr, FITS))}; got {fit!r}.")
    found, own = _open(source, split)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = stack(found, wanted, fit, gray)
    for warning in {str(w.message): w for w in caught}.values():
        warnings.warn(warning.message, warning.category, stacklevel=2)
    return ImageSet(pixels, _labels(own if labels is None else labels, len(pixels)))


def _check_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(pair) != 2 or not all(1 <= int(side) <= MAX_SIDE for side in pair):
        raise ParameterError(f"size must be one or two ints from 1 to {MAX_SIDE}; got {size!r}.")
    return int(pair[0]), int(pair[1])


def _open(source: Any, split: str) -> tuple[Any, Any]:
    """Return an array, or an iterator of (name, image), and the labels that came with it."""
    if isinstance(source, ImageSet):
        return source.pixels, source.labels
    if isinstance(source, np.ndarray):
        return source, None
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), split)
    if isinstance(source, Sequence) and source and isinstance(source[0], (str, os.PathLike)):
        return _opened([Path(file) for file in source]), None
    if isinstance(source, Iterable):
        return ((f"image {k}", image) for k, image in enumerate(source)), None
    raise DataError(
        f"Images must be an array, a list of images, or a path; got {type(source).__name__}."
    )


def _open_path(path: Path, split: str) -> tuple[Any, Any]:
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise DataError(f"No such file or folder: {path}.")
    if path.suffix == ".npz":
        return _open_npz(path, split)
    if path.suffix in (".csv", ".parquet"):
        frame = read_frame(path)
        if "path" not in frame.columns:
            raise DataError(f"{path} has no column 'path'.")
        files = [path.parent / str(name) for name in frame["path"]]
        rest = frame.drop(columns="path")
        own = None if not len(rest.columns) else rest if len(rest.columns) > 1 else rest.iloc[:, 0]
        return _opened(files), own
    raise DataError(f"{path} is no folder, .npz, .csv or .parquet file.")


def _open_folder(path: Path) -> tuple[Iterator[tuple[str, Any]], Any]:
    parts = sorted(part for part in path.iterdir() if not part.name.startswith((".", "__")))
    classes = [part for part in parts if part.is_dir()]
    folders = classes or [path]
    files = [_images_in(folder) for folder in folders]
    empty = next((f.name for f, found in zip(folders, files, strict=True) if not found), None)
    if empty is not None:
        raise DataError(f"The folder {empty!r} has no images ({', '.join(SUFFIXES)}).")
    if classes and _images_in(path):
        raise DataError(f"{path} has images beside the folders of its classes; move them into one.")
    names = np.repeat([folder.name for folder in folders], [len(found) for found in files])
    return _opened([f for found in files for f in found]), names if classes else None


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )


def _opened(files: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    from PIL import Image

    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file) as image:
                    if image.width * image.height > MAX_PIXELS:
                        raise DataError(f"{file} holds more than {MAX_PIXELS:,} pixels; shrink it.")
                    image.load()
        except FileNotFoundError:
            raise DataError(f"No such image: {file}.") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise DataError(f"{file} holds more pixels than Pillow takes for safe.") from None
        except DataError:
            raise
        except Exception as error:  # decoders raise whatever they trip over
            kind = type(error).__name__
            raise DataError(f"{file} is no image that can be read ({kind}).") from None
        yield str(file), image  # outside, where warnings are those of who reads


_NPZ_NAMES = [
    ("{split}_images", "{split}_labels"),
    ("x_{split}", "y_{split}"),
    ("images", "labels"),
    ("x", "y"),
]


def _open_npz(path: Path, split: str) -> tuple[Any, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise DataError(f"{path} unpacks to {size / 2**30:.0f} GiB, more than is read.")
        with np.load(path, allow_pickle=False) as arrays:
            for images, labels in _NPZ_NAMES:
                at, on = images.format(split=split), labels.format(split=split)
                if at in arrays.files:
                    own = arrays[on] if on in arrays.files else None
                    return arrays[at], _plain(own)
            raise DataError(
                f"{path} holds {', '.join(sorted(arrays.files)[:8])}; no images of the split "
                f"{split!r} are among them."
            )
    except DataError:
        raise
    except Exception as error:  # the parsers of zip and npy raise whatever they trip over
        raise DataError(f"{path} cannot be read ({type(error).__name__}).") from None


def _plain(labels: npt.NDArray[Any] | None) -> Any:
    """Return labels of shape (n, 1) as (n,), and several whole numbers per image as attributes."""
    if labels is None or labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "iub":
        return pd.DataFrame(labels, columns=[f"label {k}" for k in range(labels.shape[1])])
    return labels


def _labels(labels: Any, n_images: int) -> Any:
    if labels is None:
        return None
    if isinstance(labels, pd.DataFrame):
        found: Any = labels.reset_index(drop=True).rename(columns=str)
        gone = found.isna().any(axis=1).to_numpy()
    else:
        if isinstance(labels, (list, tuple)) and all(np.ndim(label) == 0 for label in labels):
            labels = pd.Series(list(labels))  # NumPy would write missing ones as text
        found = labels.to_numpy() if isinstance(labels, pd.Series) else np.asarray(labels)
        if found.ndim not in (1, 2):
            raise DataError(f"Labels must have one or two dimensions, got {found.ndim}.")
        if found.ndim == 2 and found.dtype.kind in "iub":
            found = found.astype(np.float64)
        if found.ndim == 2 and found.dtype.kind != "f":
            raise DataError("Labels with two dimensions must be numbers, or a DataFrame.")
        gone = (~np.isfinite(found)).any(axis=1) if found.ndim == 2 else pd.isna(found)
    if len(found) != n_images:
        raise DataError(f"There are {len(found)} labels for {n_images} images.")
    if gone.any():
        first = int(np.flatnonzero(gone)[0])
        raise DataError(f"Image {first} has a missing label; remove such images, or name a class.")
    return found
