"""The protocol of the TabSyn and TabDiff papers, so that their tables can be read beside ours.

Usage::

    python benchmarks/peers.py --data DIR --methods synthgan --seeds 0 1 2 3 4 --keep SAMPLES
    python benchmarks/published.py --data DIR --samples SAMPLES [--tables adult ...]
    python benchmarks/published.py --render      # only rewrite the table in docs

``DIR`` as for ``real_tables.py``, with the split of the papers' code. One sample of as many rows as
there are training rows from each of several trained models, drawn one column a step. The other rows
of the table come from an independent re-run of the published code, five trainings each (repository
april-tools/tabpc at 3f92668, ``article_material/our_results``, June 2026; paper arXiv:2603.23016).

The protocol has quirks, kept here because the published figures have them:

- Shape, Trend, alpha and beta compare with the *training* table. Trend counts all pairs and bins a
  number by the range of the table that it is in, so one extreme value moves it. synthgan clips
  extremes that few rows have; *within the range of a sample* are the training rows, their numbers
  clipped to the smallest and largest of the first sample, to show what that alone costs here.
- Utility is XGBoost, chosen among 36 settings on a ninth of the synthetic rows. All numbers are
  scaled by the range of the *first* one; if that reaches 1,000, they become logarithms, and
  negative values all the same. For regression the target is logged in training and test rows but
  not in those that choose the setting, so the choice means little.
- Detection is XGBoost with default settings on training rows against as many synthetic ones, three
  folds, 1 where they cannot be told apart; integers that stand for categories stay numbers.
- Beta recall rises when rows are copied: real rows that were held out score about .47 on Adult.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pages import BENCHMARKS, write_into
from real_tables import LOG_TARGET, load, spread
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "published.json"
TABLES = ["adult", "default", "shoppers", "magic", "beijing"]
Floats = npt.NDArray[np.float64]
METRICS = {
    "shape": ("Shape %", 2), "trend": ("Trend %", 2), "utility": ("utility", 3),
    "detection": ("detection", 3), "alpha": ("alpha", 3), "beta": ("beta", 3),
}  # fmt: skip

#: What is measured here, in the order of the table.
KINDS = ["training rows", "training rows within the range of a sample", "synthgan"]

#: Figures of the re-run, in the order of `TABLES`.
OTHERS: dict[str, dict[str, list[float]]] = {
    "CTGAN": {
        "shape": [19.13, 16.92, 25.94, 5.57, 20.01],
        "trend": [24.19, 29.76, 24.46, 5.55, 25.70],
        "utility": [0.862, 0.727, 0.850, 0.882, 1.034],
        "detection": [0.0, 0.0, 0.0, 0.103, 0.0],
        "alpha": [0.754, 0.673, 0.779, 0.904, 0.949],
        "beta": [0.131, 0.105, 0.238, 0.159, 0.385],
    },
    "TVAE": {
        "shape": [23.81, 8.73, 24.92, 4.60, 27.84],
        "trend": [33.36, 18.65, 20.72, 4.69, 29.78],
        "utility": [0.871, 0.747, 0.903, 0.918, 1.038],
        "detection": [0.0, 0.002, 0.0, 0.298, 0.0],
        "alpha": [0.623, 0.909, 0.480, 0.968, 0.862],
        "beta": [0.122, 0.304, 0.191, 0.363, 0.054],
    },
    "TabSyn": {
        "shape": [0.79, 1.32, 1.48, 0.98, 2.61],
        "trend": [2.05, 2.88, 2.29, 0.82, 4.50],
        "utility": [0.910, 0.759, 0.914, 0.937, 0.626],
        "detection": [0.794, 0.402, 0.655, 0.760, 0.527],
        "alpha": [0.990, 0.989, 0.990, 0.994, 0.982],
        "beta": [0.480, 0.460, 0.478, 0.477, 0.522],
    },
    "TabDiff": {
        "shape": [0.68, 1.16, 1.49, 0.80, 1.05],
        "trend": [1.54, 2.74, 1.91, 0.84, 2.59],
        "utility": [0.913, 0.762, 0.917, 0.936, 0.564],
        "detection": [0.841, 0.591, 0.736, 0.773, 0.772],
        "alpha": [0.986, 0.987, 0.985, 0.994, 0.978],
        "beta": [0.525, 0.515, 0.511, 0.480, 0.598],
    },
    "TabPC": {
        "shape": [0.58, 0.54, 0.90, 0.98, 0.57],
        "trend": [1.44, 5.04, 1.78, 1.70, 2.19],
        "utility": [0.916, 0.744, 0.897, 0.932, 0.656],
        "detection": [0.855, 0.262, 0.894, 0.860, 0.570],
        "alpha": [0.996, 0.995, 0.992, 0.995, 0.995],
        "beta": [0.499, 0.449, 0.500, 0.505, 0.573],
    },
}


def features(rows: list[pd.DataFrame], numbers: list[str], levels: list[str]) -> list[Floats]:
    """Return the papers' inputs of a classifier for several tables; the first sets the scale."""
    first = rows[0]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(first[levels].astype(str))
    low = next((v for v in (float(first[name].min()) for name in numbers) if v), 0.0)
    high = next((v for v in (float(first[name].max()) for name in numbers) if v), 0.0)

    def scaled(frame: pd.DataFrame) -> Floats:
        x = frame[numbers].to_numpy(np.float64)
        if low >= 0 and high >= 1e3:
            return np.log(np.maximum(x, 1e-2))
        return (x - low) / (high - low) * 5

    return [np.hstack([scaled(f), encoder.transform(f[levels].astype(str))]) for f in rows]


def utility(synthetic: pd.DataFrame, test: pd.DataFrame, info: dict[str, Any], seed: int) -> float:
    """Return the AUC, or the RMSE of the logged target, of XGBoost chosen as in the papers."""
    from xgboost import XGBClassifier, XGBRegressor

    target, regression = info["target"], info["task"] == "regression"
    levels = [name for name in info["categorical"] if name != target]
    numbers = [name for name in synthetic if name not in {*levels, target}]
    order = np.random.default_rng(seed).permutation(len(synthetic))
    held = len(synthetic) // 9
    parts = [synthetic.iloc[order[held:]], synthetic.iloc[order[:held]], test]
    x = features(parts, numbers, levels)
    if regression:
        y = [part[target].to_numpy(np.float64) for part in parts]
        y[0], y[2] = (np.log(np.clip(v, 1, 20_000)) for v in (y[0], y[2]))
    else:
        names = sorted(synthetic[target].astype(str).unique())
        y = [part[target].astype(str).map(names.index).to_numpy() for part in parts]
    best, chosen = np.inf, None
    for trees in (10, 50, 100):
        for weight in (1, 10):
            for depth in (5, 10, 20):
                for gamma in (0.0, 1.0):
                    kind = XGBRegressor if regression else XGBClassifier
                    model = kind(
                        n_estimators=trees, min_child_weight=weight, max_depth=depth, gamma=gamma,
                        tree_method="hist", n_jobs=1, random_state=seed,
                    ).fit(x[0], y[0])  # fmt: skip
                    if regression:
                        loss = float(np.sqrt(np.mean((model.predict(x[1]) - y[1]) ** 2)))
                    else:
                        loss = -float(roc_auc_score(y[1], model.predict_proba(x[1])[:, 1]))
                    if loss < best:
                        best, chosen = loss, model
    assert chosen is not None
    if regression:
        return float(np.sqrt(np.mean((chosen.predict(x[2]) - y[2]) ** 2)))
    return float(roc_auc_score(y[2], chosen.predict_proba(x[2])[:, 1]))


def detection(train: pd.DataFrame, synthetic: pd.DataFrame, seed: int) -> float:
    """Return 1 - (2 AUC - 1) of XGBoost, mean over three folds."""
    from xgboost import XGBClassifier

    both = pd.concat([train, synthetic.sample(len(train), random_state=seed)])
    words = [name for name in both if not pd.api.types.is_numeric_dtype(both[name].dtype)]
    x = pd.get_dummies(both.astype(dict.fromkeys(words, "str")), columns=words).astype(float)
    y = np.repeat([1, 0], len(train))
    found = []
    for a, b in StratifiedKFold(3, shuffle=True, random_state=seed).split(x, y):
        model = XGBClassifier(random_state=0, n_jobs=1).fit(x.to_numpy()[a], y[a])
        found.append(roc_auc_score(y[b], model.predict_proba(x.to_numpy()[b])[:, 1]))
    return float(np.mean([1 - (2 * max(0.5, auc) - 1) for auc in found]))


def alpha_beta(
    train: pd.DataFrame, synthetic: pd.DataFrame, info: dict[str, Any]
) -> tuple[float, float]:
    """Return alpha precision and beta recall (Alaa et al. 2022) in the papers' coordinates."""
    levels = list(info["categorical"])
    numbers = [name for name in train if name not in levels]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(train[levels].astype(str))
    scaler = MinMaxScaler()
    x, z = (
        np.hstack([f[numbers].to_numpy(float), encoder.transform(f[levels].astype(str))])
        for f in (train, synthetic)
    )
    x = scaler.fit_transform(x)
    z = scaler.transform(z)
    shares = np.linspace(0, 1, 30)
    center = x.mean(0)
    radii = np.quantile(np.linalg.norm(x - center, axis=1), shares)
    inside = np.linalg.norm(z - center, axis=1)
    precision = np.array([(inside <= r).mean() for r in radii])
    of_synthetic = np.linalg.norm(z - z.mean(0), axis=1)
    radii = np.quantile(of_synthetic, shares)
    own = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(x).kneighbors(x)[0][:, 1]
    away, nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(z).kneighbors(x)
    close = away[:, 0] <= own
    recall = np.array([(close & (of_synthetic[nearest[:, 0]] <= r)).mean() for r in radii])
    scores = [1 - np.abs(shares - curve).sum() / shares.sum() for curve in (precision, recall)]
    return float(scores[0]), float(scores[1])


def within(rows: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return rows with their numbers clipped to the range that they have in another table."""
    numbers = other.select_dtypes("number")
    return rows.assign(
        **{name: rows[name].clip(numbers[name].min(), numbers[name].max()) for name in numbers}
    )


def measure(
    train: pd.DataFrame, test: pd.DataFrame, rows: pd.DataFrame, info: dict[str, Any], seed: int
) -> dict[str, float]:
    """Return all figures of one synthetic table."""
    from synthgan.evaluate.fidelity.similarity import similarity
    from synthgan.evaluate.tables import read_tables

    task = "regression" if info["task"] == "regression" else "classification"
    tables = read_tables(
        train, rows, test, categorical=info["categorical"], target=info["target"], task=task
    )
    scores = {s.name: s.value for s in similarity(tables.train, tables.synthetic).scores}
    alpha, beta = alpha_beta(train, rows, info)
    return {
        "shape": float(scores["shape_error"] or 0.0),
        "trend": float(scores["trend_error"] or 0.0),
        "utility": utility(rows, test, info, seed),
        "detection": detection(train, rows, seed),
        "alpha": alpha,
        "beta": beta,
    }


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    lines = ["| table | rows from | " + " | ".join(title for title, _ in METRICS.values()) + " |"]
    lines.append("|" + "---|" * (len(METRICS) + 2))
    for place, table in enumerate(TABLES):
        first = f"**{table}**"
        for name in KINDS if table in results else ():
            entries = list(results[table][name].values())
            cells = [
                spread([e[key] for e in entries], digits) for key, (_, digits) in METRICS.items()
            ]
            label = name if len(entries) == 1 else f"{name} ({len(entries)} fits)"
            lines.append(f"| {first} | {label} | " + " | ".join(cells) + " |")
            first = ""
        if table not in results:
            continue
        for name, figures in OTHERS.items():
            cells = [f"{figures[key][place]:.{digits}f}" for key, (_, digits) in METRICS.items()]
            lines.append(f"| | *{name}* | " + " | ".join(cells) + " |")
    logged = ", ".join(sorted(LOG_TARGET))
    return "\n".join([*lines, "", f"Utility: AUC; for {logged} the RMSE of the logged target."])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=TABLES, choices=TABLES)
    parser.add_argument("--samples", type=Path, help="folder of samples that peers.py kept")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render and (options.data is None or options.samples is None):
        parser.error("--data and --samples are needed")
    for table in [] if options.render else options.tables:
        train, test, info = load(options.data / table)
        kinds = results.setdefault(table, {name: {} for name in KINDS})
        floors, clipped, fits = (kinds[name] for name in KINDS)
        if not floors:
            floors["0"] = measure(train, test, train, info, 0)
        paths = sorted(options.samples.glob(f"{table}, synthgan, all steps, seed *.parquet"))
        if not paths:
            raise SystemExit(f"{options.samples} holds no sample of {table}; see peers.py --keep")
        if not clipped:
            clipped["0"] = measure(train, test, within(train, pd.read_parquet(paths[0])), info, 0)
        for path in paths:
            seed = path.stem.rpartition(" ")[2]
            if seed not in fits:
                fits[seed] = measure(train, test, pd.read_parquet(path), info, int(seed))
                print(table, seed, fits[seed], flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_into(BENCHMARKS, "published", render(results))


if __name__ == "__main__":
    main()
