"""The answer of a trial as HTML: the reason, a table, and a plot of the gains."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from synthgan.augment.trial import NOTHING
from synthgan.evaluate.report.figures import draw_intervals
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
_NOTE = (
    "Means over the test folds. Gains have intervals that are corrected for overlapping folds "
    "(Nadeau and Bengio 2003); those that decide are wider, because several ways were tried."
)


def page_of(answer: Mapping[str, Any], *, whole: bool) -> str:
    """Return the page of an answer.

    Parameters
    ----------
    answer : dict
        As :meth:`synthgan.augment.Augmentation.to_dict` makes it.
    whole : bool
        A document, or a part of a notebook.
    """
    rows, made = answer["table"], answer["against_best"]
    names = [name for name in _TITLES if name in rows[0]]
    ours = {row["method"] for row in made}
    gains = [(_styled(row, ours)) for row in rows if row["method"] != NOTHING]
    scoring, best = answer["scoring"], answer["best_simple"]
    pictures = [
        figure(
            f"Gain in {escape(scoring)} over the rows as they are",
            "right is better",
            draw_intervals(gains, "Gain over the rows as they are"),
        ),
        figure(
            f"Gain over the best simple way: {escape(best)}",
            "the intervals that decide",
            draw_intervals([_styled(row, ours) for row in made], f"Gain over {best}"),
        ),
    ]
    title = f"Synthetic training rows: {'added' if answer['accepted'] else 'not added'}"
    body = (
        f"<h1>{title}</h1><p>{escape(answer['reason'])}</p>"
        f"{table([_TITLES[name] for name in names], [[row[n] for n in names] for row in rows])}"
        f'<p class="muted">{_NOTE}</p><div class="grid pair">{"".join(pictures)}</div>'
    )
    return document(title, body) if whole else notebook(body)


def _styled(row: Mapping[str, Any], ours: set[str]) -> tuple[str, str, float, tuple[float, float]]:
    style = "fake-bar" if row["method"] in ours else "third-bar"
    return row["method"], style, row["gain"], (row["low"], row["high"])
