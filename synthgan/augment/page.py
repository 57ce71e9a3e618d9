"""The answer of a trial as HTML: the reason, a table, and a plot of the gains."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from synthgan.augment.trial import NOTHING
from synthgan.evaluate.report.figures import draw_intervals
from synthgan.evaluate.report.layout import document, figure, notebook, table

__all__ = ["gains_in_words", "page_of"]

_TITLES = {
    "method": "Training rows",
    "auc": "AUC",
    "log_loss": "Log-loss",
    "ece": "Calibration error",
    "minority_f1": "F1 of the rarest class",
    "score": "Score",
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
    means = [name for name in rows[0] if name not in ("gain", "low", "high")]
    names = [name for name in _TITLES if name in means]
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
        f"<h2>Gains over the rows as they are</h2>{_table_of_gains(answer)}"
        f'<p class="muted">{_NOTE}</p><div class="grid pair">{"".join(pictures)}</div>'
    )
    return document(title, body) if whole else notebook(body)


def _table_of_gains(answer: Mapping[str, Any]) -> str:
    words = gains_in_words(pd.DataFrame(answer["gains"]))
    head = [_TITLES["method"], *(_TITLES[str(name)] for name in words)]
    return table(head, [[name, *cells] for name, *cells in words.itertuples()], len(head))


def gains_in_words(gains: pd.DataFrame) -> pd.DataFrame:
    """Return gains and their intervals as text, a row per method and a column per figure."""
    rows = gains[gains["method"] != NOTHING]
    text = [
        f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"
        for gain, low, high in rows[["gain", "low", "high"]].itertuples(index=False)
    ]
    shown = rows[["method", "figure"]].assign(text=text)
    order = [list(dict.fromkeys(rows[name])) for name in ("method", "figure")]
    return shown.pivot(index="method", columns="figure", values="text").loc[order[0], order[1]]


def _styled(row: Mapping[str, Any], ours: set[str]) -> tuple[str, str, float, tuple[float, float]]:
    style = "fake-bar" if row["method"] in ours else "third-bar"
    return row["method"], style, row["gain"], (row["low"], row["high"])
