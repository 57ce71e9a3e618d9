"""Mutated files against every reader: a typed error, or an object; never a crash, hang or bomb.

    python tests/fuzzing.py --executions 2000000 [--seed 0] [--only model ...] [--keep DIR]

A mutation cuts, flips, overwrites, repeats or joins parts of good files; of a file of JSON, every
other one replaces, removes or renames nodes of its tree instead. `Fuzzer.run` fails if a reader
raises anything but the errors that it documents, takes more than five seconds, or more than 256 MB
beyond what was there. ``signed`` targets mutate what lies inside a model file and put right
checksums on it, so that the checks behind them are reached. Files that were found stay in
``tests/data/fuzz`` as ``<target>-<name>``, and `tests/test_fuzz.py` reads them again.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import gzip
import hashlib
import io
import json
import math
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fixtures import mixed_table, tiny_gan
from PIL import Image

from synthgan import load_model
from synthgan.checkpoint import Checkpoint
from synthgan.encoding import TableEncoder
from synthgan.evaluate import evaluate
from synthgan.evaluate.cards import Card, data_card
from synthgan.evaluate.gate import Gate
from synthgan.exceptions import SynthganError
from synthgan.images import read_images
from synthgan.inference import infer_schema
from synthgan.io import read_table
from synthgan.privacy import DifferentialPrivacy, Ledger
from synthgan.schema import Schema
from synthgan.shards import read_manifest
from synthgan.storage import read_model, write_model

SECONDS, BYTES = 5, 256 * 2**20


@dataclass(frozen=True)
class Target:
    """A reader: files that it takes, the name that it wants, and how it is called."""

    seeds: list[bytes]
    name: str
    read: Callable[[Path], object]
    sign: Callable[[bytes, Path], None] | None = None

    def write(self, data: bytes, path: Path) -> None:
        """Put a mutated file where the reader finds it."""
        path.parent.mkdir(exist_ok=True)
        if self.sign is None:
            path.write_bytes(data)
        else:
            self.sign(data, path)


def _saved(make: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.json")
        make(path)
        return path.read_bytes()


def _parquet(frame: pd.DataFrame, **options: Any) -> bytes:
    handle = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame), handle, **options)
    return handle.getvalue()


def _picture(kind: str, mode: str) -> bytes:
    handle = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert(mode).save(handle, kind)
    return handle.getvalue()


def _npz(compress: bool) -> bytes:
    handle = io.BytesIO()
    arrays = {"images": np.arange(640, dtype=np.uint8).reshape(10, 8, 8), "labels": np.arange(10)}
    (np.savez_compressed if compress else np.savez)(handle, **arrays)
    return handle.getvalue()


def _checkpoint(path: Path) -> None:
    kept = Checkpoint(path, {"a": "b"}, 1, keep_seed=True)
    kept.write("phase", {"net/weight": np.ones((1, 3), np.float32)}, {"step": 3, "history": []})


def _resume(path: Path) -> None:
    net = torch.nn.Linear(3, 1, bias=False)
    Checkpoint(path, {"a": "b"}, 1, keep_seed=True).restore("phase", {"net": net})


def _domain(path: Path) -> None:
    domain = DifferentialPrivacy(1.0, 1e-7, domain=path).read_domain()
    assert domain is not None
    if all(column.is_declared for column in domain):
        TableEncoder.declared(domain)


def _ledger(path: Path) -> None:
    Ledger(path, epsilon=1.0, delta=1e-5).charge(0.01, mechanism="m")


def _card(path: Path) -> None:
    rows = pd.DataFrame({"x": np.arange(60.0), "c": ["a", "b"] * 30})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_card(evaluate(rows, rows, level="quick", random_state=0)).write(path)


def _signed_json(model: dict[str, Any], tensors: Any, data: bytes, path: Path) -> None:
    """Write a model file whose JSON was mutated; what is no JSON is told by an empty object."""
    try:
        found = json.loads(data)
        write_model(path, found if isinstance(found, dict) else {}, tensors)
    except (ValueError, RecursionError, TypeError):
        write_model(path, {}, tensors)


def _signed_tensors(whole: bytes, data: bytes, path: Path) -> None:
    """Write a model file whose tensors were mutated, with the checksum that they now have."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    name = "tensors.safetensors"
    parts[name] = data
    manifest["parts"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    parts["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


def make_targets() -> dict[str, Target]:
    """Return all readers with files that they take."""
    frame = mixed_table(40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gan = tiny_gan(width=8).fit(mixed_table())
        model = _saved(gan.save)
        schema = infer_schema(frame)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "m").write_bytes(model)
        description, tensors = read_model(Path(folder, "m"))
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        held = archive.read("tensors.safetensors")
    packed = [
        _parquet(frame[["age", "visits"]], compression=kind) for kind in ("snappy", "zstd", "none")
    ]
    csv = [b'a,b,c\n1,x,2024-01-01\n2,"y, z",\n', b"a\n1\n", frame.to_csv(index=False).encode()]
    manifest = {"model": "0", "version of synthgan": "0", "rows": 9, "rows of a file": 512,
                "conditions": {}, "steps": None, "seed": 3,
                "files": {"part-0.parquet": {"rows": 9, "bytes": 7, "sha256": "0"}}}  # fmt: skip
    gates = [
        b"judge_by: value\nscores:\n  shape_error: {max: 2.0}\n  membership_auc: {max: 0.6}\n",
        json.dumps({"scores": {"membership_auc": {"max": 1}}}).encode(),
    ]
    columns = [
        {"name": "age", "kind": "integer", "type": "int64", "bounds": [0, 99], "bins": 5},
        {"name": "load", "kind": "float", "type": "double", "bounds": [0, 9.5], "bins": [1, 2.5],
         "spikes": [0], "decimals": 1, "missing": False},
        {"name": "ward", "kind": "categorical", "type": "string", "levels": ["a", "b"],
         "min_count": 9, "rare": "placeholder"},
        {"name": "seen", "kind": "datetime", "type": "timestamp[us, tz=UTC]",
         "bounds": ["2024-01-01", "2024-12-31"], "bins": ["2024-02-01", "2024-06-01"]},
    ]  # fmt: skip
    declared = json.dumps({"columns": columns}).encode()
    ledger = _saved(_ledger)
    return {
        "model": Target([model], "m.synthgan", load_model),
        "model json": Target(
            [json.dumps(description).encode()], "m.synthgan", load_model,
            functools.partial(_signed_json, description, tensors),
        ),
        "model tensors": Target(
            [held], "m.synthgan", load_model, functools.partial(_signed_tensors, model)
        ),
        "checkpoint": Target([_saved(_checkpoint)], "fit.checkpoint", _resume),
        "parquet": Target(packed, "t.parquet", read_table),
        "csv": Target(csv, "t.csv", read_table),
        "csv.gz": Target([gzip.compress(text) for text in csv], "t.csv.gz", read_table),
        "npz": Target([_npz(True), _npz(False)], "i.npz", read_images),
        "picture": Target(
            [_picture(kind, mode) for kind in ("png", "bmp", "gif") for mode in ("L", "P")]
            + [_picture("jpeg", "RGB"), _picture("tiff", "L"), _picture("webp", "RGB")],
            "pictures/i.png", lambda path: read_images(path.parent),
        ),
        "schema": Target(
            [schema.to_json().encode(), declared], "s.json", Schema.read,
        ),
        "domain": Target(
            [schema.to_json().encode(), declared], "d.json", _domain,
        ),
        "ledger": Target(
            [ledger, ledger.splitlines()[0]], "l.ledger", lambda path: Ledger(path).to_dict()
        ),
        "gate": Target(gates, "g", Gate.read),
        "card": Target(
            [_saved(_card)], "f.json", lambda path: Card.read(path).to_markdown()
        ),
        "manifest": Target([json.dumps(manifest).encode()], "out/_manifest.json",
                           lambda path: read_manifest(path.parent)),
    }  # fmt: skip


_WORDS = [
    b"", b"\0", b"\xff" * 8, b"-1", b"1e999", b"NaN", b"null", b"true", b"9" * 40, b"[]", b"{}",
    b'"', b",", b"\n", b"\\u0000", b"[" * 3000, b'{"a":' * 3000, b"\x80\x04.", b"PAR1",
    b"PK\x05\x06", b"../../etc", b"=cmd()", (2**31 - 1).to_bytes(4, "little"),
    (2**63 - 1).to_bytes(8, "big"),
]  # fmt: skip


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with one to four faults."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, len(found) + 1))
        to = min(at + int(2 ** rng.uniform(0, 10)), len(found))
        kind = rng.integers(0, 8)
        if kind == 0:
            del found[at:]
        elif kind == 1:
            del found[at:to]
        elif kind == 2 and at < len(found):
            found[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 3:
            found[at:to] = rng.bytes(to - at)
        elif kind == 4:
            found[at:at] = _WORDS[rng.integers(0, len(_WORDS))]
        elif kind == 5:
            word = _WORDS[rng.integers(0, len(_WORDS))]
            found[at : at + len(word)] = word
        elif kind == 6:
            found[at:at] = found[at:to] * int(rng.integers(1, 9))
        else:
            start = int(rng.integers(0, len(other) + 1))
            found[at:to] = other[start : start + to - at]
    return bytes(found)


_NODES = [
    None, True, 0, -1, 5, 1.5, 1e308, math.nan, 2**70, "", "x", "9", [], [[]], [None], ["x", "x"],
    [2, 1], {}, {"a": 1},
]  # fmt: skip


def documents(data: bytes) -> list[Any]:
    """Return the JSON objects that a file holds, whole or line by line; none if it does not."""
    for parts in ([data], data.splitlines()):
        with contextlib.suppress(ValueError):
            found = [json.loads(part) for part in parts]
            return found if all(isinstance(one, dict) for one in found) else []
    return []


def mutate_nodes(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a file of JSON in which one to three nodes are of another type, elsewhere, or gone."""
    found = documents(data)
    for _ in range(rng.integers(1, 4)):
        nodes = _nodes(found)
        if not nodes:
            break
        parent, key = nodes[rng.integers(0, len(nodes))]
        other, place = nodes[rng.integers(0, len(nodes))]
        kind = rng.integers(0, 4)
        if kind == 0:
            parent[key] = copy.deepcopy(_NODES[rng.integers(0, len(_NODES))])
        elif kind == 1:
            parent[key] = copy.deepcopy(other[place])
        elif kind == 2 and isinstance(parent, dict):
            parent[str(place)] = parent.pop(key)
        else:
            del parent[key]
    return "\n".join(map(json.dumps, found)).encode()


def _nodes(tree: list[Any]) -> list[tuple[Any, Any]]:
    """Return all nodes below a list: what holds each, and its key or place there."""
    found = [(tree, place) for place in range(len(tree))]
    for parent, key in found:  # which grows meanwhile
        node = parent[key]
        if isinstance(node, (dict, list)):
            found += [(node, k) for k in (node if isinstance(node, dict) else range(len(node)))]
    return found


class Failure(AssertionError):
    """A reader did what it must not."""


class Fuzzer:
    """Runs mutations against readers, and keeps what makes one fail."""

    def __init__(self, folder: Path, keep: Path | None = None) -> None:
        self.folder, self.keep = folder, keep
        self.targets = make_targets()

    def run(self, name: str, executions: int, seed: int) -> int:
        """Run mutations of one target; return how many were taken for good files."""
        target, rng = self.targets[name], np.random.default_rng(seed)
        good = 0
        trees = [bool(documents(data)) for data in target.seeds]
        for _ in range(executions):
            one, other = rng.integers(0, len(target.seeds), 2)
            if trees[one] and rng.random() < 0.5:
                data = mutate_nodes(target.seeds[one], rng)
            else:
                data = mutate(target.seeds[one], target.seeds[other], rng)
            good += self.once(name, data)
        return good

    def once(self, name: str, data: bytes) -> bool:
        """Read one file; return whether it was taken for a good one."""
        target = self.targets[name]
        path = self.folder / target.name
        target.write(data, path)
        before, began = _resident(), time.perf_counter()
        try:
            with _alarm(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.read(path)
            good, fault = True, ""
        except SynthganError:
            good, fault = False, ""
        except Exception as error:
            good, fault = False, f"{type(error).__name__}: {str(error)[:200]}"
        grown = _resident() - before
        if not fault and grown > BYTES:
            fault = f"it took {grown / 2**20:.0f} MB"
        if not fault and time.perf_counter() - began > SECONDS:
            fault = "it took more than five seconds"
        if fault:
            if self.keep is not None:
                self.keep.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256(data).hexdigest()[:8]
                (self.keep / f"{name.replace(' ', '_')}-{digest}").write_bytes(data)
            raise Failure(f"{name}: {fault}")
        return good


def _resident() -> int:
    """Return the largest resident set so far, in bytes: what a reader adds is its growth."""
    scale = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * scale


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(2 * SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    """Fuzz all targets in turn, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder), options.keep)
        names = options.only or list(fuzzer.targets)
        share, began, done = max(options.executions // len(names), 1), time.perf_counter(), 0
        for name in names:
            good, start = 0, time.perf_counter()
            for part in range(-(-share // 500)):
                count = min(500, share - 500 * part)
                try:
                    good += fuzzer.run(name, count, options.seed + part)
                except Failure as failure:
                    failures += 1
                    print(failure, flush=True)
                done += count
            rate = share / (time.perf_counter() - start)
            print(f"{name}: {share} executions, {rate:.0f}/s, {good} read as good", flush=True)
        print(f"{done} executions in {time.perf_counter() - began:.0f} s, {failures} failures")
    raise SystemExit(failures > 0)


if __name__ == "__main__":
    main()
