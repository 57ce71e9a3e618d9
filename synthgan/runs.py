"""How long a fit may take, who watches it, and where its state is kept."""

from __future__ import annotations

import contextlib
import math
import numbers
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from synthgan import ranks
from synthgan.checkpoint import Checkpoint
from synthgan.exceptions import ParameterError

__all__ = ["Callback", "Deadline", "Run", "parse_duration"]

#: Called after every epoch with the newest history entry; returning True stops the phase.
Callback = Callable[[dict[str, Any]], bool | None]

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
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
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
        return ranks.agreed((time.monotonic() - self.start) / self.seconds)


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
        """Note in the checkpoint that the fit is done, and return the seconds that it took."""
        if self.checkpoint is not None:
            self.checkpoint.finish()
        return round(time.monotonic() - self.deadline.start, 3)
