"""Queueing formulas: what a queue must do, by mathematics alone; the judge of every simulator.

Kendall's notation: arrivals / service / servers. M is memoryless (Poisson arrivals, exponential service), D is
deterministic (constant), G is general. All queues here are first come, first served, endless, and in the steady state.

==================== ============================== ============================================
function             mean wait and latency          percentiles
==================== ============================== ============================================
`mm1`, `mmc`         exact                          exact
`md1`                exact                          exact
`mg1`                exact                          none: they depend on more than the variation
`ggc`                approximation                  none
==================== ============================== ============================================

Batches are served in `batchlab.batch_service`. Nothing here imports a simulator.

Sources are named at each formula. Books: D. Gross and C. M. Harris, Fundamentals of Queueing Theory, 3rd edition 1998;
M. Harchol-Balter, Performance Modeling and Design of Computer Systems, 2013.
"""

import math

import numpy as np
import scipy

from batchlab.steady_state import QueueingError, SteadyState, Tail, little_in_flight, positive, stable, variation, whole

__all__ = [
    "QueueingError",
    "SteadyState",
    "decay",
    "erlang_c",
    "ggc",
    "little_in_flight",
    "md1",
    "mg1",
    "mm1",
    "mmc",
    "utilisation",
]

# The number in an M/D/1 system falls geometrically to machine precision well before this level, at any load.
LEVELS = 64


def utilisation(rate_rps: float, service_ms: float, servers: int = 1) -> float:
    """Return the share of time that each of `servers` is busy: ``rho = lambda S / c``. Exact; Little's law in a server.

    Raises:
        QueueingError: more is offered than can be served.
    """
    positive(rate_rps=rate_rps, service_ms=service_ms)
    whole(servers=servers)
    stable(rate_rps, 1000 * servers / service_ms, f"{servers} server(s) of {service_ms:g} ms")
    return rate_rps * service_ms / (1000 * servers)


def erlang_c(servers: int, offered: float) -> float:
    """Return the probability of having to wait in M/M/c. Exact.

    Erlang B by its recursion ``B(k) = a B(k-1) / (k + a B(k-1))``, which neither overflows nor cancels, then
    ``C = B / (1 - rho (1 - B))``. Source: Gross and Harris, sections 2.3 and 2.5.

    Args:
        servers: c.
        offered: a = lambda S, the load in units of one server (erlangs), below c.
    """
    positive(offered=offered)
    whole(servers=servers)
    if offered >= servers:
        raise QueueingError(f"Unstable: offered {offered:g} erlangs, capacity {servers}; lower the load, add servers.")
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mm1(rate_rps: float, service_ms: float) -> SteadyState:
    """Return M/M/1: Poisson arrivals, exponential service, one server. Exact.

    ``E[T] = S / (1 - rho)``, ``E[W] = rho E[T]``, ``P(T > t) = exp(-t / E[T])``, ``P(W > t) = rho P(T > t)``.
    Source: Gross and Harris, section 2.2.
    """
    load = utilisation(rate_rps, service_ms)
    latency_ms = service_ms / (1 - load)
    return SteadyState(
        *("M/M/1", "exact", rate_rps, load, load * latency_ms, latency_ms),
        wait_tail=lambda ms: load * math.exp(-ms / latency_ms),
        latency_tail=lambda ms: math.exp(-ms / latency_ms),
    )


def mmc(rate_rps: float, service_ms: float, servers: int) -> SteadyState:
    """Return M/M/c: Poisson arrivals, exponential service, c servers and one queue. Exact.

    With C by `erlang_c` and ``theta = (c - a) / S``: ``P(W > t) = C exp(-theta t)``, ``E[W] = C / theta``. The
    latency is W plus an independent service time. Source: Gross and Harris, section 2.3.
    """
    load = utilisation(rate_rps, service_ms, servers)
    waiting = erlang_c(servers, load * servers)
    drain, finish = servers * (1 - load) / service_ms, 1 / service_ms  # theta and mu, per ms
    gap = drain - finish

    def latency_tail(ms: float) -> float:
        # Of (1 - C) exp(-mu t) + C (theta exp(-mu t) - mu exp(-theta t)) / gap; its limit where the two rates meet.
        met = abs(gap) * ms < 1e-6
        later = ms * math.exp(-finish * ms) if met else (math.exp(-finish * ms) - math.exp(-drain * ms)) / gap
        return math.exp(-finish * ms) + waiting * finish * later

    return SteadyState(
        *(f"M/M/{servers}", "exact", rate_rps, load, waiting / drain, waiting / drain + service_ms),
        wait_tail=lambda ms: waiting * math.exp(-drain * ms),
        latency_tail=latency_tail,
    )


def md1(rate_rps: float, service_ms: float) -> SteadyState:
    """Return M/D/1: Poisson arrivals, constant service, one server. Exact.

    Mean: ``E[W] = rho S / (2 (1 - rho))``, by Pollaczek and Khinchine (see `mg1`). Distribution: see `_md1_wait_tail`.
    """
    load = utilisation(rate_rps, service_ms)
    wait_ms = load * service_ms / (2 * (1 - load))
    tail = _md1_wait_tail(load, service_ms)
    return SteadyState(
        *("M/D/1", "exact", rate_rps, load, wait_ms, wait_ms + service_ms),
        wait_tail=tail,
        latency_tail=lambda ms: 1.0 if ms < service_ms else tail(ms - service_ms),
    )


def mg1(rate_rps: float, service_ms: float, service_scv: float) -> SteadyState:
    """Return M/G/1: Poisson arrivals, any service, one server. The mean is exact.

    ``E[W] = rho S (1 + cs2) / (2 (1 - rho))``, the formula of Pollaczek (1930) and Khinchine (1932).
    Source: Gross and Harris, section 5.1.

    Args:
        rate_rps: arrivals per second.
        service_ms: mean service time.
        service_scv: cs2, its variance over its squared mean: 0 constant, 1 exponential.
    """
    load = utilisation(rate_rps, service_ms)
    variation(service_scv=service_scv)
    wait_ms = load * service_ms * (1 + service_scv) / (2 * (1 - load))
    return SteadyState("M/G/1", "exact", rate_rps, load, wait_ms, wait_ms + service_ms)


def ggc(rate_rps: float, service_ms: float, arrival_scv: float, service_scv: float, servers: int = 1) -> SteadyState:
    """Return G/G/c: any independent gaps, any service, c servers. An approximation, good near saturation.

    ``E[W] = E[W of M/M/c] (ca2 + cs2) / 2``: Kingman's for one server, Allen and Cunneen's for more. Exact for M/M/c
    and M/G/1. Gaps that depend on each other, as in bursts with a memory, break it.
    Sources: J. F. C. Kingman, The single server queue in heavy traffic, Proc. Cambridge Phil. Soc. 57 (1961);
    A. O. Allen, Probability, Statistics and Queueing Theory, 2nd edition 1990, section 5.

    Args:
        rate_rps: arrivals per second.
        service_ms: mean service time.
        arrival_scv: ca2, the variance of the gaps over their squared mean: 0 a clock, 1 Poisson, more for bursts.
        service_scv: cs2, the same of the service time.
        servers: c.
    """
    variation(arrival_scv=arrival_scv, service_scv=service_scv)
    base = mmc(rate_rps, service_ms, servers)
    wait_ms = base.mean_wait_ms * (arrival_scv + service_scv) / 2
    return SteadyState(f"G/G/{servers}", "approximation", rate_rps, base.utilisation, wait_ms, wait_ms + service_ms)


def decay(arrivals: float, batch: int = 1) -> float:
    """Return w > 0 with ``batch w = arrivals (exp(w) - 1)``: a queue's length n has a tail like exp(-w n).

    For constant service with Poisson arrivals: `arrivals` on average during one service, which takes `batch` away.
    It is the smallest root beyond 1 of ``z^batch = exp(arrivals (z - 1))``, z = exp(w), the denominator of the queue's
    generating function. Source: Chaudhry and Templeton, A First Course in Bulk Queues, 1983.
    """

    def excess(w: float) -> float:
        return arrivals * math.expm1(w) - batch * w

    low = math.log(batch / arrivals)  # where the excess is smallest, and below zero
    high = 2 * low
    while excess(high) <= 0:
        high *= 2
    return float(scipy.optimize.brentq(excess, low, high, xtol=1e-15, rtol=1e-14))


def _md1_wait_tail(load: float, service_ms: float) -> Tail:
    """Return P(W > x) of M/D/1, by sums of positive terms only: Erlang's own sum alternates and is lost above load 0.8.

    The number N in the system, by counting crossings of each level upward and downward between departures::

        p(n+1) P(A = 0) = p(0) P(A > n) + sum_{i=1..n} p(i) P(A > n + 1 - i),   A ~ Poisson(rho),  p(0) = 1 - rho

    The wait, for ``(k-1) S <= x < k S``, with J ~ Poisson(lambda (k S - x))::

        P(W <= x) = sum_{j<k} P(J = j) P(N <= k - j)

    Sources: G. J. Franx, A simple solution for the M/D/c waiting time distribution, Operations Research Letters 29
    (2001), for the wait; A. K. Erlang (1909) and C. D. Crommelin (1932) for the distribution itself.
    """
    above = scipy.stats.poisson.sf(np.arange(LEVELS), load)
    number = np.zeros(LEVELS + 1)
    number[0] = 1 - load
    for n in range(LEVELS):
        number[n + 1] = (number[0] * above[n] + number[1 : n + 1] @ above[n:0:-1]) * math.exp(load)
    w = decay(load)
    beyond = number[-1] / math.expm1(w)  # the geometric rest above LEVELS
    more = beyond + np.append(np.cumsum(number[:0:-1])[::-1], 0.0)  # P(N > n)
    last = LEVELS // 2  # waits from here on fall exponentially, to machine precision

    def tail(ms: float) -> float:
        services = max(ms, 0.0) / service_ms
        if services >= last:
            return tail((last - 1) * service_ms) * math.exp(-load * math.expm1(w) * (services - last + 1))
        k = int(services) + 1
        mean = load * (k - services)
        j = np.arange(k)
        return float(scipy.stats.poisson.sf(k - 1, mean) + scipy.stats.poisson.pmf(j, mean) @ more[k - j])

    return tail
