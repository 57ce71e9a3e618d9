"""How time and memory grow with rows, columns and levels.

Usage::

    python benchmarks/growth.py [--only fit-rows sample-rows columns levels] [--largest N]
    python benchmarks/growth.py --render      # only rewrite the table and the plot in docs

Tables are made up: half of the columns numbers, half levels, all sums of eight normal factors and
noise. One of rows, columns and levels grows, the others stay at 20,000 rows, 15 columns and 20
levels (5,000 rows above 150 columns, ten rows a level above 2,000 levels); sampled rows are written
to Parquet as they are drawn. Every size runs in a fresh process; where the same table was fitted
before, as for sampled rows, its model is loaded. Every finished run is added to
``benchmarks/growth.json``, so that an interrupted benchmark goes on where it stopped; what grows is
begun anew on another machine, since seconds of two machines do not compare.
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
from real_tables import where

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "growth.json"
PLOT = BENCHMARKS.parent / "_static" / "growth.png"
ROWS, COLUMNS, LEVELS = 20_000, 15, 20
SIZES = {
    "fit-rows": [1000, 10_000, 100_000, 1_000_000],
    "columns": [5, 15, 50, 150, 500, 1000],
    "sample-rows": [1000, 10_000, 100_000, 1_000_000, 10_000_000],
    "levels": [10, 100, 1000, 10_000, 100_000],
}
WHAT = {
    "fit-rows": "rows fitted",
    "columns": "columns",
    "sample-rows": "rows sampled",
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


def child(kind: str, size: int, place: Path) -> dict[str, Any]:
    """Measure one size in this process; models are left in a folder."""
    from synthgan import TabularGAN, load_model

    shape = {"rows": ROWS, "columns": COLUMNS, "levels": LEVELS}
    if kind in ("columns", "levels"):
        shape[kind] = size
    elif kind == "fit-rows":
        shape["rows"] = size
    if kind == "columns" and size > 150:
        shape["rows"] = 5000
    if kind == "levels":  # rare levels are pooled, so a level needs rows to be one
        shape["rows"] = max(ROWS, 10 * size)
    saved = place / f"{'-'.join(map(str, shape.values()))}.synthgan"
    fit_seconds = None
    if saved.exists():
        gan = load_model(saved)
    else:
        frame = table(**shape)
        began = time.perf_counter()
        gan = TabularGAN(random_state=0, verbose=0).fit(frame)
        fit_seconds = time.perf_counter() - began
        gan.save(saved)
    wanted = size if kind == "sample-rows" else 20_000
    began = time.perf_counter()
    batches = gan.sample_iter(wanted, random_state=0)
    first = next(batches)
    with pq.ParquetWriter(place / "rows.parquet", first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
    sample_seconds = time.perf_counter() - began
    return {
        **shape,
        "steps": gan.steps_,
        "fit_seconds": fit_seconds,
        "sampled": wanted,
        "sample_seconds": sample_seconds,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "file_mb": saved.stat().st_size / 1e6,
    }


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    head = ["what grows", "size", "rows", "fit s", "µs a cell and row fitted", "steps",
            "sample s", "µs a cell sampled", "GiB", "file MB"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    machines: dict[str, list[str]] = {}
    for kind in (name for name in WHAT if name in results):
        machines.setdefault(results[kind]["machine"], []).append(WHAT[kind])
        for size, run in results[kind]["runs"].items():
            if "error" in run:
                lines.append(f"| {WHAT[kind]} | {int(size):,} | | {run['error']} | | | | | | |")
                continue
            fitted, sampled = run["rows"] * run["columns"], run["sampled"] * run["columns"]
            seconds = run["fit_seconds"]
            cells = [
                WHAT[kind], f"{int(size):,}", f"{run['rows']:,}",
                "-" if seconds is None else f"{seconds:.0f}",
                "-" if seconds is None else f"{seconds / fitted * 1e6:.0f}", str(run["steps"]),
                f"{run['sample_seconds']:.1f}", f"{run['sample_seconds'] / sampled * 1e6:.2f}",
                f"{run['peak_gib']:.2f}", f"{run['file_mb']:.1f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    note = "; ".join(f"{', '.join(kinds)}: {place}" for place, kinds in machines.items())
    memory = "Memory is of fit and sample, of the sample alone where no seconds of a fit stand."
    return "\n".join([*lines, "", f"{note}. {memory}"])


def draw(results: dict[str, Any]) -> None:
    """Plot seconds against size, one panel for each thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.ticker

    kinds = [kind for kind in WHAT if kind in results]
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(3.4 * len(kinds), 3), squeeze=False, layout="constrained"
    )
    for axis, kind in zip(axes.flat, kinds, strict=True):
        done = {int(k): run for k, run in results[kind]["runs"].items() if "error" not in run}
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
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, size, place = options.child
        print(json.dumps(child(kind, int(size), Path(place))))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as place:
        for kind in () if options.render else options.only:
            if kind not in results or results[kind]["machine"] != where():
                results[kind] = {"machine": where(), "runs": {}}
            runs = results[kind]["runs"]
            for size in SIZES[kind]:
                if str(size) in runs or size > options.largest:
                    continue
                command = [sys.executable, __file__, "--child", kind, str(size), place]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    said = done.stderr.strip() or f"ended with {done.returncode}"
                    runs[str(size)] = {"error": said.splitlines()[-1][:200]}
                else:
                    runs[str(size)] = json.loads(done.stdout.splitlines()[-1])
                print(kind, size, runs[str(size)], flush=True)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_into(BENCHMARKS, "growth", render(results))
    draw(results)


if __name__ == "__main__":
    main()
