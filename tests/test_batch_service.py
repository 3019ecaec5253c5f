"""Batch service: the exact solution against an independent simulation, against M/D/1, and against Inoue's bound."""

import math

import numpy as np
import pytest

from batchlab.batch_service import batch_capacity_rps, batch_latency_bound_ms, batch_times_ms, greedy_batch
from batchlab.queueing import QueueingError, md1


def affine(alpha_ms: float, tau0_ms: float):
    return lambda size: alpha_ms * size + tau0_ms


def hinge(size: int) -> float:
    """Flat up to 8, then steep: a device that has room for eight."""
    return 12.0 if size <= 8 else 12.0 + 2.5 * (size - 8)


def simulated(rate_rps: float, times_ms: np.ndarray, requests: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return latency and wait of each request in ms, and the sizes of the batches: one greedy server by events."""
    arrive = np.cumsum(np.random.default_rng(seed).exponential(1000 / rate_rps, requests))
    latency, wait, sizes = np.empty(requests), np.empty(requests), []
    free, head = 0.0, 0
    while head < requests:
        start = max(free, arrive[head])
        come = int(np.searchsorted(arrive, start, side="right"))
        end = min(come, head + len(times_ms))
        free = start + times_ms[end - head - 1]
        wait[head:end] = start - arrive[head:end]
        latency[head:end] = free - arrive[head:end]
        sizes.append(end - head)
        head = end
    return latency, wait, np.array(sizes)


def mean_and_error(values: np.ndarray, blocks: int = 40) -> tuple[float, float]:
    means = values[: len(values) // blocks * blocks].reshape(blocks, -1).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(blocks))


CASES = [
    (100, affine(1, 10), 32),
    (400, affine(1, 10), 32),
    (700, affine(1, 10), 32),
    (150, affine(1, 10), 4),
    (250, affine(1, 10), 4),
    (300, hinge, 16),
    (450, hinge, 16),
    (60, lambda size: 15.0, 2),
    (1500, affine(0.1438, 1.8874), 8),
]


@pytest.mark.parametrize(("rate", "service", "most"), CASES)
def test_greedy_batch_is_what_an_independent_simulation_gives(rate: float, service, most: int) -> None:
    exact = greedy_batch(rate, service, most)
    times = batch_times_ms(service, most)
    latency, wait, sizes = simulated(rate, times, 300_000, seed=41)
    for values, expected in [
        (latency, exact.mean_latency_ms),
        (wait, exact.mean_wait_ms),
        (sizes, exact.mean_batch),
        (sizes == 1, exact.batch_shares[0]),
        (sizes == most, exact.batch_shares[-1]),
        (wait == 0, 1 - exact.utilisation),  # by Poisson arrivals, those who find it idle
        (latency > exact.latency_percentile_ms(50.5), 0.495),
        (latency > exact.latency_percentile_ms(99), 0.01),
        (wait > exact.wait_percentile_ms(99), 0.01),
    ]:
        mean, error = mean_and_error(values)
        assert mean == pytest.approx(expected, abs=4.5 * error + 1e-4)


@pytest.mark.parametrize(("rate", "service", "most"), [*CASES, (761, affine(1, 10), 32), (980, affine(1, 10), 1024)])
def test_greedy_batch_keeps_its_books(rate: float, service, most: int) -> None:
    exact = greedy_batch(rate, service, most)
    times = batch_times_ms(service, most)
    assert sum(exact.batch_shares) == pytest.approx(1)
    # What goes in comes out: batches a second times mean batch is the rate.
    busy_ms = np.dot(exact.batch_shares, times)
    assert exact.mean_batch * exact.utilisation / busy_ms * 1000 == pytest.approx(rate, rel=1e-7)
    assert exact.mean_latency_ms > exact.mean_wait_ms + times[0] * (1 - 1e-9)


@pytest.mark.parametrize(("rate", "most"), [(100, 32), (700, 32), (250, 4), (300, 16)])
def test_greedy_batch_means_are_the_areas_under_its_tails(rate: float, most: int) -> None:
    exact = greedy_batch(rate, affine(1, 10), most)
    ms = np.linspace(0, 20 * exact.mean_latency_ms, 801)
    assert np.trapz([exact.latency_tail(at) for at in ms], ms) == pytest.approx(exact.mean_latency_ms, rel=2e-3)
    assert np.trapz([exact.wait_tail(at) for at in ms], ms) == pytest.approx(exact.mean_wait_ms, rel=5e-3)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.98])
def test_batches_of_one_are_md1(load: float) -> None:
    batch, single = greedy_batch(load * 100, [10.0], 1), md1(load * 100, 10)
    assert batch.mean_batch == pytest.approx(1)
    assert batch.utilisation == pytest.approx(load)
    assert batch.mean_wait_ms == pytest.approx(single.mean_wait_ms, rel=1e-8)
    for percentile in (95, 99, 99.9):
        at = single.latency_percentile_ms(percentile)
        assert batch.latency_percentile_ms(percentile) == pytest.approx(at, rel=1e-4)


def test_a_lone_request_takes_the_time_of_one() -> None:
    quiet = greedy_batch(0.001, affine(1, 10), 32)
    assert quiet.mean_latency_ms == pytest.approx(11, rel=1e-4)
    assert quiet.mean_batch == pytest.approx(1, rel=1e-4)
    assert quiet.latency_percentile_ms(99) == pytest.approx(11)


@pytest.mark.parametrize(("alpha", "tau0"), [(1, 10), (1, 1), (0.1438, 1.8874), (5, 0.5)])
def test_the_bound_holds_and_is_near(alpha: float, tau0: float) -> None:
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.85):
        rate = share * 1000 / alpha
        exact = greedy_batch(rate, affine(alpha, tau0), 400).mean_latency_ms
        bound = batch_latency_bound_ms(rate, alpha, tau0)
        assert exact * (1 - 1e-9) <= bound <= exact * 1.25


def test_the_bound_is_the_formula_of_moments() -> None:
    # E[B], E[B^2] and E[t^2] of the chain B' = max(Poisson(l t(B)), 1) when a share `empty` of services leave nothing.
    def latency_ms(rate: float, alpha: float, tau0: float, empty: float) -> float:
        mean = (rate * tau0 + empty) / (1 - rate * alpha)
        square = rate * (alpha * mean + tau0) + rate**2 * (2 * alpha * tau0 * mean + tau0**2) + empty
        square /= 1 - (rate * alpha) ** 2
        time_square = alpha**2 * square + 2 * alpha * tau0 * mean + tau0**2
        return (rate * time_square / 2 + alpha * square + tau0 * mean) / mean

    for alpha, tau0, rate in [(1, 10, 0.02), (1, 10, 0.6), (0.5, 0.1, 1.2)]:
        empty = max(0.0, 1 - rate * (alpha + tau0))
        expected_ms = latency_ms(rate, alpha, tau0, empty)
        assert batch_latency_bound_ms(1000 * rate, alpha, tau0) == pytest.approx(expected_ms)


def test_the_bound_begins_at_the_time_of_one() -> None:
    assert batch_latency_bound_ms(1e-6, 1, 10) == pytest.approx(11)
    with pytest.raises(QueueingError, match="capacity 1000 requests/s"):
        batch_latency_bound_ms(1000, 1, 10)


def test_capacity_is_that_of_full_batches() -> None:
    assert batch_capacity_rps(affine(1, 10), 32) == pytest.approx(32_000 / 42)
    assert batch_capacity_rps([11, 12, 13], 2, instances=3) == pytest.approx(3 * 2000 / 12)


def test_overload_is_refused_by_name() -> None:
    with pytest.raises(QueueingError, match=r"Unstable: batches of up to 32, offered 762 .* capacity 761\.905"):
        greedy_batch(762, affine(1, 10), 32)


@pytest.mark.parametrize("rate", [0, -1, math.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(QueueingError, match="rate_rps must be a number above 0"):
        greedy_batch(rate, affine(1, 10), 32)


@pytest.mark.parametrize(
    ("service", "most", "says"),
    [
        ([11, 12], 3, "holds 2 times, max_batch is 3"),
        ([11, 0], 2, "A batch of 2 must take more than 0 ms, got 0"),
        ([math.nan], 1, "A batch of 1 must take more than 0 ms, got nan"),
        (lambda size: 5 - size, 8, "A batch of 5 must take"),
        ([11], 0, "max_batch must be a whole number"),
        ([11], 1.5, "max_batch must be a whole number"),
    ],
)
def test_times_that_make_no_sense_are_refused(service, most, says: str) -> None:
    with pytest.raises(QueueingError, match=says):
        batch_times_ms(service, most)
