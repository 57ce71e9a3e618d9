"""A table of 5 GB, fitted to and sampled under a limit of 2 GB that the operating system enforces.

    python benchmarks/larger_than_memory.py DIR     # which needs 5 GB; a quarter of an hour

The table has 56 million rows of 13 columns (six numbers, four codes of 4 to 4,000 levels, two dates
and a flag), made up in parts and written to 56 Parquet files. Then ``synthgan fit`` and ``synthgan
sample`` run as commands whose data segments may not grow beyond 2 GiB (``RLIMIT_DATA``: heap and
anonymous mappings), and the largest resident set of each is read back. Arrow takes the allocator of
the system, because its own reserves a GiB of addresses that it does not use. The files are not
compressed, since what is made up does not compress as real tables do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pages import BENCHMARKS, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "larger_than_memory.json"
FILES, ROWS = 56, 10**6
LIMIT = 2 * 2**30


def part(number: int) -> pa.Table:
    """Return a million rows."""
    rng = np.random.default_rng(number)
    factor = rng.normal(size=(ROWS, 3))
    columns: dict[str, object] = {
        f"number {k}": factor @ rng.normal(size=3) + rng.normal(size=ROWS) for k in range(6)
    }
    for size in (4, 20, 300, 4000):
        share = np.exp(-np.abs(factor[:, 0] + rng.normal(size=ROWS)))
        columns[f"code of {size}"] = pa.array((share * size).astype(np.int64))
    for k in range(2):
        days = (10_000 + 1000 * factor[:, k]).astype("int32")
        columns[f"date {k}"] = pa.array(days, pa.date32()).cast(pa.timestamp("us"))
    columns["flag"] = pa.array(factor[:, 2] > 1)
    return pa.table(columns)


def limited(command: list[str]) -> dict[str, float]:
    """Run a command under the limit; return its seconds and largest resident set, in GiB."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "synthgan", *command, "--quiet"],
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT)),
    )
    _, code, usage = os.wait4(child.pid, 0)
    if code:
        raise SystemExit(f"synthgan {command[0]} ended with status {code}")
    return {"seconds": time.perf_counter() - began, "gib": usage.ru_maxrss / 2**20}


def main() -> None:
    """Make the table, fit, sample, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="only rewrites the page without it")
    folder = parser.parse_args().folder
    if folder is None:
        render(json.loads(RESULTS.read_text()))
        return
    table = folder / "table"
    table.mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        path = table / f"part-{number:02d}.parquet"
        if not path.exists():
            made = part(number)
            pq.write_table(made, path, compression="none", use_dictionary=False)
    size = sum(path.stat().st_size for path in table.iterdir())
    model, out = folder / "model.synthgan", folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    found = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "rows": FILES * ROWS,
        "gib": size / 2**30,
        "fit": limited(["fit", str(table), "-o", str(model), "--seed", "0", "--max-time", "5m"]),
        "sample": limited(
            ["sample", str(model), "-n", "2e6", "-o", f"{out}/", "--seed", "0", "--workers", "1"]
        ),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    render(found)


def render(found: dict[str, Any]) -> None:
    """Write the table of the page."""
    lines = ["| | seconds | largest resident set, GiB |", "|---|---|---|"]
    for name, what in (("fit", "fit, `--max-time 5m`"), ("sample", "sample, 2 million rows")):
        lines.append(f"| {what} | {found[name]['seconds']:.0f} | {found[name]['gib']:.2f} |")
    text = "\n".join(lines)
    rows = f"{found['rows']:,} rows, {found['gib']:.1f} GiB on the disk; {found['machine']}."
    write_into(BENCHMARKS, "larger than memory", f"{text}\n\n{rows}")


if __name__ == "__main__":
    main()
