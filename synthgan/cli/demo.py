"""The verb that shows it all: a public table fitted, sampled and judged."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from synthgan.cli.verbs import Answer, say

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["demo"]


def demo(args: argparse.Namespace) -> Answer:
    """Fit, sample and evaluate scikit-learn's breast cancer table."""
    from synthgan.estimators.tabular_gan import TabularGAN
    from synthgan.evaluate import evaluate as compare
    from synthgan.io import write_table

    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    train, holdout = _demo_tables(args.seed)
    say(args, f"fitting {len(train)} rows of {train.shape[1]} columns")
    gan = TabularGAN(
        random_state=args.seed,
        device=args.device,
        max_time=args.max_time,
        verbose=0 if args.quiet else 1,
    )
    gan.fit(train, target="diagnosis").save(out / "model.synthgan")
    synthetic = gan.sample(len(train), random_state=args.seed)
    write_table(synthetic, out / "synthetic.parquet")
    say(args, "evaluating against the rows that were held out")
    report = compare(
        train,
        synthetic,
        holdout=holdout,
        target="diagnosis",
        history=gan.history_,
        random_state=args.seed,
        progress=not args.quiet,
    )
    report.to_html(out / "report.html")
    report.to_json(out / "report.json")
    files = {
        name.partition(".")[0] if name != "report.json" else "report_json": str(out / name)
        for name in ("model.synthgan", "synthetic.parquet", "report.html", "report.json")
    }
    text = f"{report}\n\nfull report: {out / 'report.html'}"
    return Answer({"files": files, "report": report.to_dict()}, text)


def _demo_tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two random halves of the breast cancer table, with a readable target column."""
    from sklearn.datasets import load_breast_cancer

    from synthgan._runtime import numpy_generator

    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.assign(diagnosis=bunch.target_names[bunch.target.to_numpy()])
    order = numpy_generator(seed, "demo split").permutation(len(table))
    half = len(table) // 2
    train, holdout = table.iloc[order[:half]], table.iloc[order[half:]]
    return train.reset_index(drop=True), holdout.reset_index(drop=True)
