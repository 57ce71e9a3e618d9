"""What checkpoints cost a fit, and what a second process brings to a sample.

    python benchmarks/processes.py      # ten minutes, two idle cores

Fits of the extract of Adult in ``tests/data`` for 600 steps, with and without a checkpoint, in
turn, one thread; once with a write every half minute, as it is, and once after every epoch. Samples
of 400,000 rows in shards of 32,768 by one process and by two, in turn, one thread each; the start
of the processes (they import torch) is part of the time. Medians of three.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from pages import BENCHMARKS, ROOT, write_into

from synthgan import TabularGAN, TrainingOptions, checkpoint, sample_shards

RESULTS = Path(__file__).resolve().parent / "processes.json"
ROWS = 400_000


def seconds(task: Callable[[], object]) -> float:
    """Return how long a task takes."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def fit(path: Path | None, pause: float) -> TabularGAN:
    """Fit to the extract."""
    checkpoint.SECONDS_BETWEEN = pause
    frame = pd.read_parquet(ROOT / "tests" / "data" / "adult_extract.parquet")
    options = TrainingOptions(steps=600, class_steps=100, batch_size=512, least_gain=0.0)
    gan = TabularGAN(random_state=0, verbose=0, options=options, checkpoint=path)
    return gan.fit(frame)


def render(found: dict[str, float]) -> None:
    """Write the table of the page."""
    lines = [
        "| | seconds | ratio |",
        "|---|---|---|",
        f"| fit | {found['fit']:.1f} | 1 |",
        f"| with a checkpoint every half minute | {found['half minute']:.1f} "
        f"| {found['half minute'] / found['fit']:.3f} |",
        f"| with a checkpoint after every epoch | {found['epoch']:.1f} "
        f"| {found['epoch'] / found['fit']:.3f} |",
        f"| {ROWS:,} rows by one process | {found['one']:.1f} | 1 |",
        f"| by two | {found['two']:.1f} | {found['one'] / found['two']:.2f} times as fast |",
    ]
    write_into(BENCHMARKS, "processes", "\n".join([*lines, "", f"{found['machine']}."]))


def main() -> None:
    """Measure, and write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    if parser.parse_args().render:
        render(json.loads(RESULTS.read_text()))
        return
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "m.synthgan"
        fit(None, 30.0).save(model)
        for turn in range(3):
            for kind, path, pause in (
                ("fit", None, 30.0),
                ("half minute", folder / "c", 30.0),
                ("epoch", folder / "c", 0.0),
            ):
                taken = seconds(lambda path=path, pause=pause: fit(path, pause))
                times.setdefault(kind, []).append(taken)
            for kind, workers in (("one", 1), ("two", 2)):
                out = folder / f"{kind} {turn}"
                draw = {"workers": workers, "shard_rows": 2**15, "random_state": 0}
                taken = seconds(
                    lambda out=out, draw=draw: sample_shards(
                        model, ROWS, out, **draw, device="cpu", progress=False
                    )
                )
                times.setdefault(kind, []).append(taken)
                print(turn, times, flush=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    found = {kind: statistics.median(values) for kind, values in times.items()}
    RESULTS.write_text(json.dumps({"machine": machine, **found}, indent=1) + "\n")
    render({"machine": machine, **found})


if __name__ == "__main__":
    main()
