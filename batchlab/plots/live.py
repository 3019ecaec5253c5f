"""A picture that is drawn again and again: its artists are made once, later only their data change."""

import io
from collections.abc import Hashable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from batchlab.measure import Run, percentile
from batchlab.plots.canvas import STYLE, halo, log_axis
from batchlab.plots.caption import foot, source_line, wrap
from batchlab.plots.palette import COLOURS, INK, readable

DPI = 100
FASTEST_MS, SLOWEST_MS = 0.5, 20_000.0
BINS = 140
MOST_DRAWN = 80  # of at most 1 MB each
PADDING_PX = 2
UNSTABLE = "#FBE3D6"
TOPS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
REACHES = (8, 16, 32, 64, 128, 256)
FOOT_LINES = 2
MARKS = ("P50", "P99", "SLO")


def blank(width: float, height: float) -> Figure:
    """Return a figure of this size in inches, in Batchlab's style, that no notebook shows by itself."""
    with plt.style.context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


class Pages:
    """Draws a figure quickly: what never changes is drawn once, parts once for each look, what moves for every page.

    The layout is made once, so that nothing shifts from page to page.

    Args:
        figure: the figure.
        moving: what is drawn for every page.
        parts: axes and texts that look the same on many pages; they must not overlap each other.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist], parts: Sequence[Artist] = ()) -> None:
        self.canvas, self._moving, self._parts = FigureCanvasAgg(figure), moving, parts
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for artist in moving:
            artist.set_animated(True)
        self._ground = self._without_parts()
        self._drawn: dict[Hashable, Any] = {}

    def png(self, looks: Sequence[Hashable] = ()) -> bytes:
        """Return the page as it is now.

        Args:
            looks: one for each part: limits, colours or words; the part is drawn once for each.
        """
        renderer, keys = self.canvas.get_renderer(), list(enumerate(looks))
        if len(self._drawn) > MOST_DRAWN:
            self._drawn.clear()
        for part, key in zip(self._parts, keys, strict=True):
            if key not in self._drawn:
                self.canvas.restore_region(self._ground)
                part.draw(renderer)
                covered = part.get_tightbbox(renderer)
                assert covered is not None  # only what is invisible covers nothing
                self._drawn[key] = self.canvas.copy_from_bbox(covered.padded(PADDING_PX))
        self.canvas.restore_region(self._ground)
        for key in keys:
            self.canvas.restore_region(self._drawn[key])
        for artist in self._moving:
            artist.draw(renderer)
        page = io.BytesIO()
        # Little compression: the picture is looked at once, on this machine, and must be quick.
        pixels = np.asarray(self.canvas.buffer_rgba())
        Image.fromarray(pixels).convert("RGB").save(page, format="png", compress_level=1)
        return page.getvalue()

    def _without_parts(self) -> Any:
        for part in self._parts:
            part.set_visible(False)
        self.canvas.draw()
        for part in self._parts:
            part.set_visible(True)
        return self.canvas.copy_from_bbox(self.canvas.figure.bbox)


class LoadPanel:
    """Latencies and batch sizes of one run after another, on axes that stay where they are.

    Attributes:
        figure: the figure.
        headline: what is written over it.
    """

    def __init__(self, run: Run, slo_ms: float, largest_batch: int) -> None:
        self.figure = blank(9.4, 4.0)
        self.headline = ""
        with plt.style.context(STYLE):
            left, right = self.figure.subplots(1, 2, width_ratios=(1.7, 1))
            self._latencies(left, slo_ms)
            self._batches(right, largest_batch)
            self._title = self.figure.suptitle("x\nx", x=0.01, ha="left", fontsize=10.5, linespacing=1.5)
            self._foot = foot(left, [run.provenance])
            # Runs of other models have other sources: room for the longest.
            self._foot.set_text("\n".join("x" * FOOT_LINES))
            moving = [self._shares, self._counts, *self._lines, *self._names, self._title]
            self._pages = Pages(self.figure, moving, [left, right, self._foot])

    def _latencies(self, ax: Axes, slo_ms: float) -> None:
        self._left, self._edges = ax, np.geomspace(FASTEST_MS, SLOWEST_MS, BINS + 1)
        log_axis(ax, "x", FASTEST_MS, SLOWEST_MS)
        ax.set_xlim(FASTEST_MS, SLOWEST_MS)
        self._shares = ax.stairs(np.zeros(BINS), self._edges, fill=True, color=COLOURS["latency"], alpha=0.55)
        colours = (INK, INK, COLOURS["slo"])
        self._lines = [ax.axvline(slo_ms, color=c, lw=1.3, ls=(0, (6, 2))) for c in colours]
        self._names = [
            ax.text(slo_ms, 0.97 - 0.08 * i, name, transform=ax.get_xaxis_transform(), color=readable(c), va="top")
            for i, (name, c) in enumerate(zip(MARKS, colours, strict=True))
        ]
        for written in self._names:
            written.set_fontsize(9)
            halo(written)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.set(xlabel="latency (ms, log scale)", ylabel="share of the requests")

    def _batches(self, ax: Axes, largest: int) -> None:
        self._right, self._sizes = ax, np.arange(1, largest + 1)
        edges = np.arange(0.5, largest + 1)
        self._counts = ax.stairs(np.zeros(largest), edges, fill=True, color=COLOURS["compute"])
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.set(xlabel="batch size (items)", ylabel="share of the batches", xlim=(0, largest + 1))

    def show(self, run: Run, slo_ms: float, utilisation: float) -> bytes:
        """Put another run into the picture, and return the picture.

        Args:
            utilisation: share of the time that the device was busy, 0 to 1.
        """
        latencies = run.latencies_ms
        shares = np.histogram(np.clip(latencies, FASTEST_MS, SLOWEST_MS), self._edges)[0] / len(latencies)
        self._shares.set_data(shares)
        p50, p99 = (percentile(latencies, percent).value for percent in (50, 99))
        for name, line, text, value in zip(MARKS, self._lines, self._names, (p50, p99, slo_ms), strict=True):
            line.set_xdata([value, value])
            text.set_text(f" {name} {number(value)} ms ")
            text.set_x(min(value, SLOWEST_MS))
            text.set_horizontalalignment("left" if value < SLOWEST_MS / 20 else "right")
        activity = run.server
        assert activity is not None
        counts = np.bincount(list(activity.batches), list(activity.batches.values()), len(self._sizes) + 1)[1:]
        self._counts.set_data(counts / max(counts.sum(), 1))
        unstable = bool(run.settings.get("unstable"))
        left = _rung(shares.max() * 1.05, TOPS), UNSTABLE if unstable else "white"
        right = _rung(counts.max() / max(counts.sum(), 1), TOPS), _rung(max(activity.batches), REACHES)
        self._left.set(ylim=(0, left[0]), facecolor=left[1])
        self._right.set(ylim=(0, right[0]), xlim=(0, right[1] + 1))
        kept = "kept" if p99 <= slo_ms else "broken"
        more = "UNSTABLE: the queue grows   |   " if unstable else ""
        self.headline = (
            f"simulated, {len(latencies):,} requests   |   "
            f"P50 {number(p50)} ms   P99 {number(p99)} ms   |   SLO {slo_ms:g} ms {kept}\n"
            f"{more}{run.throughput_rps:,.0f}/s answered of {run.offered_rps:,.0f}/s   |   "
            f"device busy {utilisation:.0%}   |   mean batch {activity.mean_batch:.1f}"
        )
        self._title.set_text(self.headline)
        self._foot.set_text("\n".join(wrap(self.figure, source_line([run.provenance]))))
        self._title.set_color(readable(COLOURS["slo"]) if unstable or kept == "broken" else INK)
        return self._pages.png([left, right, self._foot.get_text()])


def _rung(value: float, ladder: Sequence[float]) -> float:
    """Return the first rung that is high enough: axes that change in steps seldom need to be drawn anew."""
    return next((rung for rung in ladder if value <= rung), ladder[-1])


def number(value: float) -> str:
    """Return three digits, or whole thousands with a comma, never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
