"""Can a secret of a person be read off, given the rest of the record? Attribute inference.

The attacker knows all columns of a target but one, finds the nearest synthetic row, and takes its
value as the guess. That works a little for anybody, since columns are related; what counts is how
much better it works for people in train than for people in control.

References
----------
.. [1] M. Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data",
   PoPETs 2023: attacks with a control group, for the three risks that the Article 29 Working
   Party names.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.distances import Space
from synthgan.evaluate.intervals import difference_of_means
from synthgan.evaluate.measure import Measurement, Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table

__all__ = ["measure"]

NAME = "attribute_inference_lift"
MAX_TARGETS = 1_000
MAX_ROWS = 40_000
MAX_SECRETS = 10
MAX_COMPARISONS = 1e9
MIN_TARGETS = 20
#: A guessed number is right if it is off by at most this share of a standard deviation.
TOLERANCE = 0.05
_CHUNK_ROWS = 256

Floats = npt.NDArray[np.float64]


def measure(setting: Setting, table: Table) -> Measurement:
    """Attack up to 1,000 members and 1,000 control rows, for up to 10 secret columns.

    Secrets are the sensitive columns, the target, and others drawn at random.

    Returns
    -------
    Measurement
        ``attribute_inference_lift``: share of right guesses for members minus that for control
        rows, mean over the secrets, interval normal over targets. Details ``inference``: both
        shares for each secret, worst first.
    """
    reason, control = setting.obstacle(MIN_TARGETS, 2), setting.control
    if reason is not None or control is None:
        return Measurement([Score.not_computable(NAME, str(reason), "near", 0.0)])
    generator = numpy_generator(setting.seed, "inference targets")
    n_columns = len(setting.train.columns)
    n_targets = min(MAX_TARGETS, len(setting.train), len(control))
    rows = table.sample(
        min(MAX_ROWS, int(MAX_COMPARISONS / (2 * n_targets * n_columns))), generator
    )
    targets = [part.sample(n_targets, generator) for part in (setting.train, control)]
    secrets = _secrets(setting, generator)
    space = Space(setting.train)
    right = [_right_guesses(space, setting.train, part, rows, secrets) for part in targets]
    lift, interval = difference_of_means(right[0].mean(axis=1), right[1].mean(axis=1))
    details = [
        {
            "column": setting.train.names[secret],
            "members": float(right[0][:, k].mean()),
            "control": float(right[1][:, k].mean()),
        }
        for k, secret in enumerate(secrets)
    ]
    details.sort(key=lambda row: row["control"] - row["members"])  # type: ignore[operator]
    return Measurement([Score(NAME, lift, "near", 0.0, interval)], {"inference": details})


def _secrets(setting: Setting, generator: np.random.Generator) -> list[int]:
    names = list(setting.train.names)
    first = [*setting.sensitive, *([setting.target] if setting.target else [])]
    order = dict.fromkeys([names.index(name) for name in first])
    order |= dict.fromkeys(generator.permutation(len(names)).tolist())
    return list(order)[: max(MAX_SECRETS, len(setting.sensitive))]


def _right_guesses(
    space: Space, train: Table, targets: Table, rows: Table, secrets: list[int]
) -> Floats:
    """Return 1 where the guess is right; shape (targets, secrets)."""
    a, b = space.scaled(targets), space.scaled(rows)
    right = np.zeros((len(targets), len(secrets)))
    margins = [_margin(train, k) / space.span[k] for k in secrets]
    for start in range(0, len(a), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        whole = space.distances(a[part], b)
        for j, k in enumerate(secrets):
            rest = whole - space.distances(a[part], b, np.array([k]))
            guess, truth = b[rest.argmin(axis=1), k], a[part, k]
            same = np.isnan(guess) & np.isnan(truth)
            right[part, j] = same | (np.abs(guess - truth) <= margins[j])
    return right


def _margin(train: Table, k: int) -> float:
    if train.columns[k].kind == "categorical":
        return 0.0
    present = train.values[k][~np.isnan(train.values[k])]
    return TOLERANCE * float(present.std()) if len(present) else 0.0
