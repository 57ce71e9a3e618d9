"""The rarely changed settings of a fit to a table, and how any settings are checked and stored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from synthgan.exceptions import ParameterError
from synthgan.memory import rows_at_once

__all__ = [
    "TrainingOptions",
    "batch_size",
    "check_options",
    "options_from_dict",
    "options_to_dict",
    "require_ranges",
    "with_changes",
]

Options = TypeVar("Options")


def require_ranges(
    options: object, checks: Mapping[str, bool], known: Mapping[str, Iterable[str]] | None = None
) -> None:
    """Raise if a field of some options is out of range.

    Parameters
    ----------
    options : dataclass instance
    checks : mapping of str to bool
        Whether each field is good.
    known : mapping of str to iterable of str, optional
        Values that a field may take, for the message.

    Raises
    ------
    ParameterError
    """
    for name, good in checks.items():
        if not good:
            message = (
                f"{type(options).__name__}: {name}={getattr(options, name)!r} is out of range."
            )
            values = ", ".join((known or {}).get(name, ()))
            raise ParameterError(message + (f" Known: {values}." if values else ""))


def check_options(owner: str, options: object, kind: type[Any]) -> None:
    """Raise unless `options` are None, of a `kind` of options, or a mapping of some of its fields.

    Parameters
    ----------
    owner : str
        The estimator, for the message.
    options : object
    kind : type
        A dataclass whose fields all have defaults.

    Raises
    ------
    ParameterError
    """
    if options is None or isinstance(options, kind):
        return
    if not isinstance(options, Mapping):
        raise ParameterError(
            f"{owner}: options must be {kind.__name__}, a dict of some of its fields, or None; "
            f"got {type(options).__name__}."
        )
    known = [field.name for field in dataclasses.fields(kind)]
    if unknown := [name for name in options if name not in known]:
        raise ParameterError(
            f"{owner}: options have no field {unknown[0]!r}. Known: {', '.join(known)}."
        )
    try:
        kind(**options)
    except TypeError as error:  # say, a text in place of a number
        raise ParameterError(f"{owner}: options: {error}.") from None


def with_changes(usual: Options, options: object) -> Options:
    """Return the options to take: `options`, or `usual` with those of its fields that it names.

    Parameters
    ----------
    usual : dataclass instance
        What an estimator takes if nothing else is said.
    options : dataclass instance of the same type, mapping or None
    """
    if options is None or isinstance(options, Mapping):
        return dataclasses.replace(usual, **(options or {}))  # type: ignore[type-var]
    assert isinstance(options, type(usual))
    return options


def options_to_dict(options: Any) -> dict[str, Any] | None:
    """Return options of an estimator as a JSON-able dict; :func:`options_from_dict` reads it."""
    if options is None or isinstance(options, Mapping):
        return None if options is None else dict(options)
    return dataclasses.asdict(options)


def options_from_dict(found: Any, kind: type[Any]) -> Any:
    """Return the options that were stored: of a `kind`, or a mapping of some of its fields.

    Raises
    ------
    ParameterError
        If they are none.
    """
    if found is None:
        return None
    check_options("model", found, kind)
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    whole = len(fields) == len(dataclasses.fields(kind))
    return kind(**fields) if whole else fields


def batch_size(n_rows: int, n_tokens: int, most: int) -> int:
    """Return the rows of a batch: a sixteenth of the table or more, a power of two from 128 on.

    Fewer, if there are many tokens of all columns together, so that their logits fit into memory.
    """
    sixteenth = 2 ** math.ceil(math.log2(max(n_rows, 1) / 16))
    return rows_at_once(n_tokens, 128, min(max(sixteenth, 128), most))


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The rarely changed settings of a fit.

    Attributes
    ----------
    batch_size : int
        Rows per step; fewer if the table is smaller.
    steps : int
        Most steps of the likelihood phase.
    least_gain : float
        If the validation loss falls by a smaller share than this over six epochs in the first half
        of the phase, that was the first half: tables differ in how much there is to learn. 0 takes
        all steps.
    learning_rate : float
        Peak rate; it rises over 100 steps, and falls linearly to a fiftieth in the second half.
    weight_decay : float
        Decoupled decay (AdamW) of all matrices, times the learning rate, per step.
    fine_decay : float
        The same for the fine part of the tokens of numbers. It is high, because these vectors are
        what memorises rows: on Shoppers (11,097 rows) 5 instead of 0.3 closes two thirds of the
        gap between training and validation loss.
    ema : float
        Decay of the running average of the weights that is kept.
    patience : int
        Epochs in a row with a validation loss outside the tolerance after which the phase ends.
    tolerance : float
        Share by which the validation loss may exceed its lowest value. The falling learning rate
        goes on improving marginals while the loss is flat, so the latest acceptable weights are
        kept rather than those of the lowest loss.
    classes : int
        Latent classes that tie the columns of one step together; 0 leaves them independent.
    start_classes : int
        The same for the first step of a row, where they cost less.
    class_steps : int or None
        Most steps of the phase in which these are learned; None: as many as `steps`.
    refinement_steps : int
        Steps of the adversarial phase, a third of which its critic makes alone; 0 leaves it out.
    refinement_rate : float
        Peak learning rate of that phase.
    penalty : float
        Weight of the critic's zero-centred gradient penalties (gamma of R1 and R2).
    """

    batch_size: int = 1024
    steps: int = 1500
    least_gain: float = 0.002
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    fine_decay: float = 5.0
    ema: float = 0.999
    patience: int = 3
    tolerance: float = 0.01
    classes: int = 256
    start_classes: int = 2048
    class_steps: int | None = None
    refinement_steps: int = 0
    refinement_rate: float = 1e-3
    penalty: float = 0.1

    def __post_init__(self) -> None:
        checks = {
            "batch_size": 1 <= self.batch_size <= 2**20,
            "steps": 1 <= self.steps <= 10**7,
            "least_gain": 0 <= self.least_gain < 1,
            "learning_rate": 0 < self.learning_rate < 1,
            "weight_decay": 0 <= self.weight_decay < 100,
            "fine_decay": 0 <= self.fine_decay < 100,
            "ema": 0 <= self.ema < 1,
            "patience": self.patience >= 1,
            "tolerance": 0 <= self.tolerance < 10,
            "classes": 0 <= self.classes <= 2**16,
            "start_classes": 1 <= self.start_classes <= 2**16,
            "class_steps": self.class_steps is None or 0 <= self.class_steps <= 10**7,
            "refinement_steps": 0 <= self.refinement_steps <= 10**7,
            "refinement_rate": 0 < self.refinement_rate < 1,
            "penalty": 0 <= self.penalty < 10**6,
        }
        require_ranges(self, checks)

    @classmethod
    def for_rows(cls, n_rows: int, n_tokens: int = 0) -> TrainingOptions:
        """Return sensible options for a table of `n_rows`.

        Batches are smaller if there are many tokens of all columns together, so that their logits
        fit into memory.

        Steps grow with the fourth root of the rows, and fall faster below 2,000 rows; from 10,000
        rows on there are three times as many, for tables that need them. Batches grow from 128 rows
        to 4,096. Weight decay falls with the rows, since what a small table needs most is not to be
        memorised. Measured on tables of 284 to 37,581 rows, see ``benchmarks/NOTES.md``.
        """
        most = 1024 if n_rows < 200_000 else 4096
        steps = 1000 * (n_rows / 10_000) ** 0.25 * min(n_rows / 2000, 1.0) ** 0.25
        return cls(
            batch_size=batch_size(n_rows, n_tokens, most),
            steps=max(int(steps * min(max(n_rows / 5000, 2 / 3), 2.0)), 1),
            class_steps=max(int(steps), 1),
            weight_decay=min(12e3 / max(n_rows, 1), 1.0),
            fine_decay=min(5e4 / max(n_rows, 1), 50.0),
            classes=min(max(n_rows // 64, 4), 256),
            start_classes=min(max(n_rows // 14, 4), 2048),
        )
