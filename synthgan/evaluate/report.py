"""What an evaluation found: computed once as one dict, shown in many ways."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgan.evaluate.marginals import marginal
from synthgan.evaluate.page import format_number, render_fragment, render_page
from synthgan.evaluate.score import REFERENCES, Score
from synthgan.evaluate.similarity import Similarity
from synthgan.evaluate.tables import Tables
from synthgan.exceptions import DataError
from synthgan.io import write_atomically

__all__ = ["NO_GUARANTEE", "Report", "build_report"]

NO_GUARANTEE = "No formal privacy guarantee."

MAX_FIGURES = 30
MAX_PAIRS = 5_000


class Report:
    """The result of :func:`synthgan.evaluate.evaluate`.

    Every rendering begins with a line that says whether there is a formal privacy guarantee.

    Parameters
    ----------
    data : dict
        As from :meth:`to_dict`.

    Attributes
    ----------
    scores : dict of str to Score
        All scores by name.

    Examples
    --------
    >>> from synthgan.evaluate import evaluate
    >>> table = pd.DataFrame({"x": range(50), "y": list("ab") * 25})
    >>> report = evaluate(table, table.sample(50, random_state=0))
    >>> report.scores["shape_error"].value
    0.0
    >>> report.to_html("report.html")  # doctest: +SKIP
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = json.loads(json.dumps(dict(data), allow_nan=False))
        self.scores = {entry["name"]: Score.from_dict(entry) for entry in self._data["scores"]}

    @property
    def privacy(self) -> str:
        """The line on formal privacy guarantees."""
        return str(self._data["privacy"])

    @property
    def columns(self) -> pd.DataFrame:
        """Shape error of every column in percent, worst first."""
        return pd.DataFrame(self._data["columns"])

    @property
    def pairs(self) -> pd.DataFrame:
        """Trend error of the (at most 5,000) worst pairs of columns in percent, worst first."""
        return pd.DataFrame(self._data["pairs"])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one JSON-able dict; ``Report(d)`` is the inverse."""
        copied: dict[str, Any] = json.loads(json.dumps(self._data))
        return copied

    def to_frame(self) -> pd.DataFrame:
        """Return one row per score.

        Returns
        -------
        DataFrame
            Columns ``score``, ``value``, ``low``, ``high``, ``best``, ``independent_columns``,
            ``bootstrap``, ``holdout`` (NaN for what is not known) and ``note``. The privacy line
            is in ``attrs["privacy"]``.
        """
        frame = pd.DataFrame(
            [
                {
                    "score": score.name,
                    "value": score.value,
                    "low": None if score.interval is None else score.interval[0],
                    "high": None if score.interval is None else score.interval[1],
                    "best": score.best,
                    **{row: score.references.get(row) for row in REFERENCES},
                    "note": "; ".join(filter(None, [score.reason, score.note])),
                }
                for score in self.scores.values()
            ]
        )
        numbers = ["value", "low", "high", "best", *REFERENCES]
        frame[numbers] = frame[numbers].astype(np.float64)
        frame.attrs["privacy"] = self.privacy
        return frame

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_dict` to a file, whole or not at all.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        _write(path, json.dumps(self._data, indent=1, ensure_ascii=False) + "\n")

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML file, whole or not at all.

        It holds no train row: see ``synthgan.evaluate.marginals`` for what is shown.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        _write(path, render_page(self._data))

    def __str__(self) -> str:
        head = ["score", "value", "95 % interval", "best", *REFERENCES]
        rows = [[name.replace("_", " ") for name in head]]
        notes = []
        for s in self.scores.values():
            interval = "-" if s.interval is None else " .. ".join(map(format_number, s.interval))
            references = [format_number(s.references.get(row)) for row in REFERENCES]
            rows.append([s.name, format_number(s.value), interval, format_number(s.best)])
            rows[-1] += references
            text = "; ".join(filter(None, [s.reason, s.note]))
            notes += [f"{s.name}: {text}"] if text else []
        return "\n".join([self.privacy, "", *_aligned(rows), *([""] if notes else []), *notes])

    def __repr__(self) -> str:
        return f"<Report: {self.privacy} {len(self.scores)} scores; print it to see them>"

    def _repr_html_(self) -> str:
        return render_fragment(self._data)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _write(path: str | os.PathLike[str], text: str) -> None:
    try:
        write_atomically(path, lambda name: Path(name).write_text(text, encoding="utf-8"))
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.") from error


def build_report(
    tables: Tables,
    scores: Sequence[Score],
    found: Similarity,
    *,
    privacy: str | None,
    settings: Mapping[str, Any],
) -> Report:
    """Gather what was measured into one dict.

    Parameters
    ----------
    tables : Tables
    scores : sequence of Score
    found : Similarity
        Of train and synthetic.
    privacy : str or None
        The first line; None says that there is no guarantee.
    settings : dict
        The arguments that shaped the numbers.
    """
    shown = found.columns["column"].head(MAX_FIGURES)
    marginals = [marginal(tables.train, tables.synthetic, name) for name in shown]
    return Report(
        {
            "privacy": privacy or NO_GUARANTEE,
            "format": 1,
            "settings": dict(settings),
            "tables": {
                "train": len(tables.train),
                "synthetic": len(tables.synthetic),
                "holdout": None if tables.holdout is None else len(tables.holdout),
                "columns": len(tables.train.columns),
            },
            "scores": [score.to_dict() for score in scores],
            "columns": _records(found.columns),
            "pairs": _records(found.pairs.head(MAX_PAIRS)),
            "n_pairs": len(found.pairs),
            "heat_map": _heat_map(tables.train.names, found.pairs),
            "marginals": [m for m in marginals if m is not None],
        }
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows


def _heat_map(names: Sequence[str], pairs: pd.DataFrame) -> dict[str, Any]:
    """Return the errors among the columns that are worst on average, in table order."""
    ends = pd.concat([pairs["column_1"], pairs["column_2"]])
    means = pd.concat([pairs["error"], pairs["error"]]).groupby(ends.to_numpy()).mean()
    worst = set(means.sort_values(ascending=False, kind="stable").index[:MAX_FIGURES])
    chosen = [name for name in names if name in worst]
    place = {name: k for k, name in enumerate(chosen)}
    errors: list[list[float | None]] = [[None] * len(chosen) for _ in chosen]
    inside = pairs[pairs["column_1"].isin(worst) & pairs["column_2"].isin(worst)]
    for a, b, error in zip(inside["column_1"], inside["column_2"], inside["error"], strict=True):
        value = None if np.isnan(error) else float(error)
        errors[place[a]][place[b]] = errors[place[b]][place[a]] = value
    return {"columns": chosen, "errors": errors}
