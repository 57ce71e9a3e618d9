"""The fit of a table without privacy: likelihood, calibration, and a critic if it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from synthgan._runtime import half_precision, logger, torch_generator
from synthgan.adversarial.rows import few_step_error, fit_adversarial
from synthgan.estimators.table_form import (
    TableForm,
    default_width,
    log_frequencies,
    split_rows,
)
from synthgan.likelihood import calibrate, fit_likelihood
from synthgan.networks.rows import JointBranch, RowCritic, RowGenerator
from synthgan.sampling import Sampler
from synthgan.training import Run, TrainingOptions

__all__ = ["LATENT", "train_rows"]

#: Length of the latent vector of the joint branch.
LATENT = 32
_DEPTH = 3
_LIKELIHOOD_SHARE = 0.6  # of max_time, when an adversarial phase follows
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
) -> tuple[RowGenerator, JointBranch | None, list[dict[str, Any]]]:
    """Train the networks on tokens.

    Parameters
    ----------
    codes : ndarray of int, shape (rows, active columns)
    form : TableForm
    options : TrainingOptions
    width, depth : int or None
        Of the generator; None chooses by the number of rows.
    seed : int
    device : torch.device
    run : Run

    Returns
    -------
    RowGenerator
    JointBranch or None
        None unless a critic taught it, and pairs of columns came closer to the data.
    list of dict
        Figures of every epoch.
    """
    n_rows, sizes, n_ordered = len(codes), form.sizes, form.n_ordered
    width = width or default_width(n_rows)
    generator = RowGenerator(sizes, n_ordered, width, depth or _DEPTH, options.dropout)
    generator.reset(torch_generator(seed, "weights"), log_frequencies(codes, sizes))
    if not sizes:
        return generator.eval(), None, []
    generator.to(device)
    held_out, kept = split_rows(n_rows, seed)
    tokens = torch.from_numpy(codes).to(device)
    precision = half_precision(device)
    refine = options.refinement_steps > 0 and len(sizes) > 1
    result = fit_likelihood(
        generator,
        tokens[kept],
        tokens[held_out],
        options,
        seed=seed,
        precision=precision,
        run=run.part(_LIKELIHOOD_SHARE if refine else 0.9),
    )
    logger.info("likelihood phase ended: %s", result.reason)
    calibrate(generator, tokens, seed=seed, precision=precision)
    generator.eval().requires_grad_(False)
    if not refine:
        return generator, None, result.history
    joint = JointBranch(len(sizes), width, LATENT)
    critic = RowCritic(sizes, n_ordered, _CRITIC_WIDTH, _CRITIC_DEPTH)
    joint.reset(torch_generator(seed, "joint branch"))
    critic.reset(torch_generator(seed, "critic"))
    refined = fit_adversarial(
        generator,
        joint.to(device),
        critic.to(device),
        tokens[kept],
        options,
        seed=seed,
        run=run,
    )
    logger.info("adversarial phase ended: %s", refined.reason)
    joint.eval().requires_grad_(False)
    errors = [
        few_step_error(Sampler(generator, precision, branch), tokens[kept], seed=seed)
        for branch in (None, joint)
    ]
    refined.history[-1]["few_step_error"] = dict(zip(("without", "with"), errors, strict=True))
    kept_joint = joint if errors[1] < errors[0] else None
    logger.info("pair error at two steps %s; branch kept: %s", errors, kept_joint is not None)
    return generator, kept_joint, result.history + refined.history
