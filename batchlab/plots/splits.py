"""Pictures of where a request's time goes: the split of the mean request, spans on a time line, a flame graph."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from batchlab import flame as flames
from batchlab.breakdown import Breakdown
from batchlab.plots.canvas import axes, named, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK
from batchlab.plots.stack import stacked_bars
from batchlab.provenance import Provenance
from batchlab.spans import Span, by_lane, nested

LOOKS = {
    "client wait": ("outside", "////"),
    "client work": ("outside", "...."),
    "network and HTTP": ("transfer", "//"),
    "network": ("transfer", ""),
    "HTTP": ("transfer", "xx"),
    "queue": ("queue", ""),
    "input": ("transfer", "...."),
    "compute": ("compute", ""),
    "output": ("transfer", "xxxx"),
    "unexplained": ("slo", ""),
}
SPAN_LOOKS = {"wait": "outside", "prepare": "outside", "read": "outside", "away": "outside", "queue": "queue"}
COMPUTING = ("compute", "infer")
NARROW = 0.02


@styled
def split(sources: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the mean request of one or several runs as a bar of its parts, from the client's wait to the output.

    Args:
        sources: a `Breakdown`, several, or a mapping from label.

    Raises:
        PlotError: none given.
    """
    items = [sources] if isinstance(sources, Breakdown) else sources
    found: dict[str, Breakdown] = named(items, lambda item: item.provenance.model)
    ax = axes(ax)
    parts = [
        (part, np.array([max(item.parts_ms.get(part, 0.0), 0.0) for item in found.values()]), colour, hatch)
        for part, (colour, hatch) in LOOKS.items()
    ]
    shown = [part for part in parts if part[1].any()]
    stacked_bars(ax, list(found), shown, max(item.latency_ms for item in found.values()))
    ax.set_xlabel("mean latency of a request (ms)")
    title(ax, "Where the mean request's time goes")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=4, columnspacing=1.2)
    caption(ax, [item.provenance for item in found.values()])
    return ax


@styled
def span_lines(spans: Iterable[Span], provenance: Provenance, *, ax: Axes | None = None) -> Axes:
    """Draw spans on one time line, a row for each lane, what is within a span on top of it: Perfetto's view in small.

    Raises:
        PlotError: no spans.
    """
    rows = list(spans)
    if not rows:
        raise PlotError("There are no spans to draw.")
    ax = axes(ax)
    zero = min(row.start_ns for row in rows)
    whole = (max(row.end_ns for row in rows) - zero) / 1e6
    lanes = {lane: number for number, lane in enumerate(by_lane(rows))}
    found = list(nested(rows))
    outer = {id(holder) for _, holders in found for holder in holders}
    for span, holders in found:
        start, row = (span.start_ns - zero) / 1e6, lanes[span.track, span.lane]
        depth = min(len(holders), 3)
        colour = SPAN_LOOKS.get(span.name, "compute" if span.name in COMPUTING else "transfer")
        shown = "white" if not holders else COLOURS[colour]
        ax.barh(row, span.ms, 0.8 - 0.15 * depth, left=start, color=shown, edgecolor=INK, linewidth=0.6)
        if span.ms > 0.07 * whole and id(span) not in outer:  # a holder is covered by what it holds
            ink = "white" if colour == "compute" else INK
            ax.text(start + span.ms / 2, row, span.name, ha="center", va="center", fontsize=7, color=ink)
    ax.set_yticks(list(lanes.values()), [f"{track}\n{lane}" for track, lane in lanes], fontsize=7)
    ax.set_ylim(len(lanes) - 0.4, -0.6)
    ax.set_xlabel("time (ms)")
    ax.grid(axis="y", visible=False)
    title(ax, "What happened when")
    caption(ax, [provenance])
    return ax


@styled
def flame(stacks: Mapping[tuple[str, ...], float], provenance: Provenance, *, ax: Axes | None = None) -> Axes:
    """Draw a flame graph: width is time, height is depth; who stands on a box was called by it.

    Raises:
        FlameError: no time in any stack.
    """
    boxes = flames.frames(stacks)
    ax = axes(ax)
    whole = sum(box.width_ms for box in boxes if box.depth == 0)
    warm = colormaps["YlOrRd"]
    for box in boxes:
        if box.width_ms < NARROW * whole / 10:
            continue
        # How much of a box nobody above explains: a dark box is where the work itself is done.
        colour = warm(0.12 + 0.5 * box.self_ms / box.width_ms)
        ax.barh(box.depth, box.width_ms, 0.95, left=box.start_ms, color=colour, edgecolor="white", linewidth=0.5)
        if box.width_ms > NARROW * whole:
            room = int(box.width_ms / whole * 95)
            name = box.name if len(box.name) <= room else box.name[: max(room - 1, 0)] + "…"
            middle = box.start_ms + box.width_ms / 2
            ax.text(middle, box.depth, name if room > 3 else "", ha="center", va="center", fontsize=7, color=INK)
    ax.set_xlim(0, whole)
    ax.set_xlabel("time (ms)")
    ax.set_yticks(range(max(box.depth for box in boxes) + 1))
    ax.set_ylabel("depth")
    ax.grid(visible=False)
    title(ax, "Flame graph: the darker, the more of its time is the box's own")
    caption(ax, [provenance])
    return ax
