"""Pictures of a search: every configuration on a map, and those that no other beats."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from batchlab import points
from batchlab.plots.canvas import axes, halo, label_ends, level, limit_of, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, FAINT, INK, shades
from batchlab.provenance import Provenance

UNITS = {
    "throughput_rps": "throughput (requests/s)",
    "goodput_rps": "goodput (requests/s)",
    "rate_rps": "rate (requests/s)",
    "throughput_ips": "throughput (inferences/s)",
    "p99_ms": "P99 latency (ms)",
    "max_delay_us": "max wait (ms)",
    "max_queue_delay_microseconds": "max wait (ms)",
    "max_batch_size": "max batch size",
}
US_PER_MS = 1000


@styled
def slo_surface(
    table: pd.DataFrame,
    slo: Any,
    *,
    provenance: Provenance,
    value: str = "throughput_rps",
    latency: str = "p99_ms",
    delay: str = "max_delay_us",
    batch: str = "max_batch_size",
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of configurations: max wait to the right, max batch upwards, the value as colour and number.

    The SLO cuts the map: outside its border a cell is hatched and shows the latency that broke it; the best cell
    inside has a frame.

    Args:
        table: one row per configuration with the four columns named by the arguments.
        slo: a limit in ms or an `Slo`.

    Raises:
        PlotError: a column is missing, or two rows share a max wait and a max batch.
    """
    _need(table, value, latency, delay, batch)
    if table.duplicated([delay, batch]).any():
        raise PlotError(f"Two rows share {delay} and {batch}: choose one value of the other knobs first.")
    limit = limit_of(slo)[1]
    values = table.pivot(index=batch, columns=delay, values=value)
    tails = table.pivot(index=batch, columns=delay, values=latency)
    inside = (tails <= limit).to_numpy()
    numbers, slowest = values.to_numpy(dtype=float), tails.to_numpy(dtype=float)
    ax = axes(ax)
    ramp = LinearSegmentedColormap.from_list("throughput", ["#FFFFFF", COLOURS["throughput"]])
    top = np.nanmax(numbers) if np.isfinite(numbers).any() else 1.0
    ax.pcolormesh(
        np.where(inside, numbers, np.nan), cmap=ramp, vmin=0, vmax=max(top, 1e-9) * 1.15, edgecolors="white", lw=1.5
    )
    for row, column in np.ndindex(*numbers.shape):
        if not inside[row, column]:
            ax.add_patch(Rectangle((column, row), 1, 1, fc="#F4F4F4", ec="#CFCFCF", hatch="///", lw=0))
        _cell(ax, row, column, numbers[row, column], slowest[row, column], inside[row, column])
        for other, line in (
            ((row, column + 1), ([column + 1] * 2, [row, row + 1])),
            ((row + 1, column), ([column, column + 1], [row + 1] * 2)),
        ):
            beyond = other[0] < numbers.shape[0] and other[1] < numbers.shape[1]
            if beyond and inside[other] != inside[row, column]:
                ax.plot(*line, color=COLOURS["slo"], lw=2.6, solid_capstyle="round", zorder=4)
    if (inside & np.isfinite(numbers)).any():
        best = int(np.nanargmax(np.where(inside, numbers, np.nan)))
        row, column = divmod(best, numbers.shape[1])
        ax.add_patch(Rectangle((column + 0.04, row + 0.05), 0.92, 0.9, fill=False, ec=INK, lw=2, zorder=5))
    scale = US_PER_MS if UNITS.get(delay) == "max wait (ms)" else 1
    ax.set_xticks(np.arange(numbers.shape[1]) + 0.5, [f"{step / scale:g}" for step in values.columns])
    ax.set_yticks(np.arange(numbers.shape[0]) + 0.5, [f"{step:g}" for step in values.index])
    ax.grid(visible=False)
    ax.set_xlabel(UNITS.get(delay, delay))
    ax.set_ylabel(UNITS.get(batch, batch))
    title(ax, f"{UNITS.get(value, value).capitalize()} inside the SLO of {limit:g} ms (framed: the best)")
    caption(ax, [provenance])
    return ax


def _cell(ax: Axes, row: int, column: int, number: float, tail: float, inside: bool) -> None:
    if inside:
        written = ax.text(column + 0.5, row + 0.5, f"{number:,.0f}", ha="center", va="center", color=INK)
    else:
        text = f"{tail:,.0f} ms" if np.isfinite(tail) else "none"
        written = ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=FAINT, fontsize=8)
    halo(written)


@styled
def pareto(
    table: pd.DataFrame,
    *,
    provenance: Provenance,
    value: str = "throughput_rps",
    latency: str = "p99_ms",
    label: str | None = None,
    slo: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every configuration by what it brings and what it costs, with the front that no other one beats.

    Args:
        table: one row per configuration.
        value: column of what is wanted, to the right.
        latency: column of what is paid, upwards.
        label: column whose text names the points of the front.
        slo: a limit in ms or an `Slo`.

    Raises:
        PlotError: a column is missing, or no row holds both numbers.
    """
    _need(table, value, latency, *([label] if label else []))
    known = table[np.isfinite(table[value].astype(float)) & np.isfinite(table[latency].astype(float))]
    if known.empty:
        raise PlotError(f"No row of the table holds both {value} and {latency}.")
    front = points.pareto(known, value, latency)
    ax = axes(ax)
    dark, light = shades("throughput", 2)
    ax.plot(known[value], known[latency], "o", color=light, ms=5, zorder=2)
    ax.plot(front[value], front[latency], "-o", color=dark, zorder=3)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    if slo is not None:
        limit = limit_of(slo)[1]
        ax.set_ylim(top=max(ax.get_ylim()[1], limit * 1.1))
        level(ax, limit, f"SLO {limit:g} ms", COLOURS["slo"])
    ax.set_xlabel(UNITS.get(value, value))
    ax.set_ylabel(UNITS.get(latency, latency))
    title(ax, f"{len(known)} configurations; on the line, those that no other beats")
    caption(ax, [provenance])
    if label:
        ends = [(row[value], row[latency], str(row[label]), dark) for _, row in front.iterrows()]
        label_ends(ax, ends, below=8)  # to the right of and below a front nothing is drawn
    return ax


def _need(table: pd.DataFrame, *columns: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise PlotError(
            f"The table lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}."
        )
