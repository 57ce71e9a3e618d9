"""The HTML of a report on a table: the pictures of each section."""

from __future__ import annotations

from synthgan.evaluate.report import layout
from synthgan.evaluate.report.figures import (
    draw_bars,
    draw_curves,
    draw_heat_map,
    draw_marginal,
    draw_row_map,
    shortened,
)
from synthgan.evaluate.report.layout import MAX_TABLE_ROWS, Data, Part, figure, scrolling, table
from synthgan.evaluate.report.titles import format_number

__all__ = ["render_fragment", "render_page"]


def render_page(data: Data) -> str:
    """Return the whole report as one HTML document."""
    return layout.page(data, _facts(data), _parts())


def render_fragment(data: Data) -> str:
    """Return the summary as HTML, the privacy line first; for notebooks."""
    return layout.fragment(data, _facts(data), _parts())


def _parts() -> dict[str, Part]:
    return {
        "fidelity": (
            "Fidelity",
            "Does the table look like the real one? Read every number against its reference rows.",
            _fidelity,
        ),
        "utility": (
            "Utility",
            "Is a model trained on synthetic rows of use on real ones? All models are tested on "
            "the holdout.",
            _utility,
        ),
        "privacy": (
            "Attacks on privacy",
            "What an attacker learns about people in train beyond what he learns about anybody. An "
            "attack counts only if it succeeds on a copy of train and fails on fresh rows. These "
            "tests can find a leak; they cannot prove that there is none.",
            _privacy,
        ),
    }


def _facts(data: Data) -> list[str]:
    sizes, settings = data["tables"], data["settings"]
    facts = [f"{sizes[t]:,} {t} rows" for t in ("train", "synthetic", "holdout") if sizes.get(t)]
    facts.append(f"{sizes['columns']:,} columns")
    if settings.get("target") is not None:
        facts.append(f"target {settings['target']} ({settings['task']})")
    facts += [f"{settings['level']} level", f"judge {settings['booster']}"]
    return [*facts, f"seed {settings['random_state']}"]


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
        figures.append(figure(shortened(marginal["column"], 60), facts, draw_marginal(marginal)))
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
        figure(
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
            figure(
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
        + scrolling(
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
        + figure("ROC curve of the judge", "diagonal: guessing", roc)
        + figure("Most telling columns", "AUC lost without the column", bars)
        + "</div>"
    )


def _worst_columns(data: Data) -> str:
    if not data["columns"]:  # as in a public report
        return ""
    fields = ["error", "wasserstein", "tail_error", "range_coverage", "level_recall"]
    fields += ["missing_train", "missing_synthetic"]
    rows = [[row["column"], *(row[k] for k in fields)] for row in data["columns"][:MAX_TABLE_ROWS]]
    head = ["Column", "Shape error, %", "Wasserstein", "Tails", "Range", "Levels"]
    head += ["Missing in train, %", "Missing in synthetic, %"]
    return f"<h3>Worst columns</h3>{table(head, rows)}"


def _worst_pairs(data: Data) -> str:
    if not data["pairs"]:
        return ""
    fields = ("error_range_matched", "error", "association", "association_synthetic")
    rows = [
        [f"{row['column_1']} × {row['column_2']}", row["metric"], *(row[k] for k in fields)]
        for row in data["pairs"][:MAX_TABLE_ROWS]
    ]
    head = ["Pair", "Comparison", "Trend error, %", "Over own ranges, %", "Association in train"]
    return f"<h3>Worst pairs</h3>{table([*head, 'In synthetic'], rows, 2)}"


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
        + figure(statistic.upper() + " on the holdout", "95 % intervals", picture)
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
        + figure("Skill on the holdout", "", picture)
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
    return f"<h3>Sensitive groups</h3>{table(head, rows, 2)}"


# --- privacy ---------------------------------------------------------------------------------


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
            f"{figure('Membership attack', 'diagonal: guessing', roc)}</div>"
        )
    if details.get("inference"):
        rows = [[row["column"], row["members"], row["control"]] for row in details["inference"]]
        head = ["Secret column", "Right guesses, members", "Right guesses, control"]
        text += f"<h3>Secrets that can be guessed</h3>{table(head, rows)}"
    if details.get("rare_values"):
        rows = [[row["column"], row["synthetic"], row["control"]] for row in details["rare_values"]]
        head = ["Column", "Synthetic rows with a rare value of train", "Control rows with one"]
        text += f"<h3>Rare values</h3>{table(head, rows[:MAX_TABLE_ROWS])}"
    return text
