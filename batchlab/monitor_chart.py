"""A small line chart as SVG text: the last seconds of one or two quantities, now at its right edge."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from batchlab.plots.palette import COLOURS, FAINT, readable

LEFT, RIGHT, TOP, BOTTOM = 6, 10, 18, 6  # room around the lines, in the chart's units
GRID = "#E3E3E3"


@dataclass(frozen=True)
class Line:
    """One line: seconds before now (0 or less), and values; NaN breaks it."""

    label: str
    colour: str
    times_s: Sequence[float]
    values: Sequence[float]

    @property
    def last(self) -> float:
        """The newest value, NaN when there is none."""
        return self.values[-1] if self.values else math.nan


def ceiling(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten at or above a value: a top that does not jump each second."""
    if not value > 0 or math.isinf(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)), 10 * power)


def chart(
    title: str, lines: Sequence[Line], width: int, height: int, window_s: float, limit: float | None = None
) -> str:
    """Return the SVG elements of a chart, its upper left corner at the origin.

    Args:
        window_s: how many seconds the chart spans; older points are left out.
        limit: an SLO to draw across it; the chart is always tall enough to show it.
    """
    known = [value for line in lines for value in line.values if not math.isnan(value)]
    top = ceiling(max([*known, limit or 0.0, 0.0]))

    def x(time_s: float) -> float:
        return LEFT + (1 + time_s / window_s) * (width - LEFT - RIGHT)

    def y(value: float) -> float:
        return height - BOTTOM - value / top * (height - TOP - BOTTOM)

    parts = [
        f'<text x="{LEFT}" y="11" fill="{FAINT}">{html.escape(title)}</text>',
        f'<text x="{width - RIGHT}" y="11" text-anchor="end">{_newest(lines)}</text>',
        *(
            f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}" stroke="{GRID}"/>'
            for level in (0.0, top)
        ),
        f'<text x="{LEFT}" y="{y(top) + 9:.1f}" fill="{FAINT}" font-size="8">{top:g}</text>',
    ]
    if limit is not None:
        parts.append(
            f'<line class="slo" x1="{LEFT}" x2="{width - RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" '
            f'stroke="{COLOURS["slo"]}" stroke-dasharray="6 2"/>'
        )
    for line in lines:
        for points in _pieces(line, window_s):
            placed = [(f"{x(time_s):.1f}", f"{y(value):.1f}") for time_s, value in points]
            if len(placed) == 1:  # alone between two gaps
                parts.append(f'<circle cx="{placed[0][0]}" cy="{placed[0][1]}" r="1.2" fill="{line.colour}"/>')
                continue
            path = " ".join(",".join(point) for point in placed)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="1.6"/>')
    return "".join(parts)


def _newest(lines: Sequence[Line]) -> str:
    """Return the newest values, each in the colour of its line."""
    told = []
    for line in lines:
        value = "-" if math.isnan(line.last) else _short(line.last)
        text = html.escape(f"{line.label} {value}".strip())
        told.append(f'<tspan fill="{readable(line.colour)}" dx="4">{text}</tspan>')
    return "".join(told)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _pieces(line: Line, window_s: float) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for time_s, value in zip(line.times_s, line.values, strict=True):
        if math.isnan(value):
            pieces.append([])
        elif time_s >= -window_s:
            pieces[-1].append((time_s, value))
    return [piece for piece in pieces if piece]
