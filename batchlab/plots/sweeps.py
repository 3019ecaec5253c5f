"""Pictures of sweeps: what a batch size costs and brings, and where it stops paying."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from batchlab.curve import Sweep, from_profile
from batchlab.plots.canvas import (
    POINTS_PER_INCH,
    axes,
    batch_axis,
    halo,
    label_ends,
    level,
    limit_of,
    log_axis,
    results,
    styled,
    title,
)
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK, LINE_STYLES, MARKERS, shades

NAME_ROOM = 13  # points between the names of two batch sizes
PARTS = {"request": ("latency per request (ms)", 1), "inference": ("latency per inference (ms)", 0)}


@styled
def latency_against_batch(sweeps: Any, *, per: str = "request", ax: Axes | None = None) -> Axes:
    """Draw latency against batch size; mean, P50 and P99 of one sweep, or the mean of several.

    A P99 that too few requests support (its confidence interval has no upper end) is drawn hollow. A sweep made from a
    published profile has one latency per size and so one line.

    Args:
        sweeps: a `Sweep`, several, or a mapping from label to sweep.
        per: ``"request"``, or ``"inference"``: divided by the batch size, what one item costs.

    Raises:
        PlotError: `per` is neither, or there is nothing to draw.
    """
    if per not in PARTS:
        raise PlotError(f"per is 'request' or 'inference', got {per!r}.")
    label, whole = PARTS[per]
    found, ax = results(sweeps), axes(ax)
    if len(found) == 1:
        only = next(iter(found.values()))
        table = only.table()
        lines = {"mean": table["mean_ms"], "P50": table["p50_ms"], "P99": table["p99_ms"]}
        if only.provenance.tier == "simulated":
            lines = {"published": table["mean_ms"]}
        tables = dict.fromkeys(lines, table)
    else:
        tables = {name: sweep.table() for name, sweep in found.items()}
        lines = {f"{name}, mean": table["mean_ms"] for name, table in tables.items()}
        tables = dict(zip(lines, tables.values(), strict=True))
    ends, values = [], []
    for index, ((name, ms), colour) in enumerate(zip(lines.items(), shades("latency", len(lines)), strict=True)):
        sizes = tables[name]["batch_size"].to_numpy()
        shown = ms.to_numpy() / (1 if whole else sizes)
        known = ~np.isinf(tables[name]["p99_high_ms"].to_numpy()) | (name != "P99")
        _line(ax, sizes, shown, index, colour, known)
        note = "" if known.all() else " (hollow: too few requests)"
        ends.append((sizes[-1], shown[-1], name + note, colour))
        values.append(shown)
    batch_axis(ax, np.concatenate([table["batch_size"] for table in tables.values()]))
    log_axis(ax, "y", np.min(np.concatenate(values)), np.max(np.concatenate(values)))
    ax.margins(y=0.12)
    ax.set_ylabel(f"{label}, log scale")
    title(ax, f"Latency per {per} against batch size")
    caption(ax, [sweep.provenance for sweep in found.values()])
    label_ends(ax, ends)
    return ax


@styled
def throughput_against_batch(
    sweeps: Any, *, relative: bool = False, knee: bool = True, share: float = 0.9, ax: Axes | None = None
) -> Axes:
    """Draw throughput against batch size, the knee of each sweep ringed.

    Args:
        sweeps: a `Sweep`, several, or a mapping from label to sweep.
        relative: as multiples of the throughput at the sweep's smallest batch size.
        knee: ring the knee and name it.
        share: the knee's share of the best throughput; see `Sweep.knee`.
    """
    found, ax = results(sweeps), axes(ax)
    ends = []
    for index, ((name, sweep), colour) in enumerate(zip(found.items(), shades("throughput", len(found)), strict=True)):
        table = sweep.table()
        sizes, shown = table["batch_size"].to_numpy(), table["throughput_ips"].to_numpy()
        shown = shown / shown[0] if relative else shown
        _line(ax, sizes, shown, index, colour)
        text = "throughput" if len(found) == 1 else name
        if knee:
            at = sweep.knee(share)
            ax.plot(at, shown[sizes == at][0], "o", ms=14, mfc="none", mec=INK, mew=1.2, zorder=4, gid=f"knee {at}")
            text += "" if len(found) == 1 else f", knee {at}"
        ends.append((sizes[-1], shown[-1], text, colour))
    batch_axis(ax, np.concatenate([sweep.batch_sizes for sweep in found.values()]))
    ax.set_ylim(0, ax.get_ylim()[1] * 1.05)
    unit = "times the smallest batch's" if relative else "inferences/s"
    ax.set_ylabel(f"throughput ({unit})")
    if knee:
        ring = ax.plot([], [], "o", ms=10, mfc="none", mec=INK, mew=1.2)
        number = f" {next(iter(found.values())).knee(share)}" if len(found) == 1 else ""
        ax.legend(ring, [f"knee{number}: the smallest batch with {share:.0%} of the best"], loc="best")
    title(ax, "Throughput against batch size")
    caption(ax, [sweep.provenance for sweep in found.values()])
    label_ends(ax, ends)
    return ax


@styled
def throughput_latency(sweeps: Any, *, slo: Any = None, percent: float = 50, ax: Axes | None = None) -> Axes:
    """Draw the trade-off: throughput to the right, latency per request upwards, each point named by its batch size.

    Args:
        sweeps: a `Sweep`, several, or a mapping from label to sweep.
        slo: a limit in ms or an `Slo`, drawn as a line.
        percent: which percentile of the latency.
    """
    found, ax = results(sweeps), axes(ax)
    ends, values = [], []
    points: list[tuple[int, float, float, int]] = []
    for index, ((name, sweep), colour) in enumerate(zip(found.items(), shades("latency", len(found)), strict=True)):
        x = sweep.table()["throughput_ips"].to_numpy()
        y = np.array([sweep.runs[int(size)].percentile_ms(percent).value for size in sweep.batch_sizes])
        _line(ax, x, y, index, colour)
        points += [(int(size), *point, index) for size, *point in zip(sweep.batch_sizes, x, y, strict=True)]
        ends.append((x[-1], y[-1], name, colour))
        values.append(y)
    flat = np.concatenate(values)
    log_axis(ax, "y", flat.min(), flat.max())
    if len(found) > 1:  # devices differ by tens of times
        rates = np.concatenate([sweep.table()["throughput_ips"] for sweep in found.values()])
        log_axis(ax, "x", rates.min(), rates.max())
        ax.set_xlim(left=rates.min() / 2.5)
    else:
        ax.set_xlim(left=0)
    if slo is not None:
        limit = limit_of(slo)[1]
        level(ax, limit, f"SLO {limit:g} ms", COLOURS["slo"], at=0.0)
    ax.set_xlabel("throughput (inferences/s)" + (", log scale" if len(found) > 1 else ""))
    ax.margins(y=0.12)
    ax.set_ylabel(f"P{percent:g} latency per request (ms), log scale")
    title(ax, "Latency against throughput; numbers are batch sizes")
    caption(ax, [sweep.provenance for sweep in found.values()])
    label_ends(ax, ends)
    _name_batches(ax, points)
    return ax


@styled
def fixed_and_per_item(source: Any, *, ax: Axes | None = None) -> Axes:
    """Draw what one inference costs at each batch size, split into its share of the fixed cost and its own cost.

    The bars are the fit of `Sweep.cost_fit`, the crosses what was measured (the median); the title says how far the
    two are apart at worst.

    Args:
        source: a `Sweep`, or a `batchlab.profiles.Profile`, drawn at its published batch sizes.
    """
    found = source if isinstance(source, Sweep) else from_profile(source, [int(size) for size in source.batch_sizes])
    word = "measured" if source is found else "published"
    ax, fit, table = axes(ax), found.cost_fit(), found.table()
    places = np.arange(len(table))
    sizes = table["batch_size"].to_numpy()
    fixed, own = fit.fixed_ms / sizes, np.full(len(sizes), fit.per_item_ms)
    ax.bar(places, own, 0.62, color=COLOURS["compute"], label=f"per item: {fit.per_item_ms:.3g} ms")
    ax.bar(
        places,
        fixed,
        0.62,
        bottom=own,
        color=COLOURS["fixed"],
        edgecolor=INK,
        hatch="////",
        label=f"fixed: {fit.fixed_ms:.3g} ms a batch, shared by its items",
    )
    measured = table["p50_ms"].to_numpy() / sizes
    ax.plot(places, measured, "x", color=INK, ms=7, mew=1.6, label=word)
    for place, value, bar in zip(places, measured, own + fixed, strict=True):
        top = (place, max(value, bar))
        ax.annotate(f"{value:.3g}", top, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8.5)
    ax.set_ylim(top=max((own + fixed).max(), measured.max()) * 1.12)
    ax.set_xticks(places, [str(size) for size in sizes])
    ax.set_xlabel("batch size (items per request)")
    ax.set_ylabel("cost of one inference (ms)")
    ax.grid(axis="x", visible=False)
    handles, labels = ax.get_legend_handles_labels()
    order = [labels.index(text) for text in sorted(labels, key=lambda text: ("fixed" not in text, "per" not in text))]
    ax.legend([handles[i] for i in order], [labels[i] for i in order], loc="upper right")
    title(ax, f"What one inference costs (fit within {fit.worst_rel:.1%} of the {word})")
    caption(ax, [found.provenance])
    return ax


def _line(ax: Axes, x: Any, y: Any, index: int, colour: str, filled: Any = None) -> None:
    style, marker = LINE_STYLES[index % len(LINE_STYLES)], MARKERS[index % len(MARKERS)]
    ax.plot(x, y, linestyle=style, marker=marker, color=colour, zorder=3)
    if filled is not None and not np.all(filled):
        ax.plot(x[~filled], y[~filled], linestyle="", marker=marker, mfc="white", mec=colour, zorder=3.5)


def _name_batches(ax: Axes, points: list[tuple[int, float, float, int]]) -> None:
    """Write the batch size at each (size, x, y, series), ends of a series first; what would touch stays unwritten."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    series = {index: [size for size, *_, other in points if other == index] for *_, index in points}
    points = sorted(points, key=lambda point: point[0] not in (series[point[3]][0], series[point[3]][-1]))
    room = NAME_ROOM * figure.dpi / POINTS_PER_INCH
    taken: list[np.ndarray] = []
    for size, x, y, index in points:
        below = index % 2  # neighbours of two devices must not write on each other
        shift = np.array((0, -7) if below else (-5, 5))
        place = ax.transData.transform((x, y)) + shift * figure.dpi / POINTS_PER_INCH
        if any(abs(place[0] - other[0]) < 1.6 * room and abs(place[1] - other[1]) < room for other in taken):
            continue
        taken.append(place)
        note = ax.annotate(
            str(size),
            (x, y),
            xytext=tuple(shift),
            textcoords="offset points",
            ha="center" if below else "right",
            va="top" if below else "bottom",
            fontsize=8,
        )
        halo(note)
