"""Model files: one archive of JSON and safetensors, written atomically and read with suspicion.

The file is an uncompressed zip archive with three parts: ``manifest.json`` (format version, size
and SHA-256 of the others), ``model.json`` and ``tensors.safetensors``. Nothing in it is code, and
nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from synthgan.exceptions import ModelFileError
from synthgan.files import write_atomically

__all__ = ["FORMAT", "read_model", "write_model"]

#: Version of the format; a reader refuses files with a higher one.
FORMAT = 1
_MANIFEST, _MODEL, _TENSORS = "manifest.json", "model.json", "tensors.safetensors"
_LARGEST_JSON = 32 * 2**20
_LARGEST_HEADER = 8 * 2**20
_PARTS = (_MANIFEST, _MODEL, _TENSORS)
_END = 22  # bytes of the record at the end of an archive
_EPOCH = (1980, 1, 1, 0, 0, 0)

Array = np.ndarray[Any, Any]


def _plain(value: Any) -> Any:
    """Return a number of NumPy, as parameters of an estimator may be, as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a model file cannot hold a {type(value).__name__}")


def write_model(
    path: str | os.PathLike[str], model: Mapping[str, Any], tensors: Mapping[str, Array]
) -> None:
    """Write a model file; the old file stays whole if anything fails.

    Parameters
    ----------
    path : path
    model : mapping
        JSON-able description.
    tensors : mapping of name to ndarray
    """
    parts = {
        _MODEL: json.dumps(
            model, ensure_ascii=False, sort_keys=True, allow_nan=False, default=_plain
        ).encode(),
        _TENSORS: safetensors.numpy.save(
            {k: np.asarray(tensors[k], order="C") for k in sorted(tensors)}
        ),
    }
    listing = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in parts.items()
    }
    manifest = {"format": FORMAT, "magic": "synthgan model", "parts": listing}
    head = json.dumps(manifest, sort_keys=True).encode()

    def write(handle: IO[bytes]) -> None:
        with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
            for part, data in [(_MANIFEST, head), *parts.items()]:
                archive.writestr(zipfile.ZipInfo(part, _EPOCH), data)

    write_atomically(path, write)


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read and verify a model file.

    Returns
    -------
    model : dict
    tensors : dict of name to ndarray

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or written by a newer release.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"No model file at {path}.")
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            manifest = _parse_json(_read_part(archive, _MANIFEST, 2**20), path)
            _check_manifest(manifest, archive, path)
            parts = {}
            for name, limit in ((_MODEL, _LARGEST_JSON), (_TENSORS, path.stat().st_size)):
                data = _read_part(archive, name, limit)
                listed = manifest["parts"][name]
                if hashlib.sha256(data).hexdigest() != listed["sha256"]:
                    raise ModelFileError(f"{path} is damaged: {name} does not match its checksum.")
                parts[name] = data
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ModelFileError(f"{path} is not a synthgan model file, or is damaged.") from error
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} is damaged: its manifest is not complete.") from error
    return _parse_json(parts[_MODEL], path), _parse_tensors(parts[_TENSORS], path)


def _check_directory(path: Path) -> None:
    """Refuse archives with other than three parts before the list of parts is read."""
    with open(path, "rb") as handle:
        handle.seek(max(path.stat().st_size - _END, 0))
        end = handle.read(_END)
    if end[:4] != b"PK\5\6" or int.from_bytes(end[10:12], "little") != len(_PARTS):
        raise ModelFileError(f"{path} is not a synthgan model file, or is damaged.")


def _read_part(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
        raise ModelFileError(f"The model file has an oversized or compressed part {name}.")
    return archive.read(info)


def _check_manifest(manifest: Any, archive: zipfile.ZipFile, path: Path) -> None:
    if manifest.get("magic") != "synthgan model":
        raise ModelFileError(f"{path} is not a synthgan model file.")
    if not isinstance(manifest["format"], int) or manifest["format"] > FORMAT:
        raise ModelFileError(
            f"{path} has format {manifest['format']}, this release reads up to {FORMAT}; "
            "upgrade synthgan."
        )
    if sorted(archive.namelist()) != sorted(_PARTS):
        raise ModelFileError(f"{path} has parts that a model file does not have.")


def _parse_json(data: bytes, path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged: a JSON part cannot be read.") from None
    if not isinstance(parsed, dict):
        raise ModelFileError(f"{path} is damaged: a JSON part is not an object.")
    return parsed


def _parse_tensors(data: bytes, path: Path) -> dict[str, Array]:
    if len(data) < 8 or int.from_bytes(data[:8], "little") > _LARGEST_HEADER:
        raise ModelFileError(f"{path} is damaged: the header of its tensors is too long.")
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} is damaged: its tensors cannot be read.") from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not math.isfinite(float(np.abs(tensor).max(initial=0.0))):
            raise ModelFileError(f"{path} is damaged: tensor {name} is not finite.")
    return tensors
