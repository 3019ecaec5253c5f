"""How many replicas a service needs: the fewest whose peak hour keeps the SLO by simulation, then the whole day."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchlab.day import Day
from batchlab.fleet_day import FleetDay
from batchlab.replicas import Fleet, FleetError, Shard, play, simulate_day
from batchlab.slo import Slo
from batchlab.tally import Tally
from batchlab.twin import Twin

PEAK_REQUESTS = 2_000_000
"""The most requests of the peak hour that one trial simulates; a replica with more sees only the middle of its hour."""
MOST_TRIES = 5
MOST_REPLICAS = 1_000_000


@dataclass(frozen=True)
class FleetPlan:
    """The fleet that was found.

    Attributes:
        fleet: the fewest replicas that kept the SLO.
        day: its whole day.
        peak: the peak hour of one representative replica with that many.
        trials: replicas tried at the peak, in order, and whether they kept the SLO there.
        days: how many whole days it took; more than one where an hour of the first broke the SLO.
    """

    fleet: Fleet
    day: FleetDay
    peak: Tally
    trials: tuple[tuple[int, bool], ...]
    days: int

    @property
    def peak_load(self) -> float:
        """Share of its capacity that the peak asks of each replica."""
        return self.fleet.load(self.day.day.peak_rps)


def peak_hour(fleet: Fleet, day: Day, slo: Slo, seed: int = 0) -> Tally:
    """Simulate the hour around the day's peak on one replica; all see traffic of the same law.

    Raises:
        FleetError: the peak is more than the fleet carries.
    """
    fleet.check(day)
    hour_s = day.seconds / 24
    seconds = min(hour_s, PEAK_REQUESTS / (day.peak_rps / fleet.replicas))
    middle = day.seconds / 2
    return play(fleet, day, Shard(12, middle - seconds / 2, middle + seconds / 2, (0,)), slo.limit_ms, seed)


def sample_of(replicas: int, share: float) -> int:
    """Return how many replicas a share of a fleet is, at least one.

    Raises:
        FleetError: no share.
    """
    if not 0 < share <= 1:
        raise FleetError(f"A sample is a share of the replicas above 0 and up to 1, got {share}.")
    return max(math.ceil(share * replicas - 1e-9), 1)


def plan_fleet(
    twin: Twin,
    day: Day,
    slo: Slo,
    *,
    balancer: str = "random",
    sample_share: float = 1.0,
    seed: int = 0,
    workers: int | None = None,
    folder: Path | None = None,
    on_trial: Callable[[int, Tally], None] = lambda replicas, peak: None,
    on_shard: Callable[[int, int, Tally], None] = lambda done, of, tally: None,
) -> FleetPlan:
    """Find the least number of replicas whose peak hour keeps the SLO, and simulate its whole day.

    Args:
        sample_share: share of the replicas whose day is simulated, at least one; each of them in full.
        on_trial: told after each trial at the peak.
        seed, workers, folder, on_shard: see `simulate_day`.

    Raises:
        FleetError: no number of replicas keeps the SLO, for a lone request takes too long already; no such sample.
    """
    sample_of(1, sample_share)
    trials: list[tuple[int, bool]] = []

    def keeps(replicas: int) -> bool:
        tally = peak_hour(Fleet(twin, replicas, balancer), day, slo, seed)
        trials.append((replicas, tally.keeps(slo)))
        on_trial(replicas, tally)
        return trials[-1][1]

    replicas = _least(keeps, day, twin, slo)
    for days in range(1, MOST_TRIES + 1):
        fleet = Fleet(twin, replicas, balancer)
        sample = sample_of(replicas, sample_share)
        found = simulate_day(
            fleet, day, slo, sample=sample, seed=seed, workers=workers, folder=folder, on_shard=on_shard
        )
        # One replica at the peak is a sample too: an hour of more of them may show that it was lucky.
        if found.kept or days == MOST_TRIES:
            break
        replicas += max(replicas // 100, 1)
    return FleetPlan(fleet, found, peak_hour(fleet, day, slo, seed), tuple(trials), days)


def _least(keeps: Callable[[int], bool], day: Day, twin: Twin, slo: Slo) -> int:
    low = math.floor(day.peak_rps / twin.capacity_rps())  # so many are unstable, or just not
    step, high = 1, low + 1
    while not keeps(high):
        # One request in a hundred service times hardly ever meets another: more replicas change nothing then.
        lone_ms = float(twin.service.latency_ms(1))
        if high > MOST_REPLICAS or day.peak_rps / high * lone_ms / 1000 < 0.01:
            raise FleetError(
                f"No number of replicas keeps {slo}: with {high} of them a request hardly meets another and still "
                f"misses. A batch of 1 takes {lone_ms:.4g} ms, the overheads {twin.overheads.round_trip_ms:.4g} ms, "
                f"the batcher waits up to {_delay_ms(twin):.4g} ms. Relax the limit, shorten the wait, or take a "
                "faster model."
            )
        low, high, step = high, high + step, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


def _delay_ms(twin: Twin) -> float:
    batcher = twin.config.dynamic_batching
    return batcher.max_queue_delay_microseconds / 1000 if batcher else 0.0
