"""A fleet, simulated: many replicas of one twin behind a balancer, over a whole day in real time.

A balancer that does not look at the replicas (random, round robin) leaves them independent, each with its own part of
the traffic. So a day is cut twice, by replica and by time, into shards that are simulated anywhere, in any order, each
drawing its traffic from a seed of its own; what comes back are tallies, which add up.

A stretch of a day cannot know the queue that the stretch before left behind. It begins earlier instead, with traffic
that counts nowhere, long enough for the queue to forget how it began (`lead_s`).

The engine is joblib: processes of this machine by default, a cluster inside ``joblib.parallel_config(backend="dask")``
or ``backend="ray"``.
"""

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib.parallel import get_active_backend

from batchlab import __version__, orphans, twin_kernel
from batchlab.day import Day
from batchlab.fleet_day import FleetDay
from batchlab.histogram import Histogram
from batchlab.schedule import Arrivals
from batchlab.shard_log import ShardLog
from batchlab.slo import Slo
from batchlab.stream import Stream, requests_of
from batchlab.tally import Tally
from batchlab.twin import NS_PER_MS, NS_PER_S, Twin, policy_of, world
from batchlab.twin_state import ANSWERED, NONE

HOURS = 24
RULES = ("arrivals", "day", "histogram", "replicas", "service", "stream")
"""Modules that decide a shard's numbers, beside the twin's own."""
REQUESTS_AT_ONCE = 400_000
"""About so many requests a process holds at a time, some 100 MB."""
REQUESTS_A_SHARD = 1_000_000
RELAXATIONS = 20.0
LONGEST_LEAD_S = 900.0


class FleetError(ValueError):
    """A fleet that cannot be simulated: more is offered than it can carry, or a sample larger than the fleet."""


@dataclass(frozen=True)
class Fleet:
    """Equal replicas of one twin behind a balancer, one of `day.BALANCERS`."""

    twin: Twin
    replicas: int
    balancer: str = "random"

    def load(self, rate_rps: float) -> float:
        """Return the share of its capacity that this rate of the whole service asks of each replica."""
        return rate_rps / self.replicas / self.twin.capacity_rps()

    @property
    def limited(self) -> bool:
        """Whether a replica's queue has a limit, of length or of time."""
        policy = policy_of(self.twin.config.dynamic_batching, 0)
        return bool(policy.max_queue_size or policy.default_timeout_microseconds)

    def check(self, day: Day) -> None:
        """Raise `FleetError` where the day's peak is more than the fleet carries and nothing limits its queues.

        Raises:
            FleetError, ArrivalsError: see there, and `Day.part`.
        """
        day.part(self.replicas, self.balancer, 0.0, 0.0, 0)
        capacity_rps = self.twin.capacity_rps()
        if self.load(day.peak_rps) >= 1 and not self.limited:
            raise FleetError(
                f"unstable: the peak offers {day.peak_rps:.6g}/s and {self.replicas} replicas carry "
                f"{self.replicas * capacity_rps:.6g}/s ({capacity_rps:.4g}/s each); their queues would grow for hours. "
                f"Take at least {math.floor(day.peak_rps / capacity_rps) + 1} replicas, or limit the queue."
            )


@dataclass(frozen=True)
class Shard:
    """A stretch of the day for some of the replicas: ``start_s`` to ``end_s``, within one hour of the 24."""

    hour: int
    start_s: float
    end_s: float
    replicas: tuple[int, ...]


def shards(fleet: Fleet, day: Day, sampled: int) -> list[Shard]:
    """Cut the day of the first `sampled` replicas; the cut depends on the traffic only, never on the machine."""
    found = []
    for hour in range(HOURS):
        start_s, end_s = day.seconds * hour / HOURS, day.seconds * (hour + 1) / HOURS
        expected = float(day.expected(end_s) - day.expected(start_s)) / fleet.replicas
        slices = max(math.ceil(expected / REQUESTS_AT_ONCE), 1)
        block = max(int(REQUESTS_A_SHARD / max(expected / slices, 1.0)), 1)
        edges = np.linspace(start_s, end_s, slices + 1).tolist()
        for first in range(0, sampled, block):
            members = tuple(range(first, min(first + block, sampled)))
            found += [Shard(hour, edges[i], edges[i + 1], members) for i in range(slices)]
    return found


def lead_s(fleet: Fleet, day: Day, start_s: float) -> float:
    """Return how much earlier a stretch begins, so that it need not know what came before.

    A queue forgets in about ``service time / (1 - load) ** 2``: J. Abate and W. Whitt, Transient behavior of the M/M/1
    queue: starting at the origin, 1987. Twenty times that of the largest batch, at most a quarter of an hour.
    """
    return min(max(_memory_s(fleet, day, start_s), 1.0), LONGEST_LEAD_S, day.seconds)


def _memory_s(fleet: Fleet, day: Day, at_s: float) -> float:
    left = max(1 - fleet.load(float(day.rate_rps(at_s))), 1e-3)
    batch_s = float(fleet.twin.service.latency_ms(fleet.twin.max_batch)) / 1000
    return RELAXATIONS * batch_s / left**2


def caution(fleet: Fleet, day: Day) -> str:
    """Say where the peak is so near to capacity that a queue remembers longer than a stretch's lead; else empty."""
    if fleet.limited or _memory_s(fleet, day, day.seconds / 2) <= LONGEST_LEAD_S:
        return ""
    return (
        f"At noon the load is {100 * fleet.load(day.peak_rps):.1f} % of capacity: so full a queue remembers longer "
        "than the stretches of the day overlap; the latencies of those hours are lower bounds."
    )


def play(fleet: Fleet, day: Day, shard: Shard, limit_ms: float, seed: int) -> Tally:
    """Simulate a shard, one replica after another, and return the sum of what they saw."""
    begin_s = shard.start_s - lead_s(fleet, day, shard.start_s)
    tally = Tally()
    for replica in shard.replicas:
        # The start in milliseconds names the stretch; each draw has a stream of its own.
        place = np.random.SeedSequence([seed, replica, round(shard.start_s * 1000)])
        traffic, kernel, way = (int(word) for word in place.generate_state(3))
        times_s = day.part(fleet.replicas, fleet.balancer, begin_s, shard.end_s, traffic)
        if len(times_s):
            arrivals = Arrivals(times_s, shard.end_s - begin_s)
            tally += _played(fleet.twin, arrivals, shard.start_s - begin_s, limit_ms, kernel, way)
    return tally


def _played(twin: Twin, arrivals: Arrivals, from_s: float, limit_ms: float, kernel: int, way: int) -> Tally:
    requests = requests_of(Stream(twin, arrivals), np.random.default_rng(way))
    played = world([twin], [requests])
    twin_kernel.run(played, kernel)
    sent_s = arrivals.times_s[requests["place"]]
    counted = sent_s >= from_s
    answered = counted & (requests["status"] == ANSWERED)
    latencies_ms = (requests["done_ns"][answered] - sent_s[answered] * NS_PER_S) / NS_PER_MS
    # A send time is a float and the twin's clock whole nanoseconds: the difference may fall short by less than one.
    latencies_ms = np.maximum(latencies_ms, 0.0)
    made = played.batches[: played.made[0]]
    batches = (made["instance"] != NONE) & (made["start_ns"] >= from_s * NS_PER_S)
    within = int((latencies_ms <= limit_ms).sum())
    return Tally(int(counted.sum()), within, int(batches.sum()), Histogram.of(latencies_ms))


def simulate_day(
    fleet: Fleet,
    day: Day,
    slo: Slo,
    *,
    sample: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    folder: Path | None = None,
    on_shard: Callable[[int, int, Tally], None] = lambda done, of, tally: None,
) -> FleetDay:
    """Simulate a whole day of a fleet.

    Args:
        sample: simulate only so many of the replicas, each in full; all replicas see traffic of the same law. None
            simulates all of them.
        seed: decides everything: the numbers are the same for any number of workers and any engine.
        workers: processes; None takes what ``joblib.parallel_config`` says, one where it says nothing.
        folder: keeps finished shards, so that the same call goes on after a kill.
        on_shard: told after each shard how many are done, of how many, and what it saw.

    Raises:
        FleetError, ArrivalsError: see `Fleet.check`; a sample that is no part of the fleet.
    """
    fleet.check(day)
    sampled = fleet.replicas if sample is None else sample
    if not 1 <= sampled <= fleet.replicas:
        raise FleetError(f"A sample of {sampled} replicas is no part of a fleet of {fleet.replicas}.")
    whole = shards(fleet, day, sampled)
    log = ShardLog(folder, _question(fleet, day, slo, sampled, seed))
    missing = [number for number in range(len(whole)) if number not in log.tallies]
    if missing:
        # Compiled once here, so that no worker has to.
        play(fleet, Day(1.0, 1.0, 1.0), Shard(0, 0.0, 1.0, (0,)), slo.limit_ms, seed)
    done = len(whole) - len(missing)
    for number, tally in _results(fleet, day, slo, [(n, whole[n]) for n in missing], seed, workers):
        log.add(number, tally)
        done += 1
        on_shard(done, len(whole), tally)
    hours = [Tally() for _ in range(HOURS)]
    for number, shard in enumerate(whole):
        hours[shard.hour] += log.tallies[number]
    return FleetDay(fleet, day, slo, tuple(hours), sampled, seed, caution(fleet, day))


def _results(
    fleet: Fleet, day: Day, slo: Slo, jobs: Sequence[tuple[int, Shard]], seed: int, workers: int | None
) -> Iterator[tuple[int, Tally]]:
    """Yield the finished shards as they come, in any order."""
    task = joblib.delayed(_numbered)
    asked = [task(os.getpid(), number, fleet, day, shard, slo.limit_ms, seed) for number, shard in jobs]
    backend, active = get_active_backend()
    if backend.supports_return_generator:
        yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(asked)
        return
    # Ray's backend, for one, hands over whole lists only: short ones, so that little is lost to a kill.
    step = 4 * max(workers or active or 1, 1)
    for first in range(0, len(asked), step):
        yield from joblib.Parallel(n_jobs=workers)(asked[first : first + step])


def _numbered(
    owner: int, number: int, fleet: Fleet, day: Day, shard: Shard, limit_ms: float, seed: int
) -> tuple[int, Tally]:
    orphans.end_with(owner)
    return number, play(fleet, day, shard, limit_ms, seed)


def _question(fleet: Fleet, day: Day, slo: Slo, sampled: int, seed: int) -> dict[str, Any]:
    twin = fleet.twin
    # The rules themselves decide the numbers too: a change of the twin makes old shards another question's.
    package = Path(__file__).parent
    sources = [*sorted(package.glob("twin*.py")), *(package / f"{name}.py" for name in RULES)]
    rules = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return {
        "version": __version__,
        "rules": rules,
        "numpy": np.__version__,
        "config": twin.config.to_json(),
        "service": twin.service.to_dict(),
        "overheads": dataclasses.asdict(twin.overheads),
        "device": [twin.shared, twin.same_shape],
        "replicas": fleet.replicas,
        "balancer": fleet.balancer,
        "day": dataclasses.asdict(day),
        "limit_ms": slo.limit_ms,
        "sampled": sampled,
        "seed": seed,
    }
