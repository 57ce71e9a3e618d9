"""Fidelity of TabularGAN on real tables, one column a step; for fewer see ``ablation.py``.

Usage::

    python benchmarks/fidelity.py --data DIR [--tables adult ...] [--seeds 0 1 2] [--quick]
    python benchmarks/fidelity.py --render       # only rewrite the tables in docs and README

``DIR`` holds one folder per table with ``train.parquet``, ``test.parquet`` and ``info.json`` (keys
``target``, ``task``, ``categorical``). Every finished fit is added to ``benchmarks/fidelity.json``,
so an interrupted run goes on where it stopped. Metrics: errors are in per cent against the training
table, over all columns or pairs; Trend bins numbers by the training table's range; C2ST is the AUC
of XGBoost on unseen rows against training rows and against test rows; TSTR is XGBoost trained on
synthetic rows and tested on real ones (AUC; for Beijing the RMSE of the logarithm of the target, as
published tables have it); DCR share needs a holdout as large as the sample of training rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages import BENCHMARKS, ROOT, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "fidelity.json"
TABLES = ["adult", "default", "shoppers", "beijing", "magic", "german_credit", "heart_uci", "pima"]
STEPS = [0]  # as many as there are columns
REFERENCES = ["bootstrap of train", "independent columns", "real holdout"]
LOG_TARGET = {"beijing"}
METRICS = {
    "shape": ("Shape %", 2),
    "trend": ("Trend %", 2),
    "c2st_train": ("C2ST train", 3),
    "c2st_test": ("C2ST test", 3),
    "tstr": ("TSTR", 3),
    "dcr": ("DCR share", 3),
    "sample_seconds": ("sample s", 1),
}


def load(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return train, test and the description of one table."""
    info = json.loads((folder / "info.json").read_text())
    parts = [pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test")]
    return parts[0], parts[1], info


def measure(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, info: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of one synthetic table."""
    from synthgan.evaluate.attacks.copies import dcr_share
    from synthgan.evaluate.fidelity.detection import c2st
    from synthgan.evaluate.fidelity.similarity import similarity
    from synthgan.evaluate.measure import Setting
    from synthgan.evaluate.tables import read_tables
    from synthgan.evaluate.utility import tstr

    target = info["target"]
    task = "regression" if info["task"] == "regression" else "classification"
    if info["name"] in LOG_TARGET:
        train, test, synthetic = (
            frame.assign(**{target: np.log(frame[target].astype(float).clip(1, 20000))})
            for frame in (train, test, synthetic)
        )
    tables = read_tables(
        train, synthetic, test, categorical=info["categorical"], target=target, task=task
    )
    a, b, c = tables.train, tables.synthetic, tables.holdout
    alike = similarity(a, b)
    scores = {score.name: score.value for score in alike.scores}
    setting = Setting(a, c, target, task, booster="xgboost")
    utility = tstr(setting, b).scores
    wanted = "rmse" if task == "regression" else "auc"
    return {
        "shape": scores["shape_error"],
        "trend": scores["trend_error_range_matched"],
        "trend_own_range": scores["trend_error"],
        "c2st_train": c2st(a, b, booster="xgboost", seed=0).value,
        "c2st_test": c2st(c, b, booster="xgboost", seed=0).value,
        "tstr": next(s.value for s in utility if s.name == f"tstr_boosting_{wanted}"),
        "dcr": dcr_share(a, c, b, seed=0).value,
        "worst_columns": alike.columns.head(3).to_dict("records"),
        "worst_pairs": alike.pairs.sort_values("error_range_matched", ascending=False)
        .head(3)
        .to_dict("records"),
    }


def floors(train: pd.DataFrame, test: pd.DataFrame, info: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of the reference tables."""
    rng = np.random.default_rng(0)
    boot = train.iloc[rng.integers(0, len(train), len(train))].reset_index(drop=True)
    shuffled = train.copy()
    for name in shuffled:
        shuffled[name] = train[name].to_numpy()[rng.permutation(len(train))]
        shuffled[name] = shuffled[name].astype(train[name].dtype)
    rows = dict(zip(REFERENCES, (boot, shuffled, test), strict=True))
    found = {name: measure(train, test, frame, info) for name, frame in rows.items()}
    for name in ("tstr", "dcr", "c2st_test"):
        found["real holdout"][name] = None  # a table cannot judge itself
    return found


def fit_and_measure(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Fit one model in this process and measure its samples."""
    from synthgan import TabularGAN

    train, test, info = load(folder)
    began = time.perf_counter()
    gan = TabularGAN(random_state=seed, verbose=0, max_time="20s" if quick else None)
    gan.fit(train, target=info["target"])
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with tempfile.TemporaryDirectory() as place:
        gan.save(Path(place) / "model.synthgan")
        size = (Path(place) / "model.synthgan").stat().st_size
    samples = {}
    for steps in STEPS:
        began = time.perf_counter()
        synthetic = gan.sample(len(train), steps=steps or train.shape[1], random_state=1000 + seed)
        took = time.perf_counter() - began
        samples[str(steps)] = {
            **measure(train, test, synthetic, info),
            "sample_seconds": took,
        }
    return {
        "fit_seconds": seconds,
        "peak_gib": peak,
        "file_mb": size / 1e6,
        "rows": len(train),
        "columns": train.shape[1],
        "samples": samples,
    }


def in_child(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Run :func:`fit_and_measure` in a fresh process, so that peak memory is its own."""
    command = [sys.executable, __file__, "--data", str(folder.parent), "--child", folder.name]
    command += ["--seeds", str(seed), *(["--quick"] if quick else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


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
    return ", ".join([facts.get("model name", platform.machine()), *extra])


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    import torch

    return {
        "cpus": os.cpu_count(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def spread(values: list[float | None], digits: int) -> str:
    """Return ``mean ± half range`` of the seeds."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    mean = f"{np.mean(known):.{digits}f}"
    if len(known) == 1:
        return mean
    return f"{mean} ± {(max(known) - min(known)) / 2:.{digits}f}"


def render(results: dict[str, Any], all_steps: list[int], references: list[str]) -> str:
    """Return the Markdown table of the samples of some steps, beside some reference tables."""
    head = ["table", "rows", "sample", *(title for title, _ in METRICS.values()), "fit s", "GiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, entry in results["tables"].items():
        runs = list(entry["seeds"].values())
        for steps in map(str, all_steps):
            label = f"all {runs[0]['columns']} steps"
            cells = [
                spread([run["samples"][steps][key] for run in runs], digits)
                for key, (_, digits) in METRICS.items()
            ]
            first = steps == "0"
            cost = [
                spread([run["fit_seconds"] for run in runs], 0) if first else "",
                spread([run["peak_gib"] for run in runs], 2) if first else "",
            ]
            size = str(runs[0]["rows"]) if first else ""
            title = f"**{name}**" if first else ""
            lines.append("| " + " | ".join([title, size, label, *cells, *cost]) + " |")
        for label in references:
            figures = entry["floors"][label]
            cells = [spread([figures.get(key)], digits) for key, (_, digits) in METRICS.items()]
            lines.append("| " + " | ".join(["", "", f"*{label}*", *cells, "", ""]) + " |")
    facts = results["machine"]
    seeds = sorted({seed for entry in results["tables"].values() for seed in entry["seeds"]})
    lines += [
        "",
        f"Seeds {', '.join(seeds)}: mean ± half the range. {facts['cpus']} CPU cores "
        f"({facts['processor']}), {facts['threads']} threads, torch {facts['torch']}. C2ST: 0.5 is "
        "best. TSTR: AUC, or RMSE of the target where the task is regression (Beijing: of its "
        "logarithm). DCR share: 0.5 is best, and no evidence of privacy.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="20-second fits, to try the script")
    parser.add_argument("--render", action="store_true", help="only rewrite the pages")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder = options.data / options.child
        print(json.dumps(fit_and_measure(folder, options.seeds[0], options.quick), default=float))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tables": {}}
    if not options.render:
        results["machine"] = machine()
        for name in options.tables:
            folder = options.data / name
            entry = results["tables"].setdefault(name, {"seeds": {}})
            if "floors" not in entry:
                entry["floors"] = floors(*load(folder))
            for seed in options.seeds:
                if str(seed) in entry["seeds"]:
                    continue
                run = in_child(folder, seed, options.quick)
                entry["seeds"][str(seed)] = run
                best = run["samples"]["0"]
                figures = {k: round(best[k], 4) for k in METRICS if best[k] is not None}
                print(name, seed, f"fit {run['fit_seconds']:.0f} s", figures, flush=True)
                RESULTS.write_text(json.dumps(results, indent=1, default=float))
    floor, *others = REFERENCES
    write_into(BENCHMARKS, "fidelity", render(results, STEPS, [floor, *others]))
    write_into(ROOT / "README.md", "fidelity", render(results, STEPS[:1], [floor]))


if __name__ == "__main__":
    main()
