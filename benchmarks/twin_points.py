"""The points at which the twin is judged: configurations and traffic, drawn once from a seed, before anything runs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from batchlab import arrivals
from batchlab.schedule import Arrivals

DELAYS_MS = (0, 2, 5, 10, 20, 50)
MAX_BATCHES = (1, 4, 8, 16, 32, 64)
INSTANCES = (1, 2, 4)
LOADS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
TRAFFIC = ("poisson", "bursts")
PRIORITY_LEVELS = (0, 0, 2)
QUEUE_LIMITS = (0, 0, 0, 40)
BURSTINESS = 4.0
FASTEST_RPS = 450.0
"""Two cores carry client, server and backend together; above this rate they, not Triton's rules, would be measured."""
SLOWEST_RPS = 30.0
SHORTEST_S = 5.0
WARM_UP_S = 1.0
"""Requests of the first second count on neither side: the first batch of each instance is a cold one."""


@dataclass(frozen=True)
class TwinPoint:
    """One configuration under one load, a share of what the twin says that it can carry."""

    delay_ms: int
    max_batch: int
    instances: int
    load: float
    traffic: str
    priority_levels: int
    queue_limit: int
    seed: int

    def changes(self) -> dict[str, Any]:
        """Return the arguments of `Server.reconfigure` and `Twin.changed`."""
        wanted: dict[str, Any] = {
            "max_batch_size": self.max_batch,
            "max_queue_delay_microseconds": self.delay_ms * 1000,
            "instances": self.instances,
            "priority_levels": self.priority_levels,
            "default_priority_level": 1 if self.priority_levels else 0,
        }
        return wanted | ({"max_queue_size": self.queue_limit} if self.queue_limit else {})

    def schedule(self, rate_rps: float, requests: int) -> Arrivals:
        """Return the traffic for twin and server: about so many requests after the warm-up, over 5 s at least."""
        seconds = WARM_UP_S + max(requests / rate_rps, SHORTEST_S)
        if self.traffic == "poisson":
            return arrivals.poisson(rate_rps, seconds, self.seed)
        return arrivals.gamma(rate_rps, seconds, BURSTINESS, self.seed)


def draw(
    count: int, seed: int, max_batches: tuple[int, ...] = MAX_BATCHES, instances: tuple[int, ...] = INSTANCES
) -> list[TwinPoint]:
    """Return `count` points in which every value of every axis comes about equally often (a Latin hypercube).

    Source: M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21, 1979.
    """
    rng = np.random.default_rng(seed)
    axes = (DELAYS_MS, max_batches, instances, LOADS, TRAFFIC, PRIORITY_LEVELS, QUEUE_LIMITS)
    columns = [rng.permutation(np.resize(np.arange(len(axis)), count)) for axis in axes]
    return [
        TwinPoint(*(axis[column[i]] for axis, column in zip(axes, columns, strict=True)), seed=seed * 1000 + i)
        for i in range(count)
    ]
