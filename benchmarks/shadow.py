"""Does a fit leak who was in its table? The attack with shadow models on several recipes.

    python benchmarks/shadow.py --data DIR [--models 24]
    python benchmarks/shadow.py --render      # only rewrite the table

DIR is that of ``real_tables.py``. Adult without ``fnlwgt`` and ``education``, as in ``dp.py``. Each
recipe makes `--models` tables, each of a random half of 1,000 rows; the attack knows which rows one
half of the models learned, and is judged on the other half. *Copies* returns the rows it got,
*other people* rows that nobody gave it. Results go to ``shadow.json`` and into
``docs/background/privacy.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from dp import DELTA, TARGET, levels, load, synthgan
from pages import ROOT, write_into

RESULTS = Path(__file__).resolve().parent / "shadow.json"
PAGE = ROOT / "docs" / "background" / "privacy.md"
POOL = 1000


def recipes(train: pd.DataFrame, others: pd.DataFrame) -> dict[str, Callable[..., Any]]:
    """Return ways to make a table from rows and a seed."""
    from synthgan import TabularGAN

    known = {name: levels(name, pd.concat([train, others])) for name in train}
    known = {**{name: known[name] for name in known if name != TARGET}, TARGET: known[TARGET]}

    def default(frame: pd.DataFrame, seed: int) -> Any:
        gan = TabularGAN(random_state=seed, verbose=0).fit(frame, target=TARGET)
        return gan.sample(len(frame), random_state=seed)

    def private(epsilon: float) -> Callable[..., Any]:
        return lambda frame, seed: synthgan(frame[list(known)], known, epsilon, seed)[list(frame)]

    return {
        "copies": lambda frame, seed: frame,
        "other people": lambda frame, seed: others.sample(len(frame), random_state=seed % 2**32),
        "synthgan": default,
        f"synthgan, epsilon = 8, delta = {DELTA:g}": private(8.0),
        f"synthgan, epsilon = 1, delta = {DELTA:g}": private(1.0),
    }


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    lines = [
        "| recipe | AUC | members found at 1 % false accusations | seconds |",
        "|---|---|---|---|",
    ]
    for name, run in results["runs"].items():
        cells = []
        for key in ("shadow_auc", "shadow_tpr_at_1pct_fpr"):
            (low, high), value = run[key]["interval"], run[key]["value"]
            cells.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} | {run['seconds']:.0f} |")
    note = f"{results['models']} models of {POOL // 2} rows each; 95 % intervals over models."
    return "\n".join([*lines, "", note])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--models", type=int, default=24)
    parser.add_argument("--render", action="store_true", help="only rewrite the table")
    options = parser.parse_args()
    if options.render:
        write_into(PAGE, "shadow", render(json.loads(RESULTS.read_text())))
        return
    from synthgan.evaluate import evaluate

    train, others = load(options.data)
    pool = train[:POOL]
    results: dict[str, Any] = {"models": options.models, "runs": {}}
    for name, recipe in recipes(pool, others).items():
        began = time.perf_counter()
        report = evaluate(
            pool, others[:POOL], level="quick", shadow_recipe=recipe, shadow_models=options.models
        )
        scores = {s["name"]: s for s in report.to_dict()["scores"] if "shadow" in s["name"]}
        results["runs"][name] = {**scores, "seconds": time.perf_counter() - began}
        print(name, {key: score["value"] for key, score in scores.items()}, flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_into(PAGE, "shadow", render(results))


if __name__ == "__main__":
    main()
