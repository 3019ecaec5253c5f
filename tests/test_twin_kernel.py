"""The twin's clock: what a few requests do, worked out by hand, and queues for which theory has a formula."""

import numpy as np
import pytest
from scipy import stats

from batchlab import arrivals, twin
from batchlab.schedule import Arrivals
from batchlab.service import Overheads, ServiceTime
from batchlab.simulate import Stream, replay, simulate

AFFINE = ServiceTime.from_function(lambda b: 10 + b, range(1, 65))
SEEDS = range(1, 9)
MISSES = Overheads(missed_wake=1.0)
LONE = Overheads(missed_wake=1.0, missed_lone=0.0)


def done_ms(model, times_ms):
    run = simulate(model, Arrivals(np.array(times_ms) / 1000, times_ms[-1] / 1000 + 1))
    return (run.samples["done_s"] * 1000).round(2).tolist()


@pytest.mark.parametrize(
    ("knobs", "times_ms", "done"),
    [
        ({}, [0, 1, 2], [11, 23, 23]),
        ({"batching": False}, [0, 1, 2], [11, 22, 33]),
        ({"max_delay_ms": 5}, [0, 4, 5.5], [17, 17, 28]),
        ({"instances": 2}, [0, 1, 2], [11, 22, 33]),
        ({"instances": 2, "shared": False}, [0, 1, 2], [11, 12, 22]),
        ({"overheads": Overheads(send_ms=1, dispatch_ms=2, dispatch_item_ms=0.5, answer_ms=4)}, [0], [18.5]),
        # What ends comes before what arrives: the request of 11 ms finds the instance free.
        ({"priority_levels": 1}, [0, 11], [11, 22]),
        # A missed end costs the wait for the next request, or the rest of a nap of 500 ms, though it slept till then.
        ({"priority_levels": 1, "overheads": MISSES}, [0, 5, 30], [11, 42, 42]),
        ({"priority_levels": 1, "overheads": MISSES}, [0, 5], [11, 522]),
        ({"priority_levels": 1, "overheads": MISSES, "max_batch_size": 1}, [0, 1, 2, 25], [11, 36, 536, 1036]),
        # Not where another instance is free, nor where batches are formed ahead.
        ({"priority_levels": 1, "overheads": MISSES, "instances": 2, "shared": False}, [0, 5, 12], [11, 16, 23]),
        ({"overheads": MISSES}, [0, 5, 30], [11, 22, 41]),
        # Not after a batch of one, where only larger ones are missed: that of 11 to 23 ms is.
        ({"priority_levels": 1, "overheads": LONE}, [0, 1, 2, 12, 40], [11, 23, 23, 52, 52]),
        # After a pause of the time constant a batch takes 1 - 1/e of what is lost in the end; at first all of it.
        ({"overheads": Overheads(cold_ms=4, cooling_ms=9)}, [0, 1, 35], [15, 26, 48.53]),
    ],
)
def test_a_few_requests_worked_out_by_hand(knobs, times_ms, done):
    assert done_ms(twin.model(AFFINE, **{"max_batch_size": 8} | knobs), times_ms) == done


def test_models_of_one_device_take_turns():
    streams = [
        Stream(twin.model(AFFINE, name=name, device="gpu", max_batch_size=1), Arrivals(np.array([0.0, 0.001]), 1.0))
        for name in ("a", "b")
    ]
    played = replay(streams)
    batches = sorted((row.start_s, row.end_s) for name in ("a", "b") for row in played[name].batches.itertuples())
    assert [round(start, 6) for start, _ in batches] == [0, 0.011, 0.022, 0.033]


def waits_ms(service, load, seconds=3000.0):
    """Mean wait of each of several runs of one server without batching."""
    rate = load * 1000 / float(service.mean_ms[0])
    model = twin.model(service, max_batch_size=1, batching=False)
    found = []
    for seed in SEEDS:
        samples = simulate(model, arrivals.poisson(rate, seconds, seed=seed), seed=seed).samples
        found.append(float((samples["taken_s"] - samples["intended_s"]).mean() * 1000))
    return np.array(found)


def assert_agrees(found, theory):
    """The theory lies within the 99.9 % interval of the mean over independent runs (Student's t)."""
    half = stats.t.ppf(0.9995, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    assert half < 0.15 * theory, "too few runs to say anything"
    assert abs(found.mean() - theory) < half


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_poisson_arrivals_wait_as_pollaczek_and_khinchine_say(load, variation):
    # M/D/1 for a variation of 0; for 1 the mean wait is that of M/M/1, though the times are lognormal.
    service = ServiceTime(np.array([1]), np.array([10.0]), variation=variation)
    theory = 10.0 * load / (1 - load) * (1 + variation**2) / 2
    assert_agrees(waits_ms(service, load), theory)


def test_the_tail_of_m_d_1_is_erlangs():
    # P(wait <= t) = (1 - rho) * sum over k <= t/D of x^k / k! * e^-x, x = lambda (k D - t). A. K. Erlang, 1909.
    load, service = 0.7, ServiceTime(np.array([1]), np.array([10.0]))
    model = twin.model(service, max_batch_size=1, batching=False)
    below = []
    for seed in SEEDS:
        samples = simulate(model, arrivals.poisson(70, 3000, seed=seed)).samples
        below.append(((samples["taken_s"] - samples["intended_s"]) * 1000 <= 20).mean())
    x = [load * (k - 2) for k in range(3)]
    theory = (1 - load) * sum((value**k) / np.prod(range(1, k + 1)) * np.exp(-value) for k, value in enumerate(x))
    half = stats.t.ppf(0.9995, len(below) - 1) * np.std(below, ddof=1) / np.sqrt(len(below))
    assert abs(np.mean(below) - theory) < half < 0.02


def test_several_servers_wait_about_half_of_what_erlang_c_says_when_service_is_constant():
    # M/D/c has no formula as simple; half of M/M/c's wait is its usual approximation.
    service, servers, load = ServiceTime(np.array([1]), np.array([10.0])), 3, 0.8
    model = twin.model(service, max_batch_size=1, batching=False, instances=servers, shared=False)
    offered = servers * load
    terms = [offered**k / np.prod(range(1, k + 1)) for k in range(servers + 1)]
    busy = terms[servers] / (1 - load)
    wait_ms = busy / (sum(terms[:servers]) + busy) * 10 / (servers * (1 - load))
    run = simulate(model, arrivals.poisson(servers * load * 100, 3000, seed=1)).samples
    assert 0.45 * wait_ms < (run["taken_s"] - run["intended_s"]).mean() * 1000 < 0.65 * wait_ms


def batch_server_ms(rate_rps, largest):
    """Mean latency of Poisson arrivals at one server that takes all who wait, up to `largest`, each time it is free.

    The queue at ends of service is a Markov chain; the mean number in the system over time follows from it, and the
    latency by Little. Batches of b last 10 + b ms.
    """
    states = 600
    service_ms = 10.0 + np.arange(largest + 1)
    coming = [stats.poisson.pmf(np.arange(states), rate_rps * ms / 1000) for ms in service_ms]
    step = np.zeros((states, states))
    for left in range(states):
        taken = min(max(left, 1), largest)
        rest = max(left, 1) - taken
        step[left, rest:] = coming[taken][: states - rest]
    step[:, -1] += 1 - step.sum(axis=1)
    balance = np.vstack([step.T - np.eye(states), np.ones(states)])
    share = np.linalg.lstsq(balance, np.append(np.zeros(states), 1), rcond=None)[0]
    rate = rate_rps / 1000
    left = np.arange(states)
    taken = np.clip(left, 1, largest)
    busy = service_ms[taken]
    idle = np.where(left == 0, 1 / rate, 0)
    # Over a service the number in the system is what was there at its start plus the arrivals so far.
    area = share @ (np.maximum(left, 1) * busy + rate * busy**2 / 2)
    return area / (share @ (busy + idle)) / rate


@pytest.mark.parametrize(("rate_rps", "largest"), [(60, 1), (200, 8), (350, 8), (600, 32)])
def test_a_batch_server_without_a_wait_is_the_markov_chain(rate_rps, largest):
    model = twin.model(AFFINE, max_batch_size=largest)
    found = [simulate(model, arrivals.poisson(rate_rps, 400, seed=seed)).mean_latency_ms for seed in SEEDS]
    assert_agrees(np.array(found), batch_server_ms(rate_rps, largest))
