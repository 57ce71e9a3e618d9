"""Images in, images out: arrays, folders and ``.npz`` files as one set of 8-bit pixels with labels.

Everything becomes ``uint8`` of shape (images, height, width, channels), gray or RGB. Nothing is
resized, cropped or turned gray unless asked for.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan.exceptions import DataError, DataWarning, ParameterError
from synthgan.io import read_frame, write_atomically

__all__ = ["FITS", "ImageSet", "contact_sheet", "read_images", "write_images", "write_png"]

Pixels = npt.NDArray[np.uint8]
Fit = Literal["crop", "pad", "stretch"]

#: How an image is brought to a size of another shape.
FITS = ("crop", "pad", "stretch")
#: Files that are read as images.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
#: Most bytes of pixels that are read.
MAX_BYTES = 2**34
MAX_SIDE = 4096


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


# --- reading -------------------------------------------------------------------------------------


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
        pixels = _stack(found, wanted, fit, gray)
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
    classes = sorted(part for part in path.iterdir() if part.is_dir())
    folders = classes or [path]
    files = [
        sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES) for folder in folders
    ]
    empty = next((f.name for f, found in zip(folders, files, strict=True) if not found), None)
    if empty is not None:
        raise DataError(f"The folder {empty!r} has no images ({', '.join(SUFFIXES)}).")
    names = np.repeat([folder.name for folder in folders], [len(found) for found in files])
    return _opened([f for found in files for f in found]), names if classes else None


def _opened(files: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    from PIL import Image, UnidentifiedImageError

    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(file) as image:
                    image.load()
                    yield str(file), image
        except FileNotFoundError:
            raise DataError(f"No such image: {file}.") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise DataError(f"{file} holds more pixels than Pillow takes for safe.") from None
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{file} is no image that can be read: {error}.") from None


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
    except (zipfile.BadZipFile, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None


def _plain(labels: npt.NDArray[Any] | None) -> Any:
    """Return labels of shape (n, 1) as (n,), and several whole numbers per image as attributes."""
    if labels is None or labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "iub":
        return pd.DataFrame(labels, columns=[f"label {k}" for k in range(labels.shape[1])])
    return labels


# --- pixels --------------------------------------------------------------------------------------


def _stack(found: Any, size: tuple[int, int] | None, fit: Fit, gray: bool | None) -> Pixels:
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
    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3):
            raise DataError(f"{name} has shape {image.shape}, not (height, width[, channels]).")
        return _eight_bit(_channels_last(image[None]), name)[0]
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        return _eight_bit(np.asarray(image)[..., None], name)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _eight_bit(np.asarray(image.convert("RGBA")), name)
    return np.asarray(image.convert("RGB"))


def _eight_bit(array: npt.NDArray[Any], name: str) -> Pixels:
    """Return uint8 without transparency; the last axis holds channels."""
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "i" and array.size and array.min() >= 0 and array.max() < 2**16:
        array = array.astype(np.uint8 if array.max() <= 255 else np.uint16)
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


# --- labels --------------------------------------------------------------------------------------


def _labels(labels: Any, n_images: int) -> Any:
    if labels is None:
        return None
    if isinstance(labels, pd.DataFrame):
        found: Any = labels.reset_index(drop=True).rename(columns=str)
        gone = found.isna().any(axis=1).to_numpy()
    else:
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


# --- writing -------------------------------------------------------------------------------------


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
    try:
        write_atomically(path, lambda name: Image.fromarray(flat).save(name, format="png"))
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.") from error


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
