"""The answer of a trial as HTML: the reason, a table, and a plot of the gains."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from synthgan.evaluate.report.figures import draw_bars
from synthgan.evaluate.report.layout import document, figure, notebook, table

__all__ = ["page_of"]

_TITLES = {
    "method": "Training rows",
    "auc": "AUC",
    "log_loss": "Log-loss",
    "ece": "Calibration error",
    "minority_f1": "F1 of the rarest class",
    "score": "Score",
    "gain": "Gain",
    "low": "from",
    "high": "to",
}


def page_of(answer: Mapping[str, Any], *, whole: bool) -> str:
    """Return the page of an answer.

    Parameters
    ----------
    answer : dict
        As :meth:`synthgan.augment.Augmentation.to_dict` makes it.
    whole : bool
        A document, or a part of a notebook.
    """
    rows = answer["table"]
    names = [name for name in _TITLES if name in rows[0]]
    cells = [[row[name] for name in names] for row in rows]
    simple, made = _bars(answer["table"], answer), answer["against_best"]
    against = [
        (row["method"], [("fake-bar", row["gain"], (row["low"], row["high"]))]) for row in made
    ]
    scoring, best = answer["scoring"], answer["best_simple"]
    pictures = [
        figure(
            f"Gain in {escape(scoring)} over the rows as they are",
            "mean over folds, and its interval; right is better",
            draw_bars(simple, "Gain over the rows as they are"),
        ),
        figure(
            f"Gain over {escape(best)}",
            "the intervals that decide: wider, because several ways were tried",
            draw_bars(against, f"Gain over {best}"),
        ),
    ]
    verdict = "Synthetic rows were added" if answer["accepted"] else "No synthetic rows were added"
    body = (
        f"<h1>{verdict}</h1><p>{escape(answer['reason'])}</p>"
        f"{table([_TITLES[name] for name in names], cells)}"
        f'<div class="grid pair">{"".join(pictures)}</div>'
    )
    return document(verdict, body) if whole else notebook(body)


def _bars(rows: Any, answer: Mapping[str, Any]) -> list[Any]:
    made = {row["method"] for row in answer["against_best"]}
    return [
        (
            row["method"],
            [
                (
                    "fake-bar" if row["method"] in made else "real-bar",
                    row["gain"],
                    (row["low"], row["high"]),
                )
            ],
        )
        for row in rows
        if row["method"] != "nothing"
    ]
