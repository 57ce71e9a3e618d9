"""Real tables, what is measured of synthetic ones, and what figures depend on.

``DIR`` of the benchmarks' ``--data DIR`` holds one folder per table with ``train.parquet``,
``test.parquet`` and ``info.json`` (keys ``name``, ``target``, ``task``, ``categorical``). Errors
are in per cent against the training table, over all columns or pairs; Trend bins numbers by the
training table's range; C2ST is the AUC of XGBoost on unseen rows against training rows and against
test rows; TSTR is XGBoost trained on synthetic rows and tested on real ones (AUC; for Beijing the
RMSE of the logarithm of the target, as published tables have it); DCR share needs a holdout as
large as the sample of training rows.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from synthgan.evaluate.tables import Tables, Task

TABLES = ["adult", "default", "shoppers", "beijing", "magic", "german_credit", "heart_uci", "pima"]
LOG_TARGET = {"beijing"}
METRICS = {
    "shape": ("Shape %", 2),
    "trend": ("Trend %", 2),
    "c2st_train": ("C2ST train", 3),
    "c2st_test": ("C2ST test", 3),
    "tstr": ("TSTR", 3),
    "dcr": ("DCR share", 3),
}


def load(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return train, test and the description of one table."""
    info = json.loads((folder / "info.json").read_text())
    parts = [pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test")]
    return parts[0], parts[1], info


def read(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, info: dict[str, Any]
) -> tuple[Tables, Task]:
    """Return the tables as evaluation takes them, and the task."""
    from synthgan.evaluate.tables import read_tables

    target = info["target"]
    task: Task = "regression" if info["task"] == "regression" else "classification"
    if info["name"] in LOG_TARGET:
        train, test, synthetic = (
            frame.assign(**{target: np.log(frame[target].astype(float).clip(1, 20000))})
            for frame in (train, test, synthetic)
        )
    tables = read_tables(
        train, synthetic, test, categorical=info["categorical"], target=target, task=task
    )
    return tables, task


def measure(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, info: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of one synthetic table."""
    from synthgan.evaluate.attacks import copies
    from synthgan.evaluate.fidelity.detection import c2st
    from synthgan.evaluate.fidelity.similarity import similarity
    from synthgan.evaluate.measure import Setting
    from synthgan.evaluate.utility import tstr

    tables, task = read(train, test, synthetic, info)
    a, b, c = tables.train, tables.synthetic, tables.holdout
    assert c is not None
    scores = {score.name: score.value for score in similarity(a, b).scores}
    setting = Setting(a, c, info["target"], task, booster="xgboost")
    utility, copied = tstr(setting, b).scores, copies.measure(setting, b).scores
    wanted = "rmse" if task == "regression" else "auc"
    return {
        "shape": scores["shape_error"],
        "trend": scores["trend_error_range_matched"],
        "c2st_train": c2st(a, b, booster="xgboost", seed=0).value,
        "c2st_test": c2st(c, b, booster="xgboost", seed=0).value,
        "tstr": next(s.value for s in utility if s.name == f"tstr_boosting_{wanted}"),
        "dcr": next(s.value for s in copied if s.name == "dcr_share"),
    }


def references(
    train: pd.DataFrame, test: pd.DataFrame, info: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the figures of tables that nobody had to fit: between these a generator lies."""
    rng = np.random.default_rng(0)
    boot = train.iloc[rng.integers(0, len(train), len(train))].reset_index(drop=True)
    shuffled = train.copy()
    for name in shuffled:
        shuffled[name] = train[name].to_numpy()[rng.permutation(len(train))]
        shuffled[name] = shuffled[name].astype(train[name].dtype)
    frames = {"bootstrap of train": boot, "independent columns": shuffled, "real holdout": test}
    found = {name: measure(train, test, frame, info) for name, frame in frames.items()}
    for name in ("tstr", "dcr", "c2st_test"):
        found["real holdout"][name] = None  # a table cannot judge itself
    return found


def processor() -> str:
    """Return the name of the processor, with the instructions for bfloat16 that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    has = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 bf16"}
    flags = set(facts.get("flags", "").split())
    extra = [title for flag, title in has.items() if flag in flags]
    return ", ".join([facts.get("model name", platform.machine()), *(extra or ["no bf16"])])


def where(threads: int | None = None) -> str:
    """Name what seconds depend on; they are compared within one of these."""
    import torch

    threads = threads or torch.get_num_threads()
    return (
        f"{processor()}, {os.cpu_count()} cores, {threads} thread(s) a process, "
        f"torch {torch.__version__}"
    )


def commit() -> str | None:
    """Name the version of synthgan that runs, with a mark if files differ; None outside of git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def spread(values: list[float | None], digits: int) -> str:
    """Return ``mean ± half range`` of the seeds."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    mean = f"{np.mean(known):.{digits}f}"
    if len(known) == 1:
        return mean
    return f"{mean} ± {(max(known) - min(known)) / 2:.{digits}f}"
