"""Files that are whole or not there: every write of the package goes through here, and texts."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from synthgan.exceptions import DataError

__all__ = ["digest_of_file", "read_text", "sweep", "write_atomically", "write_text"]

#: Seconds after which a temporary file that nobody writes to is what a killed process left.
ABANDONED = 3600.0


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that it is either whole and new, or as it was before.

    It is written under another name in the same folder, forced to the disk and renamed, so that
    neither a crash nor a power cut leaves half of it.

    Parameters
    ----------
    path : path
        Where the file goes; its folder must exist.
    write : callable
        Called with a binary file to write to.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    path = Path(path)
    temporary = path.parent / f"{_prefix(path)}{secrets.token_hex(8)}.tmp"
    try:
        sweep(path, ABANDONED)
        try:
            with open(temporary, "x+b") as handle:
                write(handle)
                handle.flush()
                os.fsync(handle.fileno())
            with contextlib.suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))  # that of the old file
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text in UTF-8, as :func:`write_atomically` does."""
    write_atomically(path, lambda handle: handle.write(text.encode()))


def read_text(path: str | os.PathLike[str], most: int = 2**25) -> str:
    """Return a text in UTF-8.

    Raises
    ------
    DataError
        If the file cannot be read, is no text, or is longer than `most` bytes.
    """
    try:
        with open(path, "rb") as handle:
            raw = handle.read(most + 1)
        if len(raw) > most:
            raise DataError(f"Cannot read {path}: it is larger than {most:,} bytes.")
        return raw.decode()
    except UnicodeDecodeError:
        raise DataError(f"Cannot read {path}: it is not a text in UTF-8.") from None
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error


def digest_of_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return how many bytes a file has (``"bytes"``), and their ``"sha256"``.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    found = hashlib.sha256()
    try:
        with open(path, "rb") as handle:
            while piece := handle.read(2**20):
                found.update(piece)
            return {"bytes": handle.tell(), "sha256": found.hexdigest()}
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error


def sweep(path: Path, age: float = 0.0) -> None:
    """Remove what killed processes left of writes to `path`, if it is older than `age` seconds."""
    for left in path.parent.glob(glob.escape(_prefix(path)) + "?" * 16 + ".tmp"):
        with contextlib.suppress(OSError):  # another process may be as quick
            if time.time() - left.stat().st_mtime >= age:
                left.unlink()


def _prefix(path: Path) -> str:
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return f".{path.name[:40]}.{digest}."


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk, where folders can be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
