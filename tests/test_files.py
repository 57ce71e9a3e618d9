"""Every write is whole or leaves the old file, whatever fails at whichever call."""

from __future__ import annotations

import builtins
import errno
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pytest

from synthgan import files
from synthgan.checkpoint import Checkpoint
from synthgan.evaluate.report import Report
from synthgan.exceptions import BudgetError, DataError
from synthgan.images.writing import write_png
from synthgan.io import write_table
from synthgan.privacy import Ledger
from synthgan.storage import write_model


class Faults:
    """Counts calls of the operating system, and lets the n-th fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.fatal = 0, 0
        monkeypatch.setattr(files, "open", self._open, raising=False)
        for name in ("fsync", "replace", "open"):
            monkeypatch.setattr(os, name, self._faulty(getattr(os, name)))

    def tick(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _faulty(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            return call(*args, **kwargs)

        return wrapped

    def _open(self, *args: Any) -> IO[bytes]:
        self.tick()
        handle = builtins.open(*args)  # noqa: SIM115 (the wrapper closes it)
        write = handle.write

        class Handle:
            """The same file, whose writes may fail."""

            def __getattr__(inner, name: str) -> Any:
                return getattr(handle, name)

            def __enter__(inner) -> Any:
                return inner

            def __exit__(inner, *_: object) -> None:
                handle.close()

            def write(inner, data: Any) -> int:
                self.tick()
                return write(data)

        return Handle()  # type: ignore[return-value]


def a_report(number: int) -> Report:
    return Report({"scores": [], "number": number})


def charge(path: Path, number: int) -> None:
    Ledger(path, epsilon=1.0, delta=1e-5).charge(0.001 * number)


def checkpointed(path: Path, number: int) -> None:
    found = Checkpoint(path, {}, 0, keep_seed=True)
    found.write("a", {"x": np.full(3, number)}, {"step": number})


#: Name -> (file name, writes version `number` of the file)
WRITERS: dict[str, tuple[str, Callable[[Path, int], object]]] = {
    "model": ("m.synthgan", lambda p, k: write_model(p, {"k": k}, {"x": np.full(9, k)})),
    "checkpoint": ("fit.checkpoint", checkpointed),
    "parquet": ("t.parquet", lambda p, k: write_table(pd.DataFrame({"x": [k] * 99}), p)),
    "csv": ("t.csv", lambda p, k: write_table(pd.DataFrame({"x": [k] * 99}), p)),
    "png": ("i.png", lambda p, k: write_png(p, np.full((8, 8), k, np.uint8))),
    "text": ("r.json", lambda p, k: files.write_text(p, f'{{"number": {k}}}')),
    "ledger": ("people.ledger", charge),
}


@pytest.mark.parametrize("name", WRITERS)
def test_case37_the_nth_call_fails(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write = WRITERS[name]
    path = tmp_path / file
    write(path, 1)
    old = path.read_bytes()
    faults = Faults(monkeypatch)
    for fatal in range(1, 200):
        faults.count, faults.fatal = 0, fatal
        message = ""
        try:
            write(path, 2)
        except DataError as error:
            message = str(error)
        if not message:
            break
        assert str(path) in message
        left = {p.name for p in tmp_path.iterdir()} - {f"{file}.lock"}
        assert left == {file}
        if path.read_bytes() != old:  # all but the sync of the folder was done
            assert fatal > 4
            write_again = path.read_bytes()
            faults.fatal = 0
            path.unlink()
            path.write_bytes(old)
            assert write_again != old
    else:
        pytest.fail("it never succeeded")
    assert fatal > 5
    assert path.read_bytes() != old


def test_an_interrupt_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def fail(handle: IO[bytes]) -> None:
        handle.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_case37_places_that_cannot_be_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1]})
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path in ("folder.parquet", "no/t.parquet", "file/t.parquet"):
        with pytest.raises(DataError, match="Cannot write"):
            write_table(frame, tmp_path / path)
    assert {p.name for p in tmp_path.iterdir()} == {"folder.parquet", "file"}


def _fill(path: Path) -> None:
    """Run in a child: files may not grow beyond 64 kB, as on a full disk."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
    try:
        write_table(pd.DataFrame({"x": np.random.default_rng(0).random(50_000)}), path)
    except DataError as error:
        os._exit(7 if "File too large" in str(error) else 8)
    os._exit(9)


def test_case37_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(pd.DataFrame({"x": [1.0]}), path)
    old = path.read_bytes()
    child = multiprocessing.get_context("spawn").Process(target=_fill, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == 7
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    left, fresh = (tmp_path / f"{files._prefix(path)}{k * 16}.tmp" for k in "ab")
    other = tmp_path / f"{files._prefix(tmp_path / 't.csv.more')}{'a' * 16}.tmp"
    for name in (left, fresh, other):
        name.write_bytes(b"half")
    before = time.time() - 2 * files.ABANDONED
    for name in (left, other):
        os.utime(name, (before, before))
    files.write_text(path, "x\n")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, fresh.name, other.name}


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a").chmod(0o600)
    files.write_text(tmp_path / "a", "y")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def _charge_often(path: Path) -> None:
    for _ in range(20):
        while True:
            try:
                Ledger(path).charge(0.0001)
            except BudgetError:  # the other one was quicker
                continue
            break


def test_two_processes_charge_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "people.ledger"
    Ledger(path, epsilon=10.0, delta=1e-5)
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_charge_often, args=(path,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(Ledger(path).entries) == 40
