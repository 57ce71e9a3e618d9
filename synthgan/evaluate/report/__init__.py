"""What an evaluation found: computed once as one dict, shown in many ways."""

from __future__ import annotations

import abc
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from synthgan.evaluate.diagnosis import Finding
from synthgan.evaluate.report.maps import row_map
from synthgan.evaluate.report.marginals import marginal
from synthgan.evaluate.report.page import render_fragment, render_page
from synthgan.evaluate.report.titles import format_number
from synthgan.evaluate.score import REFERENCES, Score
from synthgan.evaluate.tables import Tables
from synthgan.evaluate.verdict import HEADLINES, in_words, overall, verdict
from synthgan.files import write_text

__all__ = ["NO_GUARANTEE", "BaseReport", "Report", "build_report", "finite", "rounded"]

NO_GUARANTEE = "No formal privacy guarantee."

FORMAT = 2
MAX_FIGURES = 30
MAX_PAIRS = 5_000


class BaseReport(abc.ABC):
    """Scores and findings, computed once and shown in many ways.

    Every rendering begins with a line that says whether there is a formal privacy guarantee. A
    subclass says how its page looks.

    Parameters
    ----------
    data : dict
        As from :meth:`to_dict`.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = json.loads(json.dumps(dict(data), allow_nan=False))
        self.scores = {entry["name"]: Score.from_dict(entry) for entry in self._data["scores"]}

    @property
    def privacy(self) -> str:
        """The line on formal privacy guarantees."""
        return str(self._data["privacy"])

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What is wrong with the table or the fit: name, severity, message, advice, columns."""
        found: list[dict[str, Any]] = self.to_dict()["findings"]
        return found

    def verdicts(self) -> dict[str, str]:
        """Return "good", "fair", "poor" or "unknown" for every score."""
        return {entry["name"]: entry["verdict"] for entry in self._data["scores"]}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one JSON-able dict, of which the report can be made again."""
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
        write_text(path, json.dumps(self._data, indent=1, ensure_ascii=False) + "\n")

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML file, whole or not at all.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        write_text(path, self._page())

    def __str__(self) -> str:
        verdicts = self.verdicts()
        shown = [s for s in self.scores.values() if self._is_told(s.name, verdicts)]
        used = [row for row in REFERENCES if any(row in s.references for s in shown)]
        head = ["", "score", "value", "95 % interval", "best", *used]
        rows = [[name.replace("_", " ") for name in head]]
        notes = []
        for s in shown:
            interval = "-" if s.interval is None else " .. ".join(map(format_number, s.interval))
            references = [format_number(s.references.get(row)) for row in used]
            mark = in_words(s.section, verdicts[s.name])
            rows.append([mark, s.name, format_number(s.value), interval, format_number(s.best)])
            rows[-1] += references
            text = "; ".join(filter(None, [s.reason, s.note]))
            notes += [f"{s.name}: {text}"] if text else []
        findings = [f"{f['name']}: {f['message']} {f['advice']}".strip() for f in self.findings]
        rest = len(self.scores) - len(shown)
        more = [f"{rest} more scores in to_frame(), to_json() and to_html()."] if rest else []
        blocks = [[self.privacy], _aligned(rows), notes, findings, more]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    @staticmethod
    def _is_told(name: str, verdicts: Mapping[str, str]) -> bool:
        """Return whether a score is on the short list: a headline, or poor."""
        return name in HEADLINES or verdicts[name] == "poor"

    def __repr__(self) -> str:
        return (
            f"<Report: {self.privacy} {overall(self.scores.values())} overall, "
            f"{len(self.scores)} scores; print it to see them>"
        )

    def _repr_html_(self) -> str:
        return self._fragment()

    @abc.abstractmethod
    def _page(self) -> str:
        """Return the page as HTML."""

    @abc.abstractmethod
    def _fragment(self) -> str:
        """Return what a notebook shows, as HTML."""


class Report(BaseReport):
    """The result of :func:`synthgan.evaluate.evaluate`.

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

    @property
    def columns(self) -> pd.DataFrame:
        """Shape error of every column in percent, worst first."""
        return pd.DataFrame(self._data["columns"])

    @property
    def pairs(self) -> pd.DataFrame:
        """Trend error of the (at most 5,000) worst pairs of columns in percent, worst first.

        The order is that of ``error_range_matched``.
        """
        return pd.DataFrame(self._data["pairs"])

    def public(self) -> Report:
        """Return the report that may leave the house of the data.

        Numbers computed from private rows tell about them. What stays: the privacy line, the
        headline scores rounded to two digits, their verdicts, the numbers of rows, columns and
        pairs, and the settings. What goes: all intervals, references, names of columns and levels,
        pictures, findings, and the curves of the fit. The rounded numbers carry no formal
        guarantee.
        """
        kept = [entry for entry in self._data["scores"] if entry["name"] in HEADLINES]
        settings = {**self._data["settings"], "target": None, "categorical": [], "sensitive": []}
        return Report(
            {
                **self._data,
                "public": True,
                "settings": settings,
                "scores": [rounded(entry) for entry in kept],
                "findings": [],
                "columns": [],
                "pairs": [],
                "heat_map": {"columns": [], "errors": [], "train": [], "synthetic": []},
                "marginals": [],
                "map": None,
                "history": [],
                "details": {},
            }
        )

    def _page(self) -> str:
        # It holds no train row: see synthgan.evaluate.report.marginals for what is shown.
        return render_page(self._data)

    def _fragment(self) -> str:
        return render_fragment(self._data)


def rounded(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score without what only the holder of the data may see."""
    value = None if entry["value"] is None else float(f"{entry['value']:.2g}")
    # The best rate of exact copies is the holdout's own: the only yardstick that is measured.
    measured = entry["best"] is None or entry["name"] == "exact_match_rate"
    best = None if measured else float(f"{entry['best']:.2g}")
    bare: dict[str, Any] = {
        "interval": None,
        "references": {},
        "reference_intervals": {},
        "note": "",
    }
    return {**entry, **bare, "value": value, "best": best}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
        cells += [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def build_report(
    tables: Tables,
    scores: Sequence[Score],
    details: Mapping[str, Any],
    findings: Sequence[Finding],
    *,
    history: Sequence[Mapping[str, Any]],
    privacy: str | None,
    settings: Mapping[str, Any],
) -> Report:
    """Gather what was measured into one dict.

    Parameters
    ----------
    tables : Tables
    scores : sequence of Score
    details : dict
        Tables and curves behind the scores, frames or JSON-able.
    findings : sequence of Finding
    history : sequence of dict
        Of the fit; may be empty.
    privacy : str or None
        The first line; None says that there is no guarantee.
    settings : dict
        The arguments that shaped the numbers.
    """
    columns = details["columns"]
    # One extreme value decides errors over each table's own range; it must not fill the page.
    pairs = details["pairs"].sort_values(
        "error_range_matched", ascending=False, kind="stable", ignore_index=True
    )
    figures = details["column_figures"].set_index("column")
    columns = columns.join(figures, on="column")
    marginals = [
        marginal(tables.train, tables.synthetic, name) for name in columns["column"][:MAX_FIGURES]
    ]
    kept = {
        name: _records(value) if isinstance(value, pd.DataFrame) else value
        for name, value in details.items()
        if name not in ("columns", "pairs", "column_figures")
    }
    if "nmi" in kept:
        kept["nmi"] = kept["nmi"][:MAX_PAIRS]
    return Report(
        {
            "privacy": privacy or NO_GUARANTEE,
            "format": FORMAT,
            "public": False,
            "settings": dict(settings),
            "tables": {
                "train": len(tables.train),
                "synthetic": len(tables.synthetic),
                "holdout": None if tables.holdout is None else len(tables.holdout),
                "columns": len(tables.train.columns),
            },
            "scores": [{**score.to_dict(), "verdict": verdict(score)} for score in scores],
            "findings": [finding.to_dict() for finding in findings],
            "columns": _records(columns),
            "pairs": _records(pairs.head(MAX_PAIRS)),
            "n_pairs": len(pairs),
            "heat_map": _heat_map(tables.train.names, pairs),
            "marginals": [m for m in marginals if m is not None],
            "map": row_map(tables.train, tables.synthetic, int(settings["random_state"])),
            "history": finite([dict(entry) for entry in history]),
            "details": finite(kept),
        }
    )


def finite(part: Any) -> Any:
    """Return nested dicts and lists with None for numbers that JSON cannot hold."""
    if isinstance(part, Mapping):
        return {name: finite(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [finite(value) for value in part]
    return None if isinstance(part, float) and not np.isfinite(part) else part


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows


def _heat_map(names: Sequence[str], pairs: pd.DataFrame) -> dict[str, Any]:
    """Return matrices among the columns that are worst on average, in table order."""
    ends = pd.concat([pairs["column_1"], pairs["column_2"]])
    errors = pd.concat([pairs["error_range_matched"]] * 2)
    means = errors.groupby(ends.to_numpy()).mean()
    worst = set(means.sort_values(ascending=False, kind="stable").index[:MAX_FIGURES])
    chosen = [name for name in names if name in worst]
    inside = pairs[pairs["column_1"].isin(worst) & pairs["column_2"].isin(worst)]
    layers = {
        "errors": "error_range_matched",
        "train": "association",
        "synthetic": "association_synthetic",
    }
    return {
        "columns": chosen,
        **{title: _matrix(chosen, inside, field) for title, field in layers.items()},
    }


def _matrix(names: Sequence[str], pairs: pd.DataFrame, field: str) -> list[list[float | None]]:
    place = {name: k for k, name in enumerate(names)}
    matrix: list[list[float | None]] = [[None] * len(names) for _ in names]
    for a, b, number in zip(pairs["column_1"], pairs["column_2"], pairs[field], strict=True):
        value = None if np.isnan(number) else round(float(number), 6)
        matrix[place[a]][place[b]] = matrix[place[b]][place[a]] = value
    return matrix
