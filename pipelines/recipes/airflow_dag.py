"""Airflow: a synthetic release every night; put this file into the folder of DAGs.

The paths are Airflow variables (``synthgan_data``, ``synthgan_out``), or those below. Fitting is
CPU-bound: give the task a pool of one slot, and one thread (``OMP_NUM_THREADS=1``) if several run
on one worker.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import Variable, dag, task

PIPELINES = Path(__file__).resolve().parents[1]


@dag(
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["synthetic data"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
)
def share_health_table():
    """One task: all of the release or nothing, so that a retry is safe."""

    @task
    def make() -> str:
        from airflow.exceptions import AirflowFailException

        sys.path.insert(0, str(PIPELINES))
        from share_health_table import share

        data = Path(Variable.get("synthgan_data", default="/data/patients.parquet"))
        out = Path(Variable.get("synthgan_out", default="/data/release"))
        if not share(data, out, target="disease"):
            raise AirflowFailException(f"the gate failed: see {out}.refused/report.html")
        return str(out)

    make()


share_health_table()
