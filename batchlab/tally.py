"""What is kept of a stretch of simulated traffic: a few counts and a histogram, which add up over any parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchlab.histogram import Histogram
from batchlab.slo import Slo


@dataclass(frozen=True)
class Tally:
    """Counts of a stretch; a sum of tallies is the tally of all of them.

    Attributes:
        requests: requests sent, failures included.
        within: answered within the SLO's limit, counted exactly, not read from the histogram.
        batches: batches begun.
        latencies: of the answered requests.
    """

    requests: int = 0
    within: int = 0
    batches: int = 0
    latencies: Histogram = field(default_factory=Histogram)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.requests + other.requests,
            self.within + other.within,
            self.batches + other.batches,
            self.latencies + other.latencies,
        )

    @property
    def answered(self) -> int:
        """Requests with an answer, however late."""
        return self.latencies.count

    @property
    def failed(self) -> int:
        """Requests turned away or timed out."""
        return self.requests - self.answered

    @property
    def mean_batch(self) -> float:
        """Answered requests per batch; NaN without batches."""
        return self.answered / self.batches if self.batches else float("nan")

    @property
    def share_within(self) -> float:
        """Share of all requests that were answered within the limit; NaN without requests."""
        return self.within / self.requests if self.requests else float("nan")

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the answered requests' latency, at most 1 % too high; NaN where none was answered."""
        return self.latencies.percentile_ms(percent) if self.answered else float("nan")

    def keeps(self, slo: Slo) -> bool:
        """Whether enough of ALL requests were answered in time; a failure counts as a miss, and no request none.

        `within` must have been counted with the limit of the same `slo`.
        """
        return self.requests - self.within <= slo.allowed_miss_rate * self.requests

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "requests": self.requests,
            "within": self.within,
            "batches": self.batches,
            "latencies": self.latencies.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Tally":
        """Rebuild from `to_dict`."""
        counts = {name: int(values[name]) for name in ("requests", "within", "batches")}
        return cls(**counts, latencies=Histogram.from_dict(values["latencies"]))
