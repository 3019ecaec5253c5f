"""Spans: named stretches of time on one clock, whoever measured them.

Triton's trace, the torch profiler and ONNX Runtime's profile each have a format and a clock of their own. As spans on
the monotonic clock of the machine they fit on one time line (`batchlab.perfetto`) and into one flame graph
(`batchlab.flame`).
"""

import dataclasses
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

NS_PER_MS = 1e6


class SpanError(ValueError):
    """A span that ends before it begins, or spans of one lane that overlap without one holding the other."""


@dataclass(frozen=True)
class Span:
    """A stretch of time with a name.

    Attributes:
        name: what happened.
        start_ns, end_ns: on the monotonic clock of this machine, which Triton's trace uses too.
        track: who did it, such as ``"Triton: resnet50"``; a process of its own in Perfetto.
        lane: a row of the track. Spans of one lane nest.
        details: more to know, plain values.
    """

    name: str
    start_ns: int
    end_ns: int
    track: str = ""
    lane: str = ""
    details: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Check the order of the two ends.

        Raises:
            SpanError: it ends before it begins.
        """
        if self.end_ns < self.start_ns:
            raise SpanError(f"Span {self.name!r} ends {self.start_ns - self.end_ns} ns before it begins.")

    @property
    def ms(self) -> float:
        """Its length in ms."""
        return (self.end_ns - self.start_ns) / NS_PER_MS

    def holds(self, other: "Span") -> bool:
        """Whether `other` lies within this span."""
        return self.start_ns <= other.start_ns and other.end_ns <= self.end_ns


def by_lane(spans: Iterable[Span]) -> dict[tuple[str, str], list[Span]]:
    """Return the spans of each (track, lane): in order of their starts, and a holder before what it holds."""
    found: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        found.setdefault((span.track, span.lane), []).append(span)
    return {lane: sorted(rows, key=lambda row: (row.start_ns, -row.end_ns)) for lane, rows in found.items()}


def nested(spans: Iterable[Span]) -> Iterator[tuple[Span, tuple[Span, ...]]]:
    """Yield each span with those that hold it, the outermost first, lane by lane.

    Raises:
        SpanError: two spans of one lane overlap, and neither holds the other.
    """
    for rows in by_lane(spans).values():
        holders: list[Span] = []
        for span in rows:
            while holders and holders[-1].end_ns <= span.start_ns:
                holders.pop()
            if holders and not holders[-1].holds(span):
                raise SpanError(
                    f"In lane {span.lane!r} of {span.track!r} {holders[-1].name!r} and {span.name!r} overlap by "
                    f"{holders[-1].end_ns - span.start_ns} ns, and neither holds the other."
                )
            yield span, tuple(holders)
            holders.append(span)


def clipped(spans: Iterable[Span], start_ns: int, end_ns: int) -> list[Span]:
    """Return what of the spans lies between two moments, cut at both."""
    return [
        dataclasses.replace(span, start_ns=max(span.start_ns, start_ns), end_ns=min(span.end_ns, end_ns))
        for span in spans
        if span.end_ns > start_ns and span.start_ns < end_ns
    ]


def epoch_offset_ns() -> int:
    """Return what to subtract from a time since 1970 to get the monotonic clock's, both in ns.

    Profilers note times since 1970. The two clocks are read as close together as possible; of five tries the tightest
    counts.
    """
    tries = []
    for _ in range(5):
        before, epoch, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        tries.append((after - before, epoch - (before + after) // 2))
    return min(tries)[1]
