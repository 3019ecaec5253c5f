"""Pictures of the server's own account: the batches it formed, and where a request's time went inside it."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from batchlab.measure import Run
from batchlab.plots.canvas import axes, level, named, provenance_name, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import COLOURS, INK
from batchlab.plots.stack import stacked_bars
from batchlab.provenance import Provenance
from batchlab.statistics import Activity

STAGES = (
    ("waiting in the queue", "queue_ms", "queue", ""),
    ("reading inputs", "compute_input_ms", "transfer", "...."),
    ("computing", "compute_infer_ms", "compute", ""),
    ("writing outputs", "compute_output_ms", "transfer", "xxxx"),
)


@styled
def batch_histogram(source: Run | Activity, *, provenance: Provenance | None = None, ax: Axes | None = None) -> Axes:
    """Draw how many batches of each size the server ran, with the mean.

    Args:
        source: a run with the server's statistics, or an `Activity` together with its `provenance`.

    Raises:
        PlotError: no statistics, no provenance, or no batch was run.
    """
    activity, origin = _account(source, provenance)
    if not activity.batches:
        raise PlotError(f"The server ran no batch of {activity.model!r} in this time.")
    ax = axes(ax)
    sizes = np.array(sorted(activity.batches))
    counts = [activity.batches[int(size)] for size in sizes]
    ax.bar(sizes, counts, max(0.8, (sizes[-1] - sizes[0]) / 80), color=COLOURS["compute"])
    ax.set_ylim(0, max(counts) * 1.15)
    ax.set_xlim(min(sizes[0] - 1, 0), sizes[-1] + 1 + (sizes[-1] - sizes[0]) * 0.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    level(ax, activity.mean_batch, f"mean {activity.mean_batch:.1f}", INK, along="y", at=0.96)
    ax.set_xlabel("batch size (items per execution)")
    ax.set_ylabel("batches run")
    ax.grid(axis="x", visible=False)
    title(ax, f"{activity.executions:,} batches for {activity.requests:,} requests")
    caption(ax, [origin])
    return ax


@styled
def time_in_server(sources: Any, *, provenance: Provenance | None = None, ax: Axes | None = None) -> Axes:
    """Draw where the mean request's time went: queue, inputs, computing, outputs.

    A run also tells what its client saw; what is left of that is time outside the server (client and network).

    Args:
        sources: a run with the server's statistics (or several, or a mapping from label), or an `Activity` together
            with its `provenance`.

    Raises:
        PlotError: no statistics or no provenance.
    """
    items = [sources] if isinstance(sources, Run | Activity) else sources
    if isinstance(items, list | tuple) and all(isinstance(item, Run) for item in items):
        found = named(items, provenance_name(items))
    else:
        found = named(items, lambda item: item.model if isinstance(item, Activity) else item.provenance.model)
    accounts = {name: _account(item, provenance) for name, item in found.items()}
    ax = axes(ax)
    parts = [
        (text, np.array([getattr(activity, field) for activity, _ in accounts.values()]), colour, hatch)
        for text, field, colour, hatch in STAGES
    ]
    outside = np.array(
        [
            max(item.mean_latency_ms - activity.server_ms, 0.0) if isinstance(item, Run) else 0.0
            for item, (activity, _) in zip(found.values(), accounts.values(), strict=True)
        ]
    )
    if outside.any():
        parts.append(("client and network", outside, "outside", "//"))
    whole = float(np.sum([widths for _, widths, _, _ in parts], axis=0).max())
    stacked_bars(ax, list(found), parts, whole)
    ax.set_xlabel("mean time of a request (ms)")
    title(ax, "Where the time goes, by the server's own account")
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3, columnspacing=1.2)
    caption(ax, [origin for _, origin in accounts.values()])
    return ax


def _account(source: Run | Activity, provenance: Provenance | None) -> tuple[Activity, Provenance]:
    if isinstance(source, Activity):
        if provenance is None:
            raise PlotError(
                "An Activity carries no tier. Pass the run it belongs to, or provenance=server.provenance(model)."
            )
        return source, provenance
    if source.server is None:
        raise PlotError(f"This run of {source.provenance.model!r} holds no statistics of the server.")
    return source.server, source.provenance
