"""Queues that serve batches, by mathematics alone: capacity, a closed-form bound, and an exact numeric solution.

The server is greedy, which is Triton with a delay of 0 and neither overhead nor prefetch: whenever it is free it takes
all that wait, up to the largest batch. A batch of b takes t(b), the same each time. Arrivals are Poisson.

=========================== ========================================================================
function                    what it gives
=========================== ========================================================================
`batch_capacity_rps`        exact
`batch_latency_bound_ms`    an upper bound of the mean latency; affine t(b), batches without a limit
`greedy_batch`              exact but for rounding: means, batch sizes. Percentiles but for 64 arrivals a batch
=========================== ========================================================================
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from scipy import special

from batchlab.queueing import decay
from batchlab.steady_state import QueueingError, SteadyState, positive, stable, whole

BatchTime = Callable[[int], float] | Sequence[float] | np.ndarray
"""The time of a batch in ms: a function of its size, or the times of sizes 1, 2, 3, ..."""

# Arrival moments per service at which the latency is evaluated, and the probability that may be left out.
MOMENTS = 64
NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class BatchSteadyState(SteadyState):
    """A `SteadyState` of a server of batches.

    Attributes:
        mean_batch: mean size of the batches served (not of the batch that a request finds itself in).
        batch_shares: share of the batches with size 1, 2, ..., max batch; sums to 1.
    """

    mean_batch: float = 1.0
    batch_shares: tuple[float, ...] = (1.0,)


def batch_times_ms(service_ms: BatchTime, max_batch: int) -> np.ndarray:
    """Return t(1), ..., t(max_batch).

    Raises:
        QueueingError: too few times, or one that is not a number above 0.
    """
    whole(max_batch=max_batch)
    if callable(service_ms):
        times = np.array([service_ms(size) for size in range(1, max_batch + 1)], dtype=float)
    else:
        times = np.asarray(service_ms, dtype=float).ravel()[:max_batch]
    if len(times) < max_batch:
        raise QueueingError(f"service_ms holds {len(times)} times, max_batch is {max_batch}: give one time per size.")
    bad = np.flatnonzero(~(np.isfinite(times) & (times > 0)))
    if len(bad):
        raise QueueingError(f"A batch of {bad[0] + 1} must take more than 0 ms, got {times[bad[0]]}.")
    return times


def batch_capacity_rps(service_ms: BatchTime, max_batch: int, instances: int = 1) -> float:
    """Return the rate at which the queue begins to grow for ever: ``instances * max_batch / t(max_batch)``. Exact.

    Under saturation every batch is full, also where a smaller one would be more efficient. The instances must not share
    a device.
    """
    whole(instances=instances)
    return instances * max_batch * 1000 / float(batch_times_ms(service_ms, max_batch)[-1])


def batch_latency_bound_ms(rate_rps: float, alpha_ms: float, tau0_ms: float) -> float:
    """Return an upper bound of the mean latency for ``t(b) = alpha b + tau0`` and batches of any size.

    The smaller of two, with l the rate per ms::

        phi0 = (alpha + tau0) / (2 (1 - l alpha)) * (1 + 2 l tau0 + (1 - l tau0) / (1 + l alpha))
        phi1 = 3/2 tau0 / (1 - l alpha) + alpha/2 (l alpha + 2) / (1 - l^2 alpha^2)

    Mean latency is a function of the rate and of the share of services that leave the queue empty. That it falls as
    that share grows is not proven here; the tests' grid of curves and loads bears it out. The share
    is at least 0, which gives phi1, and at least ``1 - l (alpha + tau0)``, for no batch is smaller
    than 1, which gives phi0. Near the exact value at all loads. With a limited batch it is no bound: it is near
    the truth only as long as the limit is hardly ever reached.

    Source: Y. Inoue, Queueing analysis of GPU-based inference servers with dynamic batching, Performance Evaluation 147
    (2021), arXiv 1912.06322.
    """
    positive(rate_rps=rate_rps, alpha_ms=alpha_ms, tau0_ms=tau0_ms)
    stable(rate_rps, 1000 / alpha_ms, f"{alpha_ms:g} ms for each further item of a batch")
    rate = rate_rps / 1000
    load = rate * alpha_ms
    low = (alpha_ms + tau0_ms) / (2 * (1 - load)) * (1 + 2 * rate * tau0_ms + (1 - rate * tau0_ms) / (1 + load))
    high = 1.5 * tau0_ms / (1 - load) + alpha_ms / 2 * (load + 2) / (1 - load**2)
    return min(low, high)


def greedy_batch(rate_rps: float, service_ms: BatchTime, max_batch: int) -> BatchSteadyState:
    """Return Poisson arrivals into one greedy server of batches: M/D(b)/1 with batches up to `max_batch`. Exact.

    The number q left waiting at the end of a batch is a Markov chain: the next batch takes ``s = min(max(q, 1), max)``
    and ``q' = max(q, 1) - s + Poisson(rate t(s))``. A cycle from end to end lasts ``t(s)``, and ``1/rate`` more where
    q = 0; during it ``max(q, 1) t(s) + rate t(s)^2 / 2`` request-milliseconds pass in the system. The means follow by
    Little's law, the percentiles by following a request from the moment of its arrival (see `_request_atoms`).
    Source of the method: M. L. Chaudhry and J. G. C. Templeton, A First Course in Bulk Queues, 1983, chapter 4.

    Args:
        rate_rps: arrivals per second.
        service_ms: t(b), a function of the size, or the times of sizes 1, 2, ...
        max_batch: the largest batch. The work grows with its cube; 1024 takes about a second.

    Raises:
        QueueingError: more than the capacity is offered, or an input that makes no sense.
    """
    positive(rate_rps=rate_rps)
    times = batch_times_ms(service_ms, max_batch)
    stable(rate_rps, batch_capacity_rps(times, max_batch), f"batches of up to {max_batch}")
    rate = rate_rps / 1000
    left, ratio = _left_behind(rate, times)
    rest = left[-1] * ratio / (1 - ratio)  # probability of more than the last one listed
    waiting = np.maximum(np.arange(len(left)), 1)
    sizes = np.minimum(waiting, max_batch)
    shares = np.bincount(sizes, weights=left, minlength=max_batch + 1)[1:]
    shares[-1] += rest
    busy_ms = float(shares @ times)
    cycle_ms = busy_ms + left[0] / rate
    taken = times[sizes - 1]
    full = times[-1]
    passed = float(left @ (waiting * taken + rate * taken**2 / 2))
    passed += rest * ((len(left) - 1) * full + rate * full**2 / 2 + full / (1 - ratio))
    mean_batch = float(shares @ np.arange(1, max_batch + 1))
    latency_ms = passed / mean_batch
    own_ms = float(shares @ (np.arange(1, max_batch + 1) * times)) / mean_batch
    atoms = functools.cache(lambda: _request_atoms(rate, times, left, ratio, cycle_ms))
    idle = 1 - busy_ms / cycle_ms
    return BatchSteadyState(
        *(f"M/D(b)/1, b <= {max_batch}", "exact", rate_rps, 1 - idle, latency_ms - own_ms, latency_ms),
        wait_tail=lambda ms: 1 - idle - _below(ms, *atoms()[0]),
        latency_tail=lambda ms: 1 - idle * (ms >= times[0]) - _below(ms, *atoms()[1]),
        mean_batch=mean_batch,
        batch_shares=tuple(shares.tolist()),
    )


def _left_behind(rate: float, times: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the distribution of the number left waiting at the end of a batch: shape (n + 1,), and its ratio beyond n.

    Far out the distribution is geometric with ratio exp(-w), w by `decay`. The next root of the same equation makes a
    correction that falls faster, by a factor exp(-sqrt(2 pi / max batch)) a step where the load is near 1 and more
    elsewhere, so that it is gone after `n`, and the endless balance equations become n + 1 finite ones.
    """
    most = len(times)
    n = most + 40 + int(20 * np.sqrt(most))
    ratio = float(np.exp(-decay(rate * times[-1], most)))
    end = np.arange(n + 1)
    sizes = np.minimum(np.maximum(end, 1), most)
    leave = np.maximum(end, 1) - sizes
    flow = scipy.stats.poisson.pmf(end[None, :] - leave[:, None], (rate * times[sizes - 1])[:, None])
    # Those beyond n that come back to n or below: up to `most` above it, in geometric proportion to the last.
    beyond = n + 1 + np.arange(most)
    back = scipy.stats.poisson.pmf(end[None, :] - (beyond - most)[:, None], rate * times[-1])
    flow[-1] += ratio ** (beyond - n) @ back
    balance = flow.T - np.eye(n + 1)
    # Balance holds in every state; one equation makes room for the sum of all probabilities.
    balance[-1] = 1.0
    balance[-1, -1] = 1 / (1 - ratio)
    left = np.linalg.solve(balance, np.append(np.zeros(n), 1.0))
    return np.maximum(left, 0.0), ratio


def _request_atoms(
    rate: float, times: np.ndarray, left: np.ndarray, ratio: float, cycle_ms: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return where waits and latencies lie of requests that find the server busy: each (ms, probability, width in ms).

    A request that arrives x into a batch of time t finds k before it: those left at its start and Poisson(rate x) more.
    It waits ``t - x + floor(k / max) t(max)``. Its own batch holds the ``k mod max`` before it, itself, and those that
    come while it waits, up to the limit. By Poisson arrivals x is uniform: `MOMENTS` midpoints stand for it.
    """
    most = len(times)
    # Long enough that what lies beyond may be left out.
    further = int(np.log(NEGLIGIBLE) / np.log(ratio)) + 1 if ratio > NEGLIGIBLE else 1
    full = np.append(left[most:], left[-1] * ratio ** np.arange(1, further + 1))
    starts = [np.array([left[0] + left[1]]), *(left[s : s + 1] for s in range(2, most)), full]
    if most == 1:
        starts = [np.append(left[0] + left[1], full[1:])]
    # So many expected arrivals leave no room: P(Poisson <= most - 2) is negligible.
    surely = special.gammainccinv(most - 1, NEGLIGIBLE) if most > 1 else 0.0
    waits, latencies = [], []
    for t, start in zip(times, starts, strict=True):
        for x in (np.arange(MOMENTS) + 0.5) * t / MOMENTS:
            reach = int(rate * x + 8 * np.sqrt(rate * x)) + 20  # more arrivals than this are negligible
            before = np.convolve(start, _poisson(reach, rate * x))
            rounds = np.pad(before, (0, -len(before) % most)).reshape(-1, most) * t / cycle_ms / MOMENTS
            mass = rounds.sum(axis=1)
            wait = t - x + np.arange(len(rounds)) * times[-1]
            width = np.full(max(most, len(wait)), t / MOMENTS)
            waits.append((wait, mass, width[: len(wait)]))
            # After so long a wait the batch is full for certain.
            certain = min(int(np.searchsorted(rate * wait, surely)), len(wait))
            latencies.append((wait[certain:] + times[-1], mass[certain:], width[: len(wait) - certain]))
            for row, before_ms, share in zip(rounds[:certain], wait, mass, strict=False):
                joined = np.convolve(row, _poisson(most, rate * before_ms))[:most]
                joined[-1] = max(share - joined[:-1].sum(), 0.0)
                latencies.append((before_ms + times, joined, width[:most]))
    return [np.concatenate(part) for part in zip(*waits, strict=True)], [
        np.concatenate(part) for part in zip(*latencies, strict=True)
    ]


def _poisson(count: int, mean: float) -> np.ndarray:
    """Return the probabilities of 0, 1, ..., count - 1. Called often; scipy.stats spends a hundred times as long."""
    k = np.arange(count)
    return np.exp(k * np.log(mean) - mean - special.gammaln(k + 1))


def _below(ms: float, values: np.ndarray, weights: np.ndarray, widths: np.ndarray) -> float:
    """Return the probability of at most so many milliseconds: each atom is spread over the moments it stands for."""
    return float(weights @ np.clip((ms - values) / widths + 0.5, 0, 1))
