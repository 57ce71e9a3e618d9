"""The fit of a table without privacy: likelihood, classes, and a critic if it is asked for."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from synthgan import ranks
from synthgan._runtime import half_precision, logger, torch_generator
from synthgan.adversarial.rows import few_step_error, fit_adversarial
from synthgan.completion import MOST_START_SHARES
from synthgan.dependence import conditional_information, mutual_information
from synthgan.estimators.table_form import TableForm, default_width, split_rows, tokens_on
from synthgan.estimators.table_networks import TableNetworks
from synthgan.few_steps import STEPS, few_step_loss, fit_classes, fit_start
from synthgan.group_likelihood import GroupLikelihood
from synthgan.likelihood import fit_likelihood
from synthgan.networks.rows import LatentClasses, RowCritic, RowGenerator
from synthgan.options import TrainingOptions
from synthgan.raking import rake, smoothed_shares
from synthgan.runs import Run
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule
from synthgan.step_choice import choose_steps

__all__ = ["train_rows"]

_DEPTH = 3
# of max_time, when these phases end
_LIKELIHOOD_SHARE, _DEPENDENCE_SHARE, _CLASS_SHARE = 0.6, 0.7, 0.85
_CRITIC_WIDTH, _CRITIC_DEPTH = 256, 2


def train_rows(
    codes: np.ndarray[Any, Any],
    form: TableForm,
    options: TrainingOptions,
    *,
    width: int | None,
    depth: int | None,
    seed: int,
    device: torch.device,
    run: Run,
) -> tuple[TableNetworks, list[dict[str, Any]]]:
    """Train the networks on tokens; return them, and the figures of every epoch.

    Parameters
    ----------
    codes : ndarray of int, shape (rows, active columns)
    form : TableForm
    options : TrainingOptions
    width, depth : int or None
        Of the generator; None chooses by the numbers of rows and tokens.
    seed : int
    device : torch.device
    run : Run
    """
    n_rows, sizes, n_ordered = len(codes), form.sizes, form.n_ordered
    width = int(width or default_width(n_rows, sum(sizes)))
    generator = RowGenerator(sizes, n_ordered, width, depth or _DEPTH)
    generator.reset(
        torch_generator(seed, "weights"), smoothed_shares(torch.from_numpy(codes), sizes).log()
    )
    if not sizes:
        return TableNetworks(generator.eval(), None, None), []
    generator.to(device)
    kept, aside = split_rows(n_rows, seed)
    tokens = tokens_on(device, codes)
    precision = half_precision(device)
    result = fit_likelihood(
        generator,
        tokens[kept],
        tokens[aside],
        options,
        seed=seed,
        precision=precision,
        run=run.part(_LIKELIHOOD_SHARE if len(sizes) > 1 else 0.9),
    )
    logger.info("likelihood phase ended: %s", result.reason)
    sampler = Sampler(generator, precision)
    match = functools.partial(rake, tokens=tokens, seed=seed, deadline=run.deadline)
    match(sampler, generator.bias, steps=len(sizes))
    generator.eval().requires_grad_(False)
    schedule = Schedule(
        mutual_information(codes, sizes, seed),
        conditional_information(
            sampler.predictor, tokens[aside], seed, run.deadline.part(_DEPENDENCE_SHARE)
        ),
    )
    likelihood, history = GroupLikelihood(sampler.predictor), result.history
    classes = None
    if len(sizes) > 1 and options.classes and options.class_steps != 0:
        most = max(MOST_START_SHARES // sum(sizes), 1)
        starts = min(options.start_classes, most)
        classes = LatentClasses(sizes, width, options.classes, starts)
        classes.reset(torch_generator(seed, "classes"))
        classes.to(device)
        parts, watched = (tokens[kept], tokens[aside]), run.part(_CLASS_SHARE)
        found = fit_start(likelihood, classes, *parts, options, seed=seed, run=watched)
        logger.info("classes of the first step ended: %s", found.reason)
        history = history + found.history
        if len(sizes) > 2:
            found = fit_classes(
                likelihood, classes, schedule, *parts, options, seed=seed, run=watched
            )
            logger.info("classes ended: %s", found.reason)
            history = history + found.history
        losses = [
            ranks.agreed(few_step_loss(likelihood, schedule, c, tokens[aside]))
            for c in (None, classes)
        ]
        logger.info("loss of few steps without and with classes: %s", losses)
        if losses[1] >= losses[0]:
            classes = None
    if classes is not None:
        if options.refinement_steps:
            history = history + _refine(
                likelihood, classes, schedule, tokens[kept], form, options, seed, run
            )
        classes.eval().requires_grad_(False)
        sampler = Sampler(generator, precision, classes, schedule)
        for k in (k for k in STEPS if k < len(sizes)):
            match(sampler, classes.bias_of(k), steps=k)
        classes.extend_bias(STEPS[-1])
    sampler = Sampler(generator, precision, classes, schedule)

    def prepare(steps: int) -> None:
        if classes is not None:
            match(sampler, classes.bias_of(steps), steps=steps)
            classes.extend_bias(steps)

    steps, costs = choose_steps(sampler, tokens[aside], prepare)
    logger.info("steps of a sample: %d; costs %s", steps, costs)
    if classes is not None and steps not in STEPS and steps < min(STEPS[-1], len(sizes)):
        match(sampler, classes.bias_of(steps), steps=steps)
    return TableNetworks(generator, classes, schedule, steps, costs), history


def _refine(
    likelihood: GroupLikelihood,
    classes: LatentClasses,
    schedule: Schedule,
    tokens: torch.Tensor,
    form: TableForm,
    options: TrainingOptions,
    seed: int,
    run: Run,
) -> list[dict[str, Any]]:
    """Let a critic teach the classes, and keep that if pairs of columns come closer to the data."""

    def error() -> float:
        predictor = likelihood.predictor
        sampler = Sampler(predictor.generator, predictor.half, classes, schedule)
        return ranks.agreed(few_step_error(sampler, tokens, seed=seed))

    before = {name: value.clone() for name, value in classes.state_dict().items()}
    errors = {"without": error()}
    critic = RowCritic(form.sizes, form.n_ordered, _CRITIC_WIDTH, _CRITIC_DEPTH)
    critic.reset(torch_generator(seed, "critic"))
    refined = fit_adversarial(
        likelihood, classes, critic.to(tokens.device), schedule, tokens, options, seed=seed, run=run
    )
    logger.info("adversarial phase ended: %s", refined.reason)
    errors["with"] = error()
    refined.history[-1]["few_step_error"] = errors
    if errors["with"] >= errors["without"]:
        classes.load_state_dict(before)
    logger.info("pair error at two steps %s", errors)
    return refined.history
