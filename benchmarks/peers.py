"""Other generators and synthgan on the same tables, by the same metrics, on the same threads.

Usage, in an environment with ``peers.txt``::

    python benchmarks/peers.py --data DIR [--tables adult ...] [--methods synthgan ctgan ...]
    python benchmarks/peers.py --data DIR --methods references synthgan   # needs no peer
    python benchmarks/peers.py --render      # only rewrite the tables and the plot

``DIR`` as for ``real_tables.py``, whose metrics these are; what fits is in ``generators.py``, what
is written in ``peers_page.py``. Every fit has a fresh process with ``--threads`` threads, methods
in turn, seed by seed; what fails or takes longer than ``--limit`` seconds is a row too. Of a table
of fewer than 2,000 rows five samples are drawn, whose figures are averaged: a classifier that has
200 test rows is wrong by .04 about one of them. Every finished run is added to
``benchmarks/peers.json``, so that an interrupted benchmark goes on where it stopped; another
machine begins its own, since seconds of two machines do not compare. *references* are tables that
need no fit; *hurried* is synthgan in half the seconds that TabularARGN took, *rushed* in a
twentieth of CTGAN's, unless that is next to nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from generators import METHODS
from peers_page import write
from real_tables import METRICS, TABLES, commit, load, measure, references, where

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "peers.json"
MANY = 100_000
#: Samples whose figures are averaged, of tables of fewer rows than this; of others there is one.
DRAWS, FEW_ROWS = 5, 2000

#: Of whose seconds a fit may take how much; it is left out where that is less than these.
LEAST_SECONDS = 5.0
LIMITED = {"hurried": ("argn", 1 / 2), "rushed": ("ctgan", 1 / 20)}


def peak_gib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def child(
    folder: Path, method: str, seed: int, place: Path, seconds: float | None
) -> dict[str, Any]:
    """Fit one method in this process; leave its samples in a folder and return what they cost."""
    import torch

    torch.manual_seed(seed)
    train, _, info = load(folder)
    fit, package = METHODS[method]
    importlib.import_module(package)
    limit = {} if seconds is None else {"seconds": seconds}
    version = commit() if package == "synthgan" else None
    began = time.perf_counter()
    fitted = fit(train, info, seed, **limit)
    found: dict[str, Any] = {"fit_seconds": time.perf_counter() - began, "peak_gib": peak_gib()}
    fitted.save(str(place / "model"))
    found["file_mb"] = (place / "model").stat().st_size / 1e6
    found["steps"] = fitted.steps
    if version is not None:
        found["commit"] = version
    found["samples"] = {}
    for name, sample in fitted.samples.items():
        began = time.perf_counter()
        rows = sample(len(train))
        took = time.perf_counter() - began
        rows.to_parquet(place / f"{name}, 0.parquet")
        for number in range(1, draws(len(train))):
            sample(len(train)).to_parquet(place / f"{name}, {number}.parquet")
        began = time.perf_counter()
        sample(MANY)
        rate = MANY / (time.perf_counter() - began)
        found["samples"][name] = {"sample_seconds": took, "rows_per_second": rate}
    found["peak_gib_sampling"] = peak_gib()
    return found


def draws(n_rows: int) -> int:
    """Return how many samples of a table are measured."""
    return DRAWS if n_rows < FEW_ROWS else 1


def like(train: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Give synthetic rows the columns and dtypes of the table they were fitted to."""
    made = rows[list(train)].reset_index(drop=True)
    for name, dtype in train.dtypes.items():
        column = made[name]
        if pd.api.types.is_bool_dtype(dtype):  # often they come back as words
            column = column.astype(str).map({"True": True, "False": False})
        if pd.api.types.is_integer_dtype(dtype):
            column = pd.to_numeric(column).round()
        made[name] = column.astype(dtype)
    return made


def run(
    folder: Path,
    method: str,
    seed: int,
    *,
    limit: float,
    threads: int,
    seconds: float | None,
    keep: Path | None,
) -> dict[str, Any]:
    """Fit one method in a fresh process and measure what it sampled."""
    train, test, info = load(folder)
    if method == "references":
        return {"samples": references(train, test, info)}
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--data", str(folder.parent), "--child", method]
        command += ["--tables", folder.name, "--seeds", str(seed), "--place", place]
        command += [] if seconds is None else ["--seconds", str(seconds)]
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        setting = {**os.environ, **dict.fromkeys(names, str(threads))}
        try:
            done = subprocess.run(
                command, timeout=limit, capture_output=True, text=True, env=setting
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {limit:.0f} s"}
        if done.returncode < 0:
            return {"error": f"killed by signal {-done.returncode}"}
        if done.returncode:
            return {"error": (done.stderr.strip() or "no message").splitlines()[-1][:200]}
        found = dict(json.loads(done.stdout.splitlines()[-1]))
        for name, entry in found["samples"].items():
            paths = [Path(place) / f"{name}, {k}.parquet" for k in range(draws(len(train)))]
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(paths[0], keep / f"{folder.name}, {name}, seed {seed}.parquet")
            try:
                figures = [
                    measure(train, test, like(train, pd.read_parquet(path)), info) for path in paths
                ]
                means = {key: np.mean([made[key] for made in figures]) for key in METRICS}
            except Exception as error:
                entry["error"] = f"{type(error).__name__}: {error}"[:200]
                continue
            entry.update(means, draws=len(paths))
    return found


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["references", *METHODS]
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--methods", nargs="*", default=known, choices=known)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=7200, help="seconds for one run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the samples, for published.py")
    parser.add_argument("--render", action="store_true", help="only rewrite the pages")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder = options.data / options.tables[0]
        found = child(folder, options.child, options.seeds[0], options.place, options.seconds)
        print(json.dumps(found, default=float))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"machines": {}}
    if not options.render:
        tables = results["machines"].setdefault(where(options.threads), {})
        order = sorted(options.methods, key=lambda name: name in LIMITED)  # they need a time first
        for seed in options.seeds:
            for table in options.tables:
                entries = tables.setdefault(table, {})
                for method in order:
                    runs = entries.setdefault(method, {})
                    if str(seed) in runs or (method == "references" and runs):
                        continue
                    seconds = None
                    if method in LIMITED:
                        other, share = LIMITED[method]
                        seconds = share * entries.get(other, {}).get(str(seed), {}).get(
                            "fit_seconds", 0.0
                        )
                        if seconds < LEAST_SECONDS:
                            print(table, seed, f"{method}: no time of {other}, or little")
                            continue
                    found = run(
                        options.data / table, method, seed, limit=options.limit,
                        threads=options.threads, seconds=seconds, keep=options.keep,
                    )  # fmt: skip
                    runs[str(seed)] = found
                    print(table, seed, method, json.dumps(found, default=float), flush=True)
                    RESULTS.write_text(json.dumps(results, indent=1, default=float) + "\n")
    write(results)


if __name__ == "__main__":
    main()
