"""A queue that tests can trust, because its recursion is two lines (D. V. Lindley, 1952)."""

import numpy as np


def queue_latencies(load: float, requests: int, streams: int, seed: int) -> np.ndarray:
    """Time in system of an M/D/1 queue with service time 1, shape ``(requests, streams)``, after a run-in."""
    rng = np.random.default_rng(seed)
    waiting = np.zeros(streams)
    times = np.empty((requests + 1000, streams))
    for row in times:
        waiting = np.maximum(waiting + 1 - rng.exponential(1 / load, streams), 0)
        row[:] = waiting + 1
    return times[1000:]
