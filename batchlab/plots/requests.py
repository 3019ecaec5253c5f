"""Pictures of single requests: when each waited and computed, and how their latencies are spread."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from batchlab.measure import MS_PER_S, Run
from batchlab.plots.canvas import axes, halo, level, limit_of, log_axis, results, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK, LINE_STYLES, readable, shades

BINS = 60
LONG_TAIL = 12.0  # slowest over median; beyond it a linear axis would squeeze everything else into one bar
TAIL_LABELS = {0.5: "50%  P50", 0.1: "10%  P90", 0.01: "1%  P99", 0.001: "0.1%  P99.9"}
COMPUTE_COLUMNS = ("compute_ms", "device_ms")


@styled
def request_timeline(run: Run, first: int = 12, *, one_at_a_time: bool = False, ax: Axes | None = None) -> Axes:
    """Draw the first requests after the warm-up as bars over time: grey is waiting, blue is computing.

    How long a request was computed comes from a column ``compute_ms`` or ``device_ms`` of its own, or else from the
    mean in Triton's statistics of the run. It is drawn at the end of the bar, for the answer follows the computing.
    A failed request ends in a cross.

    Args:
        first: how many requests.
        one_at_a_time: the model has one instance and forms no batches, so that no request was computed before the
            one ahead of it was answered; a mean computing time that would say otherwise is cut there.

    Raises:
        PlotError: the run holds no request, or nothing tells computing from waiting.
    """
    rows = run.kept.head(first)
    if rows.empty or first < 1:
        raise PlotError("There is no request to draw: the run holds none after its warm-up, or first is below 1.")
    compute, told_by = _compute_ms(run, rows)
    ax = axes(ax)
    began = ((rows["intended_s"] - rows["intended_s"].iloc[0]) * MS_PER_S).to_numpy()
    total = ((rows["done_s"] - rows["intended_s"]) * MS_PER_S).to_numpy()
    ok = rows["ok"].to_numpy(dtype=bool)
    compute = np.where(ok, np.minimum(compute, total), 0.0)
    if one_at_a_time:
        ended = began + total
        order = np.argsort(ended)
        ahead = np.concatenate([[-np.inf], ended[order][:-1]])
        compute[order] = np.minimum(compute[order], ended[order] - ahead)
    lanes = np.arange(1, len(rows) + 1)
    ax.barh(lanes, total - compute, 0.7, left=began, color=COLOURS["queue"], label="waiting")
    ax.barh(lanes, compute, 0.7, left=began + total - compute, color=COLOURS["compute"], label=f"computing{told_by}")
    if not ok.all():
        ax.plot((began + total)[~ok], lanes[~ok], "x", color=INK, ms=7, mew=1.8, label="failed")
    ax.set_ylim(len(rows) + 0.6, 0.4)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1, steps=[1, 2, 5, 10]))
    ax.set_xlabel("time since the first request drawn (ms)")
    ax.set_ylabel("request, in order of sending")
    ax.grid(axis="y", visible=False)
    title(ax, "Where each request's time went")
    ax.legend(loc="lower left", bbox_to_anchor=(0.01, 0.02))  # later requests begin further right
    caption(ax, [run.provenance])
    return ax


def _compute_ms(run: Run, rows: Any) -> tuple[np.ndarray, str]:
    for column in COMPUTE_COLUMNS:
        if column in rows.columns:
            return rows[column].to_numpy(dtype=float), ""
    if run.server is not None and run.server.requests:
        return np.full(len(rows), run.server.compute_infer_ms), " (mean, from the server's statistics)"
    raise PlotError(
        "Nothing tells computing from waiting in this run: it has neither a column compute_ms or device_ms, nor the "
        "server's statistics."
    )


@styled
def latency_histogram(run: Run, *, slo: Any = None, ax: Axes | None = None) -> Axes:
    """Draw the latencies of a run with P50, P95 and P99, and the SLO where one is given.

    Args:
        slo: a limit in ms or an `Slo`.
    """
    ax, latencies = axes(ax), run.latencies_ms
    marks = {f"P{percent}": run.percentile_ms(percent).value for percent in (50, 95, 99)}
    reach = max(latencies.max(), limit_of(slo)[1] if slo is not None else 0.0)
    if latencies.max() / np.median(latencies) > LONG_TAIL:
        bins = np.geomspace(latencies.min(), latencies.max() * 1.0001, BINS)
        log_axis(ax, "x", latencies.min(), reach)
    else:
        bins = np.linspace(latencies.min(), max(latencies.max(), latencies.min() * 1.001), BINS)
    counts, edges = np.histogram(latencies, bins)
    ax.stairs(counts, edges, fill=True, color=COLOURS["latency"], alpha=0.55)
    ax.set_ylim(0, counts.max() * 1.45)
    for step, (name, value) in enumerate(marks.items()):
        level(ax, value, f"{name} {value:.3g} ms", INK, along="y", at=0.96 - 0.075 * step)
    if slo is not None:
        limit = limit_of(slo)[1]
        missed = float(np.mean(latencies > limit))
        level(ax, limit, f"SLO {limit:g} ms, missed by {missed:.2%}", COLOURS["slo"], along="y", at=0.96 - 0.075 * 3)
    ax.set_xlabel("latency from the intended send time (ms)")
    ax.set_ylabel("requests")
    title(ax, f"Latencies of {len(latencies):,} requests")
    caption(ax, [run.provenance])
    return ax


@styled
def latency_ecdf(runs: Any, *, slo: Any = None, ax: Axes | None = None) -> Axes:
    """Draw, for each latency, the share of requests that took longer, on an axis that stretches the tail.

    Each step down is a factor of ten nearer to the slowest request. A line ends where a single request is left.

    Args:
        runs: a `Run`, several, or a mapping from label to run.
        slo: a limit in ms or an `Slo`.
    """
    found, ax = results(runs), axes(ax)
    for index, ((name, run), colour) in enumerate(zip(found.items(), shades("latency", len(found)), strict=True)):
        text = f"{name}, {len(run.latencies_ms):,} requests"
        style = LINE_STYLES[index % len(LINE_STYLES)]
        ax.step(*_tail(run), where="post", color=colour, linestyle=style, label=text)
    _tail_axes(ax, found)
    if slo is not None:
        limit = limit_of(slo)[1]
        level(ax, limit, f"SLO {limit:g} ms", COLOURS["slo"], along="y", at=0.96)
    title(ax, "The tail: how many requests took longer")
    caption(ax, [run.provenance for run in found.values()])
    _legend_beside_lines(ax)
    return ax


def _legend_beside_lines(ax: Axes) -> None:
    """Put the legend below the falling lines; where one falls at the very left, wherever there is room."""
    legend = ax.legend(loc="lower left", bbox_to_anchor=(0.01, 0.02))
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # only the layout tells where the legend stands
    place = legend.get_window_extent()
    if any(line.get_path().transformed(line.get_transform()).intersects_bbox(place, filled=False) for line in ax.lines):
        ax.legend(loc="best")


@styled
def closed_against_open(closed: Run, open_: Run, *, percent: float = 99, ax: Axes | None = None) -> Axes:
    """Draw the tail of a closed loop beside that of an open loop at the same load: what waiting clients do not see.

    The percentile of each is marked, and the factor between the two is computed from them.
    """
    ax, runs = axes(ax), {"closed loop": closed, "open loop": open_}
    colours = dict(zip(runs, shades("latency", 2)[::-1], strict=True))
    seen = []
    for index, (name, run) in enumerate(runs.items()):
        ax.step(*_tail(run), where="post", color=colours[name], linestyle=LINE_STYLES[1 - index])
        value = run.percentile_ms(percent).value
        ax.plot(value, 1 - percent / 100, "os"[index], color=colours[name], ms=7, zorder=4)
        note = ax.annotate(
            f"{name}\nP{percent:g} {value:.3g} ms",
            (value, 1 - percent / 100),
            xytext=(8, -6 if run is closed else 6),
            textcoords="offset points",
            va="top" if run is closed else "bottom",
            color=readable(colours[name]),
        )
        halo(note)
        seen.append(value)
    _tail_axes(ax, runs)
    height = 1 - percent / 100
    ax.annotate("", (seen[1], height), (seen[0], height), arrowprops={"arrowstyle": "<->", "color": INK, "lw": 1.2})
    middle = float(np.sqrt(seen[0] * seen[1]))
    ax.annotate(
        f"{seen[1] / seen[0]:.2g} times",
        (middle, height),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        color=INK,
        fontweight="bold",
    )
    title(ax, "The tail that the closed loop hides")
    caption(ax, [closed.provenance, open_.provenance])
    return ax


def _tail(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return latencies ascending and the share of requests slower than each; the slowest has none beyond it."""
    latencies = np.sort(run.latencies_ms)
    n = len(latencies)
    if n < 2:
        raise PlotError(f"A tail needs at least two answered requests, the run of {run.provenance.model!r} has {n}.")
    beyond = 1 - np.arange(1, n) / n
    return np.concatenate([latencies[:1], latencies[: n - 1]]), np.concatenate([[1.0], beyond])


def _tail_axes(ax: Axes, runs: dict[str, Run]) -> None:
    every = np.concatenate([run.latencies_ms for run in runs.values()])
    log_axis(ax, "x", every.min(), every.max())
    ax.set_yscale("log")
    lowest = 0.7 / max(len(run.latencies_ms) for run in runs.values())
    ticks = [share for share in (*TAIL_LABELS, 1e-4, 1e-5) if share >= lowest]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: TAIL_LABELS.get(share, f"{share * 100:g}%")))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(lowest, 1.3)
    ax.set_xlabel("latency from the intended send time (ms), log scale")
    ax.set_ylabel("share of requests slower (log scale)")
