"""The caption of a picture: the tier and the provenance of its numbers, at the foot of the figure."""

import textwrap
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from batchlab.plots.errors import PlotError
from batchlab.plots.palette import FAINT
from batchlab.provenance import Provenance

CAPTION_POINTS = 6.5
POINTS_PER_INCH = 72


def source_line(provenances: Iterable[Provenance]) -> str:
    """Return one caption for several results: what they share is said once, tiers first."""
    unique = {provenance.caption(): provenance for provenance in provenances}
    if len(unique) <= 1:
        return next(iter(unique), "")
    found = list(unique.values())
    parts = [
        " + ".join(_once(p.note for p in found)),
        ", ".join(_once(p.model for p in found)),
        ", ".join(_once(f"profile {p.profile}" for p in found if p.profile)),
        ", ".join(_once(p.served_by for p in found)),
        ", ".join(_once(str(p.machine) for p in found)),
        ", ".join(_once(f"seed {p.seed}" for p in found if p.seed is not None)),
        ", ".join(_once(p.date[:10] for p in found)),
    ]
    return " | ".join(part for part in parts if part)


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def caption(ax: Axes, provenances: Iterable[Provenance], note: str = "") -> None:
    """Write tier and provenance at the foot of the figure; the layout makes room for it.

    Axes that share a figure share the caption: what a second one adds goes on a line of its own.

    Raises:
        PlotError: nothing says where the numbers come from.
    """
    foot(ax, provenances, note)


def foot(ax: Axes, provenances: Iterable[Provenance], note: str = "") -> Text:
    """As `caption`, and return what was written, for pictures that change it later."""
    text = source_line(provenances) or note
    if not text:
        raise PlotError("A picture needs the provenance of its numbers: pass the run itself, or provenance=.")
    figure = ax.get_figure(root=True)
    if figure is None:
        raise PlotError("These axes belong to no figure.")
    lines = figure.get_supxlabel().splitlines()
    wrapped = wrap(figure, text)
    if lines[-len(wrapped) :] != wrapped:
        lines += wrapped
    return figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=CAPTION_POINTS, color=FAINT, linespacing=1.35)


def wrap(figure: Figure, text: str) -> list[str]:
    """Return the lines of a caption as wide as the figure."""
    # A character of a caption in DejaVu Sans is about half its size wide.
    width = int(figure.get_figwidth() * POINTS_PER_INCH / (CAPTION_POINTS * 0.53))
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)
