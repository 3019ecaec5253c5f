"""A day of traffic in real time, and the part of it that a balancer sends to one replica.

Nothing of it is ever in memory as a whole: any stretch of any replica's part is drawn by itself, from a seed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from batchlab import arrivals
from batchlab.schedule import ArrivalsError, positive

DAY_S = 86_400.0
BALANCERS = ("random", "round-robin")
GRID_S = 1.0


@dataclass(frozen=True)
class Day:
    """Poisson traffic of many users, lowest at midnight (time 0), highest at noon; it repeats every day.

    The rate is that of `arrivals.diurnal`: ``trough + (peak - trough) * (1 - cos(2 pi t / seconds)) / 2``.

    Attributes:
        trough_rps, peak_rps: lowest and highest rate of the whole service.
        seconds: length of the day.
    """

    trough_rps: float
    peak_rps: float
    seconds: float = DAY_S

    def __post_init__(self) -> None:
        positive(peak_rps=self.peak_rps, seconds=self.seconds)
        if not 0 <= self.trough_rps <= self.peak_rps:
            raise ArrivalsError(f"trough_rps lies between 0 and peak_rps ({self.peak_rps}), got {self.trough_rps}.")

    @classmethod
    def of_requests(cls, requests: float, trough_share: float = 0.25, seconds: float = DAY_S) -> "Day":
        """Return the day that expects so many requests, with a trough of this share of its peak.

        The mean of the curve is half way between trough and peak, so ``peak = 2 requests / seconds / (1 + share)``.
        """
        positive(requests=requests, seconds=seconds)
        if not 0 <= trough_share <= 1:
            raise ArrivalsError(f"The trough's share of the peak lies between 0 and 1, got {trough_share}.")
        peak = 2 * requests / seconds / (1 + trough_share)
        return cls(trough_share * peak, peak, seconds)

    @property
    def requests(self) -> float:
        """Requests expected over the day."""
        return (self.trough_rps + self.peak_rps) / 2 * self.seconds

    def rate_rps(self, at_s: Any) -> Any:
        """Return the rate at a time, or at an array of times; also before 0 and beyond the day's end."""
        swing = self.peak_rps - self.trough_rps
        return self.trough_rps + swing * (1 - np.cos(2 * np.pi * np.asarray(at_s) / self.seconds)) / 2

    def expected(self, until_s: Any) -> Any:
        """Return the requests expected from 0 to a time: the integral of the rate, in closed form."""
        t, turn = np.asarray(until_s, dtype=float), 2 * np.pi / self.seconds
        mean = (self.trough_rps + self.peak_rps) / 2
        return mean * t - (self.peak_rps - self.trough_rps) / 2 * np.sin(turn * t) / turn

    def part(self, replicas: int, balancer: str, start_s: float, end_s: float, seed: int) -> np.ndarray:
        """Draw the send times that reach ONE of `replicas` between two times, in seconds after `start_s`, ascending.

        A random balancer thins the Poisson process: each replica's part is Poisson of rate / replicas. Round robin
        sends every n-th request: its gaps are sums of n exponential ones (Erlang-n), far more regular. Both are drawn
        in the clock of expected requests, where the rate is 1, and then brought to seconds.

        Source of the change of clock: E. Cinlar, Introduction to Stochastic Processes, 1975, section 4.7.

        Raises:
            ArrivalsError: an unknown balancer, no replica, or more requests than fit one schedule.
        """
        if balancer not in BALANCERS:
            raise ArrivalsError(
                f"No balancer {balancer!r}; there are {' and '.join(BALANCERS)}. One that looks at the queues "
                "(least loaded) ties all replicas together, so they could not be simulated apart."
            )
        if replicas < 1:
            raise ArrivalsError(f"A fleet has at least 1 replica, got {replicas}.")
        grid_s = np.linspace(start_s, end_s, max(int(np.ceil((end_s - start_s) / GRID_S)), 1) + 1)
        clock = (self.expected(grid_s) - self.expected(start_s)) / replicas
        if not clock[-1] > 0:
            return np.empty(0)
        regular = balancer == "round-robin" and replicas > 1
        burstiness = 1 / replicas if regular else 1.0
        drawn = arrivals.gamma(1.0, float(clock[-1]), burstiness, seed).times_s
        return np.interp(drawn, clock, grid_s) - start_s
