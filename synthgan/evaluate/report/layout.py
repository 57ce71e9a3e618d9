"""The frame of an HTML report: summary, findings, tables of scores; whatever was judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from synthgan.evaluate.report.figures import draw_curves
from synthgan.evaluate.report.titles import REFERENCE_TITLES, describe, format_number
from synthgan.evaluate.score import REFERENCES
from synthgan.evaluate.verdict import HEADLINES, in_words

__all__ = [
    "MAX_TABLE_ROWS",
    "Data",
    "Part",
    "document",
    "draw_fit",
    "figure",
    "fragment",
    "notebook",
    "page",
    "scrolling",
    "table",
]

MAX_TABLE_ROWS = 20
_LIGHTS = {"good": "●", "fair": "▲", "poor": "■", "unknown": "○"}
#: The reference that a summary shows beside a score, the first that there is.
_FLOORS = ("holdout", "bootstrap", "copy_of_train")

Data = Mapping[str, Any]
#: Title of a section, what it is about, and its pictures.
Part = tuple[str, str, Callable[[Data], str]]


def page(data: Data, facts: Sequence[str], parts: Mapping[str, Part]) -> str:
    """Return a report as one HTML document.

    Parameters
    ----------
    data : dict
        As of a report.
    facts : sequence of str
        What was compared, for the line below the title.
    parts : dict of str to Part
        By section of the scores; the summary comes before them.
    """
    shown = {name: part for name, part in parts.items() if _of_section(data, name)}
    links = "".join(f'<a href="#{name}">{part[0]}</a>' for name, part in shown.items())
    body = [_head(data, facts), f'<nav aria-label="Parts">{links}</nav>']
    body += [_cards(data), _findings(data)]
    for name, (title, text, pictures) in shown.items():
        body.append(f'<h2 id="{name}">{title}</h2><p class="muted">{text}</p>')
        body += [_score_tables(data, name), pictures(data)]
    body.append(draw_fit(data))
    return document("Synthetic data report", "".join(body))


def document(title: str, body: str) -> str:
    """Return a whole HTML document, without scripts, fonts or anything to download."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_style()}"
        "body{margin:0}body.sg{padding:1.2rem clamp(.8rem,4vw,3rem) 4rem}"
        "main{max-width:1150px;margin:auto}</style></head>"
        f'<body class="sg"><main>{body}</main></body></html>\n'
    )


def notebook(body: str) -> str:
    """Return a part of a notebook."""
    return f'<style>{_style()}</style><div class="sg">{body}</div>'


def fragment(data: Data, facts: Sequence[str], parts: Mapping[str, Part]) -> str:
    """Return the summary as HTML, the privacy line first; for notebooks."""
    summary = _head(data, facts) + _cards(data) + _findings(data)
    tables = "".join(
        f"<h3>{part[0]}</h3>{_score_tables(data, name)}"
        for name, part in parts.items()
        if _of_section(data, name)
    )
    return notebook(summary + tables)


def _style() -> str:
    return resources.files("synthgan.evaluate.report").joinpath("report.css").read_text("utf-8")


# --- summary -------------------------------------------------------------------------------------


def _head(data: Data, facts: Sequence[str]) -> str:
    return (
        f'<p class="privacy">{escape(data["privacy"])}</p><h1>Synthetic data report</h1>'
        f'<p class="muted">{escape(" · ".join(facts))}</p>'
    )


def _of_section(data: Data, section: str) -> list[Data]:
    return [score for score in data["scores"] if score["section"] == section]


def _light(score: Data) -> str:
    verdict = score["verdict"]
    text = in_words(score["section"], verdict)
    return f'<span class="light {verdict}">{_LIGHTS[verdict]} {text}</span>'


def _interval(score: Data) -> str:
    ends = score["interval"]
    return "-" if ends is None else " – ".join(format_number(x) for x in ends)


def _cards(data: Data) -> str:
    scores = {score["name"]: score for score in data["scores"]}
    shown = [scores[name] for name in HEADLINES if name in scores]
    cards = []
    for score in shown:
        title, meaning = describe(score["name"])
        row = next((r for r in _FLOORS if score["references"].get(r) is not None), None)
        facts = [f"95 %: {_interval(score)}"] if score["interval"] else []
        if row is not None:
            floor = format_number(score["references"][row])
            facts.append(f"{REFERENCE_TITLES[row][0].lower()} {floor}")
        facts += [score["reason"]] if score["reason"] else []
        cards.append(
            f'<li class="card {score["verdict"]}">{escape(title)}'
            f"<b>{format_number(score['value'])}</b>{_light(score)}"
            f"<small>{escape(' · '.join(facts))}</small><small>{escape(meaning)}</small></li>"
        )
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _findings(data: Data) -> str:
    if data.get("public"):
        return ""
    if not data["findings"]:
        return '<p class="muted">No fault was found.</p>'
    rows = [
        f"<li><b>{escape(finding['name'])}</b>: {escape(finding['message'])} "
        f"<i>{escape(finding['advice'])}</i></li>"
        for finding in data["findings"]
    ]
    return f'<h3>Findings</h3><ul class="findings">{"".join(rows)}</ul>'


# --- tables of scores ----------------------------------------------------------------------------


def _score_tables(data: Data, section: str) -> str:
    """Return the table of headline scores, and the others folded away."""
    scores = _of_section(data, section)
    if section == "utility":
        first = [
            s for s in scores if s["name"].endswith(_MAIN_STATISTICS) or s["name"] in HEADLINES
        ]
    else:
        first = scores
    names = {score["name"] for score in first}
    rest = [score for score in scores if score["name"] not in names]
    text = _score_table(first)
    if rest:
        text += f"<details><summary>{len(rest)} more scores</summary>{_score_table(rest)}</details>"
    used = {row for score in scores for row in score["references"]}
    legend = "; ".join(
        f"<b>{title}</b>: {meaning}"
        for row, (title, meaning) in REFERENCE_TITLES.items()
        if row in used
    )
    return f'{text}<p class="muted">{legend}.</p>' if legend else text


_MAIN_STATISTICS = (
    "_auc",
    "_rmse",
    "ratio_boosting",
    "ratio_linear",
    "ratio_mlp",
    "ranking_agreement",
    "worst_group_loss",
)


def _score_table(scores: Sequence[Data]) -> str:
    rows = [row for row in REFERENCES if any(row in score["references"] for score in scores)]
    labels = ["Synthetic", "95 % interval", "Verdict", "Best"]
    labels += [REFERENCE_TITLES[row][0] for row in rows]
    head = "".join(f'<th scope="col">{label}</th>' for label in labels)
    body = "".join(_score_row(score, labels, rows) for score in scores)
    table = (
        '<table class="scores"><thead><tr><th class="text" scope="col">Score</th>'
        f'{head}<th class="text" scope="col">Note</th></tr></thead><tbody>{body}</tbody></table>'
    )
    return scrolling(table, "Scores")


def _score_row(score: Data, labels: Sequence[str], rows: Sequence[str]) -> str:
    title, meaning = describe(score["name"])
    texts = [
        ("main", format_number(score["value"])),
        ("range", escape(_interval(score))),
        ("", _light(score)),
        ("", format_number(score["best"])),
        *(("", format_number(score["references"].get(row))) for row in rows),
    ]
    cells = [
        f'<td class="{kind or ("empty" if text == "-" else "")}" data-label="{label}">{text}</td>'
        for label, (kind, text) in zip(labels, texts, strict=True)
    ]
    note = "; ".join(filter(None, [score["reason"], score["note"]]))
    return (
        f'<tr><th class="text" scope="row">{escape(title)}<small>{escape(meaning)}</small></th>'
        f'{"".join(cells)}<td class="text note">{escape(note)}</td></tr>'
    )


def scrolling(content: str, label: str) -> str:
    """Return a block that scrolls sideways by itself."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{content}</div>'


def table(head: Iterable[str], rows: Iterable[Sequence[Any]], texts: int = 1) -> str:
    """Return a table whose first columns are text."""

    def cell(value: Any) -> str:
        if isinstance(value, str):
            return f'<td class="text">{escape(value)}</td>'
        return f"<td>{format_number(value)}</td>"

    titles = "".join(
        f'<th scope="col" class="{"text" if k < texts else ""}">{escape(title)}</th>'
        for k, title in enumerate(head)
    )
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
    return scrolling(table, "Table")


def figure(title: str, fact: str, picture: str) -> str:
    """Return a picture under its title (HTML) and a fact about it (text)."""
    return (
        f"<figure><figcaption><b>{title}</b><span>{escape(fact)}</span></figcaption>"
        f"{picture}</figure>"
    )


# --- the fit -------------------------------------------------------------------------------------


def draw_fit(data: Data) -> str:
    """Return the curves of a fit, if there are any."""
    pictures = []
    for phase in dict.fromkeys(str(entry.get("phase", "fit")) for entry in data["history"]):
        entries = [e for e in data["history"] if str(e.get("phase", "fit")) == phase]
        curves = {}
        for name in ("validation", "loss", "critic"):
            points = [(e["step"], e[name]) for e in entries if e.get(name) is not None]
            if len(points) > 1:
                curves[name] = tuple(zip(*points, strict=True))
        if curves:
            picture = draw_curves(curves, f"Curves of phase {phase}", axes=("step", "loss"))  # type: ignore[arg-type]
            pictures.append(figure(escape(phase), "lower is better", picture))
    if not pictures:
        return ""
    return f'<h2 id="fit">The fit</h2><div class="grid pair">{"".join(pictures)}</div>'
