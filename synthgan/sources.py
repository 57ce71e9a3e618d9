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
from synthgan.parquet_footer import read_footer

__all__ = ["MAX_COLUMNS", "infers_types", "read_path", "sample_rows"]

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
        False: of a table that has more rows than `most`, or of Parquet files that would take more
        than an eighth of the memory, a random part is kept, always the same. Parquet is read in one
        pass that holds no more than that.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    DataError
        If nothing is there or can be read, or if it unpacks to more than there is memory for.
    """
    shown = _shown(path)
    try:
        filesystem, paths, folder = _resolve(path, shown)
        name = paths[0].lower()
        if re.search(r"\.(csv|tsv)(\.gz)?$", name) and not folder:
            if len(paths) > 1 or filesystem is not None:
                raise DataError(f"{shown}: only Parquet is read from several files or an address.")
            found = _read_csv(Path(paths[0]))
        elif folder or name.endswith((".parquet", ".pq")):
            found = _read_parquet(shown, filesystem, paths, folder, most, whole)
        else:
            raise DataError(f"Cannot tell the format of {shown}; use a .parquet or .csv file.")
        return _sound(found if whole else sample_rows(found, most))
    except DataError:
        raise
    except _ERRORS as error:
        kind = type(error).__name__
        if "://" in shown:
            raise DataError(f"Cannot read {shown}: no such place, or damaged ({kind}).") from None
        raise DataError(
            f"Cannot read {shown}: the file is damaged or not a table ({kind})."
        ) from None


def _shown(path: str | os.PathLike[str]) -> str:
    """Return a path without the name and password that an address may hold."""
    return re.sub(r"://[^/]*@", "://", os.fspath(path))


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


def _resolve(path: str | os.PathLike[str], shown: str) -> tuple[Any, list[str], str | None]:
    """Return the file system (None: that of this machine), files, and the folder they are of."""
    text = os.fspath(path)
    filesystem, inner = pa.fs.FileSystem.from_uri(text) if "://" in text else (None, text)
    place = filesystem or pa.fs.LocalFileSystem()
    found = place.get_file_info(inner)
    if found.type == pa.fs.FileType.File:
        return filesystem, [inner], None
    if found.type == pa.fs.FileType.Directory:
        listed = place.get_file_info(pa.fs.FileSelector(inner, recursive=True))
        files = sorted(info.path for info in listed if _is_part(info.path, inner))
        if not files:
            raise DataError(f"The folder {shown} has no Parquet files.")
        return filesystem, files, inner
    if glob.has_magic(text) and (matches := sorted(glob.glob(text, recursive=True))):
        return None, matches, None
    raise DataError(f"No such file: {shown}")


def _is_part(path: str, folder: str) -> bool:
    """Return whether a file is a part of the table in a folder: Parquet, and not hidden."""
    steps = path.removeprefix(folder).strip("/").split("/")
    hidden = any(step.startswith((".", "_")) for step in steps)
    return path.lower().endswith((".parquet", ".pq")) and not hidden


# --- Parquet --------------------------------------------------------------------------------------


def _read_parquet(
    shown: str,
    filesystem: Any,
    paths: Sequence[str],
    folder: str | None,
    most: int | None,
    whole: bool,
) -> pa.Table:
    parquet = pa.dataset.ParquetFileFormat(
        default_fragment_scan_options=pa.dataset.ParquetFragmentScanOptions(
            pre_buffer=False, use_buffered_stream=True, buffer_size=2**20
        )
    )
    source = pa.dataset.dataset(
        list(paths),
        format=parquet,
        filesystem=filesystem,
        partitioning="hive" if folder else None,
        partition_base_dir=folder,
    )
    source = source.replace_schema(_shared_schema(source))
    count = len(source.schema)
    if count > MAX_COLUMNS:
        raise DataError(f"{shown} has {count:,} columns; at most {MAX_COLUMNS:,} are read.")
    rows, unpacked, packed, text = _footers(source)
    size = int(max(rows * sum(_width(field.type) for field in source.schema), unpacked))
    if size > _LARGE and size > _SWELL * packed:
        raise DataError(
            f"{shown} would unpack to {size / 2**30:.0f} GiB, {size // max(packed, 1):,} times its "
            "size; it is damaged, or meant to fill the memory. Write a part of it to another file."
        )
    memory = memory_limit() or 2**62
    bound = memory if whole else int(_TABLE_SHARE * memory)
    keep = rows if whole else min(int(rows * min(bound / max(size, 1), 1.0)), most or rows)
    if size > memory and whole:
        raise DataError(
            f"{shown} takes {size / 2**30:.1f} GiB in memory, and there are "
            f"{memory / 2**30:.1f}. Read a part of it."
        )
    batch = min(max(_LARGE // max(text, 1), 256), _BATCH)
    rng, parts, held = np.random.default_rng(0), [], 0
    more = keep + 4 * int(keep**0.5) + 1  # of which exactly so many are kept at the end
    ordered = {"batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
    for found in source.to_batches(batch_size=batch, **ordered):
        if more < rows:
            found = found.filter(pa.array(rng.random(len(found)) < more / rows))
        held += found.nbytes
        if held > (memory if whole else max(2 * bound, _LARGE // 4)):
            raise DataError(
                f"{shown} takes far more memory than it says of itself. Write a part of it to "
                "another file."
            )
        parts.append(found)
    table = pa.Table.from_batches(parts, source.schema)
    if keep < rows:
        table = sample_rows(table, keep)
        warnings.warn(
            f"{shown} has {rows:,} rows; {len(table):,} of them, drawn at random, are used. Set "
            "max_rows to choose how many.",
            DataWarning,
            stacklevel=5,
        )
    return table.combine_chunks()


def _shared_schema(source: Any) -> pa.Schema:
    """Return the schema that holds for all files; a column without a value has any type."""
    found = source.schema
    names = None
    for fragment in source.get_fragments():
        schema = fragment.physical_schema
        if set(schema.names) != (names := names or set(schema.names)):
            raise DataError(f"{fragment.path} has other columns than the files before it.")
        try:
            found = pa.unify_schemas([found, schema])
        except pa.ArrowTypeError:
            raise DataError(
                f"{fragment.path} has columns of other types than those before."
            ) from None
    return found


def _footers(source: Any) -> tuple[int, int, int, int]:
    """Return rows, bytes unpacked, bytes of the files, and of the longest texts they may have."""
    rows = unpacked = packed = text = 0
    for fragment in source.get_fragments():
        with fragment.open() as file:
            found = read_footer(file)
            packed += file.size()
        rows, unpacked = rows + found.rows, unpacked + found.unpacked
        text = max(text, found.dictionaries)
    return rows, unpacked, packed, text


def _width(kind: pa.DataType) -> float:
    """Return about how many bytes a cell takes in memory."""
    try:
        return float(kind.bit_width) / 8
    except ValueError:  # texts and nested types
        return _TEXT_BYTES


# --- CSV ------------------------------------------------------------------------------------------


def infers_types(data: object) -> bool:
    """Whether `data` is the path of a file whose types are read off its cells."""
    if not isinstance(data, (str, os.PathLike)):
        return False
    return any(ending.lower() in (".csv", ".tsv") for ending in Path(data).suffixes[-2:])


def _read_csv(path: Path) -> pa.Table:
    delimiter = "\t" if ".tsv" in "".join(path.suffixes[-2:]).lower() else ","
    packed = path.suffix.lower() == ".gz"
    with gzip.open(path) if packed else open(path, "rb") as handle:
        first = handle.readline(_HEADER)
        if len(first) == _HEADER:
            raise DataError(f"{path}: the first line is longer than {_HEADER // 2**20} MiB.")
        count = first.count(delimiter.encode()) + 1
        if count > MAX_COLUMNS:
            raise DataError(f"{path} has {count:,} columns; at most {MAX_COLUMNS:,} are read.")
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
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter,
            newlines_in_values=True,
            ignore_empty_lines=count > 1,  # of a single column they are missing cells
        ),
        convert_options=pa.csv.ConvertOptions(
            null_values=CSV_NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
