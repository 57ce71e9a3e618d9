"""Samples of any size: files in one folder, drawn by several processes.

Row k of a sample depends on the seed and on k alone, so that any part of it can be drawn without
what comes before. Each part becomes one Parquet file; ``_manifest.json`` says what is drawn, and
which files are done. The rows are those of one long ``sample``, however many workers draw them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm.auto import tqdm

from synthgan._runtime import logger, seed_from
from synthgan.conditions import MISSING
from synthgan.estimators.base import check_number, load_model
from synthgan.exceptions import DataError, ModelFileError, ParameterError
from synthgan.files import digest_of_file, read_text, sweep, write_text
from synthgan.io import reader_of, write_table

__all__ = ["sample_shards"]

MANIFEST = "_manifest.json"
_ENTRY = {"rows": int, "bytes": int, "sha256": str}
_TRIES = 4  # of what is missing, while no attempt brings a file


@dataclass(frozen=True, slots=True)
class _Part:
    """One file to draw: rows `start` to `stop` of the sample."""

    model: str
    digest: str
    path: str
    start: int
    stop: int
    seed: int
    steps: int | None
    conditions: Mapping[str, Any] | None
    device: str


def sample_shards(
    model: str | os.PathLike[str],
    n_samples: int,
    folder: str | os.PathLike[str],
    *,
    workers: int | None = None,
    engine: Literal["processes", "ray"] = "processes",
    shard_rows: int = 2**20,
    conditions: Mapping[str, Any] | None = None,
    steps: int | None = None,
    random_state: Any = None,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Draw rows into the Parquet files of a folder, with several processes.

    The files hold the rows of ``load_model(model).sample(n_samples, ...)`` with the same seed, byte
    for byte the same for any number of workers. If it is interrupted, the same call draws what is
    missing; so it does if a file was damaged since.

    Parameters
    ----------
    model : path
        Model file of a :class:`~synthgan.TabularGAN`.
    n_samples : int
    folder : path
        Created if it does not exist. It must be empty, or hold an unfinished sample of the same
        model, seed and settings.
    workers : int, optional
        Processes, with one thread each; None takes one per core. Ray decides itself.
    engine : {"processes", "ray"}, default "processes"
        Ray (``pip install "synthgan[ray]"``) uses the cluster that it is connected to; all machines
        must see the model file and the folder.
    shard_rows : int, default 1,048,576
        Rows of each file; about 100 bytes of a wide row each. What is not a multiple of 1,024 draws
        some rows twice, at the borders of files, and leaves them out there.
    conditions, steps, random_state
        As for :meth:`synthgan.TabularGAN.sample`. If the seed is drawn, the manifest keeps it.
    device : str, default "auto"
        Of each worker.
    progress : bool, default True

    Returns
    -------
    dict
        The manifest: what was drawn, and ``"files"``, for each name its ``"rows"``, ``"bytes"`` and
        ``"sha256"``.

    Raises
    ------
    DataError
        If the folder holds something else or cannot be written, or if workers keep dying.
    ModelFileError, ConditionError, ParameterError
        Before anything is drawn.
    """
    for name, number, most in (
        ("n_samples", n_samples, 10**15),
        ("shard_rows", shard_rows, 2**31),
        ("workers", 1 if workers is None else workers, 4096),
        ("steps", 1 if steps is None else steps, 2**31),
    ):
        check_number("sample_shards", name, number, int, 1, most)
    n_samples, shard_rows = int(n_samples), int(shard_rows)
    steps = None if steps is None else int(steps)
    if engine not in _ENGINES:
        raise ParameterError(f"engine must be one of {', '.join(_ENGINES)}; got {engine!r}.")
    path, home = str(Path(model).resolve()), Path(folder)
    if not Path(path).is_file():
        raise ModelFileError(f"No model file at {model}.")
    digest = digest_of_file(path)["sha256"]
    loaded = _loaded(path, digest, device)
    if not hasattr(loaded, "sample_iter"):
        raise ModelFileError(f"{model} holds a {type(loaded).__name__}, which draws no shards.")
    asked = {"conditions": conditions, "steps": steps, "random_state": 0}
    next(loaded.sample_iter(n_samples, batch_rows=1, **asked))  # may refuse
    wanted = {
        "model": digest,
        "version of synthgan": importlib.metadata.version("synthgan"),
        "rows": n_samples,
        "rows of a file": shard_rows,
        "conditions": _canonical(conditions or {}),
        "steps": steps,
    }
    manifest = _begin(home, wanted, random_state)
    count = -(-n_samples // shard_rows)
    names = [f"part-{number:06d}-of-{count:06d}.parquet" for number in range(count)]
    sizes = [min(shard_rows, n_samples - number * shard_rows) for number in range(count)]
    files = {
        name: manifest["files"][name]
        for name in names
        if _is_whole(home / name, manifest["files"].get(name))
    }
    manifest["files"] = files
    _save(home, manifest)

    def missing() -> list[_Part]:
        shared = (manifest["seed"], steps, conditions, device)
        return [
            _Part(path, manifest["model"], str(home.resolve() / name), first, first + size, *shared)
            for name, first, size in zip(names, range(0, n_samples, shard_rows), sizes, strict=True)
            if name not in files
        ]

    done, tries = sum(entry["rows"] for entry in files.values()), 0
    bar = tqdm(total=n_samples, initial=done, desc="rows", unit="row", unit_scale=True,
               disable=not progress)  # fmt: skip
    with bar:
        while parts := missing():
            before = len(files)
            try:
                for name, entry in _ENGINES[engine](parts, workers or os.cpu_count() or 1):
                    files[name] = entry
                    _save(home, manifest)
                    bar.update(entry["rows"])
            except BrokenProcessPool:
                tries = 0 if len(files) > before else tries + 1
                logger.warning("a worker died; drawing again what is missing")
                if tries >= _TRIES:
                    raise DataError(
                        f"A worker died {tries} times, perhaps for want of memory; take fewer "
                        f"workers. {folder} keeps what is done: the same call goes on."
                    ) from None
    for name in names:
        sweep(home / name)  # what workers left that were killed
    manifest["files"] = dict(sorted(files.items()))
    _save(home, manifest)
    return manifest


# --- one file -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _loaded(path: str, digest: str, device: str) -> Any:
    """Return the model, read once by each process, if the file is still the one that was meant."""
    found = load_model(path, device=device)
    if digest_of_file(path)["sha256"] != digest:
        raise ModelFileError(f"{path} was changed while rows were drawn; draw them anew.")
    return found


def _draw(part: _Part) -> tuple[str, dict[str, Any]]:
    """Write one file, batch by batch; return its name and what the manifest says of it."""
    batches: Iterator[pa.RecordBatch] = _loaded(part.model, part.digest, part.device).sample_iter(
        part.stop,
        start=part.start,
        conditions=part.conditions,
        steps=part.steps,
        random_state=part.seed,
    )
    write_table(reader_of(batches), part.path)
    return Path(part.path).name, {"rows": part.stop - part.start, **digest_of_file(part.path)}


def _by_processes(parts: Sequence[_Part], workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if workers == 1 or len(parts) == 1:
        yield from map(_draw, parts)
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=min(workers, len(parts)), inner_max_num_threads=1):
        yield from Parallel(return_as="generator_unordered")(delayed(_draw)(p) for p in parts)


def _by_ray(parts: Sequence[_Part], workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    import ray

    task = ray.remote(num_cpus=1, max_retries=_TRIES)(_draw)
    running = [task.remote(part) for part in parts]
    while running:
        ready, running = ray.wait(running)
        yield ray.get(ready[0])


_Engine = Callable[[Sequence[_Part], int], Iterator[tuple[str, dict[str, Any]]]]
_ENGINES: dict[str, _Engine] = {"processes": _by_processes, "ray": _by_ray}

# --- the folder -----------------------------------------------------------------------------------


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what :func:`sample_shards` wrote of a folder.

    Raises
    ------
    DataError
        If there is no manifest, or a damaged one.
    """
    path = Path(folder, MANIFEST)
    text = read_text(path)
    try:
        found = json.loads(text)
        files = {str(name): dict(entry) for name, entry in found["files"].items()}
        typed = [(entry[key], kind) for entry in files.values() for key, kind in _ENTRY.items()]
        if not all(type(x) is kind for x, kind in [*typed, (found["seed"], int)]):
            raise TypeError("a field is of another type")
        if not 0 <= found["seed"] < 2**63:
            raise ValueError("no seed")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path} is damaged; name another folder.") from None
    return {**found, "files": files}


def _begin(home: Path, wanted: dict[str, Any], random_state: Any) -> dict[str, Any]:
    """Return the manifest of a new sample, or of the unfinished one that the folder holds."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        others = [entry.name for entry in home.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot use {home}: {error.strerror or error}.") from error
    if not others:
        return {**wanted, "seed": seed_from(random_state), "files": {}}
    if MANIFEST not in others:
        raise DataError(f"{home} is not empty, and holds no sample; name another folder.")
    held = read_manifest(home)
    files, seed = held["files"], held["seed"]
    if random_state is not None:
        wanted = {**wanted, "seed": seed_from(random_state)}
    for name, value in wanted.items():
        if json.dumps(held.get(name, ""), sort_keys=True) != json.dumps(value, sort_keys=True):
            raise DataError(
                f"{home} holds another sample: its {name} differs. Name another folder."
            )
    return {**wanted, "seed": seed, "files": files}


def _canonical(value: Any) -> Any:
    """Return a condition as JSON, the same for the same rows and for no others."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return {"range": [_canonical(end) for end in value]}
    if isinstance(value, (list, set, frozenset, np.ndarray, pd.Series, pd.Index)):
        return {"any": sorted((_canonical(one) for one in value), key=json.dumps)}
    if value is MISSING:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    plain = value is None or isinstance(value, (str, bool, int, float))
    return value if plain else {type(value).__name__: str(value)}


def _is_whole(path: Path, entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and path.is_file()
        and path.stat().st_size == entry.get("bytes")
        and digest_of_file(path)["sha256"] == entry.get("sha256")
    )


def _save(home: Path, manifest: Mapping[str, Any]) -> None:
    write_text(home / MANIFEST, json.dumps(manifest, indent=1) + "\n")
