"""One colour per concept, in every picture of the course.

The colours are those of M. Okabe and K. Ito, Color Universal Design (2008), chosen to stay apart for colour-blind
readers; goodput is a darker throughput, for it is a part of it, and waiting is grey, for nothing happens in it.
Several series of one concept (the throughput of three GPUs) are shades of its colour, told apart in print by
lightness, marker and line style.
"""

from collections.abc import Mapping
from types import MappingProxyType

from matplotlib.colors import to_hex, to_rgb

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "queue": "#BDBDBD",  # waiting: nothing happens
        "compute": "#0072B2",  # the model computes; also the cost per item
        "fixed": "#F0E442",  # the cost of a batch whatever its size
        "transfer": "#56B4E9",  # inputs and outputs on their way
        "outside": "#EDEDED",  # client and network, outside the server
        "latency": "#E69F00",
        "slo": "#D55E00",
        "offered": "#000000",
        "throughput": "#009E73",
        "goodput": "#004D38",
        "prediction": "#CC79A7",
    }
)
INK = "#222222"
FAINT = "#6B6B6B"
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
DARKEST, LIGHTEST = 0.5, 0.35  # how far shades go towards black and towards white


READABLE = 4.5  # contrast of text on white, WCAG 2.1, success criterion 1.4.3


def contrast(colour: str) -> float:
    """Return the contrast of a colour against white, from 1 (white) to 21 (black).

    Source: relative luminance and contrast ratio of WCAG 2.1.
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def readable(colour: str) -> str:
    """Return the colour, darkened as far as text in it needs to be readable on white."""
    red, green, blue = to_rgb(colour)
    while contrast(to_hex((red, green, blue))) < READABLE:
        red, green, blue = red * 0.95, green * 0.95, blue * 0.95
    return to_hex((red, green, blue))


def shades(concept: str, count: int) -> list[str]:
    """Return `count` shades of a concept's colour, dark to light; one shade is the colour itself."""
    base = to_rgb(COLOURS[concept])
    if count == 1:
        return [to_hex(base)]
    made = []
    for step in range(count):
        place = step / (count - 1) * 2 - 1  # -1 darkest, 0 the colour itself, 1 lightest
        towards, part = (0.0, -place * DARKEST) if place < 0 else (1.0, place * LIGHTEST)
        red, green, blue = (channel + (towards - channel) * part for channel in base)
        made.append(to_hex((red, green, blue)))
    return made
