"""Flame graphs: where time went, by who called whom.

A stack is a path of names from the outermost caller in; its *self time* is the time that no callee took. All self
times together are the whole, so a flame graph loses nothing and counts nothing twice.

Source of the form: B. Gregg, The Flame Graph, CACM 59(6), 2016; folded stacks are the text that his tools read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batchlab.spans import Span, nested

Stacks = dict[tuple[str, ...], float]


class FlameError(ValueError):
    """Stacks that cannot be read, or none at all."""


@dataclass(frozen=True)
class Frame:
    """One box of a flame graph.

    Attributes:
        name: of the function, kernel or part.
        depth: 0 for the outermost.
        start_ms, width_ms: its place; siblings stand side by side, in order of their names.
        self_ms: what of its width no callee took.
    """

    name: str
    depth: int
    start_ms: float
    width_ms: float
    self_ms: float


def fold(spans: Iterable[Span]) -> Stacks:
    """Return self time in ms by stack; equal stacks are added up, whenever and in whichever lane they ran.

    Raises:
        SpanError: spans of one lane overlap without one holding the other.
    """
    stacks: Stacks = {}
    for span, holders in nested(spans):
        above = tuple(holder.name for holder in holders)
        stacks[(*above, span.name)] = stacks.get((*above, span.name), 0.0) + span.ms
        if above:
            stacks[above] -= span.ms
    # What is left of a difference of equal numbers is not time.
    return {stack: max(ms, 0.0) for stack, ms in stacks.items()}


def frames(stacks: Mapping[tuple[str, ...], float]) -> list[Frame]:
    """Return the boxes of the graph, outermost first; a parent is as wide as its children and its own time together.

    Raises:
        FlameError: no time in any stack.
    """
    if not stacks or sum(stacks.values()) <= 0:
        raise FlameError("There is nothing to draw: the stacks hold no time.")
    widths: dict[tuple[str, ...], float] = {}
    for stack, ms in stacks.items():
        for depth in range(1, len(stack) + 1):
            widths[stack[:depth]] = widths.get(stack[:depth], 0.0) + ms
    starts: dict[tuple[str, ...], float] = {}
    edges: dict[tuple[str, ...], float] = {}
    for stack in sorted(widths, key=lambda path: (len(path), path)):
        above = stack[:-1]
        starts[stack] = edges.get(above, starts.get(above, 0.0))
        edges[above] = starts[stack] + widths[stack]
    return [
        Frame(stack[-1], len(stack) - 1, starts[stack], width, stacks.get(stack, 0.0))
        for stack, width in sorted(widths.items(), key=lambda item: (len(item[0]), item[0]))
    ]


def self_ms(stacks: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    """Return self time in ms by name, wherever in a stack it stood, the largest first."""
    found: dict[str, float] = {}
    for stack, ms in stacks.items():
        found[stack[-1]] = found.get(stack[-1], 0.0) + ms
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def to_text(stacks: Mapping[tuple[str, ...], float]) -> str:
    """Return folded stacks, one line each: ``outer;inner 1234``, the self time in whole microseconds."""
    lines = [f"{';'.join(name.replace(';', ',') for name in stack)} {ms * 1000:.0f}" for stack, ms in stacks.items()]
    return "\n".join(sorted(lines)) + "\n"


def from_text(text: str) -> Stacks:
    """Read folded stacks; see `to_text`.

    Raises:
        FlameError: a line that is none, with its number.
    """
    stacks: Stacks = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        names, _, count = line.rpartition(" ")
        if not names or not count.isdecimal():
            raise FlameError(f"Line {number} is no folded stack: {line!r}. Write 'outer;inner 1234'.")
        stack = tuple(names.split(";"))
        stacks[stack] = stacks.get(stack, 0.0) + int(count) / 1000
    return stacks
