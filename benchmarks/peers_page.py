"""What ``peers.py`` writes into the pages: tables, ratios beside their goals, and the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from generators import METHODS
from pages import BENCHMARKS, ROOT, write_into
from real_tables import METRICS, TABLES, spread

PLOT = BENCHMARKS.parent / "_static" / "peers.png"

#: What a method that failed is called.
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
COLUMNS = {
    "fit_seconds": ("fit s", 0), "rows_per_second": ("rows/s", 0), "peak_gib": ("GiB", 2),
    "file_mb": ("file MB", 1), **METRICS,
}  # fmt: skip

Rows = dict[str, dict[str, list[dict[str, Any]]]]


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
    goals: dict[str, tuple[str, Callable[[float], bool]]] = {
        "fit, of TabularARGN's seconds": ("at most .5", lambda x: x <= 0.5),
        "fit, of CTGAN's": ("at most .05", lambda x: x <= 0.05),
        "rows/s, of TabularARGN's": ("at least 2", lambda x: x >= 2),
        "rows/s in one step, of CTGAN's": ("at least 1", lambda x: x >= 1),
        "memory, of CTGAN's": ("at most .5", lambda x: x <= 0.5),
    }
    head = ["table", "C2ST test", "least of others", *goals]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    wanted = ["at most .56, and least", "", *(goal for goal, _ in goals.values())]
    lines.append("| *goal* | " + " | ".join(f"*{text}*" if text else "" for text in wanted) + " |")
    for table, named in rows.items():
        own, one = named.get("synthgan", []), named.get("synthgan, 1 step", [])
        argn, ctgan = named.get("TabularARGN", []), named.get("CTGAN", [])
        others = {
            name: value
            for name in NAMES.values()
            if not name.startswith("synthgan")
            and np.isfinite(value := mean(named.get(name, []), "c2st_test"))
        }
        seen, best = mean(own, "c2st_test"), min(others, key=others.get, default="")
        met = seen <= min(0.56, others.get(best, 1.0))
        cells = [f"**{seen:.3f}**" if met else f"{seen:.3f}"]
        cells.append(f"{others[best]:.3f} ({best})" if best else "-")
        ratios = [
            mean(own, "fit_seconds") / mean(argn, "fit_seconds"),
            mean(own, "fit_seconds") / mean(ctgan, "fit_seconds"),
            mean(own, "rows_per_second") / mean(argn, "rows_per_second"),
            mean(one, "rows_per_second") / mean(ctgan, "rows_per_second"),
            mean(own, "peak_gib") / mean(ctgan, "peak_gib"),
        ]
        for value, (_, reached) in zip(ratios, goals.values(), strict=True):
            text = "-" if np.isnan(value) else f"{value:.3g}"
            cells.append(f"**{text}**" if reached(value) else text)
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Bold: the goal is met. Of means over seeds."])


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
            ours = name.startswith("synthgan")
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
    """Write the tables and the plot, which is of the machine that ran most.

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
