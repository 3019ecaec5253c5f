"""Pictures of a run in windows of time: the percentile in each, against the objective."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from batchlab import windows
from batchlab.measure import Run
from batchlab.plots.canvas import axes, level, log_axis, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, FAINT, LINE_STYLES, MARKERS, shades
from batchlab.slo import Slo


@styled
def percentile_by_window(
    runs: Mapping[str, Run],
    slo: Slo,
    window_s: float = 1.0,
    *,
    spike_s: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the objective's percentile of each run in windows of time, with the limit.

    A window within the limit is filled, one beyond it hollow.

    Args:
        runs: by label.
        slo: the objective; its percentile is drawn.
        window_s: length of a window, in s.
        spike_s: a stretch of time to shade, in s.

    Raises:
        PlotError: no run, or none that was answered.
    """
    tables = {name: windows.table(run, slo, window_s).dropna(subset="percentile_ms") for name, run in runs.items()}
    tables = {name: found for name, found in tables.items() if len(found)}
    if not tables:
        raise PlotError("There is no window to draw: give at least one run with answers.")
    ax, values = axes(ax), [slo.limit_ms]
    if spike_s is not None:
        ax.axvspan(*spike_s, color=COLOURS["queue"], alpha=0.3, linewidth=0)
    for index, (name, found) in enumerate(tables.items()):
        colour, marker = shades("latency", len(tables))[index], MARKERS[index % len(MARKERS)]
        x, y = (found["start_s"] + found["end_s"]).to_numpy() / 2, found["percentile_ms"].to_numpy()
        ax.plot(x, y, color=colour, linestyle=LINE_STYLES[index % len(LINE_STYLES)], zorder=3)
        within = y <= slo.limit_ms
        ax.plot(x[within], y[within], marker, color=colour, zorder=4)
        ax.plot(x[~within], y[~within], marker, color=colour, mfc="white", zorder=4)
        ax.plot([], [], marker=marker, color=colour, linestyle=LINE_STYLES[index % len(LINE_STYLES)], label=name)
        values += y.tolist()
    log_axis(ax, "y", min(values), max(values))
    ax.set_ylim(min(values) / 1.5, max(values) * 1.6)
    # A run cut short may end before the spike: the axis holds both.
    ends = [float(found["end_s"].max()) for found in tables.values()]
    ax.set_xlim(0, max(*ends, *(spike_s or (0.0, 0.0))))
    level(ax, slo.limit_ms, f"SLO {slo.limit_ms:g} ms", COLOURS["slo"])
    if spike_s is not None:
        top = np.log(ax.get_ylim()[1])
        ax.text(sum(spike_s) / 2, float(np.exp(top - 0.08)), "spike", color=FAINT, ha="center", va="top")
    ax.set_xlabel("time of sending (s)")
    ax.set_ylabel(f"P{slo.percentile:g} in each window (ms), log scale")
    title(ax, f"P{slo.percentile:g} in windows of {window_s:g} s (filled: within the SLO)")
    if len(tables) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3)
    caption(ax, [runs[name].provenance for name in tables])
    return ax
