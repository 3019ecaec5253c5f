"""Stacked bars that lie: one a name, one part after another, the time written on each part that is wide enough."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from batchlab.plots.palette import COLOURS, INK

WIDE_ENOUGH = 0.13


def stacked_bars(
    ax: Axes, names: Sequence[str], parts: Iterable[tuple[str, np.ndarray, str, str]], whole_ms: float
) -> None:
    """Draw them; the first name on top.

    Args:
        parts: label, widths in ms of shape ``(names,)``, name of the colour, hatch; in the order of the bar.
        whole_ms: the longest bar; a part as wide as `WIDE_ENOUGH` of it bears its time.
    """
    rows, left = np.arange(len(names)), np.zeros(len(names))
    for label, widths, colour, hatch in parts:
        ax.barh(rows, widths, 0.55, left=left, color=COLOURS[colour], hatch=hatch, edgecolor=INK, label=label)
        for row in rows[widths > WIDE_ENOUGH * whole_ms]:
            box = {"facecolor": COLOURS[colour], "edgecolor": "none", "pad": 1.5}
            ink = "white" if colour == "compute" else INK
            middle = left[row] + widths[row] / 2
            text = f"{widths[row]:.3g} ms"
            ax.text(middle, row, text, ha="center", va="center", color=ink, fontsize=8.5, bbox=box)
        left = left + widths
    ax.set_yticks(rows, list(names))
    ax.set_ylim(max(len(names) - 0.4, 1.2), min(-0.6, len(names) - 2.2))
    ax.grid(axis="y", visible=False)
