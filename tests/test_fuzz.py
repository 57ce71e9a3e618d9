"""A bounded round of fuzzing, and every file that once was found; see ``fuzzing.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fuzzing import Fuzzer, documents, mutate, mutate_nodes

CORPUS = Path(__file__).parent / "data" / "fuzz"
TARGETS = [
    "model", "model json", "model tensors", "checkpoint", "parquet", "csv", "csv.gz", "npz",
    "picture", "schema", "domain", "ledger", "gate", "card", "manifest",
]  # fmt: skip


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Fuzzer:
    return Fuzzer(tmp_path_factory.mktemp("fuzz"))


def test_every_target_is_fuzzed(fuzzer: Fuzzer) -> None:
    assert list(fuzzer.targets) == TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_read(fuzzer: Fuzzer, name: str) -> None:
    for seed in fuzzer.targets[name].seeds:
        assert fuzzer.once(name, seed)


@pytest.mark.parametrize("name", TARGETS)
def test_case38_mutated_files(fuzzer: Fuzzer, name: str) -> None:
    fuzzer.run(name, 200, seed=20261121)


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_case38_files_that_were_found(fuzzer: Fuzzer, path: Path) -> None:
    fuzzer.once(path.name.rpartition("-")[0].replace("_", " "), path.read_bytes())


def test_mutated_nodes_are_json() -> None:
    rng, data = np.random.default_rng(0), b'{"a": [1, {"b": null}], "c": "d"}'
    found = [mutate_nodes(data, rng) for _ in range(200)]
    assert len(set(found)) > 100
    assert sum(bool(documents(one)) for one in found) > 100
    assert documents(b'{"a": 1}\n{"b": 2}') == [{"a": 1}, {"b": 2}]
    assert documents(b"a: 1") == documents(b"[1]") == documents(b"\xff") == documents(b"") == []


def test_mutations_do_something() -> None:
    rng, data = np.random.default_rng(0), bytes(range(200))
    assert sum(mutate(data, data, rng) != data for _ in range(100)) > 90
