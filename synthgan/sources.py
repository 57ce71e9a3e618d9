"""Paths to tables: a file, a folder, a pattern or an address, read within the memory there is."""

from __future__ import annotations

import glob
import gzip
import os
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet

from synthgan._runtime import memory_limit
from synthgan.exceptions import DataError, DataWarning
from synthgan.pages import read_footer

__all__ = ["MAX_COLUMNS", "read_path", "sample_rows"]

#: Columns beyond which a file is refused, before their names are read.
MAX_COLUMNS = 2**16

#: Unquoted CSV fields that mean "missing"; a quoted field is always text.
CSV_NULLS = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"]

_LARGE = 2**30  # bytes from which on a file may be a bomb
_SWELL = 1000  # times its size to which no honest file unpacks
_TABLE_SHARE = 0.125  # of the memory, for a table that is fitted to
_HEADER = 2**24  # bytes within which the first line of a CSV file must end
_BATCH = 2**16
_TEXT_BYTES = 24  # of a text in memory, where nothing is known
_ERRORS = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowKeyError,
    OSError,
    EOFError,
    ValueError,
    zlib.error,
)


def read_path(
    path: str | os.PathLike[str], *, most: int | None = None, whole: bool = True
) -> pa.Table:
    """Return the table at a path.

    Parameters
    ----------
    path : path
        A ``.parquet``, ``.csv`` or ``.tsv`` file (the latter two also with ``.gz``); a folder of
        Parquet files, also in Hive's layout; a pattern such as ``"visits/*.parquet"``; or the
        address of Parquet files in an object store that pyarrow knows, such as
        ``"s3://bucket/visits/"``.
    most : int, optional
        Rows to keep if `whole` is false.
    whole : bool
        False: a Parquet table that has more rows than `most`, or that would take more than an
        eighth of the memory, is read in one pass that keeps a random part of the rows, always the
        same ones.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    DataError
        If nothing is there or can be read, or if it unpacks to more than there is memory for.
    """
    try:
        filesystem, paths, folder = _resolve(path)
        name = paths[0].lower()
        if re.search(r"\.(csv|tsv)(\.gz)?$", name) and not folder:
            if len(paths) > 1 or filesystem is not None:
                raise DataError(f"{path}: only Parquet is read from several files or an address.")
            return _sound(_read_csv(Path(paths[0])))
        if folder or name.endswith((".parquet", ".pq")):
            return _sound(_read_parquet(path, filesystem, paths, folder, most, whole))
    except DataError:
        raise
    except _ERRORS as error:
        kind = type(error).__name__
        raise DataError(
            f"Cannot read {path}: the file is damaged or not a table ({kind})."
        ) from None
    raise DataError(f"Cannot tell the format of {path}; use a .parquet or .csv file.")


def _sound(table: pa.Table) -> pa.Table:
    """Return the table if its texts and offsets are what its types say."""
    table.validate(full=True)
    _ = table.column_names  # may be no texts
    return table


def sample_rows(table: pa.Table, most: int | None) -> pa.Table:
    """Return at most so many rows, drawn at random and in their order."""
    if most is None or len(table) <= most:
        return table
    keep = np.random.default_rng(0).choice(len(table), most, replace=False)
    return table.take(np.sort(keep))


def _resolve(path: str | os.PathLike[str]) -> tuple[Any, list[str], bool]:
    """Return the file system (None: that of this machine), paths, and whether it is a folder."""
    text = os.fspath(path)
    if "://" in text:
        filesystem, inner = pa.fs.FileSystem.from_uri(text)
        found = filesystem.get_file_info(inner)
        if found.type == pa.fs.FileType.NotFound:
            raise DataError(f"No such file: {text}")
        return filesystem, [inner], found.type == pa.fs.FileType.Directory
    if Path(text).exists():
        return None, [text], Path(text).is_dir()
    if glob.has_magic(text) and (matches := sorted(glob.glob(text, recursive=True))):
        return None, matches, False
    raise DataError(f"No such file: {text}")


# --- Parquet --------------------------------------------------------------------------------------


def _read_parquet(
    path: Any, filesystem: Any, paths: Sequence[str], folder: bool, most: int | None, whole: bool
) -> pa.Table:
    parquet = pa.dataset.ParquetFileFormat(
        default_fragment_scan_options=pa.dataset.ParquetFragmentScanOptions(
            pre_buffer=False, use_buffered_stream=True, buffer_size=2**20
        )
    )
    source = pa.dataset.dataset(
        paths[0] if folder else list(paths),
        format=parquet,
        filesystem=filesystem,
        partitioning="hive" if folder else None,
    )
    _require_columns(path, len(source.schema))
    rows, stored, packed = _footers(source)
    size = max(rows * sum(_width(field.type) for field in source.schema), stored)
    if size > _LARGE and size > _SWELL * packed:
        raise DataError(
            f"{path} would unpack to {size / 2**30:.0f} GiB, {size // max(packed, 1):,} times its "
            "size; it is damaged, or meant to fill the memory. Write a part of it to another file."
        )
    memory = memory_limit()
    fitting = rows if memory is None else int(rows * min(_TABLE_SHARE * memory / max(size, 1), 1.0))
    keep = min(fitting, rows if most is None else most)
    if not whole and keep < rows:
        return _sampled(path, source, rows, keep)
    if memory is not None and size > memory:
        raise DataError(
            f"{path} takes {size / 2**30:.1f} GiB in memory, and there are {memory / 2**30:.1f}. "
            "Read a part of it."
        )
    return source.to_table()


def _footers(source: Any) -> tuple[int, int, int]:
    """Return rows, bytes before compression, and bytes of the files, from what files say."""
    rows = stored = packed = 0
    for fragment in source.get_fragments():
        with fragment.open() as file:
            found = read_footer(file)
            packed += file.size()
        rows, stored = rows + found.rows, stored + found.unpacked
    return rows, stored, packed


def _sampled(path: Any, source: Any, rows: int, keep: int) -> pa.Table:
    """Return about `keep` rows, each as likely as any other, without holding more."""
    rng, parts = np.random.default_rng(0), []
    for batch in source.to_batches(batch_size=_BATCH, batch_readahead=1, fragment_readahead=1):
        kept = rng.random(len(batch)) < keep / rows
        parts.append(batch.filter(pa.array(kept)))
    found = pa.Table.from_batches(parts, source.schema)
    warnings.warn(
        f"{path} has {rows:,} rows; {len(found):,} of them, drawn at random, are used. Set "
        "max_rows to choose how many.",
        DataWarning,
        stacklevel=6,
    )
    return found


def _width(kind: pa.DataType) -> float:
    """Return about how many bytes a cell takes in memory."""
    try:
        return float(kind.bit_width) / 8
    except ValueError:  # texts and nested types
        return _TEXT_BYTES


def _require_columns(path: Any, count: int) -> None:
    if count > MAX_COLUMNS:
        raise DataError(f"{path} has {count:,} columns; at most {MAX_COLUMNS:,} are read.")


# --- CSV ------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> pa.Table:
    delimiter = "\t" if ".tsv" in "".join(path.suffixes[-2:]).lower() else ","
    packed = path.suffix.lower() == ".gz"
    with gzip.open(path) if packed else open(path, "rb") as handle:
        first = handle.readline(_HEADER)
        if len(first) == _HEADER:
            raise DataError(f"{path}: the first line is longer than {_HEADER // 2**20} MiB.")
        _require_columns(path, first.count(delimiter.encode()) + 1)
        size, most = path.stat().st_size, memory_limit() or 2**62
        if packed:
            most = min(most, max(_LARGE, _SWELL // 5 * size))
            size = len(first)
            while size <= most and (piece := handle.read(2**20)):
                size += len(piece)
    if size > most:
        raise DataError(
            f"{path} holds more than {most / 2**30:.1f} GiB of text; write a part of it to another "
            "file, or all of it to Parquet files, which are read in parts."
        )
    return pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            null_values=CSV_NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
