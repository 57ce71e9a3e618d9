"""The drawings of the HTML report: inline SVG written by hand, coloured by CSS variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["draw_heat_map", "draw_marginal"]

_WIDTH = 320
_PLOT_HEIGHT = 130
_ROW_HEIGHT = 22
_LABEL_WIDTH = 116


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
    """Return the SVG of one :func:`~synthgan.evaluate.marginals.marginal`."""
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


def draw_heat_map(names: Sequence[str], errors: Sequence[Sequence[float | None]]) -> str:
    """Return the SVG of a symmetric matrix of errors in percent, lower triangle.

    Parameters
    ----------
    names : sequence of str
    errors : sequence of rows
        None where a pair has no error.
    """
    cell, left = 26, 132
    values = [e for row in errors for e in row if e is not None]
    top = max([*values, 1e-12])
    n = len(names)
    parts = []
    for i in range(1, n):
        y = (i - 1) * cell
        parts.append(
            f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{shortened(names[i], 19)}</text>'
        )
        parts += [
            _cell(left + j * cell, y, cell, names[i], names[j], errors[i][j], top) for j in range(i)
        ]
    foot = (n - 1) * cell + 10
    for j in range(n - 1):
        x = left + j * cell + cell / 2 + 4
        parts.append(
            f'<text x="{x:g}" y="{foot}" text-anchor="end" transform="rotate(-90 {x:g} {foot})">'
            f"{shortened(names[j], 19)}</text>"
        )
    width = left + (n - 1) * cell + 6
    return _svg(width, foot + 128, "Errors of pairs of columns", "".join(parts))


def _cell(x: float, y: float, size: int, a: str, b: str, error: float | None, top: float) -> str:
    title = f"{escape(b)} × {escape(a)}: "
    if error is None:
        title += "undefined"
        style = 'class="void"'
    else:
        title += f"{error:.2f} %"
        style = f'class="hot" fill-opacity="{0.04 + 0.96 * error / top:.3f}"'
    return (
        f'<rect {style} x="{x:g}" y="{y:g}" width="{size - 2}" height="{size - 2}" rx="2">'
        f"<title>{title}</title></rect>"
    )
