"""The state of an unfinished fit in one file, so that a killed process loses half a minute.

A step of a fit depends on the seed, its number and the state of networks and optimisers, on nothing
else. So a fit that goes on from a checkpoint ends with the same weights as one that was never
interrupted, unless a time budget cuts it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from synthgan import ranks
from synthgan.exceptions import CheckpointError, ModelFileError
from synthgan.files import sweep
from synthgan.storage import read_model, write_model

__all__ = [
    "Checkpoint",
    "Part",
    "Stateful",
    "digest_of",
    "remove_checkpoint",
    "restore_state",
    "state_of",
]

Array = np.ndarray[Any, Any]

#: Seconds from one write to the next, at least.
SECONDS_BETWEEN = 30.0
_KIND = "checkpoint of an unfinished fit"


@runtime_checkable
class Stateful(Protocol):
    """What can be put into named arrays and back."""

    def arrays(self) -> dict[str, Array]:
        """Return the state."""

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the state over."""


#: What a phase of a fit changes as it goes.
Part = nn.Module | torch.optim.Optimizer | Stateful


class Checkpoint:
    """One file with the state of every phase of a fit that has begun.

    Of several processes that train one model, all read it and the first one writes it.

    Parameters
    ----------
    path : path
        If the file exists, the fit goes on from it.
    run : mapping of str to str
        What the fit depends on, in words; a file of another fit is refused.
    seed : int
        Of the fit. A file has its own, which counts if the fit was to draw one.
    keep_seed : bool
        Whether the seed was given; then a file of another seed is refused.

    Attributes
    ----------
    seed : int
        Seed to fit with.
    spent : float
        Seconds that the fit took before.
    is_finished : bool
        Whether the fit was done; then it is given again at once.

    Raises
    ------
    CheckpointError
        If the file is damaged, or of another fit.
    DataError
        If it cannot be written: it is at once, so that no work is lost to a path that is wrong.
    """

    def __init__(
        self, path: str | os.PathLike[str], run: Mapping[str, str], seed: int, *, keep_seed: bool
    ) -> None:
        self.path = Path(path)
        self.run = dict(run)
        self.seed = seed
        self.spent = 0.0
        self._phases: dict[str, dict[str, Any]] = {}
        self._arrays: dict[str, dict[str, Array]] = {}
        self.is_finished = False
        self._opened = self._written = time.monotonic()
        sweep(self.path)
        if not self.path.exists() or not self._read(keep_seed):
            self._save()

    def _read(self, keep_seed: bool) -> bool:
        """Take the state over; or return False if the file is of another fit that is done."""
        try:
            found, arrays = read_model(self.path)
            run, seed, spent = found["run"], int(found["seed"]), float(found["spent"])
            phases = {str(name): dict(value) for name, value in found["phases"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, ModelFileError) as error:
            raise CheckpointError(
                f"{self.path} is no checkpoint, or damaged; remove it to start anew."
            ) from error
        finished = found.get("finished") is True
        for name in sorted({*run, *self.run}):
            if run.get(name) != self.run.get(name):
                if finished:
                    return False
                raise CheckpointError(
                    f"{self.path} is the checkpoint of another fit: its {name} differs. Remove it, "
                    "or name another file."
                )
        if keep_seed and seed != self.seed:
            if finished:
                return False
            raise CheckpointError(
                f"{self.path} is the checkpoint of another fit: its random_state differs. Remove "
                "it, or name another file."
            )
        self.seed, self.spent, self._phases, self.is_finished = seed, spent, phases, finished
        for name, value in arrays.items():
            phase, _, rest = name.partition("/")
            self._arrays.setdefault(phase, {})[rest] = value
        return True

    def restore(self, phase: str, parts: Mapping[str, Part]) -> dict[str, Any] | None:
        """Give the parts of a phase the state that they had, and return its progress.

        Parameters
        ----------
        phase : str
        parts : mapping of str to module, optimiser or :class:`Stateful`

        Returns
        -------
        dict or None
            What :meth:`write` got; None if the phase had not begun.
        """
        if phase not in self._phases:
            return None
        try:
            restore_state(parts, self._arrays.get(phase, {}))
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
            raise CheckpointError(
                f"{self.path} does not fit this release; remove it to start anew."
            ) from error
        return self._phases[phase]

    @property
    def is_due(self) -> bool:
        """Whether the last write is long enough ago."""
        return time.monotonic() - self._written >= SECONDS_BETWEEN

    def write(self, phase: str, state: Mapping[str, Array], progress: Mapping[str, Any]) -> None:
        """Write the file, with the state of this phase and of those before it.

        Parameters
        ----------
        phase : str
        state : mapping of str to ndarray
            Of the parts of the phase, see :func:`state_of`. Not copied: whoever changes it writes
            it again.
        progress : mapping
            JSON-able.
        """
        self._phases[phase], self._arrays[phase] = dict(progress), dict(state)
        self._save()

    def _save(self) -> None:
        model = {
            "estimator": _KIND,
            "run": self.run,
            "seed": self.seed,
            "spent": self.spent + time.monotonic() - self._opened,
            "phases": self._phases,
            "finished": self.is_finished,
        }
        arrays = {f"{p}/{k}": v for p, own in self._arrays.items() for k, v in own.items()}
        if not ranks.number():
            write_model(self.path, model, arrays)
        self._written = time.monotonic()

    def progress(self) -> str:
        """Return the seed and how far each phase has come, as one line."""
        steps = {name: phase.get("step") for name, phase in self._phases.items()}
        return f"{self.seed} {sorted(steps.items())}"

    def finish(self) -> None:
        """Note that the fit is done; the file stays until the model is saved."""
        self.is_finished = True
        self._save()


def remove_checkpoint(path: str | os.PathLike[str]) -> None:
    """Remove a checkpoint and what killed processes left of it: the model is safe elsewhere."""
    with contextlib.suppress(OSError):
        Path(path).unlink(missing_ok=True)
    sweep(Path(path))


def digest_of(*data: Array) -> str:
    """Return a digest of arrays, to know them again without keeping them."""
    found = hashlib.sha256()
    for array in data:
        found.update(f"{array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return found.hexdigest()


def state_of(
    parts: Mapping[str, Part], earlier: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Return a copy of the state of all parts.

    It takes the place of an `earlier` one, if there is one: arrays of the same shape and dtype are
    overwritten, which saves their memory, and the time to get it.
    """
    held = earlier or {}
    found = {}
    for name, part in parts.items():
        for key, value in _arrays(part).items():
            place = held.get(f"{name}/{key}")
            if place is None or (place.shape, place.dtype) != (value.shape, value.dtype):
                place = np.empty_like(value)
            np.copyto(place, value)
            found[f"{name}/{key}"] = place
    return found


def restore_state(parts: Mapping[str, Part], state: Mapping[str, Array]) -> None:
    """Give the parts the state that they had; :func:`state_of` is the inverse."""
    for name, part in parts.items():
        start = f"{name}/"
        own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
        _restore(part, own)


def _arrays(part: Part) -> dict[str, Array]:
    if isinstance(part, nn.Module):
        return {k: _numpy(v) for k, v in part.state_dict().items()}
    if isinstance(part, torch.optim.Optimizer):
        state = part.state_dict()["state"]
        return {f"{k}/{name}": _numpy(v) for k, own in state.items() for name, v in own.items()}
    return part.arrays()


def _restore(part: Part, arrays: Mapping[str, Array]) -> None:
    if isinstance(part, nn.Module):
        part.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in arrays.items()})
    elif isinstance(part, torch.optim.Optimizer):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in arrays.items():
            number, _, name = key.partition("/")
            state.setdefault(int(number), {})[name] = torch.from_numpy(value.copy())
        groups = part.state_dict()["param_groups"]
        part.load_state_dict({"state": state, "param_groups": groups})
    else:
        part.restore(arrays)


def _numpy(value: torch.Tensor) -> Array:
    found: Array = value.detach().cpu().numpy()
    return found
