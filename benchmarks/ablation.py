"""What each part of sampling in few steps brings: schedules, classes, and the critic's rules.

Usage::

    python benchmarks/ablation.py --data DIR [--tables adult] [--only NAME ...]
    python benchmarks/ablation.py --render      # only rewrite the table in docs

``DIR`` as for ``real_tables.py``, whose metrics these are. One fit with seed 0, in which all groups
of columns have one size and are split by the dependence of pairs alone; another in which the first
is the largest; and that of the default, split by what pairs say given other columns as well. The
variants of the critic train latent classes of the first fit anew, either as they were drawn at the
start or as likelihood left them, for 900 steps, of which the critic makes the first 300 alone. Then
biases are raked as in a fit, and as many rows as there are training rows are drawn in 1, 2 and 4
steps. *Pair error* is that by which a fit decides whether to keep what a critic taught. Every
variant is added to ``benchmarks/ablation.json`` when it is done.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from pages import BENCHMARKS, write_into
from real_tables import METRICS, load, measure

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "ablation.json"
STEPS = (1, 2, 4)
CRITIC_STEPS = 900
ALL = "one column a step"
#: Where the penalty of WGAN-GP looks.
BETWEEN = torch.Generator().manual_seed(0)
#: So much likelihood that the critic's scores do not matter.
ALONE = 1e6


@dataclass(frozen=True)
class Variant:
    """How classes are trained: from where, and by which rules."""

    name: str
    start: str  # "none", "fresh" or "likelihood"
    pool: bool = True
    equal: bool = True
    given: bool = False
    critic: bool = False
    loss: str = "relativistic"
    likelihood: float = 0.0
    penalty: float = 0.1
    packed: int = 1
    ema: float = 0.99


VARIANTS = [
    Variant("any columns", "none", pool=False),
    Variant("pool", "none"),
    Variant("pool, classes by likelihood", "likelihood"),
    Variant("... the first group the largest", "likelihood", equal=False),
    Variant(
        "... and what columns say given others (the default)", "likelihood", equal=False, given=True
    ),
    Variant("pool, classes by the critic", "fresh", critic=True),
    Variant("... without R1 + R2", "fresh", critic=True, penalty=0.0),
    Variant("... non-saturating loss", "fresh", critic=True, loss="non-saturating"),
    Variant("... WGAN-GP", "fresh", critic=True, loss="wasserstein"),
    Variant("... packs of 2", "fresh", critic=True, packed=2),
    Variant("... packs of 8", "fresh", critic=True, packed=8),
    Variant("... without averaged weights", "fresh", critic=True, ema=0.0),
    Variant("... with likelihood", "fresh", critic=True, likelihood=1.0),
    Variant("likelihood, then the critic", "likelihood", critic=True),
    Variant("likelihood, then both", "likelihood", critic=True, likelihood=1.0),
    Variant("likelihood, then more of it", "likelihood", critic=True, likelihood=ALONE),
]


def wasserstein_step(
    score: Any, optimizer: Any, real: Any, fake: Any, *, loss: str, penalty: float
) -> dict[str, Any]:
    """Make a step of the critic of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028)."""
    share = torch.rand(len(real), 1, generator=BETWEEN)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    away = (slope.norm(dim=1) - 1).square().mean()
    total = score(fake).mean() - score(real).mean() + 10 * away
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return {"critic": total}


def trained(variant: Variant, gan: Any, codes: torch.Tensor, kept: Any, n_rows: int) -> Any:
    """Return the classes of a variant, raked."""
    from synthgan import TrainingOptions
    from synthgan._runtime import half_precision, torch_generator
    from synthgan.adversarial import rows as game_of_rows
    from synthgan.group_likelihood import GroupLikelihood
    from synthgan.networks.rows import LatentClasses, RowCritic
    from synthgan.options import with_changes
    from synthgan.raking import rake
    from synthgan.runs import Run
    from synthgan.sampling import Sampler

    networks, form = gan._networks, gan._form
    if variant.start == "none":
        return None
    if not variant.critic:
        return networks.joint
    old, generator = networks.joint, networks.generator
    precision = half_precision(codes.device)
    classes = LatentClasses(form.sizes, generator.width, old.classes, old.start_classes)
    classes.reset(torch_generator(0, "classes"))
    if variant.start == "likelihood":
        classes.load_state_dict(old.state_dict())
    with torch.no_grad():
        classes.bias.zero_()
    critic = RowCritic(form.sizes, form.n_ordered, 256, 2, variant.packed)
    critic.reset(torch_generator(0, "critic"))
    changes = {"refinement_steps": CRITIC_STEPS, "penalty": variant.penalty, "ema": variant.ema}
    options = with_changes(TrainingOptions.for_rows(n_rows), changes)
    of_wasserstein = variant.loss == "wasserstein"
    loss = "relativistic" if of_wasserstein else variant.loss
    game = game_of_rows.Game(loss, variant.likelihood)
    raked = Sampler(generator, precision, classes, networks.schedule)
    step = wasserstein_step if of_wasserstein else game_of_rows.critic_step
    with mock.patch.object(game_of_rows, "critic_step", step):
        game_of_rows.fit_adversarial(
            GroupLikelihood(raked.predictor), classes, critic, networks.schedule, codes[kept],
            options, seed=0, run=Run(), game=game,
        )  # fmt: skip
    classes.requires_grad_(False)
    raked = Sampler(generator, precision, classes, networks.schedule)  # as they are now
    for steps in STEPS:
        rake(raked, classes.bias_of(steps), codes, steps=steps, seed=0)
    return classes


def run(variant: Variant, folder: Path, gan: Any) -> dict[str, Any]:
    """Train one variant and measure what it samples in few steps."""
    from synthgan._runtime import half_precision
    from synthgan.adversarial.rows import few_step_error
    from synthgan.estimators.table_form import split_rows
    from synthgan.sampling import Sampler
    from synthgan.step_choice import step_cost

    train, test, info = load(folder)
    table = gan._form.read(train)
    codes = torch.from_numpy(gan._form.tokens(table))
    kept, held_out = split_rows(len(codes), 0)
    began = time.perf_counter()
    classes = trained(variant, gan, codes, kept, len(train))
    found: dict[str, Any] = {"seconds": time.perf_counter() - began, "steps": {}}
    before = gan._networks
    schedule = before.schedule
    if not variant.pool:
        schedule = type(schedule)(*np.zeros_like([schedule.alone, schedule.given]))
    gan._networks = replace(before, joint=classes, schedule=schedule)
    sampler = Sampler(before.generator, half_precision(codes.device), classes, schedule)
    found["pair_error"] = few_step_error(sampler, codes[kept], seed=0)
    for steps in STEPS:
        cost = step_cost(sampler, codes[held_out], steps)
        figures = measure(train, test, gan.sample(len(train), steps=steps, random_state=1000), info)
        found["steps"][str(steps)] = {
            "cost": cost["cost"], "divergence": cost["divergence"],
            **{key: figures[key] for key in METRICS if key in figures},
        }  # fmt: skip
    gan._networks = before
    return found


def fitted(folder: Path, *, equal: bool, given: bool) -> Any:
    """Return a fitted model whose groups of columns have one size, or a large first one.

    They are split by what columns say about each other alone, or `given` others as well.
    """
    from synthgan import TabularGAN
    from synthgan.estimators import row_training
    from synthgan.schedules import Schedule

    class EqualGroups(Schedule):
        """A schedule whose groups have one size, also where nothing of a row is known."""

        def groups(
            self, columns: Any, steps: int, generator: Any, *, begun: bool
        ) -> list[list[int]]:
            return super().groups(columns, steps, generator, begun=True)

    train, _, info = load(folder)

    def nothing(predictor: Any, tokens: Any, *rest: Any) -> Any:
        return np.zeros((tokens.shape[1],) * 2, np.float32)

    kind = EqualGroups if equal else Schedule
    known = row_training.conditional_information if given else nothing
    with (
        mock.patch.object(row_training, "Schedule", kind),
        mock.patch.object(row_training, "conditional_information", known),
    ):
        return TabularGAN(random_state=0, device="cpu", verbose=0).fit(train, target=info["target"])


def one_by_one(folder: Path, gan: Any) -> dict[str, Any]:
    """Measure what is sampled one column a step, which no variant changes."""
    train, test, info = load(folder)
    rows = gan.sample(len(train), steps=train.shape[1], random_state=1000)
    figures = measure(train, test, rows, info)
    return {"steps": {"all": {key: figures[key] for key in METRICS if key in figures}}}


COLUMNS = {"cost": 2, "trend": 2, "c2st_train": 3, "c2st_test": 3, "tstr": 3}


def render(results: dict[str, Any]) -> str:
    """Return the Markdown table: for each figure, its values at 1, 2 and 4 steps."""
    titles = ["cost, nats", "Trend %", "C2ST train", "C2ST test", "TSTR"]
    lines = ["| table | variant | " + " | ".join([*titles, "pair error"]) + " |"]
    lines.append("|" + "---|" * (len(titles) + 3))
    for table, variants in results["tables"].items():
        for name in [*(v.name for v in VARIANTS), ALL]:
            if name not in variants:
                continue
            found = variants[name]
            cells = [
                " / ".join(f"{at[key]:.{digits}f}" for at in found["steps"].values() if key in at)
                for key, digits in COLUMNS.items()
            ]
            cells.append(f"{found['pair_error']:.4f}" if "pair_error" in found else "")
            lines.append(f"| {table} | {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "At 1 / 2 / 4 steps. Seed 0, one core."])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of table folders")
    parser.add_argument("--tables", nargs="*", default=["adult"])
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--render", action="store_true", help="only rewrite the table")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tables": {}}
    if not options.render:
        for table in options.tables:
            folder = options.data / table
            gan = functools.cache(functools.partial(fitted, folder))
            done = results["tables"].setdefault(table, {})
            for variant in VARIANTS:
                if variant.name in done or variant.name not in (options.only or [variant.name]):
                    continue
                done[variant.name] = run(
                    variant, folder, gan(equal=variant.equal, given=variant.given)
                )
                print(table, variant.name, json.dumps(done[variant.name]), flush=True)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            if ALL not in done:
                done[ALL] = one_by_one(folder, gan(equal=True, given=False))
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_into(BENCHMARKS, "ablation", render(results))


if __name__ == "__main__":
    main()
