"""What a simulated day of a fleet looked like, hour by hour, and what it says about the whole fleet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from batchlab.day import Day
from batchlab.histogram import RELATIVE_ERROR
from batchlab.provenance import Provenance
from batchlab.slo import Slo
from batchlab.tally import Tally

if TYPE_CHECKING:
    from batchlab.replicas import Fleet


@dataclass(frozen=True)
class FleetDay:
    """A day of a fleet, of which `sampled` replicas were simulated in full.

    Attributes:
        hours: what the sampled replicas saw in each twenty-fourth of the day.
        seed: of everything.
        caution: what to bear in mind, empty where there is nothing.
    """

    fleet: "Fleet"
    day: Day
    slo: Slo
    hours: tuple[Tally, ...]
    sampled: int
    seed: int
    caution: str = ""

    @property
    def total(self) -> Tally:
        """The whole day of the sampled replicas."""
        return sum(self.hours, Tally())

    @property
    def scale(self) -> float:
        """Replicas of the fleet per simulated one; 1 where all were simulated."""
        return self.fleet.replicas / self.sampled

    @property
    def within(self) -> float:
        """Answers within the SLO of the whole fleet: counted, or where a sample was simulated, extrapolated from it."""
        return self.total.within * self.scale

    @property
    def worst_hour(self) -> int:
        """The hour with the largest share of misses; of equals the busiest."""
        return min(range(len(self.hours)), key=lambda h: (self.hours[h].share_within, -self.hours[h].requests))

    @property
    def peak_hour(self) -> int:
        """The hour with the most requests."""
        return max(range(len(self.hours)), key=lambda h: self.hours[h].requests)

    @property
    def broken_hours(self) -> list[int]:
        """The hours that had traffic and did not keep the SLO."""
        return [hour for hour, tally in enumerate(self.hours) if tally.requests and not tally.keeps(self.slo)]

    @property
    def kept(self) -> bool:
        """Whether every hour with traffic kept the SLO, each on its own; a good night excuses no bad noon."""
        return self.total.requests > 0 and not self.broken_hours

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from."""
        return Provenance(
            tier="simulated",
            model=self.fleet.twin.name,
            server="digital twin of triton 2.51",
            profile=self.fleet.twin.service.source,
            seed=self.seed,
            details={"replicas": str(self.fleet.replicas), "replicas simulated": str(self.sampled)},
        )

    def sample_note(self) -> str:
        """Say how much was simulated; every display of the numbers shows it."""
        requests, replicas = self.total.requests, self.fleet.replicas
        if self.sampled == replicas:
            return f"all {replicas} replicas simulated, {requests:,} requests"
        return (
            f"a sample: {self.sampled} of {replicas} replicas simulated, each in full, {requests:,} requests; "
            f"fleet totals are {self.scale:.4g} times the sample's"
        )

    def table(self) -> pd.DataFrame:
        """Return one row per hour: rates of the fleet, latencies of its requests; counts are of what was simulated."""
        length_s = self.day.seconds / len(self.hours)
        rows = []
        for hour, tally in enumerate(self.hours):
            rows.append(
                {
                    "hour": hour,
                    "offered_rps": tally.requests * self.scale / length_s,
                    "goodput_rps": tally.within * self.scale / length_s,
                    "requests": tally.requests,
                    "within_slo": tally.within,
                    "failed": tally.failed,
                    "share_within": tally.share_within,
                    "p50_ms": tally.percentile_ms(50),
                    "p99_ms": tally.percentile_ms(99),
                    "mean_batch": tally.mean_batch,
                    "kept": tally.keeps(self.slo),
                }
            )
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values: everything counted, hour by hour, and nothing of the clock or the machine."""
        return {
            "tier": "simulated",
            "model": self.fleet.twin.name,
            "replicas": self.fleet.replicas,
            "replicas_simulated": self.sampled,
            "balancer": self.fleet.balancer,
            "trough_rps": self.day.trough_rps,
            "peak_rps": self.day.peak_rps,
            "slo": str(self.slo),
            "kept": self.kept,
            "broken_hours": self.broken_hours,
            "latency_relative_error": RELATIVE_ERROR,
            "caution": self.caution,
            "seed": self.seed,
            "hours": [tally.to_dict() for tally in self.hours],
        }
