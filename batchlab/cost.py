"""What a fleet costs: hourly prices of rented GPUs, each with its source and date, and the bill of a day."""

import csv
import math
from dataclasses import dataclass
from importlib import resources
from typing import Any

from batchlab.fleet_day import FleetDay

HOURS_A_DAY = 24
SECONDS_AN_HOUR = 3600
SMALL_USD = 0.05
UNDATED = "undated"


class CostError(ValueError):
    """A GPU without a price, or a price that is none."""


@dataclass(frozen=True)
class Price:
    """On-demand price of one machine with GPUs.

    Attributes:
        gpu_count: GPUs in the machine; it is rented whole.
        usd_per_hour: of the machine.
        as_of: day of the price, ISO 8601, or ``"undated"`` where the source does not say.
        source: where it was read.
    """

    provider: str
    instance: str
    gpu: str
    gpu_count: int
    region: str
    usd_per_hour: float
    as_of: str
    source: str

    def __post_init__(self) -> None:
        if self.gpu_count < 1 or not (math.isfinite(self.usd_per_hour) and self.usd_per_hour > 0):
            raise CostError(
                f"{self.instance}: {self.usd_per_hour} USD an hour for {self.gpu_count} GPUs; both must be above 0."
            )

    @classmethod
    def own(cls, usd_per_hour: float, gpu: str = "GPU") -> "Price":
        """Return a price of one's own for a machine with one GPU."""
        return cls("own", "own", gpu, 1, "", usd_per_hour, UNDATED, "given by the caller")

    @property
    def usd_per_gpu_hour(self) -> float:
        """Share of one GPU."""
        return self.usd_per_hour / self.gpu_count

    @property
    def dated(self) -> str:
        """Its day in words."""
        return self.as_of if self.as_of == UNDATED else f"of {self.as_of}"

    def __str__(self) -> str:
        where = f", {self.region}" if self.region else ""
        return f"{self.provider} {self.instance}{where}: {self.usd_per_hour:g} USD/h for {self.gpu_count} x {self.gpu}"


def load_prices() -> list[Price]:
    """Return the shipped prices, ``data/cloud_prices.csv``: a snapshot, not today's list."""
    text = (resources.files("batchlab") / "data" / "cloud_prices.csv").read_text(encoding="utf-8")
    return [_price(row) for row in csv.DictReader(text.splitlines())]


def cheapest(gpu: str) -> Price:
    """Return the lowest shipped price per GPU-hour; a dated one before an undated one.

    Args:
        gpu: as a profile names it, such as ``"T4"`` or ``"A100-80GB"``; without a memory size any size counts.

    Raises:
        CostError: no price of that GPU; the message names those that there are.
    """
    prices = load_prices()
    fitting = [price for price in prices if gpu in (price.gpu, price.gpu.split("-")[0])]
    if not fitting:
        known = ", ".join(sorted({price.gpu for price in prices}))
        raise CostError(f"No price of {gpu!r} is known; there are {known}. Give one of your own.")
    return min(fitting, key=lambda price: (price.as_of == UNDATED, price.usd_per_gpu_hour))


def price_of(instance: str, as_of: str = "") -> Price:
    """Return the shipped price of a machine by its name; the latest one, or the one of that day.

    Raises:
        CostError: there is none.
    """
    named = [price for price in load_prices() if price.instance == instance]
    fitting = [price for price in named if as_of in ("", price.as_of)]
    if not fitting:
        known = ", ".join(price.as_of for price in named) or "no day"
        raise CostError(f"No price of {instance!r}{f' of {as_of}' if as_of else ''} is known, but of {known}.")
    return max(fitting, key=lambda price: (price.as_of != UNDATED, price.as_of))


def usd_per_1000(usd_per_hour: float, within_rps: float) -> float:
    """Return what 1000 answers within the SLO cost: ``usd_per_hour / (3600 * within_rps) * 1000``.

    Args:
        usd_per_hour: of all that is paid for, idle or not.
        within_rps: answers within the SLO per second; late ones and failures cost as much and count nothing.

    Raises:
        CostError: a negative price or rate, or one that is no number.
    """
    if not (math.isfinite(usd_per_hour) and usd_per_hour >= 0 and math.isfinite(within_rps) and within_rps >= 0):
        raise CostError(f"A price and a rate are 0 or more, got {usd_per_hour} USD an hour and {within_rps}/s.")
    return usd_per_hour / (SECONDS_AN_HOUR * within_rps) * 1000 if within_rps else float("inf")


def unit(most_usd_per_1000: float) -> tuple[float, str]:
    """Return by how much to multiply costs of 1000 answers, and how many they then are of: nobody reads 7e-05 USD."""
    return (1000.0, "million") if most_usd_per_1000 < SMALL_USD else (1.0, "1000")


@dataclass(frozen=True)
class FleetCost:
    """The bill of a fleet that runs all day: one GPU a replica, machines rented whole.

    Attributes:
        within: answers within the SLO over the day.
    """

    price: Price
    replicas: int
    within: float

    @property
    def machines(self) -> int:
        """Machines to rent."""
        return math.ceil(self.replicas / self.price.gpu_count)

    @property
    def usd_per_day(self) -> float:
        """What they cost for 24 hours."""
        return self.machines * self.price.usd_per_hour * HOURS_A_DAY

    @property
    def usd_per_1000(self) -> float:
        """Cost of 1000 answers within the SLO; late answers and failures cost as much and count nothing."""
        return self.usd_per_day / self.within * 1000 if self.within else float("inf")

    def __str__(self) -> str:
        return (
            f"{self.usd_per_day:,.0f} USD a day for {self.machines} machines, {self.usd_per_1000:.4g} USD per 1000 "
            f"answers within the SLO ({self.price}; price of {self.price.as_of}, {self.price.source})"
        )


def fleet_cost(day: FleetDay, price: Price) -> FleetCost:
    """Return the bill of a simulated day of 24 hours.

    Raises:
        CostError: a day of another length, of which no daily cost follows.
    """
    if day.day.seconds != HOURS_A_DAY * 3600:
        raise CostError(f"A day's cost needs a day of 24 hours, this one lasts {day.day.seconds:g} s.")
    return FleetCost(price, day.fleet.replicas, day.within)


def _price(row: dict[str, Any]) -> Price:
    values = {**row, "gpu_count": int(row["gpu_count"]), "usd_per_hour": float(row["usd_per_hour"])}
    return Price(**values)
