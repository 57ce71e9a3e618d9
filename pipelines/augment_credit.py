"""A small, imbalanced loan table: would synthetic rows help the model that decides on loans?

    python pipelines/augment_credit.py --out training.parquet --html trial.html

runs a trial on ``data/german_credit.parquet`` (or another table) and writes the rows to train on:
with synthetic ones if they are shown to help, or as they were. It then reports, on rows that took
no part in the trial, what that decision was worth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from synthgan import TabularGAN
from synthgan.augment import Augmentation, augment
from synthgan.augment.learner import make_table_learner
from synthgan.exceptions import DataError, SynthganError
from synthgan.io import read_frame, write_table

DATA = Path(__file__).parent / "data" / "german_credit.parquet"


def decide(
    table: pd.DataFrame,
    target: str,
    *,
    scoring: str = "log_loss",
    learner: str = "boosting",
    max_time: str | None = None,
    repeats: int = 2,
    seed: int = 0,
) -> tuple[Augmentation, pd.DataFrame]:
    """Return the answer of the trial, and figures on rows that were kept aside, with intervals."""
    if target not in table:
        raise DataError(f"There is no column {target!r}; there are {list(table)}.")
    train, aside = train_test_split(table, test_size=0.3, stratify=table[target], random_state=seed)
    x, y = train.drop(columns=target).reset_index(drop=True), train[target].reset_index(drop=True)
    found = augment(
        x,
        y,
        make_table_learner(learner),
        scoring=scoring,
        repeats=repeats,
        generator=TabularGAN(max_time=max_time, verbose=0),
        random_state=seed,
        progress=sys.stderr.isatty(),
    )
    before = make_table_learner(learner).fit(x, y)
    after = make_table_learner(learner).fit(found.X, found.y)
    tests = aside.drop(columns=target)
    chances = [model.predict_proba(tests) for model in (before, after)]
    return found, compare(aside[target].to_numpy(), chances[0], chances[1], seed)


def compare(
    truth: np.ndarray, before: np.ndarray, after: np.ndarray, seed: int, draws: int = 1000
) -> pd.DataFrame:
    """Return AUC and log-loss of two models, and the paired bootstrap interval of the change."""
    rng = np.random.default_rng(seed)
    figures = {"AUC": lambda y, p: roc_auc_score(y, p[:, 1]), "log-loss": log_loss}
    rows = []
    for name, figure in figures.items():
        changes = []
        for _ in range(draws):
            k = rng.integers(len(truth), size=len(truth))
            if len(np.unique(truth[k])) > 1:
                changes.append(figure(truth[k], after[k]) - figure(truth[k], before[k]))
        low, high = np.quantile(changes, [0.025, 0.975])
        old, new = figure(truth, before), figure(truth, after)
        rows.append({"figure": name, "before": old, "after": new, "from": low, "to": high})
    return pd.DataFrame(rows).set_index("figure").round(4)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="Parquet file")
    parser.add_argument("--target", default="risk", help="column of two classes")
    parser.add_argument("--out", type=Path, required=True, help="the rows to train on, Parquet")
    parser.add_argument("--html", type=Path, help="the trial as a page")
    parser.add_argument("--scoring", default="log_loss", help="what decides")
    parser.add_argument("--learner", default="boosting", choices=["boosting", "linear", "forest"])
    parser.add_argument("--max-time", help="of each fit of the generator, such as 20s")
    parser.add_argument("--repeats", type=int, default=2, help="of the five folds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        if not options.out.resolve().parent.is_dir():
            raise DataError(f"Cannot write {options.out}: there is no folder {options.out.parent}.")
        table = read_frame(options.data)
        found, aside = decide(
            table,
            options.target,
            scoring=options.scoring,
            learner=options.learner,
            max_time=options.max_time,
            repeats=options.repeats,
            seed=options.seed,
        )
        print(found)
        print(f"\nOn rows that took no part (change with its 95 % interval):\n{aside.to_string()}")
        write_table(found.X.assign(**{options.target: found.y}), options.out)
        if options.html is not None:
            found.to_html(options.html)
    except (SynthganError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
