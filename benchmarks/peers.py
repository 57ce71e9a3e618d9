"""Other generators and synthgan on the same tables, by the same metrics, on the same threads.

Usage, in an environment with ``peers.txt``::

    python benchmarks/peers.py --data DIR [--tables adult ...] [--methods synthgan ctgan ...]
    python benchmarks/peers.py --render      # only rewrite the table and the plot in docs

``DIR`` as for ``fidelity.py``, whose metrics these are. Every fit runs alone in a fresh process
with ``--threads`` threads, methods in turn, seed by seed; what fails or takes longer than
``--limit`` seconds is a row too. Every finished run is added to ``benchmarks/peers.json``, so that
an interrupted benchmark goes on where it stopped.

Peers get the settings that their authors ship: CTGAN and TVAE 300 epochs with batches of 500 and
the categorical columns named, on tables with missing numbers, which their package refuses, within
SDV, as it advises; the Gaussian copula of SDV with metadata that name them; TabularARGN
with early stopping on its own validation rows; adversarial random forests of 30 trees; SMOTE-NC
asked for as many new rows of every class as there are (tables with a class to predict and both
kinds of columns only).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fidelity import METRICS, TABLES, load, machine, measure, spread
from pages import BENCHMARKS, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "peers.json"
PLOT = BENCHMARKS.parent / "_static" / "peers.png"
MANY = 100_000


@dataclass(frozen=True)
class Fitted:
    """What a method leaves: ways to sample it by name, and how to write it to a file."""

    samples: dict[str, Callable[[int], pd.DataFrame]]
    save: Callable[[str], Any]


def fit_synthgan(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """One fit; rows of as many steps as it chose, of four and of one."""
    from synthgan import TabularGAN

    gan = TabularGAN(random_state=seed, verbose=0).fit(train, target=info["target"])
    samples = {
        name: lambda n, steps=steps: gan.sample(n, steps=steps, random_state=seed)
        for name, steps in (("synthgan", None), ("synthgan, 4 steps", 4), ("synthgan, 1 step", 1))
    }
    return Fitted(samples, gan.save)


def fit_networks(name: str, train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """Fit CTGAN or TVAE of their authors' package, or within SDV where numbers are missing."""
    import ctgan

    if train.drop(columns=info["categorical"], errors="ignore").isna().any(axis=None):
        return fit_sdv(f"{name}Synthesizer", train, info, seed, epochs=300, enable_gpu=False)
    model = getattr(ctgan, name)(epochs=300, enable_gpu=False)
    model.set_random_state(seed)
    model.fit(train, discrete_columns=info["categorical"])
    return Fitted({name: model.sample}, model.save)


def fit_sdv(
    name: str, train: pd.DataFrame, info: dict[str, Any], seed: int, **options: Any
) -> Fitted:
    """Fit a synthesizer of SDV."""
    from sdv import single_table
    from sdv.metadata import Metadata

    np.random.seed(seed)  # noqa: NPY002 - the only seed that it takes
    kinds = {
        name: {"sdtype": "categorical" if name in info["categorical"] else "numerical"}
        for name in train
    }
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": kinds}}})
    model = getattr(single_table, name)(metadata, **options)
    model.fit({"table": train})
    title = name.removesuffix("Synthesizer")
    return Fitted({title: lambda n: model.sample(n)["table"]}, model.save)


def fit_argn(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """TabularARGN of mostlyai-engine."""
    import pickle

    from mostlyai.engine import TabularARGN

    kinds = {
        name: "TABULAR_CATEGORICAL" if name in info["categorical"] else "TABULAR_NUMERIC_AUTO"
        for name in train
    }
    model = TabularARGN(random_state=seed, device="cpu", tgt_encoding_types=kinds)
    model.fit(train)

    def save(path: str) -> None:
        folder = Path(str(model.workspace_dir)) / "ModelStore"
        parts = [p for p in folder.rglob("*") if p.is_file()]
        Path(path).write_bytes(b"".join(p.read_bytes() for p in parts) or pickle.dumps(model))

    def sample(n: int) -> pd.DataFrame:  # without its mark for rare levels, which is no level
        return model.sample(n_samples=n, rare_category_replacement_method="SAMPLE")

    return Fitted({"TabularARGN": sample}, save)


def fit_arf(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """Adversarial random forests of arfpy."""
    import pickle

    from arfpy import arf

    np.random.seed(seed)  # noqa: NPY002 - the only seed that it takes
    frame = train.astype(dict.fromkeys(info["categorical"], "str"))
    model = arf.arf(x=frame, verbose=False, random_state=seed)
    model.forde()
    return Fitted(
        {"ARF": lambda n: model.forge(n=n)},
        lambda path: Path(path).write_bytes(pickle.dumps(model)),
    )


def fit_smote(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """SMOTE-NC as a generator: new rows only, every class as often as it is."""
    import pickle

    from imblearn.over_sampling import SMOTENC

    target = info["target"]
    if info["task"] == "regression":
        raise ValueError("no class to predict")
    if set(train) <= {*info["categorical"], target}:
        raise ValueError("no numbers")
    features = train.drop(columns=target)
    kinds = [name for name in info["categorical"] if name != target]
    y = train[target].astype(str)
    counts = y.value_counts()

    def sample(n: int) -> pd.DataFrame:
        wanted = {name: int(count + np.ceil(n * count / len(y))) for name, count in counts.items()}
        smote = SMOTENC(kinds, sampling_strategy=wanted, random_state=seed)
        rows, labels = smote.fit_resample(features, y)
        made = rows.assign(**{target: labels})[list(train)].iloc[len(train) :]
        return made.sample(n, random_state=seed).reset_index(drop=True)

    return Fitted(
        {"SMOTE-NC": sample}, lambda path: Path(path).write_bytes(pickle.dumps((features, y)))
    )


#: What fits, and what to import before the clock starts.
METHODS: dict[str, tuple[Callable[[pd.DataFrame, dict[str, Any], int], Fitted], str]] = {
    "synthgan": (fit_synthgan, "synthgan.estimators.tabular_gan"),
    "argn": (fit_argn, "mostlyai.engine"),
    "copula": (partial(fit_sdv, "GaussianCopulaSynthesizer"), "sdv.single_table"),
    "smote": (fit_smote, "imblearn.over_sampling"),
    "arf": (fit_arf, "arfpy.arf"),
    "tvae": (partial(fit_networks, "TVAE"), "sdv.single_table"),
    "ctgan": (partial(fit_networks, "CTGAN"), "sdv.single_table"),
}


#: What a method that failed is called.
NAMES = {
    "synthgan": "synthgan",
    "argn": "TabularARGN",
    "copula": "GaussianCopula",
    "smote": "SMOTE-NC",
    "arf": "ARF",
    "tvae": "TVAE",
    "ctgan": "CTGAN",
}


def peak_gib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def child(folder: Path, method: str, seed: int, place: Path) -> dict[str, Any]:
    """Fit one method in this process; leave its samples in a folder and return what they cost."""
    import torch

    torch.manual_seed(seed)
    train, _, info = load(folder)
    fit, package = METHODS[method]
    importlib.import_module(package)
    began = time.perf_counter()
    fitted = fit(train, info, seed)
    found: dict[str, Any] = {"fit_seconds": time.perf_counter() - began, "peak_gib": peak_gib()}
    fitted.save(str(place / "model"))
    found["file_mb"] = (place / "model").stat().st_size / 1e6
    found["samples"] = {}
    for name, sample in fitted.samples.items():
        began = time.perf_counter()
        rows = sample(len(train))
        took = time.perf_counter() - began
        rows.to_parquet(place / f"{name}.parquet")
        began = time.perf_counter()
        sample(MANY)
        rate = MANY / (time.perf_counter() - began)
        found["samples"][name] = {"sample_seconds": took, "rows_per_second": rate}
    found["peak_gib_sampling"] = peak_gib()
    return found


def like(train: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Give synthetic rows the columns and dtypes of the table they were fitted to."""
    made = rows[list(train)].reset_index(drop=True)
    for name, dtype in train.dtypes.items():
        column = made[name]
        if pd.api.types.is_bool_dtype(dtype):  # often they come back as words
            column = column.astype(str).map({"True": True, "False": False})
        if pd.api.types.is_integer_dtype(dtype):
            column = pd.to_numeric(column).round()
        made[name] = column.astype(dtype)
    return made


def run(folder: Path, method: str, seed: int, limit: float, threads: int) -> dict[str, Any]:
    """Fit one method in a fresh process and measure what it sampled."""
    train, test, info = load(folder)
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--data", str(folder.parent), "--child", method]
        command += ["--tables", folder.name, "--seeds", str(seed), "--place", place]
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        setting = {**os.environ, **dict.fromkeys(names, str(threads))}
        try:
            done = subprocess.run(
                command, timeout=limit, capture_output=True, text=True, env=setting
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {limit:.0f} s"}
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1][:200]}
        found = dict(json.loads(done.stdout.splitlines()[-1]))
        for name, entry in found["samples"].items():
            rows = pd.read_parquet(Path(place) / f"{name}.parquet")
            try:
                figures = measure(train, test, like(train, rows), info)
            except Exception as error:
                entry["error"] = f"{type(error).__name__}: {error}"[:200]
                continue
            entry.update({key: figures[key] for key in METRICS if key in figures})
    return found


def rows_of(results: dict[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the finished runs of every sample by table and name, failures by method."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for table, methods in results["tables"].items():
        rows = found.setdefault(table, {})
        for method in (name for name in METHODS if name in methods):
            for entry in methods[method].values():
                if "error" in entry:
                    rows.setdefault(NAMES[method], []).append(entry)
                    continue
                costs = {k: v for k, v in entry.items() if k != "samples"}
                for name, figures in entry["samples"].items():
                    rows.setdefault(name, []).append({**costs, **figures})
    return found


COLUMNS = {
    "fit_seconds": ("fit s", 0), "rows_per_second": ("rows/s", 0), "peak_gib": ("GiB", 2),
    "file_mb": ("file MB", 1), "shape": METRICS["shape"], "trend": METRICS["trend"],
    "c2st_train": METRICS["c2st_train"], "c2st_test": METRICS["c2st_test"],
    "tstr": METRICS["tstr"], "dcr": METRICS["dcr"],
}  # fmt: skip


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    head = ["table", "method", *(title for title, _ in COLUMNS.values())]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for table, rows in rows_of(results).items():
        first = True
        for name, runs in rows.items():
            done = [run for run in runs if "error" not in run]
            label = name if len(done) in (0, 1) else f"{name} ({len(done)} seeds)"
            cells = [
                spread([run[key] for run in done], digits) for key, (_, digits) in COLUMNS.items()
            ]
            if not done:
                reason = runs[0]["error"].partition(". ")[0].replace("|", "/")
                cells = [f"*{reason}*", *([""] * (len(COLUMNS) - 1))]
            lines.append(f"| {f'**{table}**' if first else ''} | {label} | " + " | ".join(cells))
            lines[-1] += " |"
            first = False
    facts = results["machine"]
    lines += ["", f"{facts['cpus']} CPU cores ({facts['processor']}), {facts['threads']} thread a "
              f"process, torch {facts['torch']}."]  # fmt: skip
    return "\n".join(lines)


def draw(results: dict[str, Any]) -> None:
    """Plot fidelity against the time of a fit, one panel a table."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tables = {
        table: {
            name: done
            for name, runs in rows.items()
            if (done := [run for run in runs if "error" not in run])
        }
        for table, rows in rows_of(results).items()
    }
    names = list(dict.fromkeys(name for rows in tables.values() for name in rows))
    across = min(4, len(tables))
    down = -(-len(tables) // across)
    figure, axes = plt.subplots(
        down, across, figsize=(3.4 * across, 3.2 * down), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(tables) :]:
        axis.set_visible(False)
    for axis, (table, rows) in zip(axes.flat, tables.items(), strict=False):
        for name, runs in rows.items():
            x = np.mean([run["fit_seconds"] for run in runs])
            y = np.mean([run["c2st_test"] for run in runs])
            ours = name.startswith("synthgan")
            axis.plot(
                max(x, 0.01), y, "*" if ours else "o", ms=11 if ours else 7,
                color=f"C{names.index(name)}", label=name, ls="",
            )  # fmt: skip
        axis.axhline(0.5, color="0.6", lw=0.8)
        axis.set(xscale="log", title=table, xlabel="seconds to fit", ylabel="C2ST AUC, test rows")
    handles = {}
    for axis in axes.flat:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    figure.savefig(PLOT, dpi=110)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=7200, help="seconds for one run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder = options.data / options.tables[0]
        found = child(folder, options.child, options.seeds[0], options.place)
        print(json.dumps(found, default=float))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tables": {}}
    if not options.render:
        results["machine"] = {**machine(), "threads": options.threads}
        for seed in options.seeds:
            for table in options.tables:
                for method in options.methods:
                    runs = results["tables"].setdefault(table, {}).setdefault(method, {})
                    if str(seed) in runs:
                        continue
                    found = run(options.data / table, method, seed, options.limit, options.threads)
                    runs[str(seed)] = found
                    print(table, seed, method, json.dumps(found, default=float), flush=True)
                    RESULTS.write_text(json.dumps(results, indent=1, default=float) + "\n")
    write_into(BENCHMARKS, "peers", render(results))
    draw(results)


if __name__ == "__main__":
    main()
