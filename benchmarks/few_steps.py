"""What each part brings to samples of few steps.

Usage::

    python benchmarks/few_steps.py --data DIR [--tables adult ...]
    python benchmarks/few_steps.py --render      # only rewrite the table in docs

``DIR`` as for ``fidelity.py``. One fit per table; then the same generator is sampled in 1, 2, 4 and
8 steps, with the columns of a step chosen at random, by a pool of schedules, with latent classes,
and with classes that a critic has refined. Cost is the log-likelihood per row that validation rows
lose against one column a step, in nats; the other figures are those of ``fidelity.py``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fidelity import load, measure
from pages import BENCHMARKS, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "few_steps.json"
STEPS = [1, 2, 4, 8]
CRITIC_STEPS = 600
METRICS = {
    "cost": ("cost", 3), "shape": ("Shape %", 2), "trend": ("Trend %", 2),
    "c2st_train": ("C2ST train", 3), "c2st_test": ("C2ST test", 3), "tstr": ("TSTR", 3),
    "sample_seconds": ("sample s", 1),
}  # fmt: skip


def run(folder: Path) -> dict[str, Any]:
    """Fit one table and measure all variants."""
    from synthgan import TabularGAN, TrainingOptions
    from synthgan.adversarial.rows import fit_adversarial
    from synthgan.estimators.table_form import split_rows
    from synthgan.few_steps import GroupLikelihood, step_cost
    from synthgan.networks.rows import LatentClasses, RowCritic
    from synthgan.raking import rake
    from synthgan.runs import Run
    from synthgan.sampling import Sampler
    from synthgan.schedules import Schedule

    train, test, info = load(folder)
    began = time.perf_counter()
    gan = TabularGAN(random_state=0, verbose=0).fit(train, target=info["target"])
    found: dict[str, Any] = {"fit_seconds": time.perf_counter() - began, "columns": train.shape[1]}
    found["class_seconds"] = max(
        (e["seconds"] for e in gan.history_ if e["phase"] == "classes"), default=0.0
    )
    sampler = gan._sampler()
    codes = torch.from_numpy(sampler._encode_some(gan._form.read(train))[0])
    held_out, kept = split_rows(len(codes), 0)
    schedule, classes, generator = gan._networks.schedule, gan.joint_, gan.generator_
    likelihood = GroupLikelihood(sampler.sampler.predictor)
    sizes, n_ordered = gan._form.sizes, gan._form.n_ordered
    refined = LatentClasses(sizes, generator.width, classes.classes, classes.start_classes)
    refined.load_state_dict(classes.state_dict())
    critic = RowCritic(sizes, n_ordered, 256, 2)
    critic.reset(torch.Generator().manual_seed(0))
    options = TrainingOptions.for_rows(len(train), refinement_steps=CRITIC_STEPS)
    fit_adversarial(generator, refined, critic, schedule, codes[kept], options, seed=0, run=Run())
    refined.requires_grad_(False)
    refined.bias.zero_()  # raked anew, as in a fit, or the comparison would not be fair
    raked = Sampler(generator, sampler.sampler.precision, refined, schedule)
    for steps in [s for s in STEPS if s < len(sizes)]:
        rake(raked, refined.bias_of(steps), codes, steps=steps, seed=0)
    anything = Schedule(np.zeros_like(schedule.dependence))
    variants = {
        "any columns": (None, anything),
        "pool": (None, schedule),
        "pool, classes": (classes, schedule),
        "pool, classes, critic": (refined, schedule),
    }
    found["samples"] = {}
    for name, (joint, groups) in variants.items():
        gan._networks = replace(gan._networks, joint=joint, schedule=groups)
        for steps in [s for s in STEPS if s < len(sizes)]:
            began = time.perf_counter()
            rows = gan.sample(len(train), steps=steps, random_state=1000)
            seconds = time.perf_counter() - began
            figures = measure(train, test, rows, info)
            cost = step_cost(likelihood, groups, joint, codes[held_out], steps)["cost"]
            entry = {k: figures[k] for k in METRICS if k in figures}
            found["samples"][f"{name}: {steps}"] = {
                **entry, "cost": cost, "sample_seconds": seconds,
            }  # fmt: skip
            print(folder.name, name, steps, found["samples"][f"{name}: {steps}"], flush=True)
    began = time.perf_counter()
    rows = gan.sample(len(train), steps=len(sizes), random_state=1000)
    seconds = time.perf_counter() - began
    figures = measure(train, test, rows, info)
    found["samples"][f"one column a step: {len(sizes)}"] = {
        **{k: figures[k] for k in METRICS if k in figures}, "cost": 0.0, "sample_seconds": seconds,
    }  # fmt: skip
    return found


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table."""
    lines = ["| table | steps | columns of a step | " + " | ".join(t for t, _ in METRICS.values())]
    lines[0] += " |"
    lines.append("|" + "---|" * (len(METRICS) + 3))
    for table, entry in results.items():
        keys = sorted(entry["samples"], key=lambda key: int(key.rpartition(": ")[2]))
        for key in keys:
            name, _, steps = key.rpartition(": ")
            shown = [
                f"{entry['samples'][key][metric]:.{digits}f}"
                for metric, (_, digits) in METRICS.items()
            ]
            lines.append(f"| {table} | {steps} | {name} | " + " | ".join(shown) + " |")
    fits = ", ".join(
        f"{table} {e['fit_seconds']:.0f} s, of them {e['class_seconds']:.0f} for the classes"
        for table, e in results.items()
    )
    return "\n".join([*lines, "", f"Seed 0. Fits on one core: {fits}."])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=["adult", "default", "shoppers", "beijing"])
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.render:
        for name in options.tables:
            results[name] = run(options.data / name)
            RESULTS.write_text(json.dumps(results, indent=1, default=float) + "\n")
    write_into(BENCHMARKS, "few steps", render(results))


if __name__ == "__main__":
    main()
