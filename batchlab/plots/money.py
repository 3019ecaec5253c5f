"""Pictures of money: what a replica carries, how a fleet follows a day, what moves the cost, what to choose from."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from batchlab import cost
from batchlab.capacity import CapacityCurve
from batchlab.frontier import Option, front
from batchlab.plots.canvas import axes, label_ends, level, log_axis, styled, title
from batchlab.plots.caption import caption, source_line
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK, LINE_STYLES, MARKERS, shades
from batchlab.provenance import Provenance
from batchlab.scaling import Case, FleetBill
from batchlab.sensitivity import Swing


@styled
def capacity_curves(curves: Sequence[CapacityCurve], *, ax: Axes | None = None) -> Axes:
    """Draw the tail against the rate offered to one replica; filled where the SLO is kept, its highest rate ringed.

    Raises:
        PlotError: no curve, or curves of different SLOs.
    """
    slos = list(dict.fromkeys(curve.slo for curve in curves))
    if len(slos) != 1:
        raise PlotError(f"Curves in one picture share one SLO; got {', '.join(map(str, slos)) or 'no curve'}.")
    (slo,) = slos
    ax, ends, tails = axes(ax), [], [slo.limit_ms]
    for index, (curve, colour) in enumerate(zip(curves, shades("latency", len(curves)), strict=True)):
        shown = [point for point in curve.points if np.isfinite(point.tail_ms)]
        if not shown:
            raise PlotError(f"{curve.name} answered nothing at any rate; there is no tail to draw.")
        x, y = [point.rate_rps for point in shown], [point.tail_ms for point in shown]
        ax.plot(x, y, color=colour, linestyle=LINE_STYLES[index % len(LINE_STYLES)], zorder=3)
        for point in shown:
            face = colour if point.kept else "white"
            ax.plot(
                point.rate_rps, point.tail_ms, MARKERS[index % len(MARKERS)], color=colour, mfc=face, ms=5, zorder=4
            )
        best = max((point for point in shown if point.kept), key=lambda point: point.rate_rps, default=None)
        if best:
            ax.plot(best.rate_rps, best.tail_ms, "o", ms=13, mfc="none", color=INK, zorder=5)
        ends.append((x[-1], min(y[-1], slo.limit_ms * 3), curve.name, colour))
        tails += y
    top = min(max(tails), slo.limit_ms * 3) * 1.15
    log_axis(ax, "y", min(tails), top)
    ax.set_xlim(left=0)
    ax.set_ylim(min(tails) / 1.3, top)
    level(ax, slo.limit_ms, f"SLO: {slo}", COLOURS["slo"])
    ax.set_xlabel("rate offered to one replica (requests/s)")
    ax.set_ylabel(f"P{slo.percentile:g} latency (ms), log scale")
    title(ax, "What one replica carries (ringed: the highest rate within the SLO)")
    _foot(ax, [curve.provenance for curve in curves], [curve.note for curve in curves])
    label_ends(ax, ends)
    return ax


@styled
def fleets_over_day(
    bills: Sequence[FleetBill], case: Case, *, provenance: Provenance | None = None, note: str = "",
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the replicas of each fleet hour by hour, over what the traffic asks for; assumptions stand at the foot.

    Raises:
        PlotError: no fleet.
    """
    if not bills:
        raise PlotError("There is no fleet to draw.")
    ax, hours = axes(ax), np.linspace(0, 24, 289)
    asked = np.asarray(case.day.rate_rps(hours * 3600)) / case.rate_rps
    ax.fill_between(hours, asked, color=COLOURS["queue"], alpha=0.5, linewidth=0, label="asked for, without headroom")
    for index, (bill, colour) in enumerate(zip(bills, shades("throughput", len(bills)), strict=True)):
        label = f"{bill.name}: {bill.usd_per_day:,.0f} USD a day, {bill.turned_away} turned away"
        ax.stairs(
            bill.hours["replicas"], np.arange(25), color=colour, baseline=None, label=label,
            linestyle=LINE_STYLES[index % len(LINE_STYLES)], linewidth=2,
        )  # fmt: skip
    ax.set_xlim(0, 24)
    most = max(float(bill.hours["replicas"].max()) for bill in bills)
    ax.set_ylim(0, max(most, float(asked.max())) * (1.15 + 0.11 * len(bills)))
    ax.set_xticks(range(0, 25, 4))
    ax.legend(loc="upper left", fontsize=8, frameon=False)
    ax.set_xlabel("hour of the day")
    ax.set_ylabel("replicas")
    title(ax, "A day, and the fleets that follow it")
    _foot(ax, [provenance], [note])
    caption(ax, [], note=f"price: {case.price}, {case.price.dated}")
    for bill in bills:
        caption(ax, [], note=f"{bill.name}: {bill.assumption}")
    return ax


@styled
def tornado(
    swings: Sequence[Swing], *, provenance: Provenance | None = None, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw how far each input alone moves the cost of 1000 answers, widest at the top.

    Raises:
        PlotError: no swing.
    """
    if not swings:
        raise PlotError("There is no swing to draw.")
    costs = [each for swing in swings for each in (swing.at_low, swing.at_base, swing.at_high)]
    scale, unit = cost.unit(max(costs))
    ax, base = axes(ax), swings[0].at_base * scale
    rows = np.arange(len(swings))[::-1]
    light, dark = COLOURS["transfer"], COLOURS["compute"]
    for row, swing in zip(rows, swings, strict=True):
        ax.barh(row, swing.at_low * scale - base, left=base, color=light, height=0.6)
        ax.barh(row, swing.at_high * scale - base, left=base, color=dark, height=0.6)
    ax.barh(rows[0], 0, color=light, label="input at its low value")
    ax.barh(rows[0], 0, color=dark, label="at its high value")
    ax.axvline(base, color=INK, linewidth=1)
    names = [f"{swing.label}\n{swing.low:.4g} to {swing.high:.4g}" for swing in swings]
    ax.set_yticks(rows, names, fontsize=8)
    ax.set_ylim(-1.3, len(swings) - 0.4)
    low, high = min(costs) * scale, max(costs) * scale
    ax.set_xlim(low - (high - low or base) * 0.1, high + (high - low or base) * 0.1)
    ax.legend(loc="lower right", fontsize=8, frameon=False, ncols=2)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"USD per {unit} answers within the SLO")
    ax.set_ylabel("input, moved alone")
    title(ax, "What moves the cost")
    _foot(ax, [provenance], [note])
    return ax


@styled
def cost_front(found: Sequence[Option], *, ax: Axes | None = None) -> Axes:
    """Draw each option by cost and tail, labelled with its rate; filled those that no other beats in all three.

    Raises:
        PlotError: no option.
    """
    if not found:
        raise PlotError("There is no option to draw.")
    ax, best = axes(ax), front(found)
    dark, light = shades("throughput", 2)
    scale, unit = cost.unit(max(each.usd_per_1000 for each in found))
    for each in found:
        on = each in best
        ax.plot(
            each.usd_per_1000 * scale,
            each.tail_ms,
            "o",
            color=dark if on else light,
            mfc=dark if on else "white",
            zorder=3,
        )
    costs, tails = [each.usd_per_1000 * scale for each in found], [each.tail_ms for each in found]
    ax.set_xlim(0, max(costs) * 1.1)
    log_axis(ax, "y", min(tails), max(tails))
    ax.set_ylim(min(tails) / 2, max(tails) * 2)
    ax.set_xlabel(f"USD per {unit} answers within the SLO, at full use")
    ax.set_ylabel("tail latency (ms), log scale")
    title(ax, f"{len(found)} options; filled: {len(best)} that no other beats")
    _foot(ax, [each.provenance for each in found], [each.note for each in found])
    prices = dict.fromkeys(f"{each.price}, {each.price.dated}" for each in found)
    caption(ax, [], note=f"prices: {'; '.join(prices)}")
    label_ends(ax, [(e.usd_per_1000 * scale, e.tail_ms, f"{e.name}, {e.rate_rps:,.0f}/s", dark) for e in best])
    return ax


def _foot(ax: Axes, origins: Sequence[Provenance | None], notes: Sequence[str]) -> None:
    known = [origin for origin in origins if origin is not None]
    note = "; ".join(dict.fromkeys(note for note in notes if note))
    figure = ax.get_figure(root=True)
    said = " ".join(figure.get_supxlabel().split()) if figure else ""
    told = source_line(known) or note
    if not told or told not in said:  # another picture of the same figure may have said it
        caption(ax, known, note=note)
