"""Latencies counted by size: a billion of them in a few kilobytes, every percentile within a stated error.

Buckets rise by a constant factor, so the RELATIVE error is the same for a microsecond and for a minute. Histograms of
parts add up to the histogram of the whole, in any order: percentiles of parts cannot be averaged, their counts can.

Source of the idea: G. Tene, HdrHistogram (hdrhistogram.org), whose buckets are linear within powers of two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RELATIVE_ERROR = 0.01
"""A reported percentile lies between the true one and this share above it; it never flatters."""
LOWEST_MS = 0.01
HIGHEST_MS = 1e8
BUCKETS = int(np.ceil(np.log(HIGHEST_MS / LOWEST_MS) / np.log1p(RELATIVE_ERROR))) + 1
NS_PER_MS = 1e6


class HistogramError(ValueError):
    """A latency below 0, a percentile of nothing, or counts of another kind of histogram."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of latencies. Bucket 0 ends at `LOWEST_MS`, each next one `RELATIVE_ERROR` later.

    Attributes:
        counts: how many latencies each bucket holds, int64, shape ``(BUCKETS,)``. The last also takes what lies beyond.
        total_ns: sum of all latencies in whole nanoseconds, exact, so that the order of adding changes nothing.
        largest_ns: the largest latency, exact.
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros(BUCKETS, np.int64))
    total_ns: int = 0
    largest_ns: int = 0

    @classmethod
    def of(cls, latencies_ms: np.ndarray) -> "Histogram":
        """Count these latencies, any shape.

        Raises:
            HistogramError: one below 0, or one that is no finite number.
        """
        values = np.asarray(latencies_ms, dtype=float).ravel()
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise HistogramError("A latency is a finite number of milliseconds, 0 or more.")
        if not len(values):
            return cls()
        steps = np.log(np.maximum(values, LOWEST_MS) / LOWEST_MS) / np.log1p(RELATIVE_ERROR)
        places = np.minimum(np.ceil(steps), BUCKETS - 1).astype(np.int64)
        whole_ns = np.rint(values * NS_PER_MS).astype(np.int64)
        return cls(np.bincount(places, minlength=BUCKETS), int(whole_ns.sum()), int(whole_ns.max()))

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(
            self.counts + other.counts, self.total_ns + other.total_ns, max(self.largest_ns, other.largest_ns)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @property
    def count(self) -> int:
        """How many latencies were counted."""
        return int(self.counts.sum())

    @property
    def mean_ms(self) -> float:
        """Their exact mean; NaN without any."""
        return self.total_ns / NS_PER_MS / self.count if self.count else float("nan")

    @property
    def max_ms(self) -> float:
        """The largest, exact; 0 without any."""
        return self.largest_ns / NS_PER_MS

    def percentile_ms(self, percent: float) -> float:
        """Return the upper end of the bucket that holds the percentile: at most `RELATIVE_ERROR` too high.

        The percentile is the smallest latency with at least `percent` of all at or below it, as in
        `measure.percentile`.

        Raises:
            HistogramError: nothing was counted, or `percent` is out of range.
        """
        if not 0 < percent < 100:
            raise HistogramError(f"A percentile lies between 0 and 100, got {percent}.")
        count = self.count
        if not count:
            raise HistogramError("A percentile of no latencies does not exist: no request was answered.")
        rank = max(int(np.ceil(percent / 100 * count - 1e-9)), 1)
        place = int(np.searchsorted(np.cumsum(self.counts), rank))
        if place == BUCKETS - 1:
            return self.max_ms
        return float(min(LOWEST_MS * (1 + RELATIVE_ERROR) ** place, self.max_ms))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values: only the buckets that hold something."""
        filled = np.flatnonzero(self.counts)
        return {
            "relative_error": RELATIVE_ERROR,
            "lowest_ms": LOWEST_MS,
            "buckets": filled.tolist(),
            "counts": self.counts[filled].tolist(),
            "total_ns": self.total_ns,
            "largest_ns": self.largest_ns,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Histogram":
        """Rebuild from `to_dict`.

        Raises:
            HistogramError: its buckets are not these.
        """
        if (values["relative_error"], values["lowest_ms"]) != (RELATIVE_ERROR, LOWEST_MS):
            raise HistogramError("This histogram has other buckets: another version wrote it. Simulate again.")
        counts = np.zeros(BUCKETS, np.int64)
        counts[values["buckets"]] = values["counts"]
        return cls(counts, int(values["total_ns"]), int(values["largest_ns"]))
