"""What an evaluation is made of: a setting, and measures that are run on a table in it.

Every measure is one function, called on the synthetic table and again, unchanged, on reference
tables: that is where floors, controls and the power of an attack come from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from synthgan.evaluate.learners import Booster, quietly
from synthgan.evaluate.score import Score, attach_references
from synthgan.evaluate.tables import Table, Task
from synthgan.evaluate.verdict import has_power

__all__ = ["Measure", "Measurement", "Once", "Setting", "finished", "run_plan"]


class Once:
    """Call to compute what measures share because it depends on nothing but their setting."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what `compute` gives, computed the first time `name` is asked for."""
        if name not in self._known:
            self._known[name] = compute()
        return self._known[name]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What stays the same whatever table is judged.

    Attributes
    ----------
    train : Table
        The rows that the generator learned from.
    control : Table or None
        Real rows that it never saw. Attacks get one half of the holdout here, and the other half
        as the table of fresh rows that they must fail on.
    target, task : str or None
        The column that a user would predict, and how.
    sensitive : tuple of str
        Columns whose groups utility is split by, and that attribute inference goes for.
    booster : {"hist_gradient_boosting", "xgboost"}
    seed : int
    once : Once
    """

    train: Table
    control: Table | None
    target: str | None = None
    task: Task | None = None
    sensitive: tuple[str, ...] = ()
    booster: Booster = "hist_gradient_boosting"
    seed: int = 0
    once: Once = field(default_factory=Once, init=False, repr=False)

    def obstacle(self, n_rows: int, n_columns: int = 1) -> str | None:
        """Return why an attack that needs so many rows and columns cannot be tried, if so."""
        if self.control is None:
            return "needs a holdout of real rows"
        if min(len(self.control), len(self.train)) < n_rows:
            return f"needs at least {n_rows} rows of train and of control"
        if len(self.train.columns) < n_columns:
            return f"needs {n_columns} columns"
        return None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one measure found.

    Attributes
    ----------
    scores : list of Score
    details : dict
        JSON-able tables and curves behind the scores.
    """

    scores: list[Score]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the plan of an evaluation.

    Attributes
    ----------
    name : str
        Shown while it runs.
    section : {"fidelity", "utility", "privacy"}
    run : callable
        ``run(setting, table)`` returns a :class:`Measurement`; both may be of images instead.
    rows : tuple of str
        The reference tables that it makes sense on, besides the synthetic one.
    quick : bool, default True
        Whether level ``"quick"`` includes it.
    """

    name: str
    section: str
    run: Callable[[Any, Any], Measurement]
    rows: tuple[str, ...]
    quick: bool = True


def run_plan(
    plan: Sequence[Measure],
    settings: Mapping[str, Any],
    candidates: Mapping[str, Any],
    progress: bool,
) -> tuple[list[Score], dict[str, Any]]:
    """Run each measure on what is synthetic and on its references.

    Parameters
    ----------
    plan : sequence of Measure
    settings : dict of str to Setting
        By section.
    candidates : dict
        What is judged, by name: ``"synthetic"``, and references.
    progress : bool

    Returns
    -------
    list of Score
        With their references, in the order of the plan.
    dict
        The details of all measurements of ``"synthetic"``.
    """
    steps = [
        (measure, row)
        for measure in plan
        for row in ("synthetic", *measure.rows)
        if row in candidates
    ]
    results: dict[str, dict[str, Measurement]] = {measure.name: {} for measure in plan}
    bar = tqdm(steps, desc="evaluate", disable=not progress)
    for measure, row in bar:
        bar.set_postfix_str(measure.name)
        with quietly():
            results[measure.name][row] = measure.run(settings[measure.section], candidates[row])
    scores: list[Score] = []
    details: dict[str, Any] = {}
    for measure in plan:
        by_row = results[measure.name]
        found = attach_references({row: part.scores for row, part in by_row.items()})
        scores += [finished(score, measure.section) for score in found]
        details |= by_row["synthetic"].details
    return scores, details


def finished(score: Score, section: str) -> Score:
    """Return the score with its section, and a warning if it is an attack without power."""
    note = score.note
    if section == "privacy" and score.value is not None and has_power(score) is False:
        blunt = "no power here: this attack does not tell a copy of train from fresh rows"
        note = "; ".join(filter(None, [note, blunt]))
    return dataclasses.replace(score, section=section, note=note)
