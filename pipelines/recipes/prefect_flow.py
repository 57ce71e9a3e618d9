"""Prefect: a synthetic release every night, made only when the real table has changed.

    python pipelines/recipes/prefect_flow.py patients.parquet release --target disease
    # or serve it: share_nightly.serve(cron="0 3 * * *", parameters={"data": ..., "out": ...})

The work is that of ``share_health_table.py``: idempotent and atomic, so a retry is safe. A table
that fails its gate fails the run, without a retry.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prefect import flow, task

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from share_health_table import share


class GateFailedError(Exception):
    """The synthetic table is not good enough to be shared."""


@task(retries=2, retry_delay_seconds=60)
def make(data: str, out: str, person: str | None, target: str | None, seed: int) -> bool:
    """Fit, sample, measure, and write the release or the refusal."""
    return share(Path(data), Path(out), person=person, target=target, seed=seed)


@flow(name="share-health-table", log_prints=True)
def share_nightly(
    data: str, out: str, person: str | None = None, target: str | None = None, seed: int = 0
) -> str:
    """Make the release, or fail."""
    if not make(data, out, person, target, seed):
        raise GateFailedError(f"see {out}.refused/report.html")
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--person")
    parser.add_argument("--target")
    share_nightly(**vars(parser.parse_args()))
