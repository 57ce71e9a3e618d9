"""The drawings of the HTML report: inline SVG written by hand, coloured by CSS variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = [
    "draw_bars",
    "draw_curves",
    "draw_heat_map",
    "draw_intervals",
    "draw_marginal",
    "draw_row_map",
    "shortened",
]

_WIDTH = 320
_PLOT_HEIGHT = 130
_ROW_HEIGHT = 22
_LABEL_WIDTH = 116
_CURVE_HEIGHT = 190
_MARGIN = 44


def shortened(text: str, length: int) -> str:
    """Return escaped text, its middle left out if it is longer than `length`.

    Examples
    --------
    >>> shortened("measurement_of_sensor_17", 12)
    'measure…r_17'
    """
    if len(text) > length:
        tail = length // 3
        text = f"{text[: length - 1 - tail]}…{text[-tail:]}"
    return escape(text)


def draw_marginal(marginal: Mapping[str, Any]) -> str:
    """Return the SVG of one :func:`~synthgan.evaluate.report.marginals.marginal`."""
    draw = _draw_levels if marginal["kind"] == "categorical" else _draw_bins
    return draw(marginal)


def _svg(width: float, height: float, label: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" '
        f'preserveAspectRatio="xMinYMin meet">{body}</svg>'
    )


def _draw_bins(marginal: Mapping[str, Any]) -> str:
    train, synthetic = list(marginal["train"]), list(marginal["synthetic"])
    top = max(*train, *synthetic, 1e-12)
    step = _WIDTH / len(train)
    outline = []
    parts = []
    for k, (a, b) in enumerate(zip(train, synthetic, strict=True)):
        height_a, y_b = _PLOT_HEIGHT * a / top, _PLOT_HEIGHT * (1 - b / top) + 4
        x = k * step
        parts.append(
            f'<rect class="real" x="{x:.2f}" y="{_PLOT_HEIGHT - height_a + 4:.2f}" '
            f'width="{step:.2f}" height="{height_a:.2f}"/>'
        )
        outline.append(f"{x:.2f},{y_b:.2f} {x + step:.2f},{y_b:.2f}")
    base = _PLOT_HEIGHT + 4
    parts.append(f'<polyline class="fake" points="0,{base} {" ".join(outline)} {_WIDTH},{base}"/>')
    parts.append(f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{base}" y2="{base}"/>')
    low, high = escape(marginal["low"]), escape(marginal["high"])
    parts.append(f'<text x="0" y="{base + 16}">{low}</text>')
    parts.append(f'<text x="{_WIDTH}" y="{base + 16}" text-anchor="end">{high}</text>')
    return _svg(_WIDTH, base + 22, f"Histogram of {marginal['column']}", "".join(parts))


def _draw_levels(marginal: Mapping[str, Any]) -> str:
    rows = list(zip(marginal["labels"], marginal["train"], marginal["synthetic"], strict=True))
    top = max(*marginal["train"], *marginal["synthetic"], 1e-12)
    room = _WIDTH - _LABEL_WIDTH - 44
    parts = []
    for k, (label, a, b) in enumerate(rows):
        y = k * _ROW_HEIGHT
        parts.append(
            f"<g><title>{escape(label)}: train {a:.1%}, synthetic {b:.1%}</title>"
            f'<text x="{_LABEL_WIDTH - 6}" y="{y + 14}" text-anchor="end">'
            f"{shortened(label, 16)}</text>"
            f'<rect class="real" x="{_LABEL_WIDTH}" y="{y + 2}" width="{room * a / top:.2f}" '
            'height="8"/>'
            f'<rect class="fake-bar" x="{_LABEL_WIDTH}" y="{y + 11}" '
            f'width="{room * b / top:.2f}" height="8"/>'
            f'<text class="muted" x="{_LABEL_WIDTH + room * max(a, b) / top + 5:.2f}" '
            f'y="{y + 14}">{b:.1%}</text></g>'
        )
    height = len(rows) * _ROW_HEIGHT + 4
    return _svg(_WIDTH, height, f"Levels of {marginal['column']}", "".join(parts))


def draw_heat_map(
    names: Sequence[str],
    values: Sequence[Sequence[float | None]],
    title: str,
    *,
    labels: bool = True,
    unit: str = "",
    top: float | None = None,
) -> str:
    """Return the SVG of a symmetric matrix, lower triangle; negative values in another colour.

    Parameters
    ----------
    names : sequence of str
    values : sequence of rows
        None where a pair has no value.
    title : str
    labels : bool, default True
        Whether to write the names at the edges; they are always in the tool tips.
    unit : str
    top : float, optional
        The value with the strongest colour; by default the largest.
    """
    cell, left = 26, 132 if labels else 2
    known = [abs(v) for row in values for v in row if v is not None]
    top = max([*known, 1e-12]) if top is None else top
    n = len(names)
    parts = []
    for i in range(1, n):
        y = (i - 1) * cell
        if labels:
            parts.append(
                f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">'
                f"{shortened(names[i], 19)}</text>"
            )
        parts += [
            _cell(left + j * cell, y, cell, f"{names[j]} × {names[i]}", values[i][j], top, unit)
            for j in range(i)
        ]
    foot = (n - 1) * cell + 10
    for j in range(n - 1 if labels else 0):
        x = left + j * cell + cell / 2 + 4
        parts.append(
            f'<text x="{x:g}" y="{foot}" text-anchor="end" transform="rotate(-90 {x:g} {foot})">'
            f"{shortened(names[j], 19)}</text>"
        )
    width = left + (n - 1) * cell + 6
    return _svg(width, foot + (128 if labels else 0), title, "".join(parts))


def _cell(
    x: float, y: float, size: int, pair: str, value: float | None, top: float, unit: str
) -> str:
    if value is None:
        style, text = 'class="void"', "undefined"
    else:
        strength = 0.04 + 0.96 * min(abs(value) / top, 1.0)
        style = f'class="{"cold" if value < 0 else "hot"}" fill-opacity="{strength:.2f}"'
        text = f"{value:.2f}{unit}"
    return (
        f'<rect {style} x="{x:g}" y="{y:g}" width="{size - 2}" height="{size - 2}" rx="2">'
        f"<title>{escape(pair)}: {text}</title></rect>"
    )


def draw_row_map(cells: Sequence[Sequence[float]], title: str, top: float) -> str:
    """Return the SVG of one side of a :func:`~synthgan.evaluate.report.maps.row_map`."""
    size = 12
    parts = [
        f'<rect class="hot" x="{k * size}" y="{i * size}" width="{size}" height="{size}" '
        f'fill-opacity="{0.08 + 0.92 * min(share / top, 1.0) ** 0.5:.2f}"/>'
        for i, row in enumerate(cells)
        for k, share in enumerate(row)
        if share
    ]
    width = len(cells[0]) * size
    return _svg(width, len(cells) * size, title, "".join(parts))


def draw_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    *,
    axes: tuple[str, str],
    square: bool = False,
) -> str:
    """Return the SVG of up to three lines with a key; `square` draws the diagonal of chance.

    Parameters
    ----------
    curves : dict of str to (x, y)
    title : str
    axes : (str, str)
        Names of the two axes.
    square : bool, default False
        Both axes run from 0 to 1, as ROC curves have it; else they fit the curves.
    """
    xs, ys = ([pair[k] for pair in curves.values()] for k in (0, 1))
    x_ends = (0.0, 1.0) if square else _ends(xs)
    y_ends = (0.0, 1.0) if square else _ends(ys)
    width, base = _WIDTH - _MARGIN - 6, _CURVE_HEIGHT - 12

    def place(x: float, y: float) -> str:
        right = _MARGIN + width * (x - x_ends[0]) / (x_ends[1] - x_ends[0])
        return f"{right:.1f},{6 + base * (1 - (y - y_ends[0]) / (y_ends[1] - y_ends[0])):.1f}"

    parts = [_axes(axes, x_ends, y_ends)]
    if square:
        parts.append(f'<polyline class="chance" points="{place(0, 0)} {place(1, 1)}"/>')
    styles = (("fake", "fake-bar"), ("other", "third-bar"), ("axis", "real"))
    for k, (name, (line, mark)) in enumerate(zip(curves, styles, strict=False)):
        points = " ".join(place(x, y) for x, y in zip(*curves[name], strict=True))
        x, y = _WIDTH - 130, (_CURVE_HEIGHT - 60 if square else 8) + 14 * k
        parts.append(
            f'<polyline class="{line}" fill="none" points="{points}"/>'
            f'<rect class="{mark}" x="{x}" y="{y}" width="9" height="9"/>'
            f'<text x="{x + 14}" y="{y + 8}">{escape(name)}</text>'
        )
    return _svg(_WIDTH, _CURVE_HEIGHT + 24, title, "".join(parts))


def _axes(names: tuple[str, str], x_ends: tuple[float, float], y_ends: tuple[float, float]) -> str:
    base, middle = _CURVE_HEIGHT - 6, _CURVE_HEIGHT / 2
    line, text = '<line class="axis"', '<text class="muted"'
    parts = [
        f'{line} x1="{_MARGIN}" x2="{_MARGIN}" y1="6" y2="{base}"/>',
        f'{line} x1="{_MARGIN}" x2="{_WIDTH}" y1="{base}" y2="{base}"/>',
    ]
    for value, height in zip(y_ends, (base, 16), strict=True):
        at = f'x="{_MARGIN - 5}" y="{height}" text-anchor="end"'
        parts.append(f"{text} {at}>{value:.3g}</text>")
    for value, x, anchor in zip(x_ends, (_MARGIN, _WIDTH), ("start", "end"), strict=True):
        parts.append(f'{text} x="{x}" y="{base + 14}" text-anchor="{anchor}">{value:.4g}</text>')
    at = f'x="{(_MARGIN + _WIDTH) / 2}" y="{base + 26}" text-anchor="middle"'
    parts.append(f"{text} {at}>{escape(names[0])}</text>")
    at = f'x="10" y="{middle}" text-anchor="middle" transform="rotate(-90 10 {middle})"'
    parts.append(f"{text} {at}>{escape(names[1])}</text>")
    return "".join(parts)


def _ends(rows: Sequence[Sequence[float]]) -> tuple[float, float]:
    values = [v for row in rows for v in row]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def draw_bars(
    groups: Sequence[tuple[str, Sequence[tuple[str, float, tuple[float, float] | None]]]],
    title: str,
) -> str:
    """Return the SVG of groups of horizontal bars with whiskers.

    Parameters
    ----------
    groups : sequence of (name, bars)
        A bar is (css class, value, interval).
    title : str
    """
    if not groups:
        return '<p class="muted">None stands out.</p>'
    ends = [e for _, bars in groups for _, v, i in bars for e in (v, *(i or ()))]
    low, high = min([*ends, 0.0]), max([*ends, 1e-9])
    room = _WIDTH - _LABEL_WIDTH - 50

    def place(value: float) -> float:
        return _LABEL_WIDTH + room * (value - low) / (high - low)

    parts: list[str] = []
    y = 2.0
    for name, bars in groups:
        parts.append(
            f'<text x="{_LABEL_WIDTH - 6}" y="{y + 6 * len(bars) + 3}" text-anchor="end">'
            f"{shortened(name, 18)}</text>"
        )
        for style, value, interval in bars:
            start, end = sorted((place(0.0), place(value)))
            size = f'width="{end - start:.1f}" height="9"'
            parts.append(f'<rect class="{style}" x="{start:.1f}" y="{y}" {size}/>')
            if interval is not None:
                low_end, high_end = map(place, interval)
                at = f'x1="{low_end:.1f}" x2="{high_end:.1f}" y1="{y + 4.5}" y2="{y + 4.5}"'
                parts.append(f'<line class="whisker" {at}/>')
            reach = max(end, place(interval[1]) if interval else 0.0)
            parts.append(f'<text class="muted" x="{reach + 5:.1f}" y="{y + 9}">{value:.3f}</text>')
            y += 12
        y += 8
    return _svg(_WIDTH, y, title, "".join(parts))


def draw_intervals(rows: Sequence[tuple[str, str, float, tuple[float, float]]], title: str) -> str:
    """Return the SVG of a forest plot: a dot and its interval per row, beside a line at zero.

    Parameters
    ----------
    rows : sequence of (name, css class, value, interval)
    title : str
    """
    width, label = 1.5 * _WIDTH, 190.0
    ends = [e for _, _, _, interval in rows for e in interval]
    low, high = min([*ends, 0.0]), max([*ends, 1e-9])
    step = (width - label - 60) / (high - low)
    zero, height = label - low * step, 20.0 * len(rows)
    parts = [f'<line class="chance" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height:g}"/>']
    for k, (name, style, value, (start, end)) in enumerate(rows):
        y = 20 * k + 10
        ends_at = f'x1="{zero + start * step:.1f}" x2="{zero + end * step:.1f}"'
        parts.append(
            f'<text x="{label - 8}" y="{y + 4}" text-anchor="end">{shortened(name, 30)}</text>'
            f'<line class="whisker" {ends_at} y1="{y}" y2="{y}"/>'
            f'<circle class="{style}" cx="{zero + value * step:.1f}" cy="{y}" r="4"/>'
            f'<text class="muted" x="{zero + end * step + 6:.1f}" y="{y + 4}">{value:+.3f}</text>'
        )
    return _svg(width, height, title, "".join(parts))
