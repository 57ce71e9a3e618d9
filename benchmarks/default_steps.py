"""Whether judges see what the default number of steps loses against one column a step.

Usage::

    python benchmarks/default_steps.py --data DIR [--tables adult ...] [--seeds 0 1 2]
    python benchmarks/default_steps.py --render      # only rewrite the table in docs

``DIR`` as for ``real_tables.py``. Of every fit ten samples are drawn in as many steps as it chose,
in one step fewer, and one column a step; each is compared with the same test rows. A single sample
would not do: what C2ST moves by from one to the next is more than what is looked for. Every
finished fit is added to ``benchmarks/default_steps.json``, so that an interrupted benchmark goes on
where it stopped; on another machine it begins anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pages import BENCHMARKS, write_into
from real_tables import TABLES, commit, load, read, where
from sklearn.metrics import roc_auc_score
from sklearn.metrics import root_mean_squared_error as rmse

if TYPE_CHECKING:
    from synthgan.evaluate.tables import Tables, Task

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "default_steps.json"
SAMPLES = 10
JUDGED = {"c2st": "C2ST test", "tstr": "TSTR"}


def judge(tables: Tables, target: str, task: Task, seed: int) -> dict[str, float]:
    """Return how well a table is told from test rows, and what training on it is worth there.

    The latter is the AUC of boosted trees, or their RMSE where the task is regression.
    """
    from synthgan.evaluate.fidelity.detection import c2st
    from synthgan.evaluate.learners import features, make_booster

    made, real = tables.synthetic, tables.holdout
    assert real is not None
    told = c2st(real, made, booster="xgboost", seed=seed).value
    assert told is not None
    x_made, x_real, codes, _ = features(made.drop(target), real.drop(target))
    model = make_booster("xgboost", task, codes, seed).fit(x_made, made[target])
    if task == "regression":
        return {"c2st": told, "tstr": rmse(real[target], model.predict(x_real))}
    odds = model.predict_proba(x_real)
    odds = odds[:, 1] if odds.shape[1] == 2 else odds
    return {"c2st": told, "tstr": float(roc_auc_score(real[target], odds, multi_class="ovr"))}


def run(folder: Path, seed: int) -> dict[str, Any]:
    """Fit once; return the figures of ten samples for each number of steps."""
    from synthgan import TabularGAN

    train, test, info = load(folder)
    version = commit()
    gan = TabularGAN(random_state=seed, verbose=0).fit(train, target=info["target"])
    tried = {"default": gan.steps_, "fewer": gan.steps_ - 1, "all": train.shape[1]}
    judged: dict[str, dict[str, list[float]]] = {}
    for name, steps in tried.items():
        if not steps:
            continue
        figures = []
        for number in range(SAMPLES):
            rows = gan.sample(len(train), steps=steps, random_state=number)
            tables, task = read(train, test, rows, info)
            figures.append(judge(tables, info["target"], task, number))
        judged[name] = {key: [found[key] for found in figures] for key in JUDGED}
    return {"commit": version, "steps": gan.steps_, "judged": judged}


def difference(fits: list[dict[str, Any]], name: str, figure: str) -> str:
    """Return what a number of steps adds to one column a step, with the standard error of draws.

    Samples of one number had the same seed, and the same judge.
    """
    added = [
        np.subtract(fit["judged"][name][figure], fit["judged"]["all"][figure])
        for fit in fits
        if name in fit["judged"]
    ]
    if not added:
        return "-"
    error = sum(values.var(ddof=1) / len(values) for values in added) ** 0.5 / len(added)
    return f"{np.mean(added):+.4f} ± {error:.4f}"


def noise(fits: list[dict[str, Any]], figure: str) -> str:
    """Return the standard deviation of a figure between samples of one fit and number of steps."""
    variances = [np.var(figures[figure], ddof=1) for f in fits for figures in f["judged"].values()]
    return f"{np.mean(variances) ** 0.5:.3f}"


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    head = ["table", "steps chosen"]
    for title in JUDGED.values():
        head += [f"{title}, one column a step", "... moves by", "... default", "... one step fewer"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for table in (name for name in TABLES if name in results["tables"]):
        fits = list(results["tables"][table].values())
        cells = [f"**{table}**", ", ".join(str(fit["steps"]) for fit in fits)]
        for figure in JUDGED:
            whole = np.mean([np.mean(fit["judged"]["all"][figure]) for fit in fits])
            cells += [f"{whole:.3f}", noise(fits, figure)]
            cells += [difference(fits, name, figure) for name in ("default", "fewer")]
        lines.append("| " + " | ".join(cells) + " |")
    note = (
        f"{SAMPLES} samples of each fit and number of steps. *Moves by*: standard deviation from "
        "sample to sample, each with its own judge. *Default*, *one step fewer*: what they add to "
        "one column a step, ± one standard error of the draws, for these fits and test rows. TSTR "
        f"of Beijing is an error, of the others an AUC. Machine: {results['machine']}."
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
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render:
        import torch

        torch.set_num_threads(1)
        if results.get("machine") != where():
            results = {"machine": where(), "tables": {}}
        for seed in options.seeds:
            for table in options.tables:
                fits = results["tables"].setdefault(table, {})
                if str(seed) in fits:
                    continue
                fits[str(seed)] = run(options.data / table, seed)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
                print("done:", table, seed, fits[str(seed)]["steps"], flush=True)
    write_into(BENCHMARKS, "default-steps", render(results))


if __name__ == "__main__":
    main()
