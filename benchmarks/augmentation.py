"""Do synthetic training rows help? Small real tables, ten repeats, beside the simple ways.

    python benchmarks/augmentation.py --data DIR            # over-samplers, about half an hour
    python benchmarks/augmentation.py --data DIR --decide   # augment() itself, about two hours
    python benchmarks/augmentation.py --render              # only rewrite the page

DIR is that of ``real_tables.py``. A repeat draws so many training rows from a table, and tests on
up to 5,000 of the others. All over-samplers bring every class to the size of the largest, with
their own defaults; SMOTE is SMOTE-NC where there are categories, and is given medians for missing
cells. Classifiers are those of ``synthgan.augment.learner``. With ``--decide``, ``augment`` decides
on each training table by the log-loss of boosted trees over five folds, and the trees are trained
on what it returns.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "augmentation.json"
#: Training rows of each table.
ROWS = {
    "german_credit": 700,
    "heart_uci": 600,
    "pima": 300,
    "mammography": 2000,
    "hmeq": 1000,
    "telco_churn": 500,
    "default": 1000,
    "shoppers": 1000,
}
TEST_ROWS = 5000
LEARNERS = ("boosting", "linear")
FIGURES = {"auc": 1.0, "log_loss": -1.0, "ece": -1.0, "minority_f1": 1.0}


def load(folder: Path, name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return features, codes as categories, and the class; the rarer of two classes is 1."""
    info = json.loads((folder / name / "info.json").read_text())
    parts = [pd.read_parquet(folder / name / f"{part}.parquet") for part in ("train", "test")]
    whole = pd.concat(parts, ignore_index=True)
    target = info["target"]
    x, y = whole.drop(columns=target), whole[target]
    for column in set(info["categorical"]) - {target}:
        x[column] = x[column].astype("string").astype("category")
    if y.nunique() == 2:
        y = (y == y.value_counts().index[-1]).astype(int)
    return x, y


def split(x: pd.DataFrame, y: pd.Series, rows: int, seed: int) -> list[Any]:
    """Return training features and classes, and those of the test."""
    order = np.random.default_rng(seed).permutation(len(x))
    parts = order[:rows], order[rows : rows + TEST_ROWS]
    return [part.iloc[i].reset_index(drop=True) for i in parts for part in (x, y)]


def figures_of(model: Any, train: tuple[Any, Any], test: tuple[Any, Any]) -> dict[str, float]:
    """Return the figures of a classifier that is fitted to `train`."""
    from synthgan.augment.ways import class_counts
    from synthgan.evaluate.classification import statistics_of_classes

    fitted = model.fit(train[0], np.asarray(train[1]))
    chance, truth = fitted.predict_proba(test[0]), np.asarray(test[1])
    counts = class_counts(truth)
    found = statistics_of_classes(chance, fitted.classes_, truth, min(counts, key=counts.get))
    return {name: figure(np.ones(len(truth), np.int64)) for name, figure in found.items()}


def oversample(x: pd.DataFrame, y: pd.Series, seed: int) -> dict[str, tuple[Any, Any, float]]:
    """Return the rows of every method, and the seconds that they took."""
    from synthgan.augment import GANOverSampler
    from synthgan.augment.variations import ClassRows
    from synthgan.augment.ways import SIMPLE, class_counts

    out = {"nothing": (x, y, 0.0), "class weights": (x, y, 0.0)}
    for name, method in SIMPLE.items():
        began = time.perf_counter()
        out[name] = (*method(x, y.to_numpy(), seed), time.perf_counter() - began)
    began = time.perf_counter()
    sampler = GANOverSampler(random_state=seed)
    found = sampler.fit_resample(x, y)
    out["GANOverSampler"] = (*found, time.perf_counter() - began)
    labels = y.to_numpy()
    known = ClassRows(sampler.generator_, _with_class(x, labels, sampler), labels, "class")
    counts = class_counts(labels)
    wanted = {k: max(counts.values()) - n for k, n in counts.items()}
    for title, settings in (
        ("focus 0", {"keep": 0.8}),
        ("focus .5", {"keep": 0.8, "focus": 0.5}),
        ("keep .5", {"keep": 0.5, "focus": 1.0}),
        ("keep 0", {"keep": 0.0, "focus": 1.0}),
        ("reject .3", {"keep": 0.8, "focus": 1.0, "reject": 0.3}),
    ):
        new = known.draw(wanted, seed=seed, **settings)
        rows = pd.concat([x, new.rows.astype(x.dtypes.to_dict())], ignore_index=True)
        out[f"GANOverSampler, {title}"] = (rows, np.concatenate([labels, new.labels]), 0.0)
    return out


def _with_class(x: pd.DataFrame, labels: Any, sampler: Any) -> pd.DataFrame:
    assert sampler.generator_.target_ == "class"
    return x.assign(**{"class": np.unique(labels, return_inverse=True)[1].astype(str)})


def run_oversamplers(folder: Path, name: str, seed: int) -> list[dict[str, Any]]:
    """Return the figures of every method and classifier on one repeat."""
    from synthgan.augment.learner import make_table_learner
    from synthgan.augment.ways import weighted

    x, y, *test = split(*load(folder, name), ROWS[name], seed)
    out = []
    for method, (rows, labels, seconds) in oversample(x, y, seed).items():
        for learner in LEARNERS:
            model = make_table_learner(learner)
            model = weighted(model) if method == "class weights" else model
            found = figures_of(model, (rows, labels), test)
            out.append({"method": method, "learner": learner, "seconds": seconds, **found})
    return out


def run_decision(folder: Path, name: str, seed: int) -> list[dict[str, Any]]:
    """Return the figures of boosted trees on the given rows, and on those of augment."""
    from synthgan.augment import augment
    from synthgan.augment.learner import make_table_learner

    x, y, *test = split(*load(folder, name), ROWS[name], seed)
    began = time.perf_counter()
    found = augment(x, y, make_table_learner(), scoring="log_loss", repeats=1, random_state=seed)
    seconds = time.perf_counter() - began
    out: list[dict[str, Any]] = []
    for method, rows in (("nothing", (x, y)), ("augment", (found.X, found.y))):
        figures = figures_of(make_table_learner(), rows, test)
        out.append({"method": method, "learner": "boosting", "seconds": seconds, **figures})
    out[-1] |= {"accepted": found.accepted, "way": None if found.way is None else str(found.way)}
    return out


def rounded(entry: Any) -> Any:
    """Return figures with four digits."""
    if isinstance(entry, dict):
        return {name: rounded(part) for name, part in entry.items()}
    if isinstance(entry, list):
        return [rounded(part) for part in entry]
    return round(entry, 4) if isinstance(entry, float) else entry


def overhead(n_rows: int = 1000, n_columns: int = 20) -> float:
    """Return the seconds of one call of fit_resample on a table that is made up."""
    from sklearn.datasets import make_classification

    from synthgan.augment import GANOverSampler

    x, y = make_classification(n_rows, n_columns, n_informative=8, weights=[0.85], random_state=0)
    began = time.perf_counter()
    GANOverSampler(random_state=0).fit_resample(x, y)
    return time.perf_counter() - began


# --- the page -------------------------------------------------------------------------------------


def gains(runs: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """Return, for each repeat, learner and method, the gains over training on the rows alone."""
    rows = [
        {"table": key.split("/")[0], "seed": int(key.split("/")[1]), **run}
        for key, found in runs.items()
        for run in found
    ]
    frame = pd.DataFrame(rows).set_index(["table", "learner", "seed", "method"])
    base = frame.xs("nothing", level="method")[list(FIGURES)]
    out = frame[list(FIGURES)].sub(base) * pd.Series(FIGURES)
    return out.drop("nothing", level="method")


def with_interval(values: pd.Series) -> str:
    """Return the mean and the half width of its 95 % interval, in hundredths."""
    from scipy.stats import t

    mean, n = values.mean() * 100, len(values)
    half = t.isf(0.025, n - 1) * values.std(ddof=1) * 100 / np.sqrt(n) if n > 1 else float("nan")
    return f"{mean:+.1f} ± {half:.1f}"


def render(results: dict[str, Any]) -> str:
    """Return the Markdown of the over-samplers."""
    shown = ["class weights", "random oversampling", "SMOTE", "GANOverSampler"]
    found = gains(results["oversamplers"])
    lines = []
    for figure, title in (("auc", "AUC"), ("log_loss", "log-loss"), ("minority_f1", "minority F1")):
        head = " | ".join(["table", "learner", *shown])
        lines += [f"Gain in {title}, in hundredths:", "", f"| {head} |"]
        lines.append("|" + "---|" * (2 + len(shown)))
        for (table, learner), part in found.groupby(["table", "learner"]):
            cells = [with_interval(part.xs(m, level="method")[figure]) for m in shown]
            lines.append(f"| {table} | {learner} | " + " | ".join(cells) + " |")
        lines.append("")
    n = found.index.get_level_values("seed").nunique()
    lines.append(
        f"Means over {n} repeats with their 95 % intervals, on {results['machine']}. Above 0 is "
        "better than training on the rows as they are."
    )
    if "overhead" in results:
        lines[-1] += (
            f" `fit_resample` of 1,000 rows and 20 columns took {results['overhead']:.1f} s."
        )
    return "\n".join(lines)


def render_keep(results: dict[str, Any]) -> str:
    """Return the Markdown of the settings of GANOverSampler, less SMOTE, over all tables."""
    found = gains(results["oversamplers"])
    smote = found.xs("SMOTE", level="method")
    names = [m for m in found.index.get_level_values("method").unique() if m.startswith("GAN")]
    lines = ["| settings | learner | AUC | log-loss | minority F1 |", "|---|---|---|---|---|"]
    for name in names:
        less = found.xs(name, level="method").sub(smote)
        title = "default: keep .8, focus 1" if name == "GANOverSampler" else name.split(", ", 1)[1]
        for learner, part in less.groupby("learner"):
            means = part.groupby("table").mean()
            cells = [f"{means[f].mean() * 100:+.1f}" for f in ("auc", "log_loss", "minority_f1")]
            lines.append(f"| {title} | {learner} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def render_decisions(results: dict[str, Any]) -> str:
    """Return the Markdown of augment."""
    if not results["decisions"]:
        return ""
    found = gains(results["decisions"])
    accepted = pd.DataFrame(
        [
            {"table": key.split("/")[0], "learner": run["learner"], "accepted": run["accepted"]}
            for key, runs in results["decisions"].items()
            for run in runs
            if run["method"] == "augment"
        ]
    ).groupby(["table", "learner"])["accepted"]
    lines = ["| table | added rows in | log-loss | AUC | minority F1 |", "|---|---|---|---|---|"]
    for (table, learner), part in found.groupby(["table", "learner"]):
        one = accepted.get_group((table, learner))
        cells = [with_interval(part[figure]) for figure in ("log_loss", "auc", "minority_f1")]
        lines.append(f"| {table} | {one.sum()} of {len(one)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per table")
    parser.add_argument("--decide", action="store_true", help="run augment() itself")
    parser.add_argument("--tables", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    parser.add_argument("--overhead", action="store_true", help="time one call of fit_resample")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    options = parser.parse_args()
    results: dict[str, Any] = {"oversamplers": {}, "decisions": {}}
    if options.results.exists():
        results |= json.loads(options.results.read_text())
    results["machine"] = f"one core of {platform.machine()}, Python {platform.python_version()}"
    group, run = ("oversamplers", run_oversamplers)
    if options.decide:
        group, run = ("decisions", run_decision)
    warnings.simplefilter("ignore")
    if options.overhead:
        results["overhead"] = overhead()
        options.results.write_text(json.dumps(rounded(results), indent=0, sort_keys=True) + "\n")
    for seed in [] if options.render or options.overhead else options.seeds:
        for name in options.tables:
            if f"{name}/{seed}" in results[group]:
                continue
            results[group][f"{name}/{seed}"] = run(options.data, name, seed)
            text = json.dumps(rounded(results), indent=0, sort_keys=True)
            options.results.write_text(text + "\n")
            print(name, seed, flush=True)
    if options.render or options.overhead:
        from pages import BENCHMARKS, write_into

        write_into(BENCHMARKS, "augmentation", render(results))
        write_into(BENCHMARKS, "augmentation keep", render_keep(results))
        write_into(BENCHMARKS, "augmentation decisions", render_decisions(results))


if __name__ == "__main__":
    main()
