"""Whether judges see what the default number of steps loses against one column a step.

Usage::

    python benchmarks/default_steps.py --data DIR [--tables adult ...] [--seeds 0 1 2]
    python benchmarks/default_steps.py --render      # only rewrite the table in docs

``DIR`` as for ``real_tables.py``. Of every fit ten samples are drawn in as many steps as it chose,
in one step less, and one column a step; each is compared with the same test rows. A single sample
would not do: what C2ST moves by from one to the next is more than what is looked for. Every
finished fit is added to ``benchmarks/default_steps.json``, so that an interrupted benchmark goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pages import BENCHMARKS, write_into
from real_tables import TABLES, load, machine, read
from sklearn.metrics import roc_auc_score

if TYPE_CHECKING:
    from synthgan.evaluate.tables import Tables, Task

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "default_steps.json"
SAMPLES = 10
JUDGED = ("c2st", "tstr")


def judge(tables: Tables, target: str, task: Task, seed: int) -> dict[str, float | None]:
    """Return how well a table is told from test rows, and what training on it is worth there.

    The latter is the TSTR of ``real_tables.py`` without intervals and other learners.
    """
    from synthgan.evaluate.fidelity.detection import c2st
    from synthgan.evaluate.learners import features, make_booster

    made, real = tables.synthetic, tables.holdout
    assert real is not None
    x_made, x_real, codes, _ = features(made.drop(target), real.drop(target))
    model = make_booster("xgboost", task, codes, seed).fit(x_made, made[target])
    if task == "regression":
        useful = float(np.mean((model.predict(x_real) - real[target]) ** 2) ** 0.5)
    else:
        odds = model.predict_proba(x_real)
        odds = odds[:, 1] if odds.shape[1] == 2 else odds
        useful = float(roc_auc_score(real[target], odds, multi_class="ovr"))
    return {"c2st": c2st(real, made, booster="xgboost", seed=seed).value, "tstr": useful}


def run(folder: Path, seed: int) -> dict[str, Any]:
    """Fit once; return the figures of ten samples for each number of steps."""
    from synthgan import TabularGAN

    train, test, info = load(folder)
    gan = TabularGAN(random_state=seed, verbose=0).fit(train, target=info["target"])
    tried = {"default": gan.steps_, "fewer": gan.steps_ - 1, "all": train.shape[1]}
    judged: dict[str, dict[str, list[float | None]]] = {}
    for name, steps in tried.items():
        if not steps:
            continue
        figures = []
        for number in range(SAMPLES):
            rows = gan.sample(len(train), steps=steps, random_state=number)
            tables, task = read(train, test, rows, info)
            figures.append(judge(tables, info["target"], task, number))
        judged[name] = {key: [found[key] for found in figures] for key in JUDGED}
    return {"steps": gan.steps_, "judged": judged}


def difference(fits: list[dict[str, Any]], name: str, figure: str) -> str:
    """Return by how much a number of steps differs from one column a step, with standard error."""
    pairs = [
        (np.array(fit["judged"][name][figure]), np.array(fit["judged"]["all"][figure]))
        for fit in fits
        if name in fit["judged"]
    ]
    if not pairs:
        return "-"
    means = [a.mean() - b.mean() for a, b in pairs]
    errors = [a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b) for a, b in pairs]
    return f"{np.mean(means):+.4f} ± {sum(errors) ** 0.5 / len(pairs):.4f}"


def spread(fits: list[dict[str, Any]], figure: str) -> str:
    """Return the standard deviation of a figure from sample to sample, fit and steps the same."""
    variances = [np.var(figures[figure], ddof=1) for f in fits for figures in f["judged"].values()]
    return f"{np.mean(variances) ** 0.5:.3f}"


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    head = ["table", "steps chosen", "C2ST test, one column a step", "... moves by", "... default",
            "... one step fewer", "TSTR, one column a step", "... default"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for table in (name for name in TABLES if name in results["tables"]):
        fits = list(results["tables"][table].values())
        c2st, tstr = (
            np.mean([np.mean(fit["judged"]["all"][figure]) for fit in fits]) for figure in JUDGED
        )
        cells = [
            f"**{table}**", ", ".join(str(fit["steps"]) for fit in fits),
            f"{c2st:.3f}", spread(fits, "c2st"), difference(fits, "default", "c2st"),
            difference(fits, "fewer", "c2st"),
            f"{tstr:.3f}", difference(fits, "default", "tstr"),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    facts = results["machine"]
    note = (
        f"{SAMPLES} samples of each fit and number of steps. *Moves by*: standard deviation from "
        "sample to sample. *Default*, *one step fewer*: what they add to one column a step, ± one "
        f"standard error. Machine: {facts['processor']}, torch {facts['torch']}."
    )
    return "\n".join([*lines, "", note])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tables": {}}
    if not options.render:
        import torch

        torch.set_num_threads(1)
        results["machine"] = machine()
        for seed in options.seeds:
            for table in options.tables:
                fits = results["tables"].setdefault(table, {})
                if str(seed) in fits:
                    continue
                fits[str(seed)] = run(options.data / table, seed)
                RESULTS.write_text(json.dumps(results, indent=1))
                print("done:", table, seed, fits[str(seed)]["steps"], flush=True)
    write_into(BENCHMARKS, "default-steps", render(results))


if __name__ == "__main__":
    main()
