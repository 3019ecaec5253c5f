"""The queueing formulas against published values, against exact arithmetic, and against seeded random queues."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from batchlab import queueing
from batchlab.queueing import QueueingError, erlang_c, ggc, md1, mg1, mm1, mmc

HOUR_MS = 3600_000


def waits_ms(gaps_ms: np.ndarray, services_ms: np.ndarray) -> np.ndarray:
    """Lindley's recursion W(n+1) = max(W(n) + S(n) - A(n), 0), written as a running minimum."""
    walk = np.concatenate([[0.0], np.cumsum(services_ms[:-1] - gaps_ms[1:])])
    return walk - np.minimum.accumulate(walk)


def mean_and_error(values: np.ndarray, blocks: int = 40) -> tuple[float, float]:
    """Mean, and its standard error by batch means: neighbours in a queue share their fate."""
    means = values[: len(values) // blocks * blocks].reshape(blocks, -1).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(blocks))


def test_utilisation() -> None:
    assert queueing.utilisation(80, 10) == pytest.approx(0.8)
    assert queueing.utilisation(80, 10, servers=4) == pytest.approx(0.2)
    with pytest.raises(QueueingError, match="Unstable"):
        queueing.utilisation(400, 10, servers=4)


@pytest.mark.parametrize(
    ("servers", "offered", "published"),
    [
        (10, 8, 0.4092),  # Erlang C tables
        (2, 1, 1 / 3),  # Gross and Harris: a^2 / (2 + a) for two servers
        (3, 2, 4 / 9),  # Gross and Harris, the eye clinic of section 2.3
        (55, 48, 0.2387),  # the call centre of many an Erlang C tutorial: 360 calls in 30 minutes, 4 minutes each
    ],
)
def test_erlang_c_against_published_values(servers: int, offered: float, published: float) -> None:
    assert erlang_c(servers, offered) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize(("servers", "share"), [(1, 0.3), (7, 0.99), (200, 0.9), (900, 0.97)])
def test_erlang_c_against_its_definition_in_exact_integers(servers: int, share: float) -> None:
    # With a = p / q and everything multiplied by c! q^c the definition is a quotient of whole numbers.
    p, q = round(servers * share * 100), 100
    term, total = q**servers * math.factorial(servers), 0
    for k in range(servers):
        total += term
        term = term * p // (q * (k + 1))
    assert term == p**servers
    waiting = term * servers * q
    exact = Decimal(waiting) / Decimal(waiting + total * (servers * q - p))
    assert erlang_c(servers, p / q) == pytest.approx(float(exact), rel=1e-11)


def test_erlang_c_refuses_an_overload() -> None:
    with pytest.raises(QueueingError, match="offered 10 erlangs, capacity 10"):
        erlang_c(10, 10)


def test_mmc_is_the_eye_clinic() -> None:
    # Gross and Harris, section 2.3: six patients an hour, three doctors, 20 minutes each; L = 26/9, Wq = 8.9 minutes.
    clinic = mmc(6 / 3600, HOUR_MS / 3, 3)
    assert clinic.mean_wait_ms / 60_000 == pytest.approx(80 / 9)
    assert clinic.in_flight == pytest.approx(26 / 9)


def test_mmc_is_the_emergency_room() -> None:
    # Hillier and Lieberman, Introduction to Operations Research: two patients an hour, 20 minutes each, 1 or 2 doctors.
    one, two = mm1(2 / 3600, HOUR_MS / 3), mmc(2 / 3600, HOUR_MS / 3, 2)
    assert one.mean_wait_ms / HOUR_MS == pytest.approx(2 / 3)
    assert two.mean_wait_ms / HOUR_MS == pytest.approx(1 / 24)
    assert (one.in_flight, two.in_flight) == (pytest.approx(2), pytest.approx(3 / 4))
    # By hand: mu = 3 and theta = 4 an hour, C = 1/6.
    assert two.wait_tail(HOUR_MS / 2) == pytest.approx(math.exp(-2) / 6)
    by_hand = 5 / 6 * math.exp(-3) + 1 / 6 * (4 * math.exp(-3) - 3 * math.exp(-4))
    assert two.latency_tail(HOUR_MS) == pytest.approx(by_hand)


def test_mmc_is_the_call_centre() -> None:
    # The tutorial's further answers: 8.2 s of mean wait, 84.6 % answered within 15 s.
    centre = mmc(0.2, 240_000, 55)
    assert centre.mean_wait_ms / 1000 == pytest.approx(8.184, abs=5e-4)
    assert 1 - centre.wait_tail(15_000) == pytest.approx(0.8459, abs=5e-5)


@pytest.mark.parametrize("load", [0.05, 0.5, 0.95])
def test_mmc_with_one_server_is_mm1(load: float) -> None:
    many, one = mmc(load * 100, 10, 1), mm1(load * 100, 10)
    assert many.mean_wait_ms == pytest.approx(one.mean_wait_ms)
    assert many.mean_latency_ms == pytest.approx(one.mean_latency_ms)
    for percentile in (50, 99, 99.9):
        assert many.latency_percentile_ms(percentile) == pytest.approx(one.latency_percentile_ms(percentile))
        assert many.wait_percentile_ms(percentile) == pytest.approx(one.wait_percentile_ms(percentile))


def test_mmc_latency_is_smooth_where_the_two_rates_meet() -> None:
    # theta = mu at load 1 - 1/c: the formula divides zero by zero there.
    at = mmc(50, 10, 2)
    near = mmc(50.001, 10, 2)
    assert at.utilisation == pytest.approx(0.25)
    meet = [mmc(rate, 10, 2).latency_percentile_ms(99) for rate in (99.999, 100, 100.001)]
    assert meet[1] == pytest.approx((meet[0] + meet[2]) / 2, rel=1e-8)
    assert near.latency_percentile_ms(99) == pytest.approx(at.latency_percentile_ms(99), rel=1e-4)


@pytest.mark.parametrize(("rate", "servers"), [(90, 1), (300, 4), (100, 2), (49_000, 500)])
def test_mmc_mean_is_the_area_under_its_tail(rate: float, servers: int) -> None:
    queue = mmc(rate, 10, servers)
    ms = np.linspace(0, 60 * queue.mean_latency_ms, 60_001)
    area = np.trapz([queue.latency_tail(at) for at in ms], ms)
    assert area == pytest.approx(queue.mean_latency_ms, rel=1e-5)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.98])
def test_md1_mean_is_rho_over_two_mu_one_minus_rho(load: float) -> None:
    queue = md1(load * 100, 10)
    assert queue.mean_wait_ms == pytest.approx(load / (2 * 0.1 * (1 - load)))
    assert queue.mean_wait_ms == pytest.approx(mm1(load * 100, 10).mean_wait_ms / 2)
    # The distribution knows the same mean, though it is computed another way.
    ms = np.linspace(0, 30 * queue.mean_wait_ms + 100, 3001)
    assert np.trapz([queue.wait_tail(at) for at in ms], ms) == pytest.approx(queue.mean_wait_ms, rel=1e-3)


@pytest.mark.parametrize("load", [0.05, 0.6, 0.9, 0.98, 0.999])
def test_md1_distribution_is_erlangs(load: float) -> None:
    # Erlang (1909): P(W <= x) = (1 - rho) sum_k exp(rho (x - k)) (-rho (x - k))^k / k!, x in services. It
    # alternates and cancels, so it is summed here with 120 digits.
    tail = md1(load * 100, 10).wait_tail
    for services in (0, 0.3, 1, 1.7, 5.2, 12, 31.9, 32, 33.4, 60.5):
        with localcontext() as context:
            context.prec = 120
            rho, x, total = Decimal(load), Decimal(services), Decimal(0)
            for k in range(int(services) + 1):
                power = (-rho * (x - k)) ** k if k else 1
                total += (rho * (x - k)).exp() * power / math.factorial(k)
            exact = float(1 - (1 - rho) * total)
        assert tail(10 * services) == pytest.approx(exact, rel=1e-9, abs=1e-30)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_md1_and_mm1_hold_for_random_queues(load: float) -> None:
    rng, n = np.random.default_rng(31), 400_000
    gaps = rng.exponential(10 / load, n)
    for queue, services in ((md1(load * 100, 10), np.full(n, 10.0)), (mm1(load * 100, 10), rng.exponential(10, n))):
        waits = waits_ms(gaps, services)
        mean, error = mean_and_error(waits)
        assert mean == pytest.approx(queue.mean_wait_ms, abs=4.5 * error)
        limit = queue.latency_percentile_ms(99)
        above, error = mean_and_error(waits + services > limit)
        assert above == pytest.approx(0.01, abs=4.5 * error)


def test_mmc_holds_for_a_random_queue() -> None:
    rng, n, servers = np.random.default_rng(32), 100_000, 3
    queue = mmc(240, 10, servers)
    free, waits, at = [0.0] * servers, np.empty(n), 0.0
    gaps, services = rng.exponential(1000 / 240, n), rng.exponential(10, n)
    for i in range(n):
        at += gaps[i]
        first = free.index(min(free))
        start = max(at, free[first])
        waits[i], free[first] = start - at, start + services[i]
    mean, error = mean_and_error(waits)
    assert mean == pytest.approx(queue.mean_wait_ms, abs=4.5 * error)
    waited, error = mean_and_error(waits > 0)
    assert waited == pytest.approx(queue.wait_tail(0), abs=4.5 * error)
    above, error = mean_and_error(waits + services > queue.latency_percentile_ms(95))
    assert above == pytest.approx(0.05, abs=4.5 * error)


def test_mg1_spans_constant_and_exponential_service() -> None:
    assert mg1(80, 10, 0).mean_wait_ms == pytest.approx(md1(80, 10).mean_wait_ms)
    assert mg1(80, 10, 1).mean_wait_ms == pytest.approx(mm1(80, 10).mean_wait_ms)
    # Two kinds of request, 90 % of 5 ms and 10 % of 55 ms: E[S] = 10, E[S^2] = 325, so E[W] = 0.05 * 325 / (2 * 0.5).
    assert mg1(50, 10, 325 / 100 - 1).mean_wait_ms == pytest.approx(16.25)


def test_mg1_holds_for_a_random_queue() -> None:
    rng, n = np.random.default_rng(33), 400_000
    services = np.where(rng.random(n) < 0.9, 5.0, 55.0)
    mean, error = mean_and_error(waits_ms(rng.exponential(20, n), services))
    assert mean == pytest.approx(mg1(50, 10, 2.25).mean_wait_ms, abs=4.5 * error)


def test_ggc_is_exact_where_exact_formulas_exist() -> None:
    assert ggc(80, 10, 1, 0).mean_wait_ms == pytest.approx(md1(80, 10).mean_wait_ms)
    assert ggc(80, 10, 1, 2.25).mean_wait_ms == pytest.approx(mg1(80, 10, 2.25).mean_wait_ms)
    assert ggc(240, 10, 1, 1, servers=3).mean_wait_ms == pytest.approx(mmc(240, 10, 3).mean_wait_ms)
    assert ggc(80, 10, 0, 0).mean_wait_ms == 0  # a clock into constant service: nobody waits
    assert ggc(80, 10, 1, 0).kind == "approximation"


def test_ggc_is_near_for_gamma_gaps_at_high_load() -> None:
    rng, n = np.random.default_rng(34), 1_000_000
    gaps = rng.gamma(0.5, 2 * 10 / 0.9, n)  # ca2 = 2
    mean, _ = mean_and_error(waits_ms(gaps, np.full(n, 10.0)))
    assert ggc(90, 10, 2, 0).mean_wait_ms == pytest.approx(mean, rel=0.15)


@pytest.mark.parametrize(("arrivals", "batch"), [(0.01, 1), (0.98, 1), (31, 32), (127.99, 128)])
def test_decay_solves_its_equation(arrivals: float, batch: int) -> None:
    w = queueing.decay(arrivals, batch)
    assert w > 0
    assert arrivals * math.expm1(w) == pytest.approx(batch * w, rel=1e-9)


@pytest.mark.parametrize("queue", [mm1, md1, lambda r, s: mmc(r, s, 1), lambda r, s: mg1(r, s, 1)])
@pytest.mark.parametrize(("rate", "service"), [(0, 10), (-5, 10), (math.nan, 10), (50, 0), (50, -1), (50, math.nan)])
def test_every_queue_refuses_nonsense(queue, rate: float, service: float) -> None:
    with pytest.raises(QueueingError, match="must be a number above 0"):
        queue(rate, service)


@pytest.mark.parametrize("queue", [mm1, md1, lambda r, s: mg1(r, s, 1), lambda r, s: ggc(r, s, 1, 1)])
@pytest.mark.parametrize("rate", [100, 250])
def test_every_queue_refuses_an_overload(queue, rate: float) -> None:
    with pytest.raises(QueueingError, match=f"offered {rate} requests/s, capacity 100 requests/s"):
        queue(rate, 10)


def test_counts_and_variations_are_checked() -> None:
    for servers in (0, -1, 1.5, math.nan):
        with pytest.raises(QueueingError, match="servers must be a whole number"):
            mmc(50, 10, servers)
    for scv in (-0.1, math.nan):
        with pytest.raises(QueueingError, match="service_scv is a variance"):
            mg1(50, 10, scv)
