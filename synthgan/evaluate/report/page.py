"""The HTML of a report: one file without scripts, fonts or anything else to download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from synthgan.evaluate.report.figures import (
    draw_bars,
    draw_curves,
    draw_heat_map,
    draw_marginal,
    draw_row_map,
    shortened,
)
from synthgan.evaluate.report.titles import REFERENCE_TITLES, describe, format_number
from synthgan.evaluate.score import REFERENCES
from synthgan.evaluate.verdict import HEADLINES, in_words

__all__ = ["render_fragment", "render_page"]

_MAX_TABLE_ROWS = 20
_LIGHTS = {"good": "●", "fair": "▲", "poor": "■", "unknown": "○"}
_INTRODUCTIONS = {
    "fidelity": (
        "Fidelity",
        "Does the table look like the real one? Read every number against its reference rows.",
    ),
    "utility": (
        "Utility",
        "Is a model trained on synthetic rows of use on real ones? All models are tested on the "
        "holdout.",
    ),
    "privacy": (
        "Attacks on privacy",
        "What an attacker learns about people in train beyond what he learns about anybody. An "
        "attack counts only if it succeeds on a copy of train and fails on fresh rows. These tests "
        "can find a leak; they cannot prove that there is none.",
    ),
}
#: The reference that a summary shows beside a score, the first that there is.
_FLOORS = ("holdout", "bootstrap", "copy_of_train")
Data = Mapping[str, Any]


def render_page(data: Data) -> str:
    """Return the whole report as one HTML document."""
    sections = [name for name in _INTRODUCTIONS if _of_section(data, name)]
    links = "".join(f'<a href="#{name}">{_INTRODUCTIONS[name][0]}</a>' for name in sections)
    pictures = {"fidelity": _fidelity, "utility": _utility, "privacy": _privacy}
    body = [_head(data), f'<nav aria-label="Parts">{links}</nav>', _cards(data), _findings(data)]
    for name in sections:
        title, text = _INTRODUCTIONS[name]
        body.append(f'<h2 id="{name}">{title}</h2><p class="muted">{text}</p>')
        body.append(_score_tables(data, name))
        body.append(pictures[name](data))
    body.append(_fit(data))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Synthetic data report</title><style>{_style()}"
        "body{margin:0}body.sg{padding:1.2rem clamp(.8rem,4vw,3rem) 4rem}"
        "main{max-width:1150px;margin:auto}</style></head>"
        f'<body class="sg"><main>{"".join(body)}</main></body></html>\n'
    )


def render_fragment(data: Data) -> str:
    """Return the summary as HTML, the privacy line first; for notebooks."""
    summary = _head(data) + _cards(data) + _findings(data)
    tables = "".join(
        f"<h3>{_INTRODUCTIONS[name][0]}</h3>{_score_tables(data, name)}"
        for name in _INTRODUCTIONS
        if _of_section(data, name)
    )
    return f'<style>{_style()}</style><div class="sg">{summary}{tables}</div>'


def _style() -> str:
    return resources.files("synthgan.evaluate.report").joinpath("report.css").read_text("utf-8")


# --- summary -------------------------------------------------------------------------------------


def _head(data: Data) -> str:
    sizes, settings = data["tables"], data["settings"]
    facts = [f"{sizes[t]:,} {t} rows" for t in ("train", "synthetic", "holdout") if sizes.get(t)]
    facts.append(f"{sizes['columns']:,} columns")
    if settings.get("target") is not None:
        facts.append(f"target {settings['target']} ({settings['task']})")
    facts += [f"{settings['level']} level", f"judge {settings['booster']}"]
    facts.append(f"seed {settings['random_state']}")
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
        return '<p class="muted">No fault was found in levels, pairs, regions or repeated rows.</p>'
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
    return _scrolling(table, "Scores")


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


def _scrolling(content: str, label: str) -> str:
    return f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{content}</div>'


def _table(head: Iterable[str], rows: Iterable[Sequence[Any]], texts: int = 1) -> str:
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
    return _scrolling(table, "Table")


def _figure(title: str, fact: str, picture: str) -> str:
    return (
        f"<figure><figcaption><b>{title}</b><span>{escape(fact)}</span></figcaption>"
        f"{picture}</figure>"
    )


# --- fidelity ------------------------------------------------------------------------------------


def _fidelity(data: Data) -> str:
    parts = (_marginals, _heat_maps, _judge, _worst_columns, _worst_pairs)
    return "".join(part(data) for part in parts)


def _marginals(data: Data) -> str:
    if not data["marginals"]:
        return ""
    errors = {row["column"]: row["error"] for row in data["columns"]}
    figures = []
    for marginal in data["marginals"]:
        a, b = marginal["missing"]
        facts = f"{format_number(errors[marginal['column']])} %"
        facts += f" · missing {a:.1%} / {b:.1%}" if a or b else ""
        figures.append(_figure(shortened(marginal["column"], 60), facts, draw_marginal(marginal)))
    return (
        "<h3>Columns, worst first</h3>"
        '<p class="muted key"><i></i>train<i class="s"></i>synthetic. Shape error of the column; '
        "share of missing values, train / synthetic. Histograms end at the tenth most extreme "
        "train value; levels with fewer than ten train rows are pooled as (rare).</p>"
        f'<div class="grid">{"".join(figures)}</div>'
    )


def _heat_maps(data: Data) -> str:
    maps = data["heat_map"]
    names = maps["columns"]
    if len(names) < 2:
        return ""
    known = [e for row in maps["errors"] for e in row if e is not None]
    pictures = [
        _figure(
            title,
            "Pearson's r, Cramér's V",
            draw_heat_map(names, maps[key], title, labels=False, top=1.0),
        )
        for title, key in (
            ("Association in train", "train"),
            ("In the synthetic table", "synthetic"),
        )
    ]
    if data["map"]:
        top = max(max(map(max, data["map"][side])) for side in ("train", "synthetic"))
        share = sum(data["map"]["explained"])
        pictures += [
            _figure(
                title,
                f"two components, {share:.0%} of variance",
                draw_row_map(data["map"][side], title, top),
            )
            for title, side in (("Map of train rows", "train"), ("Of synthetic rows", "synthetic"))
        ]
    width = 140 + 26 * (len(names) - 1)
    errors = draw_heat_map(names, maps["errors"], "Trend errors of pairs", unit=" %")
    return (
        "<h3>Pairs of columns, and where rows lie</h3>"
        '<p class="muted key"><i class="s"></i>positive<i class="t"></i>negative. Cells of a map '
        "with fewer than ten train rows are empty.</p>"
        f'<div class="grid pair">{"".join(pictures)}</div>'
        "<h3>Difference of pairs</h3>"
        '<p class="muted">Trend error of each pair, numbers binned over the train range; the '
        "strongest colour is "
        f"{format_number(max(known, default=0.0))} %, an undefined pair is dashed.</p>"
        + _scrolling(
            f'<div style="max-width:{round(1.15 * width)}px;min-width:{min(width, 420)}px">'
            f"{errors}</div>",
            "Differences of pairs",
        )
    )


def _judge(data: Data) -> str:
    details = data["details"]
    if "roc_c2st" not in details:
        return ""
    curve = {"C2ST": tuple(details["roc_c2st"])}
    axes = ("real rows taken for synthetic", "synthetic rows found")
    roc = draw_curves(curve, "ROC curve of C2ST", axes=axes, square=True)
    rows = [row for row in details["telling_columns"][:8] if row["auc_lost"] > 0]
    bars = draw_bars(
        [(row["column"], [("fake-bar", row["auc_lost"], None)]) for row in rows],
        "What the judge tells by",
    )
    return (
        '<h3>What gives synthetic rows away</h3><div class="grid pair">'
        + _figure("ROC curve of the judge", "diagonal: guessing", roc)
        + _figure("Most telling columns", "AUC lost without the column", bars)
        + "</div>"
    )


def _worst_columns(data: Data) -> str:
    fields = ["error", "wasserstein", "tail_error", "range_coverage", "level_recall"]
    fields += ["missing_train", "missing_synthetic"]
    rows = [[row["column"], *(row[k] for k in fields)] for row in data["columns"][:_MAX_TABLE_ROWS]]
    head = ["Column", "Shape error, %", "Wasserstein", "Tails", "Range", "Levels"]
    head += ["Missing in train, %", "Missing in synthetic, %"]
    return f"<h3>Worst columns</h3>{_table(head, rows)}"


def _worst_pairs(data: Data) -> str:
    if not data["pairs"]:
        return ""
    fields = ("error_range_matched", "error", "association", "association_synthetic")
    rows = [
        [f"{row['column_1']} × {row['column_2']}", row["metric"], *(row[k] for k in fields)]
        for row in data["pairs"][:_MAX_TABLE_ROWS]
    ]
    head = ["Pair", "Comparison", "Trend error, %", "Over own ranges, %", "Association in train"]
    return f"<h3>Worst pairs</h3>{_table([*head, 'In synthetic'], rows, 2)}"


# --- utility -------------------------------------------------------------------------------------


def _utility(data: Data) -> str:
    return _learners(data) + _targets(data) + _groups(data)


def _learners(data: Data) -> str:
    scores = {score["name"]: score for score in data["scores"]}
    statistic = "rmse" if data["settings"]["task"] == "regression" else "auc"
    groups = []
    for learner, title in (
        ("boosting", "boosted trees"),
        ("linear", "linear model"),
        ("mlp", "neural network"),
    ):
        bars = []
        for prefix, style in (("trtr", "real"), ("tstr", "fake-bar"), ("augmented", "third-bar")):
            score = scores.get(f"{prefix}_{learner}_{statistic}")
            if score is not None and score["value"] is not None:
                ends = score["interval"]
                bars.append((style, score["value"], None if ends is None else tuple(ends)))
        if bars:
            groups.append((title, bars))
    if not groups:
        return ""
    picture = draw_bars(groups, "Models trained on real and on synthetic rows")
    return (
        '<h3>Trained on synthetic, tested on real</h3><p class="muted key"><i></i>trained on train'
        '<i class="s"></i>on synthetic<i class="t"></i>on both</p><div class="grid pair">'
        + _figure(statistic.upper() + " on the holdout", "95 % intervals", picture)
        + "</div>"
    )


def _targets(data: Data) -> str:
    rows = data["details"].get("targets")
    if not rows:
        return ""
    groups = [
        (row["column"], [("real", row["train"], None), ("fake-bar", row["synthetic"], None)])
        for row in rows[:15]
    ]
    picture = draw_bars(groups, "Every column as a target")
    return (
        '<h3>Every column as a target</h3><p class="muted key"><i></i>trained on train'
        '<i class="s"></i>on synthetic. Skill: 2 AUC - 1 for levels, R² for numbers; the column '
        'that loses most comes first.</p><div class="grid pair">'
        + _figure("Skill on the holdout", "", picture)
        + "</div>"
    )


def _groups(data: Data) -> str:
    found = data["details"].get("groups")
    if not found:
        return ""
    rows = [
        [row["column"], row["group"], row["rows"], row["trtr"], row["tstr"]]
        for row in found["groups"]
    ]
    name = found["statistic"].upper()
    head = ["Column", "Group", "Test rows", f"{name}, trained on train", f"{name}, on synthetic"]
    return f"<h3>Sensitive groups</h3>{_table(head, rows, 2)}"


# --- privacy and the fit -------------------------------------------------------------------------


def _privacy(data: Data) -> str:
    details = data["details"]
    curves = {
        title: tuple(details[name])
        for title, name in (("membership", "roc_membership"), ("shadow models", "roc_shadow"))
        if name in details
    }
    text = ""
    if curves:
        axes = ("others wrongly accused", "members recognised")
        roc = draw_curves(curves, "ROC of membership attacks", axes=axes, square=True)
        text += (
            '<h3>Who was in train?</h3><div class="grid pair">'
            f"{_figure('Membership attack', 'diagonal: guessing', roc)}</div>"
        )
    if details.get("inference"):
        rows = [[row["column"], row["members"], row["control"]] for row in details["inference"]]
        head = ["Secret column", "Right guesses, members", "Right guesses, control"]
        text += f"<h3>Secrets that can be guessed</h3>{_table(head, rows)}"
    if details.get("rare_values"):
        rows = [[row["column"], row["synthetic"], row["control"]] for row in details["rare_values"]]
        head = ["Column", "Synthetic rows with a rare value of train", "Control rows with one"]
        text += f"<h3>Rare values</h3>{_table(head, rows[:_MAX_TABLE_ROWS])}"
    return text


def _fit(data: Data) -> str:
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
            pictures.append(_figure(escape(phase), "lower is better", picture))
    if not pictures:
        return ""
    return f'<h2 id="fit">The fit</h2><div class="grid pair">{"".join(pictures)}</div>'
