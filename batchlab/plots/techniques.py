"""Pictures of techniques that make a model faster: how many times, at each batch size."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from batchlab.plots.canvas import axes, level, log_axis, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import INK, MARKERS, shades
from batchlab.provenance import Provenance
from batchlab.race import Race


@styled
def speedup_by_technique(
    races: Mapping[int, Race], base: str, *, provenance: Provenance, ax: Axes | None = None
) -> Axes:
    """Draw how many times as fast as `base` each technique is: a row each, a mark per batch size, quartiles as lines.

    Args:
        races: batch size -> race; all with the same runners.
        base: the runner that counts as 1.
        provenance: of the times.

    Raises:
        PlotError: no races, or races of different runners.
    """
    if not races or len({tuple(race.times_ms) for race in races.values()}) > 1:
        raise PlotError("Give at least one race, all of them with the same runners.")
    tables = {batch: race.speedup(base) for batch, race in races.items()}
    names = list(next(iter(tables.values())).index)
    ax = axes(ax)
    lows, highs = [1.0], [1.0]
    for place, ((batch, table), colour) in enumerate(zip(tables.items(), shades("compute", len(tables)), strict=True)):
        rows = np.arange(len(names)) + (place - (len(tables) - 1) / 2) * 0.22
        middle, low, high = (table[column].to_numpy() for column in ("speedup", "low", "high"))
        ax.hlines(rows, low, high, color=colour, linewidth=1.5)
        ax.plot(middle, rows, MARKERS[place % len(MARKERS)], color=colour, markersize=6, label=f"batch {batch}")
        lows.append(float(low.min()))
        highs.append(float(high.max()))
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()
    log_axis(ax, "x", min(lows), max(highs))
    ax.set_xlim(min(lows) / 1.15, max(highs) * 1.15)
    level(ax, 1.0, "", INK, along="y")
    ax.set_xlabel(f"times as fast as {base}, log scale (median, quartiles)")
    ax.set_ylabel("technique")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="best")
    title(ax, "What each technique gains")
    caption(ax, [provenance])
    return ax
