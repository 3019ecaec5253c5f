"""Pictures of servers side by side: what each delivers of one device's limit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from batchlab.measure import Run
from batchlab.plots.canvas import axes, level, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK

if TYPE_CHECKING:
    from batchlab.comparison import Stairs
    from batchlab.slo import Slo


@styled
def share_of_limit(runs: Mapping[str, Sequence[Run]], stairs: "Stairs", slo: "Slo", *, ax: Axes | None = None) -> Axes:
    """Draw a bar per server, the mean share of the device's limit within the SLO, and a dot for each seed.

    Args:
        runs: by server, one run for each seed; a server without runs keeps its place, and the picture says so.
        stairs: the staircase that they climbed.
        slo: the objective.

    Raises:
        PlotError: no run at all.
    """
    shares = {name: [stairs.share(run, slo) for run in some] for name, some in runs.items()}
    sources = [run.provenance for some in runs.values() for run in some]
    if not sources:
        raise PlotError("There is no run to draw: no server ran.")
    ax = axes(ax)
    for place, (name, some) in enumerate(shares.items()):
        if not some:
            ax.text(0.01, place, "did not run here", va="center", color=INK)
            continue
        ax.barh(place, float(np.mean(some)), height=0.55, color=COLOURS["throughput"], zorder=2)
        ax.plot(some, np.linspace(place - 0.15, place + 0.15, len(some)), "o", color=INK, ms=4, zorder=3, label=name)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set_ylim(len(shares) - 0.5, -0.9)
    ax.set_xlim(0, 1.08)
    level(ax, 1.0, f"limit {stairs.limit_rps:.0f}/s", COLOURS["offered"], along="y", at=0.96)
    ax.set_xlabel("share of the device's limit")
    title(ax, f"Highest rate with P{slo.percentile:g} within {slo.limit_ms:g} ms; dots are seeds")
    caption(ax, sources)
    return ax
