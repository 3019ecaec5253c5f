"""The picture of a replayed window: each request's waiting and computing, each batch, and why it left."""

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from batchlab.plots.canvas import STYLE, axes, styled, title
from batchlab.plots.caption import caption
from batchlab.plots.live import Pages, blank
from batchlab.plots.palette import COLOURS, INK

if TYPE_CHECKING:
    from batchlab.timeline import Window

# Why a batch left: colour and hatch, so that print tells them apart too.
REASONS = {
    "no wait": ("#56B4E9", ""),
    "full": ("#009E73", ""),
    "preferred size": ("#F0E442", ""),
    "wait over": ("#E69F00", ""),
    "other shape": ("#CC79A7", ""),
}
STAGES = (
    ("in the batcher", COLOURS["queue"], ""),
    ("handed over, device busy", "#8C8C8C", "////"),
    ("computing", COLOURS["compute"], ""),
)
HEIGHT = 0.72
DEVICE_SHARE = 0.09  # height of a device, as a share of all requests


@styled
def batch_timeline(window: "Window", *, ax: Axes | None = None) -> Axes:
    """Draw a window of a replayed run: below each request over time, above the batches on the device.

    Grey is waiting in the batcher; hatched is waiting for the device, in a batch that the batcher has handed over; blue
    is computing. The colour of a batch says why it was handed over, a line of that colour when.

    Args:
        window: of `timeline.window`.
    """
    ax = axes(ax)
    _Artists(ax, window).show(window.length_ms)
    return ax


class ReplayPicture:
    """The same picture, up to a moment that moves on."""

    def __init__(self, window: "Window") -> None:
        figure = blank(9.4, 2.2 + min(len(window.requests), 60) * 0.07)
        with plt.style.context(STYLE):
            self._artists = _Artists(figure.add_subplot(), window)
            self._pages = Pages(figure, self._artists.moving)

    def show(self, now_ms: float) -> bytes:
        """Return the picture as of `now_ms`."""
        self._artists.show(now_ms)
        return self._pages.png()


class _Artists:
    def __init__(self, ax: Axes, window: "Window") -> None:
        requests, batches = window.requests, window.batches
        lanes = np.arange(1.0, len(requests) + 1)
        batch = batches.set_index("batch").loc[requests["batch"]]
        arrival, start, done = (requests[name].to_numpy() for name in ("arrival_ms", "start_ms", "done_ms"))
        # A batch that is handed over early may take requests in until the device does.
        closed = np.clip(batch["closed_ms"].to_numpy(), arrival, start)
        spans = [(arrival, closed), (closed, start), (start, done)]
        self._bars = []
        for (text, colour, hatch), (left, right) in zip(STAGES, spans, strict=True):
            drawn = PolyCollection([], facecolor=colour, edgecolor="white", linewidth=0.3, hatch=hatch, label=text)
            ax.add_collection(drawn, autolim=False)
            self._bars.append((drawn, left, right, lanes))
        colours = [REASONS[reason][0] for reason in batches["reason"]]
        instances = sorted(batches["instance"].unique())
        self._tall = max(DEVICE_SHARE * len(requests), 1.2)
        rows = -self._tall * (1 + np.array([instances.index(i) for i in batches["instance"]], dtype=float))
        blocks = PolyCollection([], edgecolor=INK, linewidth=0.6)
        ax.add_collection(blocks, autolim=False)
        self._blocks = (blocks, batches["start_ms"].to_numpy(), batches["end_ms"].to_numpy(), rows, np.array(colours))
        self._sizes = [
            ax.text((b.start_ms + b.end_ms) / 2, row, str(b.items), ha="center", va="center", fontsize=9, clip_on=True)
            for b, row in zip(batches.itertuples(), rows, strict=True)
        ]
        begun = dict(zip(batches["batch"], colours, strict=True))
        self._closings = list(zip(batch["closed_ms"], lanes, (begun[b] for b in requests["batch"]), strict=True))
        self._lines = LineCollection([], linewidth=2.4)
        ax.add_collection(self._lines, autolim=False)
        self._now = ax.axvline(0.0, color=INK, linewidth=1.0)
        self.moving = [*(bar[0] for bar in self._bars), blocks, self._lines, *self._sizes, self._now]
        self._length = window.length_ms
        ax.set_xlim(min(0.0, float(batches["start_ms"].min())), window.length_ms * 1.01)
        ax.set_ylim(len(requests) + 0.8, -self._tall * (len(instances) + 0.6))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
        names = ["device"] if len(instances) == 1 else [f"instance {i}" for i in instances]
        ticks = [tick for tick in ax.get_yticks() if 1 <= tick <= len(requests)]
        places = [-self._tall * (1 + i) for i in range(len(instances))]
        ax.set_yticks([*places, *ticks], [*names, *(f"{tick:.0f}" for tick in ticks)])
        ax.grid(axis="y", visible=False)
        ax.set(xlabel="time (ms)", ylabel="request, in order of service")
        title(ax, "When each request waited and computed, and why each batch left")
        keys = [Patch(facecolor=colour, hatch=hatch, label=text) for text, colour, hatch in STAGES]
        seen = dict.fromkeys(batches["reason"])
        keys += [Patch(facecolor=REASONS[reason][0], ec=INK, label=f"left: {reason}") for reason in seen]
        ax.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.5)
        caption(ax, [window.provenance])

    def show(self, now_ms: float) -> None:
        """Show everything up to this moment."""
        for bars, left, right, lanes in self._bars:
            bars.set_verts(_boxes(left, np.minimum(right, now_ms), lanes, HEIGHT))
        blocks, left, right, rows, colours = self._blocks
        begun = left < now_ms
        blocks.set_verts(_boxes(left[begun], np.minimum(right, now_ms)[begun], rows[begun], self._tall * 0.8))
        blocks.set_facecolor(colours[begun])
        for text, begins in zip(self._sizes, left, strict=True):
            text.set_visible(bool(begins < now_ms))
        closed = [row for row in self._closings if row[0] <= now_ms]
        self._lines.set_segments([[(at, lane - 0.5), (at, lane + 0.5)] for at, lane, _ in closed])
        self._lines.set_color([colour for *_, colour in closed] or ["none"])
        self._now.set_xdata([now_ms, now_ms])
        self._now.set_visible(now_ms < self._length)


def _boxes(left: np.ndarray, right: np.ndarray, rows: np.ndarray, height: float) -> list[np.ndarray]:
    """Return rectangles, each of shape ``(4, 2)``; one that has not begun has no width."""
    right = np.maximum(right, left)
    low, high = rows - height / 2, rows + height / 2
    corners = [(left, low), (left, high), (right, high), (right, low)]
    return list(np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1))
