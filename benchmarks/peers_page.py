"""What ``peers.py`` writes into the pages: tables, ratios beside their goals, and the plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from generators import METHODS
from pages import BENCHMARKS, ROOT, write_into
from real_tables import METRICS, TABLES, spread

PLOT = BENCHMARKS.parent / "_static" / "peers.png"

#: What the rows of a method are called; synthgan has more rows, by the number of steps.
NAMES = {
    "synthgan": "synthgan",
    "hurried": "synthgan, half of ARGN's time",
    "rushed": "synthgan, a twentieth of CTGAN's time",
    "argn": "TabularARGN",
    "copula": "GaussianCopula",
    "smote": "SMOTE-NC",
    "arf": "ARF",
    "tvae": "TVAE",
    "ctgan": "CTGAN",
}
OWN = ("synthgan", "hurried", "rushed")
COLUMNS = {
    "fit_seconds": ("fit s", 0), "rows_per_second": ("rows/s", 0), "peak_gib": ("GiB", 2),
    "file_mb": ("file MB", 1), **METRICS,
}  # fmt: skip

Rows = dict[str, dict[str, list[dict[str, Any]]]]


class Goal(NamedTuple):
    """A figure of synthgan over that of another generator, and what it was to be."""

    title: str
    own: str
    other: str
    key: str
    bound: float
    more: bool

    @property
    def wanted(self) -> str:
        """What a reader is told."""
        return f"at {'least' if self.more else 'most'} {self.bound:g}"


ONE_STEP = "synthgan, 1 step"
GOALS = (
    Goal("fit, of TabularARGN's seconds", "synthgan", NAMES["argn"], "fit_seconds", 0.5, False),
    Goal("fit, of CTGAN's", "synthgan", NAMES["ctgan"], "fit_seconds", 0.05, False),
    Goal("rows/s, of TabularARGN's", "synthgan", NAMES["argn"], "rows_per_second", 2, True),
    Goal("rows/s in one step, of CTGAN's", ONE_STEP, NAMES["ctgan"], "rows_per_second", 1, True),
    Goal("memory, of CTGAN's", "synthgan", NAMES["ctgan"], "peak_gib", 0.5, False),
)


def rows_of(tables: dict[str, Any], methods: list[str]) -> Rows:
    """Return the runs of every sample by table and name; failures have the name of the method."""
    found: Rows = {}
    for table in (name for name in TABLES if name in tables):
        all_methods, rows = tables[table], found.setdefault(table, {})
        for method in (name for name in methods if name in all_methods):
            for entry in all_methods[method].values():
                if "error" in entry:
                    rows.setdefault(NAMES[method], []).append(entry)
                    continue
                costs = {k: v for k, v in entry.items() if k != "samples"}
                for name, figures in entry["samples"].items():
                    rows.setdefault(name, []).append({**costs, **figures})
    return found


def render(where: str, rows: Rows, wanted: Sequence[str] = ()) -> str:
    """Return the Markdown table of the rows whose names are wanted, all by default."""
    head = ["table", "rows from", *(title for title, _ in COLUMNS.values())]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for table, named in rows.items():
        first = f"**{table}**"
        for name, runs in named.items():
            if wanted and name not in wanted:
                continue
            done = [run for run in runs if "error" not in run]
            chosen = {run["steps"] for run in done if run.get("steps") and name == "synthgan"}
            numbers = ", ".join(map(str, sorted(chosen)))
            label = f"{name}, chose {' or '.join(numbers.rsplit(', ', 1))}" if chosen else name
            if done and len(runs) > 1:
                missed = "" if len(done) == len(runs) else f" of {len(runs)}"
                label += f" ({len(done)}{missed} seeds)"
            cells = [
                spread([run.get(key) for run in done], digits)
                for key, (_, digits) in COLUMNS.items()
            ]
            if not done:
                reason = runs[0]["error"].partition(". ")[0].replace("|", "/")
                cells = [f"*{reason}*", *([""] * (len(COLUMNS) - 1))]
            lines.append(f"| {first} | {label} | " + " | ".join(cells) + " |")
            first = ""
    lines += [
        "",
        f"Mean ± half the range of the seeds. Machine: {where}. C2ST: 0.5 is best. "
        "TSTR: AUC, or RMSE of the target where the task is regression (Beijing: its logarithm). "
        "DCR share: 0.5 is best, and no evidence of privacy.",
    ]
    return "\n".join(lines)


def mean(runs: list[dict[str, Any]], key: str) -> float:
    """Return the mean of a figure over the runs that ended; not a number where none did."""
    known = [run[key] for run in runs if run.get(key) is not None]
    return float(np.mean(known)) if known else float("nan")


def compare(rows: Rows) -> str:
    """Return the Markdown table of synthgan over its peers, with what it was to reach."""
    head = ["table", "C2ST test", "least of others", *(goal.title for goal in GOALS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    wanted = ["*at most .56, and least*", "", *(f"*{goal.wanted}*" for goal in GOALS)]
    lines.append("| *goal* | " + " | ".join(wanted) + " |")
    for table, named in rows.items():
        others = {
            name: seen
            for method, name in NAMES.items()
            if method not in OWN and not np.isnan(seen := mean(named.get(name, []), "c2st_test"))
        }
        least = min(others, key=lambda name: others[name], default="")
        seen = mean(named.get(NAMES["synthgan"], []), "c2st_test")
        met = bool(least) and seen <= min(0.56, others[least])
        cells = [number(seen, 3, met), f"{others[least]:.3f} ({least})" if least else "-"]
        for goal in GOALS:
            ratio = mean(named.get(goal.own, []), goal.key) / mean(
                named.get(goal.other, []), goal.key
            )
            met = ratio >= goal.bound if goal.more else ratio <= goal.bound
            cells.append(number(ratio, 3 if ratio < 0.1 else 2, met))
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    note = (
        "Bold: the goal is met, as far as others were run here. Of means over the seeds that the "
        "table of all figures names."
    )
    return "\n".join([*lines, "", note])


def number(value: float, digits: int, bold: bool) -> str:
    """Return a cell."""
    if np.isnan(value):
        return "-"
    return f"**{value:.{digits}f}**" if bold else f"{value:.{digits}f}"


def draw(rows: Rows) -> None:
    """Plot fidelity against the time of a fit, one panel a table."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tables = {
        table: {
            name: done
            for name, runs in named.items()
            if (done := [run for run in runs if "error" not in run])
        }
        for table, named in rows.items()
        if named
    }
    names = list(dict.fromkeys(name for named in tables.values() for name in named))
    colors = plt.colormaps["tab20"].colors
    across = min(4, len(tables))
    down = -(-len(tables) // across)
    figure, axes = plt.subplots(
        down, across, figsize=(3.4 * across, 3.2 * down), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(tables) :]:
        axis.set_visible(False)
    for axis, (table, named) in zip(axes.flat, tables.items(), strict=False):
        for name, runs in named.items():
            x = np.mean([run["fit_seconds"] for run in runs])
            y = np.mean([run["c2st_test"] for run in runs])
            ours = name.startswith(NAMES["synthgan"])
            axis.plot(
                max(x, 0.01), y, "*" if ours else "o", ms=11 if ours else 7,
                color=colors[names.index(name)], label=name, ls="",
            )  # fmt: skip
        axis.axhline(0.5, color="0.6", lw=0.8)
        axis.set(xscale="log", title=table, xlabel="seconds to fit", ylabel="C2ST AUC, test rows")
    handles = {}
    for axis in axes.flat:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    figure.savefig(PLOT, dpi=110)


def write(results: dict[str, Any]) -> None:
    """Write the tables and the plot, which is of the machine with most rows.

    The table of synthgan alone is of the machine that was begun last, those of the peers of all.
    """
    machines = results["machines"]
    newest = list(machines)[-1]
    own = rows_of(machines[newest], ["synthgan", "references"])
    write_into(BENCHMARKS, "fidelity", render(newest, own))
    short = ("synthgan", "synthgan, all steps", "bootstrap of train")
    write_into(ROOT / "README.md", "fidelity", render(newest, own, short))
    everyone = {where: rows_of(tables, list(METHODS)) for where, tables in machines.items()}
    for rows in everyone.values():
        for named in rows.values():  # they are in the first table
            for name in ("synthgan, all steps", "synthgan, 4 steps"):
                named.pop(name, None)
    ratios = [f"On *{where}*:\n\n{compare(rows)}" for where, rows in everyone.items()]
    write_into(BENCHMARKS, "ratios", "\n\n".join(ratios))
    pages = [f"On *{where}*:\n\n{render(where, rows)}" for where, rows in everyone.items()]
    write_into(BENCHMARKS, "peers", "\n\n".join(pages))
    draw(max(everyone.values(), key=lambda rows: sum(map(len, rows.values()))))
