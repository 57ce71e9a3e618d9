"""Samples in files: the same rows for any number of workers, and nothing drawn twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synthgan import TabularGAN, sample_shards, shards
from synthgan.conditions import MISSING
from synthgan.exceptions import ConditionError, DataError, ModelFileError, ParameterError

ROWS, SHARD = 2700, 1000


@pytest.fixture(scope="module")
def saved(adult_gan: TabularGAN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "adult.synthgan"
    adult_gan.save(path)
    return path


def draw(saved: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "workers": 1, "shard_rows": SHARD, "random_state": 3, "device": "cpu", "progress": False
    }  # fmt: skip
    return sample_shards(saved, ROWS, folder, **{**settings, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_rows_are_those_of_one_sample(
    saved: Path, adult_gan: TabularGAN, tmp_path: Path
) -> None:
    manifest = draw(saved, tmp_path / "out")
    assert [entry["rows"] for entry in manifest["files"].values()] == [
        SHARD,
        SHARD,
        ROWS - 2 * SHARD,
    ]
    whole = pq.read_table(tmp_path / "out").to_pandas()
    expected = adult_gan.sample(ROWS, random_state=3)
    pd.testing.assert_frame_equal(whole, expected, check_dtype=False, check_categorical=False)
    assert json.loads((tmp_path / "out" / "_manifest.json").read_text()) == manifest


@pytest.mark.slow  # starts interpreters that import torch
def test_the_number_of_workers_changes_no_byte(saved: Path, tmp_path: Path) -> None:
    draw(saved, tmp_path / "one")
    for workers in (2, 4):
        draw(saved, tmp_path / str(workers), workers=workers)
        assert contents(tmp_path / str(workers)) == contents(tmp_path / "one")


@pytest.mark.slow  # starts a cluster
def test_ray_changes_no_byte(saved: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    draw(saved, tmp_path / "one")
    draw(saved, tmp_path / "ray", engine="ray")
    assert contents(tmp_path / "ray") == contents(tmp_path / "one")


def test_only_what_is_missing_or_damaged_is_drawn_again(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(saved, tmp_path)
    whole = contents(tmp_path)
    names = [name for name in whole if name != "_manifest.json"]
    (tmp_path / names[0]).unlink()
    (tmp_path / names[2]).write_bytes(whole[names[2]][:-1] + b"!")
    drawn = []
    once = shards._draw

    def watched(part: Any) -> Any:
        drawn.append(Path(part.path).name)
        return once(part)

    monkeypatch.setattr(shards, "_draw", watched)
    draw(saved, tmp_path)
    assert drawn == [names[0], names[2]]
    assert contents(tmp_path) == whole
    draw(saved, tmp_path, random_state=None)  # the manifest knows the seed
    assert len(drawn) == 2


def test_an_interrupted_sample_goes_on(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(saved, tmp_path / "whole")
    once = shards._draw

    def second_fails(part: Any) -> Any:
        if part.start:
            raise KeyboardInterrupt
        return once(part)

    with monkeypatch.context() as patched:
        patched.setattr(shards, "_draw", second_fails)
        with pytest.raises(KeyboardInterrupt):
            draw(saved, tmp_path / "cut")
    assert len(contents(tmp_path / "cut")) == 2
    draw(saved, tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"age": (30, 40)}, {"age": [30, 40]}),
        ({"age": [30]}, {"age": [31]}),
        ({"age": np.arange(2000)}, {"age": np.arange(2000) + 1}),
        ({"age": None}, {"age": "None"}),
    ],
)
def test_other_conditions_are_another_sample(one: Any, other: Any) -> None:
    assert shards._canonical(one) != shards._canonical(other)


def test_the_same_conditions_are_the_same_sample() -> None:
    same = [[30, 40], {40, 30}, np.array([40, 30]), pd.Series([30, 40]), [np.int64(30), 40]]
    assert len({str(shards._canonical({"age": values})) for values in same}) == 1
    assert shards._canonical({"age": MISSING}) == shards._canonical({"age": None})


def test_a_model_that_changes_on_the_way_is_an_error(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gan: TabularGAN
) -> None:
    model = tmp_path / "m.synthgan"
    model.write_bytes(saved.read_bytes())
    save = shards._save

    def swap(*args: Any) -> None:
        save(*args)
        gan.save(model)
        shards._loaded.cache_clear()

    monkeypatch.setattr(shards, "_save", swap)
    with pytest.raises(ModelFileError, match="was changed while"):
        draw(model, tmp_path / "out")


def test_what_is_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ConditionError, match="no_such"):
        draw(saved, tmp_path / "a", conditions={"no_such": 1})
    with pytest.raises(ParameterError, match="engine"):
        draw(saved, tmp_path / "a", engine="threads")
    with pytest.raises(ModelFileError):
        draw(tmp_path / "none", tmp_path / "a")
    for name in ("shard_rows", "workers", "steps"):
        with pytest.raises(ParameterError, match=name):
            draw(saved, tmp_path / "a", **{name: 0.5})
    assert not (tmp_path / "a").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other.txt").write_text("x")
    with pytest.raises(DataError, match="not empty"):
        draw(saved, tmp_path / "full")
    draw(saved, tmp_path / "b")
    for changes in ({"random_state": 4}, {"steps": 1}, {"conditions": {"sex": "Male"}}):
        with pytest.raises(DataError, match="holds another sample: its"):
            draw(saved, tmp_path / "b", **changes)
    manifest = tmp_path / "b" / "_manifest.json"
    good = json.loads(manifest.read_text())
    name = next(iter(good["files"]))
    for text in (
        "{",
        json.dumps({**good, "seed": 1.5}),
        json.dumps({**good, "seed": True}),
        json.dumps({**good, "files": {name: {**good["files"][name], "rows": None}}}),
        json.dumps({**good, "files": {name: [["rows", 1]]}}),
    ):
        manifest.write_text(text)
        with pytest.raises(DataError, match="damaged"):
            draw(saved, tmp_path / "b")


@pytest.mark.slow  # starts interpreters that import torch, and kills one
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_is_replaced(saved: Path, tmp_path: Path) -> None:
    rows, out = 40 * SHARD, tmp_path / "out"
    call = (
        "from synthgan import sample_shards\n"
        f"sample_shards({str(saved)!r}, {rows}, {str(out)!r}, workers=2, shard_rows=1024, "
        "random_state=0, device='cpu', progress=False)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", call], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("part-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [pid for pid in children_of(child.pid) if "loky" in command_of(pid)]
    os.kill(workers[-1], signal.SIGKILL)
    assert child.wait(180) == 0
    files = json.loads((out / "_manifest.json").read_text())["files"]
    assert sum(entry["rows"] for entry in files.values()) == rows
    assert {path.name for path in out.iterdir() if path.name[0] != "."} == {
        *files,
        "_manifest.json",
    }


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found
