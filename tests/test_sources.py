"""Paths to tables: every kind is read, and none fills the memory."""

from __future__ import annotations

import gzip
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures import tiny_gan

from synthgan import TrainingOptions, sources
from synthgan.exceptions import DataError, DataWarning
from synthgan.io import read_table
from synthgan.parquet_footer import read_footer
from synthgan.sources import read_path

ROWS = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of 250 rows; `k` counts the rows."""
    for number in range(4):
        rows = np.arange(250 * number, 250 * (number + 1))
        table = pa.table({"k": rows, "text": [f"row {k % 7}" for k in rows]})
        pq.write_table(table, tmp_path / f"part-{number}.parquet")
    (tmp_path / "_manifest.json").write_text("{}")
    return tmp_path


def test_folders_patterns_and_addresses(folder: Path) -> None:
    for path in (folder, str(folder), f"{folder}/part-*.parquet", folder.as_uri()):
        assert read_table(path)["k"].to_pylist() == list(range(ROWS))
    assert len(read_table(f"{folder}/part-[12].parquet")) == 500
    assert len(read_table((folder / "part-1.parquet").as_uri())) == 250


def test_a_folder_in_hives_layout(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": range(6), "ward": ["a", "b"] * 3})
    pq.write_to_dataset(pa.Table.from_pandas(frame), tmp_path / "t", partition_cols=["ward"])
    assert set(read_table(tmp_path / "t").column_names) == {"x", "ward"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.parquet", "No such file"),
        ("no*.parquet", "No such file"),
        ("file:///no/such.parquet", "No such file"),
        (
            "gopher://me:secret@no/such.parquet",
            "Cannot read gopher://no/such.parquet: no such place",
        ),
        ("_manifest.json", "format"),
    ],
)
def test_paths_that_lead_nowhere(folder: Path, path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(path if "://" in path else folder / path)


def test_a_random_part_is_kept(folder: Path) -> None:
    with pytest.warns(DataWarning, match=r"has 1,000 rows; \d+ of them"):
        found = read_path(folder, most=200, whole=False)
    kept = np.array(found["k"])
    assert len(kept) == 200
    assert (np.diff(kept) > 0).all()
    # the mean of n of 1,000 ranks without replacement
    error = np.sqrt((ROWS**2 - 1) / 12 / len(kept) * (1 - len(kept) / ROWS))
    assert abs(kept.mean() - 499.5) < 4 * error
    with pytest.warns(DataWarning, match="1,000 rows"):
        assert read_path(folder, most=200, whole=False) == found
    assert len(read_path(folder, most=1000, whole=False)) == ROWS


def test_a_table_larger_than_memory_is_sampled_for_a_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "memory_limit", lambda: 96_000)  # 32 bytes a row
    with pytest.warns(DataWarning, match="Set max_rows"):
        found = read_path(folder, whole=False)
    assert 300 < len(found) < 450  # an eighth of the memory: 375
    monkeypatch.setattr(sources, "memory_limit", lambda: 20_000)
    with pytest.raises(DataError, match="in memory, and there are"):
        read_path(folder)


def test_fit_takes_at_most_max_rows(folder: Path) -> None:
    options = TrainingOptions(steps=3, batch_size=32)
    with pytest.warns(DataWarning, match="rows"):
        gan = tiny_gan(options=options, max_rows=100).fit(folder)
    assert gan.n_rows_ == 100
    read_table(folder).to_pandas().to_csv(folder / "t.csv", index=False)
    assert tiny_gan(options=options, max_rows=100).fit(folder / "t.csv").n_rows_ == 100
    frame = pd.DataFrame({"x": np.arange(500.0), "y": np.arange(500) % 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tiny_gan(options=options, max_rows=100).fit(frame).n_rows_ == 100
        labelled = tiny_gan(options=options, max_rows=100).fit(frame[["x"]], frame["y"])
    assert labelled.n_rows_ == 100


def test_files_of_a_folder_must_agree(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no Parquet files"):
        read_table(tmp_path)
    (tmp_path / "README.md").write_text("x")
    pq.write_table(pa.table({"a": pa.nulls(3), "b": [1, 2, 3]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": [4], "a": ["x"]}), tmp_path / "2.parquet")
    pq.write_table(pa.table({"b": [4], "a": ["x"]}).slice(1), tmp_path / "3.parquet")
    assert read_table(tmp_path).to_pylist()[2:] == [{"a": None, "b": 3}, {"a": "x", "b": 4}]
    pq.write_table(pa.table({"a": [1]}), tmp_path / "4.parquet")
    with pytest.raises(DataError, match=r"4\.parquet has other columns"):
        read_table(tmp_path)
    pq.write_table(pa.table({"a": [1], "b": [True]}), tmp_path / "4.parquet")
    with pytest.raises(DataError, match=r"4\.parquet has columns of other types"):
        read_table(tmp_path)


def test_case39_one_long_text_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": ["y" * 20_000] * 50_000}), path)
    monkeypatch.setattr(sources, "memory_limit", lambda: 2**28)
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match="in memory, and there are"):
        read_table(path)
    assert pa.total_allocated_bytes() == before
    with pytest.warns(DataWarning, match="drawn at random"):
        assert read_path(path, whole=False).nbytes < 2**26


def test_case39_pages_outside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    # rows, one group, its column: kind, values, bytes, and a place before the file
    column = bytes([0x15, 2, 0x45, 2, 0x15, 2, 0x16]) + b"\x80\x80\x80\x80\x08"
    column += bytes([0x26]) + b"\xff\xff\xff\xff\xff\x0f" + bytes([0])
    group = bytes([0x19, 0x1C, 0x3C]) + column + bytes([0, 0])
    footer = bytes([0x36, 2, 0x19, 0x1C]) + group + bytes([0])
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with path.open("rb") as file, pytest.raises(ValueError, match="outside the file"):
        read_footer(file)


def test_case39_a_parquet_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    writer = pq.ParquetWriter(path, pa.schema([("x", pa.int64())]), compression="zstd")
    with writer:
        for _ in range(20):
            writer.write_table(pa.table({"x": pa.array(np.zeros(2**23, np.int64))}))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match="would unpack to 1 GiB"):
        read_table(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 2**24


def test_case39_a_csv_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_LARGE", 2**24)
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb") as handle:
        handle.write(b"x\n")
        for _ in range(64):
            handle.write(b"0\n" * 2**19)
    with pytest.raises(DataError, match=r"more than 0\.0 GiB of text"):
        read_table(path)


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd", "brotli"])
@pytest.mark.parametrize("pages", ["1.0", "2.0"])
def test_pages_of_honest_files_are_taken(tmp_path: Path, codec: str, pages: str) -> None:
    rows = 5000
    table = pa.table(
        {
            "number": np.random.default_rng(0).normal(size=rows),
            "same": ["x" * 5000] * rows,
            "few": [None, "a", "b", "c"] * (rows // 4),
            "day": pa.array(np.arange(rows, dtype=np.int32), pa.date32()),
        }
    )
    for small in (200, 2**20):
        pq.write_table(
            table,
            tmp_path / "t.parquet",
            compression=codec,
            data_page_version=pages,
            data_page_size=small,
            row_group_size=1500,
            write_page_index=True,
            write_page_checksum=True,
        )
        assert read_table(tmp_path / "t.parquet") == table


def test_case39_a_page_that_lies_is_not_unpacked(tmp_path: Path) -> None:
    found = list((Path(__file__).parent / "data" / "fuzz").glob("parquet-*"))
    assert found
    before = pa.default_memory_pool().max_memory()
    for path in found:
        copy = tmp_path / "t.parquet"
        copy.write_bytes(path.read_bytes())
        with pytest.raises(DataError, match="ValueError"):
            read_path(copy)
    assert pa.default_memory_pool().max_memory() == before


def test_case39_many_columns_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"," * 2**17 + b"\n")
    with pytest.raises(DataError, match="131,073 columns"):
        read_table(path)
    path.write_bytes(b"x" * 2**25)
    with pytest.raises(DataError, match="first line"):
        read_table(path)


def test_case39_a_footer_of_nested_lists(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    footer = b"\x49" + b"\x19" * 100_000
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataError, match="damaged"):
        read_table(path)
