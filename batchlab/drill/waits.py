"""Numeric questions on queues and tails; the answers come from `queueing` and `stopping`."""

# A question is prose: its lines are cut by meaning.
# ruff: noqa: E501

import numpy as np
import scipy

from batchlab import queueing, stopping
from batchlab.drill.question import Draw, Maker, between

Rng = np.random.Generator


def _in_flight(rng: Rng) -> Draw:
    rate, ms = between(rng, 50, 900, 10), between(rng, 20, 240, 5)
    found = queueing.little_in_flight(rate, ms)
    text = f"A service answers {rate:g} requests/s with a mean latency of {ms:g} ms. How many requests are in flight?"
    return Draw(text, found, "requests", rate * ms, "milliseconds were taken for seconds",
                f"Little: L = rate x latency = {rate:g}/s x {ms / 1000:g} s = {found:.3g}.")  # fmt: skip


def _closed_loop(rng: Rng) -> Draw:
    clients, rps = between(rng, 8, 96, 4), between(rng, 100, 900, 20)
    text = (f"{clients:g} clients each send a request, wait for the answer and send the next at once. Together they get "
            f"{rps:g} answers/s. What is the mean latency?")  # fmt: skip
    found = 1000 * clients / rps
    return Draw(text, found, "ms", 1000 / rps, "that is the time between two answers, not the time one client waits",
                f"Little again, solved for the latency: {clients:g} / {rps:g} s = {found:.3g} ms.")  # fmt: skip


def _load(rng: Rng) -> Draw:
    servers, ms, share = between(rng, 2, 6), between(rng, 8, 40), between(rng, 0.4, 0.9, 0.05)
    rate = round(share * servers * 1000 / ms)
    found = 100 * queueing.utilisation(rate, ms, int(servers))
    text = (f"{servers:g} replicas share one queue; a request takes {ms:g} ms of one replica; {rate:g} requests/s "
            "arrive. How busy is each replica, in percent?")  # fmt: skip
    return Draw(text, found, "%", found * servers, "the work is shared by all replicas",
                f"{rate:g}/s x {ms / 1000:g} s / {servers:g} = {found:.3g} %.")  # fmt: skip


def _point(rng: Rng) -> tuple[float, float, str]:
    ms, share = between(rng, 5, 30), between(rng, 0.5, 0.9, 0.05)
    rate = round(share * 1000 / ms, 1)
    return rate, ms, f"Poisson arrivals of {rate:g} requests/s meet one server, first come first served."


def _mm1_wait(rng: Rng) -> Draw:
    rate, ms, story = _point(rng)
    queue = queueing.mm1(rate, ms)
    text = f"{story} The service time is exponential with mean {ms:g} ms. What is the mean wait before service?"
    return Draw(text, queue.mean_wait_ms, "ms", queue.mean_latency_ms, "that is the latency: wait and service together",
                f"rho = {queue.utilisation:.3g}; W = rho S / (1 - rho) = {queue.mean_wait_ms:.3g} ms.")  # fmt: skip


def _mm1_tail(rng: Rng) -> Draw:
    rate, ms, story = _point(rng)
    queue = queueing.mm1(rate, ms)
    found = queue.latency_percentile_ms(99)
    text = f"{story} The service time is exponential with mean {ms:g} ms. What is the P99 of the latency?"
    return Draw(text, found, "ms", queue.mean_latency_ms, "that is the mean; the tail lies 4.6 means out",
                f"The latency is exponential with mean S / (1 - rho) = {queue.mean_latency_ms:.3g} ms; "
                f"P99 = ln(100) x mean = {found:.3g} ms.")  # fmt: skip


def _md1_wait(rng: Rng) -> Draw:
    rate, ms, story = _point(rng)
    queue = queueing.md1(rate, ms)
    text = f"{story} Each request takes exactly {ms:g} ms. What is the mean wait before service?"
    return Draw(text, queue.mean_wait_ms, "ms", queueing.mm1(rate, ms).mean_wait_ms,
                "that is M/M/1; a constant service halves the wait",
                f"rho = {queue.utilisation:.3g}; W = rho S / (2 (1 - rho)) = {queue.mean_wait_ms:.3g} ms.")  # fmt: skip


def _mg1_wait(rng: Rng) -> Draw:
    rate, ms, story = _point(rng)
    spread = between(rng, 1.5, 3, 0.5)
    queue = queueing.mg1(rate, ms, spread**2)
    text = (f"{story} A request takes {ms:g} ms on average, with a standard deviation of {spread * ms:g} ms "
            "(texts of very different lengths). What is the mean wait before service?")  # fmt: skip
    return Draw(text, queue.mean_wait_ms, "ms", queueing.md1(rate, ms).mean_wait_ms, "the spread of the service waits, too",
                f"c2 = {spread:g}^2 = {spread**2:g}; W = rho S (1 + c2) / (2 (1 - rho)) = {queue.mean_wait_ms:.3g} ms.")  # fmt: skip


def _bursts(rng: Rng) -> Draw:
    rate, ms, _ = _point(rng)
    scv = between(rng, 3, 9)
    queue = queueing.ggc(rate, ms, scv, 0)
    text = (f"{rate:g} requests/s arrive in bursts: the gaps have a squared coefficient of variation of {scv:g}. Each "
            f"takes exactly {ms:g} ms on one server. What mean wait does Kingman's approximation give?")  # fmt: skip
    return Draw(text, queue.mean_wait_ms, "ms", queueing.md1(rate, ms).mean_wait_ms, "that is Poisson traffic, ca2 = 1",
                f"W = rho S / (1 - rho) x (ca2 + cs2) / 2 = {queue.mean_wait_ms:.3g} ms.")  # fmt: skip


def _growth(rng: Rng) -> Draw:
    low, high = between(rng, 0.4, 0.6, 0.05), between(rng, 0.85, 0.95, 0.05)
    waits = [queueing.md1(100 * load, 10).mean_wait_ms for load in (low, high)]
    text = (f"Constant service, Poisson arrivals, one server. The load rises from {low:g} to {high:g}. By which factor "
            "does the mean wait grow?")  # fmt: skip
    return Draw(text, waits[1] / waits[0], "", high / low, "the wait does not grow with the load, but with load over slack",
                f"W is proportional to rho / (1 - rho): a factor {waits[1] / waits[0]:.3g}.")  # fmt: skip


def _pool(rng: Rng) -> Draw:
    load, ms = between(rng, 0.6, 0.9, 0.05), between(rng, 5, 40, 5)
    rate = load * 1000 / ms
    apart, shared = queueing.mm1(rate, ms).mean_wait_ms, queueing.mmc(2 * rate, ms, 2).mean_wait_ms
    text = (f"Two servers, each with its own queue at load {load:g}, are put behind one shared queue. Poisson arrivals, "
            f"exponential service of {ms:g} ms. By which factor does the mean wait fall?")  # fmt: skip
    return Draw(text, apart / shared, "", 2, "it is more than the number of servers: nobody idles while another queues",
                f"M/M/1 waits {apart:.3g} ms, M/M/2 {shared:.3g} ms: a factor {apart / shared:.3g}.")  # fmt: skip


def _budget(rng: Rng) -> Draw:
    ms = between(rng, 5, 20)
    goal = ms * between(rng, 2, 5)
    found = 1000 / ms - 1000 / goal
    text = (f"Exponential service of {ms:g} ms, Poisson arrivals, one server. What rate may arrive if the mean latency "
            f"must be {goal:g} ms?")  # fmt: skip
    return Draw(text, found, "requests/s", 1000 / ms, "that is the capacity: at that rate the queue never ends",
                f"T = S / (1 - rho), so rate = 1/S - 1/T = {found:.3g}/s; "
                f"check: {queueing.mm1(found, ms).mean_latency_ms:.3g} ms.")  # fmt: skip


def _enough(rng: Rng) -> Draw:
    misses, percentile = int(rng.integers(0, 11)), float(rng.choice([95, 99]))
    found = stopping.min_requests(misses, percentile)
    naive = round((misses + 1) / (1 - percentile / 100))
    text = (f"A load test saw {misses} requests above the limit. By MLPerf's early-stopping rule at 99 % confidence, "
            f"how many independent requests must it have had at least to claim the P{percentile:g}?")  # fmt: skip
    return Draw(text, found, "requests", naive, "that leaves no room for luck: half of all barely failing servers pass",
                f"The fewest n for which P(Binomial(n, {1 - percentile / 100:.2g}) <= {misses}) < 0.01: {found}.")  # fmt: skip


def _allowed(rng: Rng) -> Draw:
    requests = int(between(rng, 1500, 9000, 500))
    found = stopping.allowed_misses(requests, 0.01)
    text = (f"You sent {requests} independent requests. How many may miss the limit if a P99 is to be claimed at 99 % "
            "confidence?")  # fmt: skip
    return Draw(text, found, "requests", requests / 100, "1 % of the sample is what a server at the very limit shows",
                f"The largest t with P(Binomial({requests}, 0.01) <= t) < 0.01 is {found}.", whole=True)  # fmt: skip


def _fan_out(rng: Rng) -> Draw:
    calls, percent = int(between(rng, 5, 60, 5)), between(rng, 0.5, 2, 0.5)
    found = 100 * float(scipy.stats.binom.sf(0, calls, percent / 100))
    text = (f"A page asks {calls} backends at once and needs all answers. Each is slow in {percent:g} % of its requests, "
            "independently. What share of the pages is slow, in percent?")  # fmt: skip
    return Draw(text, found, "%", percent, "a page is as slow as its slowest call",
                f"1 - (1 - {percent / 100:g})^{calls} = {found:.3g} %.")  # fmt: skip


def _peeking(rng: Rng) -> Draw:
    looks = [500 * (i + 1) for i in range(int(rng.integers(3, 9)))]
    found = 100 * stopping.false_pass_rate(0.01, looks)
    text = (f"A server misses exactly 1 % of its requests. You look after every 500 requests, {len(looks)} times, and "
            "stop at the first PASS of the early-stopping rule at 99 % confidence. How often does it pass, in percent?")  # fmt: skip
    return Draw(text, found, "%", 1.0, "that is one look; each further look is another chance to be lucky",
                f"The chances add up over the looks: {found:.3g} %. Decide on the sample size first.", rel=0.1)  # fmt: skip


def _stall(rng: Rng) -> Draw:
    rate, stall_s, limit = between(rng, 50, 400, 10), between(rng, 1, 4, 0.5), between(rng, 50, 200, 50)
    found = rate * (stall_s - limit / 1000)
    text = (f"Requests are due at an even {rate:g}/s. The server stands still for {stall_s:g} s, then answers all at "
            f"once. How many requests were late by more than {limit:g} ms, counted from when they were due?")  # fmt: skip
    return Draw(text, found, "requests", 1, "that is what one waiting client notes: coordinated omission",
                f"All that were due in the first {stall_s - limit / 1000:g} s of the stall: {found:.3g}.", rel=0.03)  # fmt: skip


WAITS = (
    Maker("little_in_flight", "beginner", "queueing", "00_start_here", _in_flight),
    Maker("little_closed_loop", "beginner", "measuring", "00_start_here", _closed_loop),
    Maker("load_of_replicas", "beginner", "queueing", "03_predict_the_queue", _load),
    Maker("wait_random_service", "intermediate", "queueing", "03_predict_the_queue", _mm1_wait),
    Maker("tail_random_service", "advanced", "tails", "03_predict_the_queue", _mm1_tail),
    Maker("wait_constant_service", "intermediate", "queueing", "03_predict_the_queue", _md1_wait),
    Maker("wait_mixed_lengths", "advanced", "queueing", "05_shape_the_traffic", _mg1_wait),
    Maker("wait_in_bursts", "advanced", "queueing", "03_predict_the_queue", _bursts),
    Maker("last_tenth_of_load", "intermediate", "queueing", "03_predict_the_queue", _growth),
    Maker("one_queue_or_two", "advanced", "scaling", "03_predict_the_queue", _pool),
    Maker("rate_for_a_mean", "intermediate", "queueing", "03_predict_the_queue", _budget),
    Maker("requests_for_a_percentile", "intermediate", "tails", "02_measure_the_tail", _enough),
    Maker("misses_allowed", "intermediate", "tails", "02_measure_the_tail", _allowed),
    Maker("fan_out", "intermediate", "tails", "J. Dean, L. A. Barroso, The Tail at Scale, CACM 2013", _fan_out),
    Maker("peeking", "advanced", "tails", "02_measure_the_tail", _peeking),
    Maker("stall_in_open_loop", "beginner", "measuring", "02_measure_the_tail", _stall),
)
