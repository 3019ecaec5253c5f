"""A queue in the steady state: what a formula says about it, and the questions that no formula answers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import scipy

Tail = Callable[[float], float]
"""The probability of lasting longer than so many milliseconds."""


class QueueingError(ValueError):
    """A question without an answer: a load that no server can carry, or a number that makes no sense."""


@dataclass(frozen=True)
class SteadyState:
    """What a formula says about a queue in the steady state.

    Attributes:
        model: Kendall's name, such as "M/D/1".
        kind: "exact", or "approximation".
        rate_rps: arrivals per second.
        utilisation: share of time that a server is busy, 0 to 1.
        mean_wait_ms: from arrival to the start of service.
        mean_latency_ms: from arrival to the end of service.
        wait_tail: the probability of waiting longer than so many milliseconds; None where only the mean is known.
        latency_tail: the same of the latency.
    """

    model: str
    kind: str
    rate_rps: float
    utilisation: float
    mean_wait_ms: float
    mean_latency_ms: float
    wait_tail: Tail | None = field(default=None, repr=False, compare=False)
    latency_tail: Tail | None = field(default=None, repr=False, compare=False)

    @property
    def in_flight(self) -> float:
        """The mean number of requests waiting or in service, by Little's law."""
        return little_in_flight(self.rate_rps, self.mean_latency_ms)

    def wait_percentile_ms(self, percentile: float = 99) -> float:
        """Return the wait that `percentile` % of the requests do not exceed; 0 where so many do not wait at all."""
        return self._percentile(self.wait_tail, percentile, self.mean_wait_ms)

    def latency_percentile_ms(self, percentile: float = 99) -> float:
        """Return the latency that `percentile` % of the requests do not exceed."""
        return self._percentile(self.latency_tail, percentile, self.mean_latency_ms)

    def _percentile(self, tail: Tail | None, percentile: float, mean_ms: float) -> float:
        if not 0 < percentile < 100:
            raise QueueingError(f"A percentile lies between 0 and 100, got {percentile}.")
        if tail is None:
            raise QueueingError(f"{self.model} gives the mean only; for a percentile use mm1, mmc or md1, or simulate.")
        share = (100 - percentile) / 100
        if tail(0.0) <= share:
            return 0.0
        high_ms = max(mean_ms, 1e-9)
        while tail(high_ms) > share:
            high_ms *= 2
        return float(scipy.optimize.brentq(lambda ms: tail(ms) - share, 0.0, high_ms, xtol=1e-12 * high_ms))


def little_in_flight(rate_rps: float, latency_ms: float) -> float:
    """Return the mean number of requests in a system: ``L = lambda W``. Exact for any stable system.

    Source: J. D. C. Little, A proof for the queuing formula L = lambda W, Operations Research 9 (1961).
    """
    positive(rate_rps=rate_rps, latency_ms=latency_ms)
    return rate_rps * latency_ms / 1000


def positive(**values: float) -> None:
    """Refuse what is not a finite number above zero."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise QueueingError(f"{name} must be a number above 0, got {value}.")


def variation(**values: float) -> None:
    """Refuse what is no squared coefficient of variation."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise QueueingError(f"{name} is a variance over a squared mean, 0 or more, got {value}.")


def whole(**values: float) -> None:
    """Refuse what does not count something."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 1 and int(value) == value):
            raise QueueingError(f"{name} must be a whole number, 1 or more, got {value}.")


def stable(rate_rps: float, capacity_rps: float, who: str) -> None:
    """Refuse a rate that the servers cannot carry: the queue would grow for ever."""
    if rate_rps >= capacity_rps:
        raise QueueingError(
            f"Unstable: {who}, offered {rate_rps:g} requests/s, capacity {capacity_rps:g} requests/s; "
            "lower the rate, shorten the service or add servers."
        )
