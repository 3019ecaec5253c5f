"""How a fleet follows a day, and what that costs: always the same size, hour by hour, or partly on spot machines.

A replica carries its highest rate within the SLO. What is offered beyond is turned away at once and counts as a miss,
so that the rest keeps its latency. Within an hour the rate is followed minute by minute.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from batchlab.capacity import CapacityCurve
from batchlab.cost import HOURS_A_DAY, SECONDS_AN_HOUR, CostError, Price
from batchlab.day import DAY_S, Day
from batchlab.spot import Spot

MINUTES = 60
LEAST_PERCENT = 0.001
"""Less is not worth telling apart: the model of a day is not as exact."""
INPUTS = ("usd_per_hour", "rate_rps", "requests", "trough_share", "headroom", "spare", "share_within")


@dataclass(frozen=True)
class FleetBill:
    """A day of one way to scale.

    Attributes:
        name: the way.
        assumption: what it takes for granted, for the text of a picture.
        hours: one row per hour: ``offered``, ``within``, ``rejected`` (requests), ``replicas``, ``machines``, ``usd``.
        capacity: requests that the paid replicas could have answered within the SLO.
    """

    name: str
    assumption: str
    hours: pd.DataFrame
    capacity: float

    @property
    def usd_per_day(self) -> float:
        """The bill."""
        return float(self.hours["usd"].sum())

    @property
    def offered(self) -> float:
        """Requests expected over the day."""
        return float(self.hours["offered"].sum())

    @property
    def within(self) -> float:
        """Answers within the SLO."""
        return float(self.hours["within"].sum())

    @property
    def rejected_share(self) -> float:
        """Share of the requests that was turned away."""
        return float(self.hours["rejected"].sum()) / self.offered

    @property
    def turned_away(self) -> str:
        """That share in words, for a table."""
        percent = 100 * self.rejected_share
        return f"{percent:.2g} %" if percent == 0 or percent >= LEAST_PERCENT else f"below {LEAST_PERCENT:g} %"

    @property
    def utilisation(self) -> float:
        """Share of what the paid replicas could have carried that was asked of them."""
        return (self.offered - float(self.hours["rejected"].sum())) / self.capacity

    @property
    def usd_per_1000(self) -> float:
        """Cost of 1000 answers within the SLO."""
        return self.usd_per_day / self.within * 1000 if self.within else float("inf")

    def describe(self) -> dict[str, float | str]:
        """Return the headline numbers, ready for a table or JSON."""
        return {
            "fleet": self.name,
            "replicas_least": int(self.hours["replicas"].min()),
            "replicas_most": int(self.hours["replicas"].max()),
            "usd_per_day": self.usd_per_day,
            "usd_per_1000": self.usd_per_1000,
            "utilisation": self.utilisation,
            "rejected_share": self.rejected_share,
            "assumption": self.assumption,
        }


@dataclass(frozen=True)
class Case:
    """A business case: everything that the cost of a day follows from.

    Attributes:
        day: the traffic of the whole service, 24 hours.
        price: of one machine; one GPU a replica, machines rented whole.
        rate_rps: what one replica may be offered within the SLO (`capacity.CapacityCurve.rate_rps`).
        share_within: share of what is not turned away that is answered within the SLO.
        headroom: share of that rate left free at the busiest time.
        spare: replicas beyond, so that as many may fail.
        start_minutes: from renting a machine to its first answer; paid for.
        spot: the model of interruptions.
    """

    day: Day
    price: Price
    rate_rps: float
    share_within: float = 0.99
    headroom: float = 0.2
    spare: int = 1
    start_minutes: float = 5.0
    spot: Spot = field(default_factory=Spot)

    def __post_init__(self) -> None:
        if self.day.seconds != DAY_S:
            raise CostError(f"A day's cost needs a day of 24 hours, this one lasts {self.day.seconds:g} s.")
        if not (math.isfinite(self.rate_rps) and self.rate_rps > 0):
            raise CostError(f"A replica carries a rate above 0, got {self.rate_rps}/s: does it keep the SLO at all?")
        if not 0 < self.share_within <= 1 or not 0 <= self.headroom < 1:
            raise CostError(
                f"share_within lies above 0 and up to 1, headroom from 0 to below 1; got {self.share_within} and "
                f"{self.headroom}."
            )
        if self.spare < 0 or self.spare != int(self.spare) or not 0 <= self.start_minutes <= MINUTES:
            raise CostError(
                f"spare is a whole number from 0, start_minutes 0 to 60; got {self.spare} and {self.start_minutes}."
            )

    @classmethod
    def of(cls, curve: CapacityCurve, day: Day, price: Price, headroom: float = 0.2, **more: Any) -> "Case":
        """Return the case of a capacity curve: its highest rate within the SLO, its answers in time at the busiest.

        Raises:
            CapacityError: no rate keeps the SLO.
            CostError: a value out of range.
        """
        share = curve.share_at(curve.rate_rps * (1 - min(max(headroom, 0.0), 1.0)))
        return cls(day, price, curve.rate_rps, share_within=share, headroom=headroom, **more)

    def value(self, name: str) -> float:
        """Return one of `INPUTS`."""
        found = {
            "usd_per_hour": self.price.usd_per_hour,
            "requests": self.day.requests,
            "trough_share": self.day.trough_rps / self.day.peak_rps,
        }
        if name not in INPUTS:
            raise CostError(f"No input is called {name!r}; there are {', '.join(INPUTS)}.")
        return float(found[name] if name in found else getattr(self, name))

    def changed(self, name: str, value: float) -> "Case":
        """Return the case with one of `INPUTS` changed, all others as they were.

        Raises:
            CostError, ArrivalsError: no such input, or a value out of range.
        """
        self.value(name)
        if name == "usd_per_hour":
            return dataclasses.replace(self, price=dataclasses.replace(self.price, usd_per_hour=value))
        if name in ("requests", "trough_share"):
            requests = value if name == "requests" else self.day.requests
            return dataclasses.replace(
                self, day=Day.of_requests(requests, value if name == "trough_share" else self.value("trough_share"))
            )
        return dataclasses.replace(self, **{name: value})  # type: ignore[arg-type]

    def replicas(self, rate_rps: float) -> int:
        """Return how many replicas a rate needs: ``ceil(rate / (rate_rps * (1 - headroom))) + spare``."""
        return math.ceil(rate_rps / (self.rate_rps * (1 - self.headroom)) - 1e-9) + int(self.spare)

    def busiest(self, hour: int) -> float:
        """Return the highest rate of an hour, counted from midnight and round the clock."""
        edges = np.array([hour, hour + 0.5, hour + 1]) * SECONDS_AN_HOUR
        return float(np.max(self.day.rate_rps(edges)))

    def static(self) -> FleetBill:
        """Return the bill of a fleet that is sized for the peak and runs all day."""
        return self._bill("static", "sized for the day's peak, all day", [self.replicas(self.day.peak_rps)] * 24)

    def hourly(self, lag_hours: int = 0) -> FleetBill:
        """Return the bill of a fleet that changes its size every hour.

        Args:
            lag_hours: 0 knows the coming hour (a forecast that is right); 1 goes by the hour that has just passed.
        """
        if lag_hours < 0:
            raise CostError(f"A lag is 0 or more whole hours, got {lag_hours}.")
        counts = [self.replicas(self.busiest(hour - lag_hours)) for hour in range(HOURS_A_DAY)]
        knows = "the coming hour's peak is known" if lag_hours == 0 else f"sized for the peak {lag_hours} h ago"
        text = f"{knows}; a new machine is paid {self.start_minutes:g} min before it answers"
        return self._bill("hourly" if lag_hours == 0 else f"hourly, {lag_hours} h late", text, counts)

    def on_spot(self) -> FleetBill:
        """Return the bill of an hourly fleet whose machines beyond the night's least are on spot."""
        counts = [self.replicas(self.busiest(hour)) for hour in range(HOURS_A_DAY)]
        return self._bill("spot", f"{self.spot}; the night's least stays on demand", counts, spot=self.spot)

    def _bill(self, name: str, assumption: str, counts: Sequence[int], spot: Spot | None = None) -> FleetBill:
        per, usd = self.price.gpu_count, self.price.usd_per_hour
        machines = [math.ceil(count / per) for count in counts]
        firm = min(machines) if spot else 0
        rows, capacity = [], 0.0
        for hour, (count, rented) in enumerate(zip(counts, machines, strict=True)):
            seconds = (hour + (np.arange(MINUTES) + 0.5) / MINUTES) * SECONDS_AN_HOUR
            rates = np.asarray(self.day.rate_rps(seconds))
            fresh = max(rented - machines[hour - 1], 0) * self.start_minutes / MINUTES
            if spot is None:
                served, up = np.minimum(rates, count * self.rate_rps), float(rented)
                paid = rented + fresh
            else:
                served, up = spot.expected(rates, count, firm, rented - firm, per, self.rate_rps)
                paid = firm + (up - firm + fresh) * (1 - spot.discount)
            each = SECONDS_AN_HOUR / MINUTES
            offered, answered = float(rates.sum()) * each, float(served.sum()) * each
            capacity += min(up * per, count) * self.rate_rps * SECONDS_AN_HOUR
            rows.append(
                {
                    "hour": hour,
                    "offered": offered,
                    "within": answered * self.share_within,
                    "rejected": offered - answered,
                    "replicas": count,
                    "machines": rented,
                    "usd": paid * usd,
                }
            )
        return FleetBill(name, assumption, pd.DataFrame(rows), capacity)


WAYS: dict[str, Callable[[Case], FleetBill]] = {"static": Case.static, "hourly": Case.hourly, "spot": Case.on_spot}
"""The three ways that a memo compares."""
