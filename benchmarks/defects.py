"""Which metric sees which defect? A table of planted defects.

Usage::

    python benchmarks/defects.py --data DIR [--seeds 16] [--rows 6000]
    python benchmarks/defects.py --render       # only rewrite the table in the docs

``DIR`` is the folder of the Adult table (``train.parquet``, ``test.parquet``, ``info.json``). All
rows are shuffled; one part is train, one the holdout, and fresh rows of the rest stand for a
perfect synthetic table. Each defect is planted into fresh rows. The reference interval of a metric
is a prediction interval (99.9 %) from several draws of fresh rows; a metric sees a defect if its
value lies outside. The column "none" is one more draw without defect: what it catches is false.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages import ROOT, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "defects.json"
TARGET = "income"

Frame = pd.DataFrame
Defect = Callable[[Frame, Frame, np.random.Generator], Frame]


def copied_rows(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """One row in a hundred is a train row."""
    out = fresh.copy()
    places = rng.choice(len(out), len(out) // 100, replace=False)
    out.iloc[places] = train.iloc[rng.choice(len(train), len(places), replace=False)].to_numpy()
    return out.astype(fresh.dtypes.to_dict())


def dropped_category(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """No widowed people: the rows take another level."""
    out = fresh.copy()
    out.loc[out["marital_status"] == "Widowed", "marital_status"] = "Divorced"
    return out


def shuffled_column(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """One column has lost its relation to all others."""
    return fresh.assign(hours_per_week=rng.permutation(fresh["hours_per_week"].to_numpy()))


def added_noise(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """Ages are off by a normal error of three years."""
    noise = np.round(rng.normal(0, 3, len(fresh))).astype(int)
    return fresh.assign(age=(fresh["age"] + noise).clip(17, 90))


def duplicated_rows(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """One row in ten stands for another one too."""
    out = fresh.copy()
    places = rng.permutation(len(out))[: len(out) // 10 * 2].reshape(2, -1)
    out.iloc[places[0]] = out.iloc[places[1]].to_numpy()
    return out.astype(fresh.dtypes.to_dict())


def verbatim_column(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """One column repeats the exact numbers of train, rare ones too."""
    return fresh.assign(fnlwgt=rng.choice(train["fnlwgt"].to_numpy(), len(fresh)))


def leaked_rare_value(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """One row in a hundred has one of the rarest birthplaces of train."""
    counts = train["native_country"].value_counts()
    out = fresh.copy()
    places = rng.choice(len(out), len(out) // 100, replace=False)
    column = out.columns.get_loc("native_country")
    out.iloc[places, column] = rng.choice(counts.index[counts < 5].to_numpy(), len(places))
    return out


def independent_columns(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """Every column is drawn by itself."""
    return pd.DataFrame({c: fresh[c].to_numpy()[rng.permutation(len(fresh))] for c in fresh})


def shifted_dates(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """All dates are half a year late."""
    return fresh.assign(day=fresh["day"] + pd.Timedelta(days=182))


def none(fresh: Frame, train: Frame, rng: np.random.Generator) -> Frame:
    """Fresh rows as they are."""
    return fresh


DEFECTS: dict[str, Defect] = {
    "1 % copied rows": copied_rows,
    "dropped category": dropped_category,
    "shuffled column": shuffled_column,
    "added noise": added_noise,
    "10 % duplicated rows": duplicated_rows,
    "verbatim column": verbatim_column,
    "leaked rare value": leaked_rare_value,
    "independent columns": independent_columns,
    "shifted dates": shifted_dates,
    "none": none,
}


def load(folder: Path) -> Frame:
    """Return all rows, with a date that depends on age, since Adult has none."""
    parts = [pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test")]
    whole = pd.concat(parts, ignore_index=True)
    rng = np.random.default_rng(0)
    days = 40 * (90 - whole["age"]) + rng.integers(0, 1000, len(whole))
    return whole.assign(day=pd.Timestamp("2015-01-01") + pd.to_timedelta(days, unit="D"))


def figures(train: Frame, holdout: Frame, synthetic: Frame, codes: list[str]) -> dict[str, Any]:
    """Return the value of every metric, and the share of repeated rows from the findings."""
    from synthgan.evaluate import evaluate

    report = evaluate(train, synthetic, holdout=holdout, target=TARGET, categorical=codes)
    values = {name: score.value for name, score in report.scores.items()}
    named = {finding["name"] for finding in report.findings}
    return {"scores": values, "findings": sorted(named)}


def run(folder: Path, n_rows: int, n_clean: int) -> dict[str, Any]:
    """Measure clean draws and defects."""
    codes = json.loads((folder / "info.json").read_text())["categorical"]
    whole = load(folder)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(whole))
    train, holdout = (
        whole.iloc[order[k * n_rows : (k + 1) * n_rows]].reset_index(drop=True) for k in (0, 1)
    )
    rest = whole.iloc[order[2 * n_rows :]]

    def fresh() -> Frame:
        return rest.sample(n_rows, random_state=rng.integers(2**31)).reset_index(drop=True)

    clean = []
    for k in range(n_clean):
        clean.append(figures(train, holdout, fresh(), codes))
        print(f"clean draw {k + 1} of {n_clean}", flush=True)
    found = {}
    for name, defect in DEFECTS.items():
        found[name] = figures(train, holdout, defect(fresh(), train, rng), codes)
        print(name, flush=True)
    return {"rows": n_rows, "clean": clean, "defects": found}


def limits(values: list[float]) -> tuple[float, float]:
    """Return the 99.9 % prediction interval of one more draw."""
    from scipy.stats import t

    n = len(values)
    half = t.ppf(0.9995, n - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def render(results: dict[str, Any]) -> str:
    """Return a Markdown table: metrics in rows, defects in columns, crosses where it is seen."""
    names = list(results["defects"])
    lines = ["| metric | reference interval | " + " | ".join(names) + " |"]
    lines.append("|---|---|" + "---|" * len(names))
    seen = dict.fromkeys(names, 0)
    for metric in results["clean"][0]["scores"]:
        if metric.startswith(("trtr", "augment")):
            continue
        values = [draw["scores"].get(metric) for draw in results["clean"]]
        if any(value is None for value in values):
            continue
        low, high = limits(values)
        cells = []
        for name in names:
            value = results["defects"][name]["scores"].get(metric)
            outside = value is None or not low - 1e-9 <= value <= high + 1e-9
            seen[name] += outside
            shown = "-" if value is None else f"{value:.3g}"
            cells.append(f"**{shown}**" if outside else shown)
        if any(cell.startswith("**") for cell in cells):
            interval = f"{low:.3g} .. {high:.3g}"
            lines.append(f"| {metric} | {interval} | " + " | ".join(cells) + " |")
    said = [", ".join(results["defects"][name]["findings"]) or "-" for name in names]
    lines.append("| *findings* | | " + " | ".join(said) + " |")
    lines.append("| *metrics that see it* | | " + " | ".join(map(str, seen.values())) + " |")
    lines += [
        "",
        f"Adult with a date column added, {results['rows']:,} rows in train, holdout and "
        f"synthetic table; {len(results['clean'])} draws of fresh rows give the reference "
        "intervals (99.9 %). Bold: outside. Metrics that see nothing here are left out.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the Adult table")
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=16, help="draws of fresh rows")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    if not options.render:
        results = run(options.data, options.rows, options.seeds)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    page = ROOT / "docs" / "background" / "evaluation.md"
    write_into(page, "defects", render(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
