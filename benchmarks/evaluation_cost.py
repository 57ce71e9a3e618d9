"""What an evaluation costs: seconds and peak memory on Adult, at both levels.

Usage::

    python benchmarks/evaluation_cost.py --data DIR
    python benchmarks/evaluation_cost.py --render       # only rewrite the table in the docs

``DIR`` is the folder of the Adult table. The "synthetic" rows are a bootstrap of train with ages
changed by up to two years: the cost does not depend on who made them. Each level runs in a process
of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pages import BENCHMARKS, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "evaluation_cost.json"


def measure(folder: Path, level: str) -> dict[str, float]:
    """Evaluate once in this process."""
    from synthgan.evaluate import evaluate

    info = json.loads((folder / "info.json").read_text())
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    rng = np.random.default_rng(0)
    fake = train.iloc[rng.integers(0, len(train), len(train))].reset_index(drop=True)
    fake["age"] = (fake["age"] + rng.integers(-2, 3, len(fake))).clip(17, 90)
    began = time.perf_counter()
    report = evaluate(
        train,
        fake,
        holdout=test,
        target=info["target"],
        categorical=info["categorical"],
        sensitive=["sex"],
        level=level,
    )
    return {
        "seconds": time.perf_counter() - began,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "scores": len(report.scores),
        "rows": len(train),
        "holdout": len(test),
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the Adult table")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.data, options.child)))
        return
    if not options.render:
        results = {"cpus": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", "all")}
        for level in ("quick", "full"):
            command = [sys.executable, __file__, "--data", str(options.data), "--child", level]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results[level] = json.loads(done.stdout.splitlines()[-1])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(RESULTS.read_text())
    lines = ["| level | scores | seconds | peak GiB |", "|---|---|---|---|"]
    for level in ("quick", "full"):
        run = results[level]
        lines.append(f"| {level} | {run['scores']} | {run['seconds']:.0f} | {run['gib']:.1f} |")
    lines += [
        "",
        f"Adult: {results['full']['rows']:,} train and synthetic rows, "
        f"{results['full']['holdout']:,} rows of holdout; judges run on one thread.",
    ]
    write_into(BENCHMARKS, "cost", "\n".join(lines))


if __name__ == "__main__":
    main()
