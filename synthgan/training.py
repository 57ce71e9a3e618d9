"""How anything here learns: a loop that knows neither networks nor data, and weight averaging."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from synthgan import ranks
from synthgan._runtime import logger, numpy_generator, reused_memory
from synthgan.checkpoint import Checkpoint, Part, restore_state, state_of
from synthgan.exceptions import DivergenceError
from synthgan.runs import Run

__all__ = [
    "Ema",
    "LoopResult",
    "descend",
    "fit_loop",
    "hold_out",
    "set_rate",
]

_WINDOW = 6  # epochs over which a figure settles
_ROLLBACKS = 3  # how often a phase goes back to its last good state, each time at half the rate


def hold_out(n: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the positions of what is learned from, and of `count` that only validate.

    Shape: -> (n - count,) and (count,), int64, both shuffled.
    """
    order = torch.from_numpy(numpy_generator(seed, "split").permutation(n))
    return order[count:], order[:count]


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
        factor = group.get("factor", 1.0)
        group["lr"] = highest * min(1.0, (number + 1) / warm_up) * falling * factor


def slow_down(parts: Mapping[str, Part], factor: float) -> None:
    """Multiply the rates of all optimisers, now and whenever :func:`set_rate` sets them."""
    for part in parts.values():
        if isinstance(part, torch.optim.Optimizer):
            for group in part.param_groups:
                group["lr"] *= factor
                group["factor"] = group.get("factor", 1.0) * factor


def descend(
    optimizer: torch.optim.Optimizer,
    loss: Tensor,
    *,
    part: float | None = None,
    clip: float | None = None,
) -> None:
    """Make one step of the optimiser down the gradient of `loss`.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    loss : Tensor, a number
    part : float, optional
        Share of the batch that `loss` is the mean of, if other processes have the rest.
    clip : float, optional
        Longest gradient.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    shared = part is not None and ranks.count() > 1
    (loss * part if shared else loss).backward()  # type: ignore[no-untyped-call,operator]
    if shared:
        ranks.sum_gradients(parameters)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
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

    def __init__(self, ema: Ema, tolerance: float) -> None:
        self.ema, self.tolerance = ema, tolerance
        self.lowest = math.inf
        self.worse = 0
        self.weights: list[Tensor] | None = None

    def note(self, value: float) -> None:
        self.lowest = min(self.lowest, value)
        if value <= self.lowest * (1 + self.tolerance):
            if self.weights is None:
                self.weights = self.ema.snapshot()
            else:  # in place: fresh memory costs time
                torch._foreach_copy_(self.weights, self.ema.average)
            self.worse = 0
        else:
            self.worse += 1

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        found = {str(k): weight.cpu().numpy() for k, weight in enumerate(self.weights or ())}
        lowest = self.lowest if self.weights else 0.0
        return {**found, "lowest": np.array(lowest), "worse": np.array(self.worse)}

    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        if len(arrays) > 2:
            self.weights = self.ema.snapshot()
            for k, weight in enumerate(self.weights):
                weight.copy_(torch.from_numpy(arrays[str(k)].copy()))
            self.lowest, self.worse = float(arrays["lowest"]), int(arrays["worse"])


@dataclass
class _Progress:
    """How far a phase has come; with the state of its parts, all that it needs to go on."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    half: float = 0.5
    rollbacks: int = 0


class _Keeper:
    """The last good state of a phase, in memory and, now and then, in the checkpoint.

    There is one copy of the state, made anew in place at the end of every epoch. A copy that was
    interrupted is made again, since nothing has changed the parts meanwhile.
    """

    def __init__(
        self, phase: str, parts: Mapping[str, Part], checkpoint: Checkpoint | None
    ) -> None:
        self.phase, self.parts, self.checkpoint = phase, parts, checkpoint
        self.progress = _Progress()
        found = checkpoint.restore(phase, parts) if checkpoint is not None else None
        if found is not None:
            self.progress = _Progress(**found)
            slow_down(parts, 0.5**self.progress.rollbacks)
        self._arrays = state_of(parts)
        self._copied = self._written = True

    def note(self, progress: _Progress) -> None:
        """Keep the present state, and write it if it is the last of the phase or one is due."""
        held = replace(progress, history=list(progress.history))
        self.progress, self._copied, self._written = held, False, False
        self._copy()
        if self.checkpoint is not None and (progress.reason or self.checkpoint.is_due):
            self.write()

    def _copy(self) -> None:
        if not self._copied:
            self._arrays = state_of(self.parts, self._arrays)
            self._copied = True

    def write(self) -> None:
        """Write the last good state, if there is a checkpoint that has not got it."""
        if self.checkpoint is not None and not self._written:
            self._copy()
            self._written = True  # a disk that is full is not tried again
            self.checkpoint.write(self.phase, self._arrays, asdict(self.progress))

    def roll_back(self) -> _Progress:
        """Return to the last good state at half the learning rate, and say how far it was.

        Raises
        ------
        DivergenceError
            If that was done often enough.
        """
        held = self.progress
        if held.rollbacks == _ROLLBACKS:
            self.write()
            kept = "" if self.checkpoint is None else f" {self.checkpoint.path} keeps that state."
            raise DivergenceError(
                f"The {self.phase} phase diverged: after step {held.step} its loss is not finite, "
                f"though the learning rate was halved {_ROLLBACKS} times. Start with a lower "
                f"learning_rate in options.{kept}"
            )
        restore_state(self.parts, self._arrays)
        slow_down(self.parts, 0.5)
        held.rollbacks += 1
        logger.warning("%s: loss not finite; back to step %d", self.phase, held.step)
        return replace(held, history=list(held.history))


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
    repeatable: bool = True,
    parts: Mapping[str, Part],
    run: Run,
) -> LoopResult:
    """Take steps until they, the time or the improvement run out.

    If a figure of an epoch is not finite, the phase goes back to the end of the epoch before it,
    with half the learning rate, three times at most. If it is interrupted, by Ctrl-C or an error,
    the state at the end of the last epoch is written to the checkpoint.

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
    repeatable : bool
        Whether a step may be made again; not if each is a release that was paid for.
    parts : mapping of str to module, optimiser or Stateful
        What `step` changes: the state that a checkpoint keeps.
    run : Run
        The learning-rate schedule shortens so that it ends in time.

    Returns
    -------
    LoopResult

    Raises
    ------
    DivergenceError
        If the loss stays infinite or undefined.
    """
    best = _Best(ema, tolerance)
    keeper = _Keeper(phase, {**parts, "average": ema, "best": best}, run.checkpoint)
    now = replace(keeper.progress, history=list(keeper.progress.history))
    begun, deadline = time.monotonic() - now.seconds, run.deadline
    start_share = deadline.used
    sums: dict[str, Tensor] = {}
    counts: Counter[str] = Counter()
    bar = tqdm(
        total=steps,
        initial=now.step,
        desc=phase,
        disable=not run.progress,
        mininterval=0.5,
        unit="step",
    )
    with bar, reused_memory(), _writing_on_error(keeper):
        while not now.reason and now.step < steps:
            used = (deadline.used - start_share) / max(1 - start_share, 1e-9)
            progress = max(now.step / steps, min(used, 1.0))
            for name, value in step(now.step, min(progress / (2 * now.half), 1.0)).items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
                counts[name] += 1  # some figures are not there in every step
            ema.update()
            bar.update()
            now.step += 1
            out_of_time = deadline.used >= 1
            last = now.step >= 2 * now.half * steps or progress >= 2 * now.half or out_of_time
            if now.step % epoch_steps and not last:
                continue
            means = ranks.average([float(v) / counts[k] for k, v in sums.items()])
            figures = dict(zip(sums, means, strict=True))
            sums, counts = {}, Counter()
            if validate is not None:
                ema.swap()
                figures["validation"] = ranks.agreed(validate())
                ema.swap()
            if repeatable and not all(map(math.isfinite, figures.values())):
                now = keeper.roll_back()
                bar.n = now.step
                continue
            if validate is not None:
                best.note(figures["validation"])
            now.seconds = time.monotonic() - begun
            entry: dict[str, Any] = {"phase": phase, "epoch": len(now.history), "step": now.step}
            now.history.append({**entry, "seconds": round(now.seconds, 3), **figures})
            if progress < now.half == 0.5 and _has_settled(now.history, least_gain):
                now.half = max(progress, 1e-9)
                bar.total = min(steps, 2 * now.step)
            logger.info("%s", now.history[-1])
            answers = [callback(now.history[-1]) for callback in run.callbacks]  # all are asked
            if any(ranks.average([float(any(answers))])):
                now.reason = "callback"
            elif out_of_time:
                now.reason = "max_time"
            elif best.worse >= patience:
                now.reason = "early stop"
            elif last:
                now.reason = "finished"
            keeper.note(now)
            bar.set_postfix({k: f"{v:.4g}" for k, v in figures.items()})
        if now.reason == "early stop":
            bar.total = bar.n
    ema.install(ema.snapshot() if best.weights is None else best.weights)
    return LoopResult(now.history, now.reason or "finished")


@contextlib.contextmanager
def _writing_on_error(keeper: _Keeper) -> Iterator[None]:
    """Write the last good state if the block is left by an error or an interrupt."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # what was raised first says more
            keeper.write()
        raise
