"""One measured number, never alone: its interval, its best value and its reference rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from synthgan.exceptions import ParameterError

__all__ = ["REFERENCES", "Direction", "Score", "attach_references"]

Direction = Literal["lower", "higher", "near"]

#: Names of the reference rows, in the order in which they are shown. The last two are what attacks
#: are tried on: one that must succeed and one that must fail.
REFERENCES = ("independent_columns", "bootstrap", "holdout", "copy_of_train", "fresh_rows")

_DIRECTIONS = ("lower", "higher", "near")


@dataclass(frozen=True, slots=True)
class Score:
    """A number with what is needed to read it.

    Attributes
    ----------
    name : str
        Machine-readable name, for example ``"trend_error"``.
    value : float or None
        None if the score could not be computed; then `reason` says why.
    direction : {"lower", "higher", "near"}
        Whether lower or higher is better, or nearer to `best`.
    best : float or None
        The value of a perfect table.
    interval : (float, float) or None
        95 % interval; what it covers is said by the function that made the score.
    references : dict of str to float or None
        The same measurement on the reference rows (:data:`REFERENCES`); None where a row does not
        apply or could not be computed.
    reference_intervals : dict of str to (float, float)
        95 % intervals of `references`, where known.
    reason : str or None
        Why there is no value.
    note : str
        A caveat that belongs to the number.
    section : {"fidelity", "utility", "privacy", ""}
        The part of a report that it belongs to.

    Raises
    ------
    ParameterError
        If the parts contradict each other.

    Examples
    --------
    >>> Score("shape_error", 1.2, "lower", 0.0, references={"bootstrap": 0.4}).to_dict()["value"]
    1.2
    """

    name: str
    value: float | None
    direction: Direction
    best: float | None
    interval: tuple[float, float] | None = None
    references: Mapping[str, float | None] = field(default_factory=dict)
    reference_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reason: str | None = None
    note: str = ""
    section: str = ""

    def __post_init__(self) -> None:
        if self.direction not in _DIRECTIONS:
            raise ParameterError(f"direction must be one of {_DIRECTIONS}, got {self.direction!r}.")
        if (self.value is None) != (self.reason is not None):
            raise ParameterError(f"Score {self.name!r} needs either a value or a reason.")
        ends = [self.interval or (), *self.reference_intervals.values()]
        numbers = [self.value, self.best, *self.references.values(), *(x for e in ends for x in e)]
        if not all(x is None or math.isfinite(x) for x in numbers):
            raise ParameterError(f"Score {self.name!r} holds a number that is not finite.")
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ParameterError(f"Score {self.name!r} has its interval the wrong way round.")

    @classmethod
    def not_computable(
        cls, name: str, reason: str, direction: Direction, best: float | None, note: str = ""
    ) -> Score:
        """Return a score without a value."""
        return cls(name, None, direction, best, reason=reason, note=note)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; :meth:`from_dict` is its inverse."""
        return {
            "name": self.name,
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "direction": self.direction,
            "best": self.best,
            "references": dict(self.references),
            "reference_intervals": {k: list(v) for k, v in self.reference_intervals.items()},
            "reason": self.reason,
            "note": self.note,
            "section": self.section,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """Rebuild a score from :meth:`to_dict`."""
        interval = data["interval"]
        return cls(
            name=str(data["name"]),
            value=data["value"],
            direction=cast(Direction, data["direction"]),
            best=data["best"],
            interval=None if interval is None else (float(interval[0]), float(interval[1])),
            references=dict(data["references"]),
            reference_intervals={
                k: (float(v[0]), float(v[1])) for k, v in data["reference_intervals"].items()
            },
            reason=data["reason"],
            note=str(data["note"]),
            section=str(data["section"]),
        )


def attach_references(by_table: Mapping[str, Sequence[Score]]) -> list[Score]:
    """Return the scores of ``"synthetic"`` with the values of the other tables as references.

    Parameters
    ----------
    by_table : dict of str to list of Score
        The scores of ``"synthetic"`` and of each reference row, matched by name; a row may lack
        some of them.
    """
    others = {
        row: {score.name: score for score in scores}
        for row, scores in by_table.items()
        if row != "synthetic"
    }
    result = []
    for score in by_table["synthetic"]:
        found = {row: s[score.name] for row, s in others.items() if score.name in s}
        intervals = {row: s.interval for row, s in found.items() if s.interval is not None}
        result.append(
            dataclasses.replace(
                score,
                references={**score.references, **{row: s.value for row, s in found.items()}},
                reference_intervals={**score.reference_intervals, **intervals},
            )
        )
    return result
