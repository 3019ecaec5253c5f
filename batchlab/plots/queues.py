"""Pictures of formulas held against runs."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from batchlab.measure import Run
from batchlab.plots.canvas import axes, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK, LINE_STYLES, MARKERS, shades


@styled
def formula_against_runs(
    formulas: Mapping[str, Callable[[float], float]],
    runs: Mapping[str, Sequence[Run]],
    *,
    x: Callable[[Run], float],
    y: Callable[[Run], float],
    x_range: tuple[float, float],
    x_label: str,
    y_label: str,
    y_top: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw formulas as lines and runs as points: simulated ones hollow, real ones filled.

    Args:
        formulas: by name, each a function of what stands on the x axis.
        runs: by name, several of a kind.
        x, y: what of a run is drawn.
        x_range: from where to where the formulas are drawn.
        y_top: the end of the y axis; a run above it is drawn at the edge, with its value.

    Raises:
        PlotError: no runs, so that nothing says where the picture comes from.
    """
    every = [run for several in runs.values() for run in several]
    if not every:
        raise PlotError("A formula is drawn against runs; there are none.")
    ax = axes(ax)
    across = np.linspace(*x_range, 200)
    for (name, formula), colour, style in zip(formulas.items(), shades("prediction", len(formulas)), LINE_STYLES):  # noqa: B905
        ax.plot(across, [formula(float(value)) for value in across], color=colour, linestyle=style, label=name)
    for (name, several), marker in zip(runs.items(), MARKERS):  # noqa: B905
        simulated = all(run.provenance.tier == "simulated" for run in several)
        look = {"mfc": "none", "mec": INK, "mew": 1.4} if simulated else {"mfc": COLOURS["latency"], "mec": INK}
        places, heights = [x(run) for run in several], [y(run) for run in several]
        for place, height in zip(places, heights, strict=True):
            if y_top is not None and height > y_top:
                ax.annotate(f"{height:,.0f} ↑ ", (place, y_top * 0.97), ha="right", va="center", color=INK)
        heights = [min(height, y_top * 0.97) if y_top else height for height in heights]
        ax.plot(places, heights, marker, ls="none", ms=10 if simulated else 7, label=name, **look)
    ax.set_ylim(0, y_top)
    ax.set(xlabel=x_label, ylabel=y_label)
    title(ax, f"{y_label.split(' (')[0]}: formula against runs".capitalize())
    ax.legend(loc="upper left")
    caption(ax, [run.provenance for run in every])
    return ax
