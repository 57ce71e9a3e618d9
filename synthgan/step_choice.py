"""Last part of a fit: how many steps a sample takes unless it is asked for others.

Two numbers say what `k` steps change, against one column a step in the same order. The *cost* is
the log-likelihood that unseen rows lose. It may be below zero: a network that fills one cell after
the other has learned some of its training rows by heart, and classes forget them. But unseen rows
of a small table are few, and a mixture that hedges does not look worse to them. The *divergence* is
the log-likelihood that rows of `k` steps themselves lose. These can be drawn in any number. They
lose what is forgotten as well; so where unseen rows are many, what they gain for sure is taken off.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from synthgan._runtime import numpy_generator, widest
from synthgan.few_steps import STEPS
from synthgan.group_likelihood import GroupLikelihood
from synthgan.networks.mixtures import LatentChoice
from synthgan.sampling import Sampler

__all__ = ["choose_steps", "step_cost"]

#: Rows by which numbers of steps are compared, and cells in them. If there are `_MANY` rows,
#: several splits of the columns share them; if not, each of a few splits is tried on all.
_ROWS, _CELLS, _MANY, _SPLITS, _SPLITS_OF_FEW = 4096, 100_000, 512, 8, 2
#: Rows drawn, over all splits, unless more are compared.
_DRAWN_ROWS = 512
#: Nats per row that fewer steps may cost, with one standard error. Whoever knows both densities
#: tells rows that differ by so much apart with an AUC of .56 (if the log-ratio is normal).
_MOST_COST = 0.02
#: Columns up to which these bounds hold; of more they grow in proportion, since nats add up over
#: all columns, and a judge sees a few at a time. Of 150 columns, rows of eight steps are 4 nats
#: from one column a step, which is 21 nats from itself in another order; judges see no difference.
_COLUMNS = 15
#: Numbers of steps that are tried.
_TRIED = (1, 2, 3, 4, 5, 6, 8, 16, 32, 64)
#: Error of a cost that one row alone says.
_UNKNOWN = 1e6
#: Nats by which rows may differ from those of one column a step, beyond what unseen rows gain. If
#: they differed by up to .5 before that is taken off, judges on test rows saw no difference beyond
#: the noise of samples on six tables, and classifiers trained on them lost at most .015 of their
#: AUC; at .7 after it, judges do see one, on Magic (`benchmarks/NOTES.md`).
_MOST_DIVERGENCE = 0.6


@torch.no_grad()
def step_cost(sampler: Sampler, tokens: Tensor, steps: int) -> dict[str, float]:
    """Return what `steps` steps change against one column a step, in the same order.

    Parameters
    ----------
    sampler : Sampler
        With a schedule.
    tokens : Tensor, shape (rows, variables), integer
        Rows that the model has not seen.
    steps : int

    Returns
    -------
    dict
        ``steps``, ``cost`` (nats per row), ``error`` (its standard error) and ``divergence`` (nats
        per row).
    """
    assert sampler.schedule is not None
    classes = sampler.joint
    assert not isinstance(classes, LatentChoice)
    variables = tokens.shape[1]
    rows = tokens[: int(np.clip(_CELLS // variables, 256, _ROWS))].long()
    shared = len(rows) >= _MANY
    likelihood = GroupLikelihood(sampler.predictor)
    sampler.forget()  # tables of other numbers of steps
    rng = numpy_generator(0, "costs", steps)
    lost = torch.zeros(len(rows), dtype=widest(rows.device), device=rows.device)
    apart = 0.0
    splits = _SPLITS if shared else _SPLITS_OF_FEW
    n_drawn = max(_DRAWN_ROWS, len(rows)) // splits
    for number in range(splits):
        part = slice(number, None, splits) if shared else slice(None)
        groups = sampler.schedule.groups(range(variables), steps, rng, begun=False)
        single = [[j] for group in groups for j in rng.permutation(group).tolist()]
        drawn = sampler.draw(rng, n_drawn, groups)
        both = torch.cat([rows[part], drawn])
        gained = likelihood.of_rows(both, groups, classes)
        gained -= likelihood.of_rows(both, single, None)
        lost[part] -= gained[: len(rows[part])]
        apart += float(gained[-n_drawn:].mean()) / splits
    if not shared:
        lost /= splits
    error = float(lost.std()) / len(rows) ** 0.5 if len(rows) > 1 else _UNKNOWN
    return {"steps": steps, "cost": float(lost.mean()), "error": error, "divergence": apart}


def choose_steps(
    sampler: Sampler, tokens: Tensor, prepare: Callable[[int], None] | None = None
) -> tuple[int, list[dict[str, float]]]:
    """Return the fewest steps that lose nothing measurable, and what they and fewer change.

    1 to 6, 8, and on to 64 steps are tried in turn, until the cost and its standard error are at
    most 0.02 nats per row together, and the divergence at most 0.6. If there are 512 rows or more,
    what these two lie below 0 is taken off the latter. Of more than 15 variables, both bounds grow
    in proportion. If they are never kept, it takes as many steps as there are variables.

    Parameters
    ----------
    sampler, tokens
        As for :func:`step_cost`.
    prepare : callable, optional
        Called with a number of steps above 8, before it is tried.
    """
    variables = tokens.shape[1]
    scale = max(variables / _COLUMNS, 1.0)
    costs: list[dict[str, float]] = []
    for steps in (k for k in _TRIED if k < variables):
        if prepare is not None and steps > STEPS[-1]:
            prepare(steps)
        costs.append(found := step_cost(sampler, tokens, steps))
        lost = found["cost"] + found["error"]
        apart = found["divergence"] + (min(lost, 0.0) if len(tokens) >= _MANY else 0.0)
        if lost <= _MOST_COST * scale and apart <= _MOST_DIVERGENCE * scale:
            return steps, costs
    return variables, costs
