"""Dagster: the synthetic release as an asset that depends on the real table.

    dagster dev -f pipelines/recipes/dagster_assets.py

The asset check is the gate: if it fails, nothing downstream is made. The metadata say where the
report is.
"""

import sys
from pathlib import Path

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    Config,
    Definitions,
    MaterializeResult,
    asset,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from share_health_table import share


class Release(Config):  # type: ignore[misc]
    """Where the real table is, and where the release goes."""

    data: str
    out: str
    person: str = ""
    target: str = ""
    max_time: str = ""


@asset(check_specs=[AssetCheckSpec("gate", asset="synthetic_release", blocking=True)])
def synthetic_release(config: Release) -> MaterializeResult:
    """Fit, sample, measure, and write the release or the refusal."""
    passed = share(
        Path(config.data),
        Path(config.out),
        person=config.person or None,
        target=config.target or None,
        max_time=config.max_time or None,
    )
    folder = config.out if passed else f"{config.out}.refused"
    return MaterializeResult(
        metadata={"report": str(Path(folder) / "report.html")},
        check_results=[AssetCheckResult(passed=passed, check_name="gate")],
    )


definitions = Definitions(assets=[synthetic_release])
