"""How anything here learns: a loop that knows neither networks nor data, and weight averaging."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from synthgan._runtime import logger
from synthgan.checkpoint import Checkpoint, Part
from synthgan.exceptions import ParameterError

__all__ = [
    "Callback",
    "Deadline",
    "Ema",
    "LoopResult",
    "Run",
    "descend",
    "fit_loop",
    "parse_duration",
    "set_rate",
]

#: Called after every epoch with the newest history entry; returning True stops the phase.
Callback = Callable[[dict[str, Any]], bool | None]

_WINDOW = 6  # epochs over which a figure settles
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration(value: float | str | None) -> float | None:
    """Return seconds from a number of seconds or a text like ``"90s"``, ``"10m"``, ``"1.5h"``.

    Raises
    ------
    ParameterError
        If the text cannot be read or the duration is not positive.

    Examples
    --------
    >>> parse_duration("1.5h")
    5400.0
    """
    if value is None:
        return None
    seconds: float = math.nan
    if isinstance(value, str):
        number = value.rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = value[len(number) :].strip() or "s"
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(number) * _UNITS[unit]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < math.inf:
        raise ParameterError(
            f'max_time must be a positive number of seconds or a text like "10m"; got {value!r}.'
        )
    return seconds


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time and the span that leads to it."""

    start: float
    seconds: float | None

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return the deadline `seconds` from now; None never comes."""
        return cls(time.monotonic(), seconds)

    def part(self, share: float) -> Deadline:
        """Return a deadline with the same start after `share` of the span."""
        return Deadline(self.start, None if self.seconds is None else self.seconds * share)

    def earlier(self, seconds: float) -> Deadline:
        """Return a deadline whose span began, and ends, `seconds` earlier."""
        return Deadline(self.start - seconds, self.seconds)

    @property
    def used(self) -> float:
        """Share of the span that has passed; 0 if there is no limit."""
        if self.seconds is None:
            return 0.0
        return (time.monotonic() - self.start) / self.seconds


@dataclass(frozen=True, slots=True)
class Run:
    """How a fit is watched, cut short and kept.

    Attributes
    ----------
    deadline : Deadline
    callbacks : sequence of callable
    progress : bool
        Whether to show bars.
    checkpoint : Checkpoint or None
        Where the state is kept.
    """

    deadline: Deadline = Deadline(0.0, None)
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    checkpoint: Checkpoint | None = None

    def part(self, share: float) -> Run:
        """Return a run that ends after `share` of the time."""
        return replace(self, deadline=self.deadline.part(share))

    def finish(self) -> float:
        """Remove the checkpoint, and return the seconds that the fit took, also before it."""
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return round(time.monotonic() - self.deadline.start, 3)


def set_rate(
    optimizer: torch.optim.Optimizer,
    highest: float,
    number: int,
    share: float,
    *,
    warm_up: int = 100,
    fall_from: float = 0.5,
) -> None:
    """Set the learning rate of a step: it rises over `warm_up` steps, stays, falls to a fiftieth.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    highest : float
    number : int
        Of the step, from 0.
    share : float
        Of the phase that is done; from `fall_from` on the rate falls, linearly.
    warm_up : int
    fall_from : float
    """
    falling = max(min(1.0, (1 - share) / (1 - fall_from)), 0.02)
    for group in optimizer.param_groups:
        group["lr"] = highest * min(1.0, (number + 1) / warm_up) * falling


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Make one step of the optimiser down the gradient of `loss`."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


class Ema:
    """Exponential moving average of a module's parameters, the weights that are kept.

    Parameters
    ----------
    module : nn.Module
    decay : float
        Weight of the past in each update. Early updates use less, so that the random start is
        forgotten: ``min(decay, (1 + t) / (10 + t))``.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.parameters]
        self.decay = decay
        self.updates = 0

    def update(self) -> None:
        """Fold the current weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def swap(self) -> None:
        """Exchange the module's weights and the average."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            held = parameter.detach().clone()
            parameter.data.copy_(average)
            average.copy_(held)

    def snapshot(self) -> list[Tensor]:
        """Return a copy of the average."""
        return [average.clone() for average in self.average]

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state; :meth:`restore` is the inverse."""
        found = {str(k): average.cpu().numpy() for k, average in enumerate(self.average)}
        return {**found, "updates": np.array(self.updates)}

    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take over the state of another average of the same module."""
        for k, average in enumerate(self.average):
            average.copy_(torch.from_numpy(arrays[str(k)].copy()))
        self.updates = int(arrays["updates"])

    def install(self, weights: Iterable[Tensor]) -> None:
        """Copy `weights` into the module."""
        for parameter, value in zip(self.parameters, weights, strict=True):
            parameter.data.copy_(value)


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a phase of training ended.

    Attributes
    ----------
    history : list of dict
        One entry per epoch: phase, epoch, step, seconds, means of the step's figures, validation.
    reason : str
        ``"finished"``, ``"early stop"``, ``"max_time"`` or ``"callback"``.
    """

    history: list[dict[str, Any]]
    reason: str


def _has_settled(history: Sequence[Mapping[str, Any]], least_gain: float) -> bool:
    """Return whether the lowest validation figure is as good as six epochs ago."""
    figures = [entry["validation"] for entry in history if "validation" in entry]
    if not least_gain or len(figures) <= _WINDOW:
        return False
    before = min(figures[:-_WINDOW])
    return min(figures[-_WINDOW:]) > before - least_gain * abs(before)


class _Best:
    """The weights that are kept: the latest ones whose validation figure is within tolerance."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.lowest = math.inf
        self.worse = 0
        self.weights: list[Tensor] | None = None

    def note(self, value: float, ema: Ema) -> None:
        self.lowest = min(self.lowest, value)
        if value <= self.lowest * (1 + self.tolerance):
            self.weights, self.worse = ema.snapshot(), 0
        else:
            self.worse += 1

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        found = {str(k): weight.cpu().numpy() for k, weight in enumerate(self.weights or [])}
        lowest = self.lowest if self.weights else 0.0
        return {**found, "lowest": np.array(lowest), "worse": np.array(self.worse)}

    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        count = len(arrays) - 2
        if count:
            self.weights = [torch.from_numpy(arrays[str(k)].copy()) for k in range(count)]
            self.lowest, self.worse = float(arrays["lowest"]), int(arrays["worse"])


def fit_loop(
    step: Callable[[int, float], dict[str, Tensor]],
    *,
    phase: str,
    steps: int,
    epoch_steps: int,
    ema: Ema,
    validate: Callable[[], float] | None,
    patience: int,
    tolerance: float = 0.0,
    least_gain: float = 0.0,
    parts: Mapping[str, Part],
    run: Run,
) -> LoopResult:
    """Take steps until they, the time or the improvement run out.

    Parameters
    ----------
    step : callable
        ``step(number, share_done)`` makes one optimiser step and returns figures to record. What it
        does depends on its arguments and on `parts` alone.
    phase : str
        Name of the phase in history, progress bar and checkpoint.
    steps, epoch_steps : int
        Most steps, and steps between two entries of the history.
    ema : Ema
        Updated after each step. At the end its weights are in place of the last ones: the latest
        that were within tolerance, if there is a validation figure.
    validate : callable or None
        Returns the figure to minimise, with the averaged weights in place.
    patience : int
        Epochs in a row outside the tolerance after which the phase ends.
    tolerance : float
        Share by which the validation figure may exceed its lowest value; the latest weights
        within it are kept.
    least_gain : float
        If the validation figure falls by a smaller share than this over six epochs of the first
        half, the phase ends after twice the steps so far, and `share_done` becomes one half.
    parts : mapping of str to module, optimiser or Stateful
        What `step` changes: the state that a checkpoint keeps.
    run : Run
        The learning-rate schedule shortens so that it ends in time.

    Returns
    -------
    LoopResult
    """
    best = _Best(tolerance)
    kept = {**parts, "average": ema, "best": best}
    done: dict[str, Any] = {"step": 0, "seconds": 0.0, "history": [], "reason": "", "half": 0.5}
    if run.checkpoint is not None:
        done = run.checkpoint.restore(phase, kept) or done
    history: list[dict[str, Any]] = list(done["history"])
    sums: dict[str, Tensor] = {}
    counts: Counter[str] = Counter()
    reason, begun, half = done["reason"], time.monotonic() - done["seconds"], done["half"]
    deadline = run.deadline
    start_share = deadline.used
    bar = tqdm(
        total=steps,
        initial=done["step"],
        desc=phase,
        disable=not run.progress,
        mininterval=0.5,
        unit="step",
    )
    with bar:
        for number in range(done["step"], 0 if reason else steps):
            used = (deadline.used - start_share) / max(1 - start_share, 1e-9)
            progress = max(number / steps, min(used, 1.0))
            for name, value in step(number, min(progress / (2 * half), 1.0)).items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
                counts[name] += 1  # some figures are not there in every step
            ema.update()
            bar.update()
            out_of_time = deadline.used >= 1
            last = number + 1 >= 2 * half * steps or progress >= 2 * half or out_of_time
            if (number + 1) % epoch_steps and not last:
                continue
            entry: dict[str, Any] = {"phase": phase, "epoch": len(history), "step": number + 1}
            entry["seconds"] = round(time.monotonic() - begun, 3)
            entry.update({k: float(v) / counts[k] for k, v in sums.items()})
            sums, counts = {}, Counter()
            if validate is not None:
                ema.swap()
                entry["validation"] = validate()
                ema.swap()
                best.note(entry["validation"], ema)
            history.append(entry)
            if progress < half == 0.5 and _has_settled(history, least_gain):
                half = max(progress, 1e-9)
                bar.total = min(steps, 2 * (number + 1))
            logger.info("%s", entry)
            bar.set_postfix({k: f"{v:.4g}" for k, v in entry.items() if isinstance(v, float)})
            answers = [callback(entry) for callback in run.callbacks]  # all are asked
            if any(answers):
                reason = "callback"
            elif out_of_time:
                reason = "max_time"
            elif best.worse >= patience:
                reason = "early stop"
            elif last:
                reason = "finished"
            if run.checkpoint is not None and (reason or run.checkpoint.is_due):
                seconds = time.monotonic() - begun
                state = {"step": number + 1, "seconds": seconds, "history": history}
                run.checkpoint.write(phase, kept, {**state, "reason": reason, "half": half})
            if reason:
                break
        if reason == "early stop":
            bar.total = bar.n
    ema.install(ema.snapshot() if best.weights is None else best.weights)
    return LoopResult(history, reason or "finished")
