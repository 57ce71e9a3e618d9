"""How time and memory grow with rows, columns and levels.

Usage::

    python benchmarks/growth.py [--only fit-rows sample-rows columns levels] [--largest N]
    python benchmarks/growth.py --render      # only rewrite the table and the plot in docs

Tables are made up: half of the columns numbers, half levels, all sums of eight normal factors and
noise. One of rows, columns and levels grows, the others stay at 20,000 rows, 15 columns and 20
levels (5,000 rows above 150 columns, ten rows a level above 2,000 levels); sampled rows come from a
model of 20,000 rows and are written to Parquet as they are drawn.
Every size runs in a fresh process. Every finished run is added to ``benchmarks/growth.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pages import BENCHMARKS, write_into
from real_tables import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "growth.json"
PLOT = BENCHMARKS.parent / "_static" / "growth.png"
ROWS, COLUMNS, LEVELS = 20_000, 15, 20
SIZES = {
    "fit-rows": [1000, 10_000, 100_000, 1_000_000],
    "sample-rows": [1000, 10_000, 100_000, 1_000_000, 10_000_000],
    "columns": [5, 15, 50, 150, 500, 1000],
    "levels": [10, 100, 1000, 10_000, 100_000],
}
WHAT = {
    "fit-rows": "rows fitted",
    "sample-rows": "rows sampled",
    "columns": "columns",
    "levels": "levels of one column",
}


def table(rows: int, columns: int, levels: int) -> pd.DataFrame:
    """Return a table; its first column has the levels, of which early ones are more frequent."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(rows, 8)).astype(np.float32)
    found: dict[str, Any] = {}
    for j in range(columns):
        weights = rng.normal(size=8) * (rng.random(8) < 0.4)
        x = factors @ weights.astype(np.float32) + rng.normal(size=rows)
        if j % 2:
            found[f"number_{j}"] = x.round(3)
            continue
        share = pd.Series(x).rank(pct=True).to_numpy() ** 2
        many = levels if j == 0 else LEVELS
        found[f"level_{j}"] = pd.Categorical.from_codes(
            np.minimum((share * many).astype(int), many - 1), [f"v{k}" for k in range(many)]
        )
    return pd.DataFrame(found)


def child(kind: str, size: int) -> dict[str, Any]:
    """Measure one size in this process."""
    from synthgan import TabularGAN

    shape = {"rows": ROWS, "columns": COLUMNS, "levels": LEVELS}
    if kind in ("columns", "levels"):
        shape[kind] = size
    elif kind == "fit-rows":
        shape["rows"] = size
    if kind == "columns" and size > 150:
        shape["rows"] = 5000
    if kind == "levels":  # rare levels are pooled, so a level needs rows to be one
        shape["rows"] = max(ROWS, 10 * size)
    frame = table(**shape)
    began = time.perf_counter()
    gan = TabularGAN(random_state=0, verbose=0).fit(frame)
    fit_seconds = time.perf_counter() - began
    wanted = size if kind == "sample-rows" else 20_000
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        batches = gan.sample_iter(wanted, random_state=0)
        first = next(batches)
        with pq.ParquetWriter(Path(place) / "rows.parquet", first.schema) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)
        sample_seconds = time.perf_counter() - began
        gan.save(Path(place) / "model.synthgan")
        file_mb = (Path(place) / "model.synthgan").stat().st_size / 1e6
    return {
        **shape,
        "steps": gan.steps_,
        "fit_seconds": fit_seconds,
        "sampled": wanted,
        "sample_seconds": sample_seconds,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "file_mb": file_mb,
    }


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    head = ["what grows", "size", "rows", "fit s", "µs a cell and row fitted", "steps",
            "sample s", "µs a cell sampled", "GiB", "file MB"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for kind, sizes in results["runs"].items():
        for size, run in sorted(sizes.items(), key=lambda item: int(item[0])):
            if "error" in run:
                lines.append(f"| {WHAT[kind]} | {int(size):,} | | {run['error']} | | | | | | |")
                continue
            fitted, sampled = run["rows"] * run["columns"], run["sampled"] * run["columns"]
            cells = [
                WHAT[kind], f"{int(size):,}", f"{run['rows']:,}", f"{run['fit_seconds']:.0f}",
                f"{run['fit_seconds'] / fitted * 1e6:.0f}", str(run["steps"]),
                f"{run['sample_seconds']:.1f}", f"{run['sample_seconds'] / sampled * 1e6:.2f}",
                f"{run['peak_gib']:.2f}", f"{run['file_mb']:.1f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    facts = results["machine"]
    return "\n".join([*lines, "", f"{facts['threads']} thread, torch {facts['torch']}."])


def draw(results: dict[str, Any]) -> None:
    """Plot seconds against size, one panel for each thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    kinds = [kind for kind in WHAT if kind in results["runs"]]
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(3.4 * len(kinds), 3), squeeze=False, layout="constrained"
    )
    for axis, kind in zip(axes.flat, kinds, strict=True):
        done = {int(k): run for k, run in results["runs"][kind].items() if "error" not in run}
        sizes = sorted(done)
        for key, label in (("fit_seconds", "fit"), ("sample_seconds", "sample")):
            if key == "fit_seconds" and kind == "sample-rows":
                continue
            axis.plot(sizes, [done[k][key] for k in sizes], "o-", label=label)
        axis.set(xscale="log", yscale="log", xlabel=WHAT[kind], ylabel="seconds")
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        axis.legend(frameon=False)
    figure.savefig(PLOT, dpi=110)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--largest", type=int, default=10**9, help="leave out larger sizes")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child[0], int(options.child[1]))))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
    if not options.render:
        results["machine"] = machine()
        for kind in options.only:
            runs = results["runs"].setdefault(kind, {})
            for size in SIZES[kind]:
                if str(size) in runs or size > options.largest:
                    continue
                command = [sys.executable, __file__, "--child", kind, str(size)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    runs[str(size)] = {"error": done.stderr.strip().splitlines()[-1][:200]}
                else:
                    runs[str(size)] = json.loads(done.stdout.splitlines()[-1])
                print(kind, size, runs[str(size)], flush=True)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_into(BENCHMARKS, "growth", render(results))
    draw(results)


if __name__ == "__main__":
    main()
