"""TabularVAE beside TabularGAN: samples, odd rows, and latent vectors as features.

    python benchmarks/encoding.py --data DIR [--tables adult magic]
    python benchmarks/encoding.py --render       # only rewrite the page

``DIR`` is that of ``real_tables.py``, whose measures are used. Odd rows are holdout rows of which
one cell in three was replaced by that of another row; the AUC is that of ``score_samples`` telling
them from whole holdout rows. Features are judged by a logistic regression of the target on training
rows, tested on holdout rows; beside it stands the same on one-hot levels and standardised numbers.
Results go to ``encoding.json`` and into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages import BENCHMARKS, write_into
from real_tables import load, measure
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "encoding.json"
TABLES = ["adult", "magic"]
SHARE = 1 / 3


def damaged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which a third of the cells come from other rows."""
    rng = np.random.default_rng(0)
    out = rows.reset_index(drop=True)
    for name in out:
        mixed = out[name].iloc[rng.permutation(len(out))].reset_index(drop=True)
        out[name] = out[name].mask(pd.Series(rng.random(len(out)) < SHARE), mixed)
        out[name] = out[name].astype(rows[name].dtype)
    return out


def oddness(model: Any, rows: pd.DataFrame) -> float:
    """Return the AUC of telling damaged rows from whole ones."""
    good, bad = model.score_samples(rows), model.score_samples(damaged(rows))
    return float(roc_auc_score(np.repeat([1, 0], len(rows)), np.r_[good, bad]))


def features(train: pd.DataFrame, test: pd.DataFrame, target: str, vae: Any) -> dict[str, float]:
    """Return the AUC of a logistic regression on latent vectors, and on the columns themselves."""
    x_train, x_test = train.drop(columns=target), test.drop(columns=target)
    y_train, y_test = train[target], test[target]
    numbers = list(x_train.select_dtypes("number"))
    others = [name for name in x_train if name not in numbers]
    plain = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), others)
    )
    judge = make_pipeline(plain, LogisticRegression(max_iter=3000)).fit(x_train, y_train)
    encoded = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
    encoded.fit(vae.transform(x_train), y_train)
    positive = judge.classes_[1]
    return {
        "columns": float(roc_auc_score(y_test == positive, judge.predict_proba(x_test)[:, 1])),
        "latent": float(
            roc_auc_score(y_test == positive, encoded.predict_proba(vae.transform(x_test))[:, 1])
        ),
    }


def run(folder: Path) -> dict[str, Any]:
    """Return the figures of one table."""
    from synthgan import TabularGAN, TabularVAE

    train, test, info = load(folder)
    target, found = info["target"], {}
    for name, make in (("TabularGAN", TabularGAN), ("TabularVAE", TabularVAE)):
        began = time.perf_counter()
        model = make(random_state=0, verbose=0).fit(train, target=target)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        sample = model.sample(len(train), random_state=1)
        took = time.perf_counter() - began
        figures = measure(train, test, sample, info)
        found[name] = {
            **{k: figures[k] for k in ("shape", "trend", "c2st_test", "tstr", "dcr")},
            "fit_seconds": seconds,
            "sample_seconds": took,
            "odd": oddness(model, test),
        }
    vae = TabularVAE(random_state=0, verbose=0).fit(train.drop(columns=target))
    return {"models": found, "features": features(train, test, target, vae)}


def render(results: dict[str, Any]) -> str:
    """Return the Markdown of all results."""
    head = ["table", "model", "Shape %", "Trend %", "C2ST test", "TSTR", "DCR share"]
    head += ["odd rows AUC", "fit s", "sample s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    notes = []
    for table, entry in results.items():
        for model, f in entry["models"].items():
            cells = [table, f"`{model}`", f"{f['shape']:.2f}", f"{f['trend']:.2f}"]
            cells += [f"{f[k]:.3f}" for k in ("c2st_test", "tstr", "dcr", "odd")]
            cells += [f"{f['fit_seconds']:.0f}", f"{f['sample_seconds']:.1f}"]
            lines.append("| " + " | ".join(cells) + " |")
        pair = entry["features"]
        notes.append(f"{table} {pair['latent']:.3f} ({pair['columns']:.3f})")
    text = "Logistic regression on 32 latent numbers, in brackets on the columns; AUC on holdout: "
    return "\n".join([*lines, "", text + ", ".join(notes) + "."])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per table")
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render:
        import torch

        torch.set_num_threads(1)
        for table in options.tables:
            results[table] = run(options.data / table)
            RESULTS.write_text(json.dumps(results, indent=1))
            print("done:", table, results[table], flush=True)
    write_into(BENCHMARKS, "encoding", render(results))


if __name__ == "__main__":
    main()
