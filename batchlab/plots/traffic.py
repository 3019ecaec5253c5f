"""Pictures of load: rates over time, and the percentile that each rate leads to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from batchlab.measure import Run
from batchlab.plots.canvas import axes, label_ends, level, limit_of, log_axis, results, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK, LINE_STYLES, MARKERS, shades

BINS = 60


@styled
def rate_over_time(source: Any, *, bin_s: float | None = None, slo: Any = None, ax: Axes | None = None) -> Axes:
    """Draw requests per second over time: of a schedule what is offered, of a run also what was answered.

    Args:
        source: `Arrivals` (anything with ``times_s`` in seconds) or a `Run`.
        bin_s: width of a time bin in s; default: a sixtieth of the whole.
        slo: a limit in ms or an `Slo`; of a run, the goodput is drawn too.

    Raises:
        PlotError: fewer than two arrivals, or a bin that is not above 0.
    """
    run = source if isinstance(source, Run) else None
    offered = np.asarray(source.times_s if run is None else run.kept["intended_s"], dtype=float)
    if len(offered) < 2:
        raise PlotError(f"A rate needs at least two arrivals, got {len(offered)}.")
    if bin_s is not None and bin_s <= 0:
        raise PlotError(f"bin_s is a width in seconds, above 0, got {bin_s}.")
    lines = {"offered": offered}
    if run is not None:
        lines["throughput"] = run.answered["done_s"].to_numpy(float)
        if slo is not None:
            lines["goodput"] = lines["throughput"][run.latencies_ms <= limit_of(slo)[1]]
    begin, end = offered.min(), max(times.max() for times in lines.values() if len(times))
    width = bin_s or (end - begin) / BINS
    edges = np.arange(begin, end + width, width)
    ax, ends = axes(ax), []
    for index, (name, times) in enumerate(lines.items()):
        rates = np.histogram(times, edges)[0] / width
        ax.stairs(rates, edges, color=COLOURS[name], linestyle=LINE_STYLES[index], linewidth=1.5, baseline=None)
        ends.append((edges[-1], rates[-1], name, COLOURS[name]))
    ax.set_ylim(0, ax.get_ylim()[1] * 1.05)
    ax.set_xlim(begin, edges[-1])
    ax.set_xlabel("time (s)")
    ax.set_ylabel(f"requests/s, in bins of {width:.3g} s")
    title(ax, "Rate over time" if run else f"Offered rate over time: {getattr(source, 'name', 'arrivals')}")
    caption(ax, [run.provenance] if run else [], note=_schedule_note(source))
    label_ends(ax, ends)
    return ax


def _schedule_note(source: Any) -> str:
    seed = getattr(source, "seed", None)
    name = getattr(source, "name", "arrivals")
    return f"schedule: {name}" + ("" if seed is None else f", seed {seed}") + " | nothing was measured"


@styled
def p99_against_rate(runs: Any, slo: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the SLO's percentile of several runs against their offered rates, with 95 % intervals and the SLO's limit.

    A run within the limit is filled, one beyond it hollow; an invalid run is crossed out and joins no line. An
    interval without an upper end reaches to the top.

    Args:
        runs: several runs, or a mapping from label to several runs (one line each).
        slo: a limit in ms (of the P99) or an `Slo`.
    """
    percent, limit = limit_of(slo)
    groups = runs if isinstance(runs, Mapping) else {"": runs}
    groups = {name: list(results(group).values()) for name, group in groups.items()}
    ax, ends, values = axes(ax), [], [limit]
    for index, (name, group) in enumerate(groups.items()):
        colour = shades("latency", len(groups))[index]
        marker = MARKERS[index % len(MARKERS)]
        group = sorted(group, key=lambda run: run.offered_rps)
        good = [run for run in group if run.valid]
        for run in group:
            estimate, rate = run.percentile_ms(percent), run.offered_rps
            values.append(estimate.value)
            if not run.valid:
                ax.plot(rate, estimate.value, "x", color=INK, ms=8, mew=1.6, zorder=4)
                continue
            high = estimate.high if np.isfinite(estimate.high) else estimate.value * 1e3
            ax.plot([rate, rate], [max(estimate.low, 1e-3), high], color=colour, lw=1, scaley=False, zorder=2)
            face = colour if estimate.value <= limit else "white"
            ax.plot(rate, estimate.value, marker, color=colour, mfc=face, zorder=4)
        if good:
            x = [run.offered_rps for run in good]
            y = [run.percentile_ms(percent).value for run in good]
            ax.plot(x, y, color=colour, linestyle=LINE_STYLES[index % len(LINE_STYLES)], zorder=3)
            ends.append((x[-1], y[-1], name or f"P{percent:g}", colour))
    log_axis(ax, "y", min(values), max(values))
    ax.set_ylim(min(values) / 1.3, max(values) * 1.3)
    level(ax, limit, f"SLO: P{percent:g} at most {limit:g} ms", COLOURS["slo"])
    ax.set_xlabel("offered rate (requests/s)")
    ax.set_ylabel(f"P{percent:g} latency (ms), log scale")
    title(ax, f"P{percent:g} against offered rate (filled: within the SLO)")
    caption(ax, [run.provenance for group in groups.values() for run in group])
    label_ends(ax, ends)
    return ax
