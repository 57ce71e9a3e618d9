"""The HTML of a report: one file without scripts, fonts or anything else to download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from synthgan.evaluate.figures import draw_heat_map, draw_marginal, shortened

__all__ = ["describe", "format_number", "render_fragment", "render_page"]

_MAX_TABLE_ROWS = 20

#: Title and meaning of a score; `{name}` of a learner or statistic is filled in by `describe`.
_DESCRIPTIONS = {
    "shape_error": ("Shape error, %", "mean distance of single columns from train"),
    "trend_error": ("Trend error, %", "mean distance of column pairs, all pairs, as in papers"),
    "trend_error_range_matched": (
        "Trend error, matched range, %",
        "the same with numbers binned over the train range, immune to single extremes",
    ),
    "trend_error_default_thresholds": (
        "Trend error, strong pairs, %",
        "what sdmetrics 0.27 and later reports; not comparable with papers",
    ),
    "c2st_auc": ("C2ST, AUC", "can boosted trees tell synthetic rows from train rows?"),
    "dcr_share": ("Closer to train than to holdout", "share of rows; copies push it to 1"),
    "exact_match_rate": ("Exact copies of train rows", "share of rows; best is the holdout's own"),
}
_TRAINED_ON = {"tstr": "synthetic", "trtr": "train"}
_LEARNERS = {"boosting": "boosted trees", "linear": "linear model"}
_STATISTICS = {"auc": "AUC", "rmse": "RMSE", "r2": "R²"}

_STYLE = """
.sg{--ink:#1d2733;--soft:#5c6875;--line:#dde2e8;--page:#fff;--panel:#f6f8fa;--real:#b6c0cb;
--fake:#0b6bcb;--warn:#fff4d6;--warn-ink:#6b4b00;color:var(--ink);background:var(--page);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
@media (prefers-color-scheme:dark){.sg{--ink:#e6eaef;--soft:#9aa6b2;--line:#323b46;--page:#14191f;
--panel:#1c232b;--real:#586573;--fake:#62aeff;--warn:#3a3013;--warn-ink:#f3d68a}}
.sg *{box-sizing:border-box}.sg h1{font-size:1.5rem;margin:.2em 0}
.sg h2{font-size:1.15rem;margin:2.2em 0 .4em}.sg p{margin:.4em 0;max-width:75ch}
.sg .privacy{background:var(--warn);color:var(--warn-ink);padding:.6em .9em;border-radius:6px;
font-weight:600;max-width:none;overflow-wrap:anywhere}
.sg .muted,.sg small{color:var(--soft)}.sg small{display:block;font-size:.82em;
line-height:1.35;font-weight:400}.sg .scores th.text{min-width:15em}
.sg .wide{overflow-x:auto}.sg table{border-collapse:collapse;width:100%;font-size:.92em}
.sg th,.sg td{text-align:right;padding:.45em .6em;border-bottom:1px solid var(--line);
vertical-align:top;background:none;font-variant-numeric:tabular-nums}
.sg thead th{color:var(--soft);font-weight:600;white-space:nowrap;vertical-align:bottom}
.sg tbody th{font-weight:600}.sg .text{text-align:left;overflow-wrap:anywhere}
.sg td.main{font-weight:700}.sg td.note{color:var(--soft);font-size:.88em}
.sg .grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(300px,100%),1fr));gap:14px;
align-items:start}
.sg figure{margin:0;padding:10px 12px;background:var(--panel);border-radius:6px;min-width:0}
.sg figcaption{display:flex;gap:1em;justify-content:space-between;margin-bottom:6px;font-size:.9em}
.sg figcaption b{overflow-wrap:anywhere}.sg figcaption span{color:var(--soft);white-space:nowrap}
.sg svg{width:100%;height:auto;display:block;font-size:11px}.sg svg text{fill:var(--ink)}
.sg svg text.muted{fill:var(--soft)}.sg .real{fill:var(--real)}.sg .fake-bar{fill:var(--fake)}
.sg .fake{fill:none;stroke:var(--fake);stroke-width:1.8;stroke-linejoin:round}
.sg .axis{stroke:var(--soft);stroke-width:1}.sg .hot{fill:var(--fake)}
.sg .void{fill:none;stroke:var(--line);stroke-dasharray:3 2}
.sg .key i{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin:0 .35em 0 1em;
vertical-align:-.1em;background:var(--real)}.sg .key i.s{background:var(--fake)}
.sg .key i:first-child{margin-left:0}
@media (max-width:640px){.sg .scores thead{display:none}.sg .scores tr{display:block;
padding:.7em 0;border-bottom:1px solid var(--line)}.sg .scores th,.sg .scores td{display:flex;
justify-content:space-between;gap:1em;border:0;padding:.1em 0}.sg .scores th{display:block}
.sg .scores td::before{content:attr(data-label);color:var(--soft);font-weight:400}
.sg .scores td.note{justify-content:flex-start}.sg .scores td.empty,
.sg .scores td.note::before{display:none}}
"""


def describe(name: str) -> tuple[str, str]:
    """Return the title and the meaning of a score.

    Examples
    --------
    >>> describe("tstr_linear_auc")[0]
    'Train synthetic, test real: linear model, AUC'
    """
    prefix, _, rest = name.partition("_")
    if prefix not in _TRAINED_ON:
        return _DESCRIPTIONS.get(name, (name, ""))
    learner, _, statistic = rest.partition("_")
    kind = "synthetic" if prefix == "tstr" else "real"
    title = f"Train {kind}, test real: {_LEARNERS[learner]}, {_STATISTICS[statistic]}"
    return title, f"trained on {_TRAINED_ON[prefix]} rows, tested on the holdout"


def format_number(value: float | None) -> str:
    """Return a number for a table, ``"-"`` for none.

    Examples
    --------
    >>> format_number(0.91234), format_number(12345.6), format_number(None)
    ('0.912', '12,346', '-')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 1e9 or abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def render_page(data: Mapping[str, Any]) -> str:
    """Return the whole report as one HTML document."""
    body = "".join(
        [
            render_fragment(data, style=False),
            _figures(data),
            _heat_map(data),
            _worst_columns(data),
            _worst_pairs(data),
        ]
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Synthetic data report</title><style>{_STYLE}"
        "body{margin:0}body.sg{padding:1.2rem clamp(.8rem,4vw,3rem) 4rem}"
        "main{max-width:1150px;margin:auto}</style></head>"
        f'<body class="sg"><main>{body}</main></body></html>\n'
    )


def render_fragment(data: Mapping[str, Any], *, style: bool = True) -> str:
    """Return the summary as HTML, the privacy line first; for notebooks."""
    sizes, settings = data["tables"], data["settings"]
    rows = [f"{sizes[t]:,} {t} rows" for t in ("train", "synthetic", "holdout") if sizes[t]]
    facts = [*rows, f"{sizes['columns']:,} columns"]
    if settings["target"] is not None:
        facts.append(f"target {settings['target']} ({settings['task']})")
    facts += [f"judge {settings['booster']}", f"seed {settings['random_state']}"]
    summary = (
        f'<p class="privacy">{escape(data["privacy"])}</p><h1>Synthetic data report</h1>'
        f'<p class="muted">{escape(" · ".join(facts))}</p>{_summary(data["scores"])}'
        '<p class="muted">Read every number against its reference rows. '
        "<b>Independent columns</b>: train with each column shuffled by itself, so every "
        "relation is lost. <b>Bootstrap</b>: train rows drawn again, the floor of sampling "
        "noise, and all copies. <b>Holdout</b>: real "
        "rows that the model never saw.</p>"
    )
    return f'<style>{_STYLE}</style><div class="sg">{summary}</div>' if style else summary


def _summary(scores: Sequence[Mapping[str, Any]]) -> str:
    labels = ["Synthetic", "95 % interval", "Best", "Independent columns", "Bootstrap", "Holdout"]
    head = "".join(f"<th>{label}</th>" for label in labels)
    rows = "".join(_summary_row(score, labels) for score in scores)
    return (
        '<div class="wide"><table class="scores"><thead><tr><th class="text">Score</th>'
        f'{head}<th class="text">Note</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _summary_row(score: Mapping[str, Any], labels: Sequence[str]) -> str:
    title, meaning = describe(score["name"])
    interval = score["interval"]
    reference = score["references"].get
    texts = [
        format_number(score["value"]),
        "-" if interval is None else " – ".join(format_number(x) for x in interval),
        format_number(score["best"]),
        *(format_number(reference(row)) for row in ("independent_columns", "bootstrap", "holdout")),
    ]
    cells = []
    for k, (label, text) in enumerate(zip(labels, texts, strict=True)):
        kind = "main" if k == 0 else "empty" if text == "-" else ""
        cells.append(f'<td class="{kind}" data-label="{label}">{escape(text)}</td>')
    note = "; ".join(filter(None, [score["reason"], score["note"]]))
    return (
        f'<tr><th class="text" scope="row">{escape(title)}<small>{escape(meaning)}</small></th>'
        f'{"".join(cells)}<td class="text note">{escape(note)}</td></tr>'
    )


def _figures(data: Mapping[str, Any]) -> str:
    if not data["marginals"]:
        return ""
    errors = {row["column"]: row["error"] for row in data["columns"]}
    figures = []
    for marginal in data["marginals"]:
        a, b = marginal["missing"]
        facts = f"{format_number(errors[marginal['column']])} %"
        facts += f" · missing {a:.1%} / {b:.1%}" if a or b else ""
        figures.append(
            f"<figure><figcaption><b>{shortened(marginal['column'], 60)}</b><span>{facts}</span>"
            f"</figcaption>{draw_marginal(marginal)}</figure>"
        )
    return (
        "<h2>Columns, worst first</h2>"
        '<p class="muted key"><i></i>train<i class="s"></i>synthetic. Shape error of the column; '
        "share of missing values, train / synthetic. Histograms end at the tenth most extreme "
        "train value; levels with fewer than ten train rows are pooled as (rare).</p>"
        f'<div class="grid">{"".join(figures)}</div>'
    )


def _heat_map(data: Mapping[str, Any]) -> str:
    names, errors = data["heat_map"]["columns"], data["heat_map"]["errors"]
    if len(names) < 2:
        return ""
    values = [e for row in errors for e in row if e is not None]
    width = 140 + 26 * (len(names) - 1)
    return (
        "<h2>Pairs of columns</h2>"
        f'<p class="muted">Trend error of each pair; the strongest colour is '
        f"{format_number(max(values, default=0.0))} %, an undefined pair is dashed.</p>"
        f'<div class="wide"><div style="max-width:{round(1.15 * width)}px;min-width:'
        f'{min(width, 420)}px">{draw_heat_map(names, errors)}</div></div>'
    )


def _worst_columns(data: Mapping[str, Any]) -> str:
    rows = [
        [row["column"], row["metric"], *(row[k] for k in _COLUMN_FIELDS)]
        for row in data["columns"][:_MAX_TABLE_ROWS]
    ]
    head = ["Column", "Distance", "Error, %", "Missing in train, %", "Missing in synthetic, %"]
    return f"<h2>Worst columns</h2>{_table(head, rows)}"


def _worst_pairs(data: Mapping[str, Any]) -> str:
    if not data["pairs"]:
        return ""
    rows = [
        [f"{row['column_1']} × {row['column_2']}", row["metric"], *(row[k] for k in _PAIR_FIELDS)]
        for row in data["pairs"][:_MAX_TABLE_ROWS]
    ]
    head = ["Pair", "Comparison", "Error, %", "Matched range, %", "Association in train"]
    return f"<h2>Worst pairs</h2>{_table(head, rows)}"


_COLUMN_FIELDS = ("error", "missing_train", "missing_synthetic")
_PAIR_FIELDS = ("error", "error_range_matched", "association")


def _table(head: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, str):
            return f'<td class="text">{escape(value)}</td>'
        return f"<td>{format_number(value)}</td>"

    titles = "".join(
        f'<th class="{"text" if k < 2 else ""}">{escape(title)}</th>'
        for k, title in enumerate(head)
    )
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
