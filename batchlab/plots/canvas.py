"""What every picture shares: style, axes, batch axis, labels at the lines."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from batchlab.plots.caption import POINTS_PER_INCH
from batchlab.plots.errors import PlotError
from batchlab.plots.palette import INK, readable

STYLE = Path(__file__).parents[1] / "batchlab.mplstyle"
LABEL_POINTS = 9.0

P = ParamSpec("P")
R = TypeVar("R")


def use_style() -> None:
    """Apply Batchlab's style to every figure made from now on, your own included."""
    plt.style.use(STYLE)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function inside Batchlab's style and leave the global style as it was."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with plt.style.context(STYLE):
            result = draw(*args, **kwargs)
            interactive = plt.isinteractive()
        # A notebook's backend turns interactive mode on at the first figure. The context turns it off again on its way
        # out, and no later picture would be shown.
        plt.interactive(interactive)
        return result

    return drawn


def axes(ax: Axes | None) -> Axes:
    """Return `ax`, or new axes in a figure of their own."""
    if ax is None:
        return plt.figure().add_subplot()
    figure = ax.get_figure(root=True)
    if figure is not None and figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")  # makes room for the caption and for labels beside the axes
    return ax


def title(ax: Axes, text: str) -> None:
    """Name the picture, unless its maker already has."""
    if not ax.get_title(loc="left") and not ax.get_title():
        ax.set_title(text, loc="left")


def named(items: Any, name: Callable[[Any], str]) -> dict[str, Any]:
    """Return several results by label: a mapping as it is, otherwise each named by `name`.

    Raises:
        PlotError: there are none.
    """
    if isinstance(items, Mapping):
        found = dict(items)
    else:
        found = {}
        for item in items if isinstance(items, Sequence) else [items]:
            label, copies = name(item), 1
            while label in found:
                copies += 1
                label = f"{name(item)} ({copies})"
            found[label] = item
    if not found:
        raise PlotError("There is nothing to draw: the collection is empty.")
    return found


def provenance_name(items: Iterable[Any]) -> Callable[[Any], str]:
    """Return how to name results: by profile or model; with the tier too where several tiers meet in one picture."""
    tiers = {item.provenance.tier for item in items}

    def name(item: Any) -> str:
        label = item.provenance.profile or item.provenance.model
        return f"{label} ({item.provenance.tier})" if len(tiers) > 1 else label

    return name


def results(items: Any) -> dict[str, Any]:
    """Return sweeps or runs by label; see `named` and `provenance_name`."""
    several = list(items.values()) if isinstance(items, Mapping) else items
    several = several if isinstance(several, Sequence) else [several]
    return named(items, provenance_name(several))


def batch_axis(ax: Axes, sizes: Iterable[int]) -> None:
    """Make x a log2 axis whose ticks are the batch sizes measured (those that would touch are left out)."""
    ax.set_xscale("log", base=2)
    chosen: list[int] = []
    for size in sorted(set(sizes), key=lambda size: (size & (size - 1) != 0, size)):  # powers of two come first
        if all(abs(np.log2(size / other)) > 0.55 for other in chosen):
            chosen.append(int(size))
    ax.xaxis.set_major_locator(FixedLocator(sorted(chosen)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("batch size (items per request, log2 scale)")


def log_axis(ax: Axes, along: str, low: float, high: float) -> None:
    """Make the ``"x"`` or ``"y"`` axis logarithmic, from about `low` to `high`, with plain numbers as ticks."""
    ax.set(**{f"{along}scale": "log"})
    axis: Axis = ax.xaxis if along == "x" else ax.yaxis
    few = high / low > 10**3
    axis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_locator(NullLocator())


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]], below: float = 0.0) -> None:
    """Write each line's name at its end, moved apart where two would touch.

    Args:
        ends: (x, y, text, colour) of each line's last point. Set scales and limits first.
        below: how far under the point the text stands, in points.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides how far apart two values lie on the page
    ends = sorted(ends, key=lambda end: end[1])
    heights = [float(ax.transData.transform((x, y))[1]) for x, y, _, _ in ends]
    places = spread(heights, LABEL_POINTS * 1.3 * figure.dpi / POINTS_PER_INCH)
    for (x, y, text, colour), height, place in zip(ends, heights, places, strict=True):
        lift = (place - height) * POINTS_PER_INCH / figure.dpi
        written = ax.annotate(
            text,
            (x, y),
            xytext=(9, lift - below),
            textcoords="offset points",
            va="center",
            ha="left",
            color=readable(colour),
            fontsize=LABEL_POINTS,
            annotation_clip=False,
        )
        halo(written)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places apart until neighbours are `gap` away from each other, each group about its own middle."""
    groups: list[tuple[list[float], float]] = []  # members, lowest place
    for place in places:
        members, low = [place], place
        while groups and low - (groups[-1][1] + gap * (len(groups[-1][0]) - 1)) < gap:
            members = groups.pop()[0] + members
            low = float(np.mean(members)) - gap * (len(members) - 1) / 2
        groups.append((members, low))
    return [low + gap * step for members, low in groups for step in range(len(members))]


def halo(text: Any) -> None:
    """Give a text a white edge, so that it stays readable on a line or a bar."""
    text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


def level(ax: Axes, value: float, text: str, colour: str = INK, along: str = "x", at: float = 0.0) -> None:
    """Draw a thin line across the axes at a value, with its name on it: a limit, a mean, a percentile.

    Args:
        along: ``"x"`` for a horizontal line, ``"y"`` for a vertical one; set its scale and limits first.
        at: where along the line the name stands, as a share of the axes.
    """
    flat = along == "x"
    (ax.axhline if flat else ax.axvline)(value, color=colour, linewidth=1.2, linestyle=(0, (6, 2)))
    share = ax.transAxes.inverted().transform(ax.transData.transform((value, 0)))[0]
    leftwards = at > 0.5 if flat else share > 0.6  # the name stays inside the axes
    written = ax.annotate(
        text,
        (at, value) if flat else (value, at),
        xycoords=ax.get_yaxis_transform() if flat else ax.get_xaxis_transform(),
        xytext=(-3 if leftwards else 3, 3 if flat else 0),
        textcoords="offset points",
        ha="right" if leftwards else "left",
        va="bottom" if flat else "center",
        color=readable(colour),
        fontsize=LABEL_POINTS,
    )
    halo(written)


def limit_of(slo: Any) -> tuple[float, float]:
    """Return (percentile, limit in ms) of an `Slo`, or of a bare limit in ms, which means the P99.

    Raises:
        PlotError: neither.
    """
    if isinstance(slo, int | float):
        return 99.0, float(slo)
    limit = getattr(slo, "limit_ms", getattr(slo, "p99_ms", None))
    if limit is None:
        raise PlotError(f"An SLO is a limit in ms or an Slo, got {slo!r}.")
    return float(getattr(slo, "percentile", 99.0)), float(limit)
