"""What one replica carries within an objective: a capacity curve, from runs, a search, or the digital twin."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batchlab import arrivals
from batchlab.measure import Run
from batchlab.points import Point, Search
from batchlab.provenance import Provenance
from batchlab.schedule import Arrivals
from batchlab.simulate import simulate
from batchlab.slo import Slo
from batchlab.twin import Twin

SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Shares of the capacity at which the twin is asked, before the bisection."""
TOLERANCE = 0.005
RELAXATIONS = 5.0
"""A simulated run lasts at least so many relaxation times of its queue, or its rate is not judged."""
WARM_SHARE = 0.1
"""Requests that come first and count in no statistic: the queue starts empty."""

Traffic = Callable[[float, float, int], Arrivals]
"""Makes traffic: (rate_rps, seconds, seed) -> Arrivals."""


class CapacityError(ValueError):
    """A curve without points, or one that keeps its objective nowhere."""


@dataclass(frozen=True)
class CapacityPoint:
    """One replica at one rate.

    Attributes:
        rate_rps: requests offered per second.
        goodput_rps: requests answered within the SLO, per second.
        tail_ms: latency at the SLO's percentile; infinite where nothing was answered.
        share_within: share of the requests that were answered within the SLO.
        rejected: share that got no answer; None where the source does not say.
        kept: whether the SLO was kept.
    """

    rate_rps: float
    goodput_rps: float
    tail_ms: float
    share_within: float
    rejected: float | None
    kept: bool

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate_rps) and self.rate_rps > 0 and 0 <= self.share_within <= 1):
            raise CapacityError(
                f"A rate is above 0 and a share lies between 0 and 1, got {self.rate_rps}/s with a share of "
                f"{self.share_within} within the SLO."
            )

    @classmethod
    def of_run(cls, run: Run, slo: Slo, rate_rps: float | None = None) -> "CapacityPoint":
        """Return what a run says; a request that failed or was turned away is a miss.

        Args:
            rate_rps: the rate that was meant; by default the one that was offered.
        """
        missed = slo.misses(run)
        if not len(missed):
            raise CapacityError(f"The run of {run.provenance.model} holds no request after its warm-up.")
        rate_rps = run.offered_rps if rate_rps is None else rate_rps
        share, answered = float(1 - missed.mean()), len(run.latencies_ms)
        return cls(
            rate_rps=rate_rps,
            goodput_rps=share * rate_rps,
            tail_ms=run.percentile_ms(slo.percentile).value if answered else float("inf"),
            share_within=share,
            rejected=1 - answered / len(missed),
            kept=bool(missed.sum() <= slo.allowed_miss_rate * len(missed) and not run.settings.get("unstable")),
        )

    @classmethod
    def of_point(cls, point: Point) -> "CapacityPoint":
        """Return what a tuner's measurement says."""
        share = point.goodput_rps / point.throughput_rps if point.throughput_rps > 0 else 0.0
        sure = point.purpose != "confirm" or point.outcome == "PASS"
        return cls(
            rate_rps=point.rate_rps,
            goodput_rps=point.goodput_rps,
            tail_ms=point.p99_ms,
            share_within=min(share, 1.0),
            rejected=None,
            kept=bool(point.within_slo and sure),
        )


@dataclass(frozen=True)
class CapacityCurve:
    """The points of one configuration, by rising rate.

    Attributes:
        name: the configuration.
        provenance: where the numbers come from; None where a file does not say.
        note: the file, where there is no provenance.
        bound: why rates above the highest one were not judged, where something else than the SLO was the limit.
    """

    name: str
    slo: Slo
    points: tuple[CapacityPoint, ...]
    provenance: Provenance | None = None
    note: str = ""
    bound: str = ""

    def __post_init__(self) -> None:
        if not self.points:
            raise CapacityError(f"The capacity curve of {self.name} is empty: measure or simulate at least one rate.")
        object.__setattr__(self, "points", tuple(sorted(self.points, key=lambda point: point.rate_rps)))

    @property
    def highest(self) -> CapacityPoint:
        """The highest rate that keeps the SLO.

        Raises:
            CapacityError: none does; the message tells the nearest.
        """
        good = [point for point in self.points if point.kept]
        if not good:
            near = min(self.points, key=lambda point: point.tail_ms)
            raise CapacityError(
                f"{self.name} keeps {self.slo} at none of its {len(self.points)} rates; nearest is "
                f"{near.tail_ms:.4g} ms at {near.rate_rps:.4g}/s. Relax the limit, or change the configuration."
            )
        return good[-1]

    @property
    def rate_rps(self) -> float:
        """What one replica may be offered within the SLO."""
        return self.highest.rate_rps

    def share_at(self, rate_rps: float) -> float:
        """Return the share of answers within the SLO at a rate, never too high: that of the next kept point above it.

        Raises:
            CapacityError: no rate that keeps the SLO is as high.
        """
        above = [point for point in self.points if point.kept and point.rate_rps >= rate_rps * (1 - 1e-9)]
        if not above:
            raise CapacityError(
                f"{self.name} keeps {self.slo} up to {self.rate_rps:.4g}/s, asked for {rate_rps:.4g}/s."
            )
        return above[0].share_within

    @property
    def doubt(self) -> str:
        """Say what speaks against the highest rate: a lower one broke the SLO, or none above was judged; else empty."""
        good = [point for point in self.points if point.kept]
        broken = [point for point in self.points if good and not point.kept and point.rate_rps < good[-1].rate_rps]
        if not broken:
            return f"{self.name}: {self.bound}" if self.bound and self.points[-1].kept else ""
        return (
            f"{self.name}: {broken[0].rate_rps:.4g}/s broke the SLO, and the higher {good[-1].rate_rps:.4g}/s kept it. "
            "Measure longer before money rests on it."
        )

    def table(self) -> pd.DataFrame:
        """Return one row per rate."""
        return pd.DataFrame([point.__dict__ for point in self.points])


def of_runs(runs: Iterable[Run], slo: Slo, name: str = "") -> CapacityCurve:
    """Return the curve of several runs of one configuration, each at its own rate; invalid ones are left out.

    Raises:
        CapacityError: no valid run.
    """
    valid = [run for run in runs if run.valid]
    if not valid:
        raise CapacityError("A capacity curve needs at least one valid run; there is none.")
    origin = valid[0].provenance
    return CapacityCurve(name or origin.model, slo, tuple(CapacityPoint.of_run(run, slo) for run in valid), origin)


def of_points(
    points: Iterable[Point], slo: Slo, provenance: Provenance | None = None, note: str = "", suffix: str = ""
) -> list[CapacityCurve]:
    """Return one curve per configuration of a search's measurements.

    Where a configuration has confirming measurements that passed, its short screening runs do not count.

    Raises:
        CapacityError: no valid point.
    """
    groups: dict[str, list[Point]] = {}
    for point in points:
        if point.valid:
            groups.setdefault(f"{point.knobs}{suffix}", []).append(point)
    if not groups:
        raise CapacityError(f"There is no valid measurement{' in ' + note if note else ''}; nothing can be priced.")
    curves = []
    for name, group in groups.items():
        proven = [p for p in group if p.purpose == "confirm"]
        chosen = proven if any(p.outcome == "PASS" for p in proven) else group
        curves.append(CapacityCurve(name, slo, tuple(map(CapacityPoint.of_point, chosen)), provenance, note))
    return curves


def of_search(search: Search, provenance: Provenance | None = None) -> list[CapacityCurve]:
    """Return one curve per configuration that a tuner measured."""
    return of_points(search.points, search.slo, provenance, note=f"search of {search.model}")


def of_twin(
    twin: Twin,
    slo: Slo,
    *,
    rates_rps: Sequence[float] | None = None,
    requests: int = 40_000,
    seed: int = 0,
    traffic: Traffic | None = None,
    name: str = "",
) -> CapacityCurve:
    """Simulate one replica at several rates, and close in on the highest one that keeps the SLO.

    Args:
        rates_rps: rates to simulate, and no others; by default shares of the twin's capacity, then a bisection
            to half a percent, up to the load that runs of this length can judge.
        requests: length of each run. Near capacity a queue grows for ``service time / (1 - load) ** 2``, and a run
            that ends before says too little: J. Abate and W. Whitt, Transient behavior of the M/M/1 queue, 1987.
        traffic: by default Poisson.
    """
    make = traffic or (lambda rate, seconds, seed: arrivals.poisson(rate, seconds, seed=seed))

    def at(rate_rps: float) -> CapacityPoint:
        seconds = requests / rate_rps
        run = simulate(twin, make(rate_rps, seconds, seed), seed=seed, warmup_s=WARM_SHARE * seconds)
        runs.append(run)
        return CapacityPoint.of_run(run, slo, rate_rps)

    runs: list[Run] = []
    capacity = twin.capacity_rps()
    batch_s = float(twin.service.latency_ms(twin.max_batch)) / 1000
    most = max(1 - math.sqrt(RELAXATIONS * batch_s * capacity / requests), SHARES[0])
    shares = [share for share in SHARES if share < most] + [most]
    points = [at(float(rate)) for rate in (np.array(shares) * capacity if rates_rps is None else rates_rps)]
    if not points:
        raise CapacityError(f"The capacity curve of {name or twin.name} is empty: give at least one rate.")
    if rates_rps is None:
        low = max((point.rate_rps for point in points if point.kept), default=0.0)
        high = min((point.rate_rps for point in points if point.rate_rps > low), default=low)
        while low and high - low > TOLERANCE * capacity:
            points.append(at((low + high) / 2))
            low, high = (points[-1].rate_rps, high) if points[-1].kept else (low, points[-1].rate_rps)
    bound = (
        f"the highest rate judged is {100 * most:.0f} % of capacity, since {requests:,} requests tell no more; it may "
        "carry a little more."
    )
    origin = runs[0].provenance
    return CapacityCurve(name or twin.name, slo, tuple(points), origin, bound="" if rates_rps is not None else bound)
