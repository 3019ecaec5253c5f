"""Sick services for the diagnosis questions: each a short simulation whose figures show what is wrong.

The digital twin makes all figures, except where a line of the table says otherwise. Each case shows a table, and a
picture of the same run; neither names the cause.
"""

# A question is prose: its lines are cut by meaning.
# ruff: noqa: E501

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from batchlab import arrivals, measure, simulate, twin
from batchlab.drill.picture import Picture
from batchlab.drill.question import between
from batchlab.measure import Run
from batchlab.schedule import Arrivals
from batchlab.service import ServiceTime
from batchlab.simulate import Stream
from batchlab.slo import Slo

Rng = np.random.Generator
LIMIT_MS = 100.0


@dataclass(frozen=True)
class Shown:
    """What a case shows of its run: figures by name, and a picture."""

    facts: dict[str, Any]
    picture: Picture


@dataclass(frozen=True)
class Case:
    """A diagnosis before its numbers are drawn: the cause, and others that the same figures rule out."""

    id: str
    level: str
    topic: str
    lab: str
    cause: str
    others: tuple[str, ...]
    show: Callable[[Rng], Shown]
    solution: str


def _service(fixed: float = 10.0, item: float = 1.0, most: int = 128) -> ServiceTime:
    return ServiceTime.from_function(lambda b: fixed + item * b, [1, most])


def _facts(run: Run, **told: Any) -> dict[str, Any]:
    seen = run.server
    assert seen is not None
    busy = seen.busy_ms / 10 / run.duration_s
    return {
        **{name.replace("_", " "): value for name, value in told.items()},
        "offered, requests/s": f"{run.offered_rps:.0f}",
        "answered / failed": f"{seen.requests} / {seen.failures}",
        "mean batch": f"{seen.mean_batch:.1f}",
        "mean queue, ms": f"{seen.queue_ms:.1f}",
        "mean compute, ms": f"{seen.compute_infer_ms:.1f}",
        "device busy, %": f"{min(busy, 100):.0f}",
        "P50 / P99, ms": f"{run.percentile_ms(50).value:.0f} / {run.percentile_ms(99).value:.0f}",
        **({"error": "; ".join(run.errors)} if run.errors else {}),
    }


def _traffic(rng: Rng, rate: float, seconds: float = 8.0, scv: float = 1.0) -> Arrivals:
    return arrivals.gamma(rate, seconds, scv, seed=int(rng.integers(1, 10_000)))


def _run(traffic: Arrivals, curve: ServiceTime | None = None, shape: Any = None, **knobs: Any) -> Run:
    return simulate.simulate(twin.model(curve or _service(), **knobs), traffic, shape=shape)


def _first(run: Run, count: int) -> Picture:
    computed = (run.samples["done_s"] - run.samples["taken_s"]) * 1000
    return Picture("request_timeline", replace(run, samples=run.samples.assign(compute_ms=computed)), {"first": count})


def _mean(run: Run) -> Picture:
    return Picture("time_in_server", {"mean request": run})


def _no_batching(rng: Rng) -> Shown:
    run = _run(_traffic(rng, between(rng, 120, 200, 10), 4), batching=False, max_batch_size=1)
    return Shown(_facts(run, max_batch_size=32, dynamic_batching="not set"), _first(run, 24))


def _large_batch(rng: Rng) -> Shown:
    run = _run(_traffic(rng, between(rng, 780, 840, 10)), max_batch_size=128)
    return Shown(_facts(run, SLO=f"P99 <= {LIMIT_MS:g} ms", max_batch_size=128), Picture("batch_histogram", run))


def _long_delay(rng: Rng) -> Shown:
    delay = between(rng, 40, 80, 10)
    run = _run(_traffic(rng, between(rng, 3, 6), 60), max_batch_size=32, max_delay_ms=delay)
    return Shown(_facts(run, max_batch_size=32, max_queue_delay=f"{delay:g} ms"), _mean(run))


def _preferred(rng: Rng) -> Shown:
    delay = between(rng, 60, 100, 10)
    traffic = _traffic(rng, between(rng, 90, 130, 10))
    run = _run(traffic, _service(3, 0.1), max_batch_size=32, max_delay_ms=delay, preferred_batch_size=(32,))
    return Shown(_facts(run, preferred_batch_size="[32]", max_queue_delay=f"{delay:g} ms"), _first(run, 30))


def _timeout(rng: Rng) -> Shown:
    limit = between(rng, 8, 14)
    run = _run(_traffic(rng, between(rng, 350, 500, 50)), max_batch_size=32, timeout_ms=limit)
    return Shown(_facts(run, max_batch_size=32), _first(run, 40))


def _full_queue(rng: Rng) -> Shown:
    rate, limit = between(rng, 350, 500, 50), int(rng.integers(2, 5))
    run = _run(_traffic(rng, rate), max_batch_size=32, max_queue_size=limit)
    return Shown(_facts(run, max_batch_size=32), _first(run, 40))


def _overload(rng: Rng) -> Shown:
    run = _run(_traffic(rng, between(rng, 850, 1000, 50), 5), max_batch_size=32)
    facts = _facts(run, SLO=f"P99 <= {LIMIT_MS:g} ms", max_batch_size=32, curve="10 + b ms")
    windows = {"slo": Slo(p99_ms=LIMIT_MS), "window_s": 0.5}
    return Shown(facts, Picture("percentile_by_window", {"service": run}, windows))


def _bursts(rng: Rng) -> Shown:
    run = _run(_traffic(rng, between(rng, 200, 260, 10), 30, scv=60), max_batch_size=16)
    told = {"max_batch_size": 16, "curve": "10 + b ms", "squared variation of the gaps": 60}
    return Shown(_facts(run, **told), Picture("rate_over_time", run, {"bin_s": 0.5}))


def _client(rng: Rng) -> Shown:
    clients, own = int(rng.integers(1, 4)), between(rng, 30, 60, 10)
    run = _run(arrivals.constant(round(1000 * clients / (own + 11)), 8), max_batch_size=32)
    told = {
        "load": f"closed loop, {clients} client(s), each prepares {own:g} ms between two requests",
        "complaint": "throughput is low",
    }
    return Shown(_facts(run, **told), _first(run, 12))


def _neighbour(rng: Rng) -> Shown:
    size = int(rng.choice([64, 96]))
    critical = twin.model(_service(2, 0.05), name="critical", max_batch_size=32, device="gpu-0")
    other = twin.model(_service(20, 2.5), name="background", max_batch_size=size, device="gpu-0", timeout_ms=1000)
    streams = [Stream(critical, arrivals.poisson(between(rng, 100, 150, 10), 8, seed=1)),
               Stream(other, arrivals.poisson(between(rng, 30, 50, 5), 8, seed=2), batch_size=8)]  # fmt: skip
    run = simulate.replay(streams)["critical"].run
    facts = _facts(run, own_curve="2 + 0.05 b ms", max_batch_size=32)
    return Shown(facts | {"device busy, %": "not known: other models run on it"}, _mean(run))


def _shared_device(rng: Rng) -> Shown:
    copies = int(rng.integers(3, 6))
    traffic = _traffic(rng, between(rng, 430, 440, 5), 6)
    before, after = (_run(traffic, max_batch_size=8, instances=count) for count in (1, copies))
    told = {
        "change": f"instances 1 -> {copies} on one GPU",
        "throughput before / after, requests/s": f"{before.throughput_rps:.0f} / {after.throughput_rps:.0f}",
        "max_batch_size": 8,
    }
    split = Picture("time_in_server", {"1 instance": before, f"{copies} instances": after})
    return Shown(_facts(after, **told), split)


def _omission(rng: Rng) -> Shown:
    stall, each, n = between(rng, 1, 3, 0.5), between(rng, 8, 16), 2000
    # The same time for any batch: what gathers while the server stands still then leaves at once.
    service = twin.model(ServiceTime.from_function(lambda b: each, [1, 512]), name="service", device="gpu-0")
    pause = twin.model(ServiceTime.from_function(lambda b: 1000 * stall, [1]), name="pause", device="gpu-0")
    due_s = np.arange(n) * each / 1000
    begins = Stream(pause, Arrivals(due_s[n // 2 - 1 : n // 2] + each / 2000, due_s[-1]))
    # One user has each answer just when the next request is due; after the stall all of theirs are later by it.
    waited_s = np.where(np.arange(n) > n // 2, due_s + stall, due_s)
    runs = {
        name: simulate.replay([Stream(service, Arrivals(times_s, times_s[-1])), begins])["service"].run
        for name, times_s in (("the tool", waited_s), ("users who come every so often", due_s))
    }
    p99 = [f"{run.percentile_ms(99).value:.0f}" for run in runs.values()]
    facts = {"load tool": "one user, sends when the answer is there", "requests": n, "stall of the server, s": stall,
             "P99 of the tool, ms": p99[0], "P99 of users who come every so often, ms": p99[1]}  # fmt: skip
    return Shown(facts, Picture("latency_ecdf", runs))


def _few(rng: Rng) -> Shown:
    run = _run(_traffic(rng, between(rng, 20, 40, 5), 6), max_batch_size=32)
    facts = _facts(run, claim=f"P99 <= {LIMIT_MS:g} ms holds", max_batch_size=32) | {"misses": "0 seen"}
    return Shown(facts, Picture("latency_ecdf", {"the test": run}, {"slo": LIMIT_MS}))


def _shapes(rng: Rng) -> Shown:
    traffic = _traffic(rng, between(rng, 100, 140, 10), 4)
    run = _run(traffic, shape=rng.integers(0, 24, len(traffic.times_s)), max_batch_size=32, same_shape=True)
    told = {"max_batch_size": 32, "requests": "24 different lengths, no padding", "curve": "10 + b ms"}
    return Shown(_facts(run, **told), Picture("batch_histogram", run))


def _starved(rng: Rng) -> Shown:
    model = twin.model(_service(10, 1, 8), max_batch_size=8, priority_levels=2)
    times = arrivals.poisson(between(rng, 480, 560, 20), 6, seed=int(rng.integers(1, 1000)))
    level = 1 + (rng.random(len(times.times_s)) < 0.3).astype(int)
    run = simulate.simulate(model, times, priority=level)
    runs = {f"level {k}": replace(run, samples=run.samples[run.samples["priority"] == k]) for k in (1, 2)}
    p99 = {f"P99 of {name}, ms": f"{part.percentile_ms(99).value:.0f}" for name, part in runs.items()}
    return Shown(_facts(run, priority_levels=2) | p99, Picture("latency_ecdf", runs))


def _averaged(rng: Rng) -> Shown:
    model = twin.model(_service(), max_batch_size=32)
    rates = [between(rng, 80, 120, 10), between(rng, 80, 120, 10), between(rng, 700, 730, 10)]
    runs = {
        f"replica {i + 1}": simulate.simulate(model, arrivals.poisson(rate, 5, seed=i)) for i, rate in enumerate(rates)
    }
    each = [run.percentile_ms(99).value for run in runs.values()]
    everyone = measure.percentile(np.concatenate([run.latencies_ms for run in runs.values()]), 99).value
    facts = {"P99 of the replicas, ms": ", ".join(f"{value:.0f}" for value in each), "dashboard, mean of them, ms":
             f"{np.mean(each):.0f}", "P99 that clients see, ms": f"{everyone:.0f}"}  # fmt: skip
    return Shown(facts, Picture("latency_ecdf", runs))


LAB4, LAB8, LAB2 = "04_tune_dynamic_batching", "08_protect_the_critical_model", "02_measure_the_tail"
CASES = (
    Case("sick_no_batching", "beginner", "batching", LAB4, "no batching", ("large batch", "timeout", "client"), _no_batching,
         "Batches of one at a rate above 1/t(1): switch dynamic batching on; an empty `dynamic_batching {}` is enough."),
    Case("sick_large_batch", "intermediate", "knobs", LAB4, "large batch", ("no batching", "long delay", "timeout"), _large_batch,
         "Throughput is high and the batch alone takes the SLO. Cap the batch so that two batches in a row fit the limit."),
    Case("sick_long_delay", "beginner", "knobs", LAB4, "long delay", ("overload", "large batch", "timeout"), _long_delay,
         "At night nobody joins: each request pays the whole delay. Lower the delay; batches form by themselves under load."),
    Case("sick_preferred", "intermediate", "knobs", LAB8, "preferred", ("overload", "no batching", "timeout"), _preferred,
         "Rate x delay is far below 32, so the batcher waits in vain. Remove the preferred size and shorten the delay."),
    Case("sick_timeout", "intermediate", "knobs", LAB8, "timeout", ("full queue", "no batching", "long delay"), _timeout,
         "The error says so: requests waited longer than the queue's timeout, shorter than one batch. Lengthen it."),
    Case("sick_full_queue", "intermediate", "knobs", LAB8, "full queue", ("timeout", "long delay", "client"), _full_queue,
         "The queue holds fewer requests than arrive during a batch. Size it by Little: rate x acceptable wait."),
    Case("sick_overload", "beginner", "queueing", "03_predict_the_queue", "overload", ("long delay", "client", "preferred"), _overload,
         "The best batch gives 32 / 42 ms, less than is offered. No batching knob helps: shed, add devices, or a faster model."),
    Case("sick_bursts", "advanced", "tails", "03_predict_the_queue", "bursts", ("no batching", "timeout", "overload"), _bursts,
         "The device idles much of the time, and clumps queue. Size for the burst: more replicas, admission, smoothing."),
    Case("sick_client", "beginner", "measuring", "07_find_the_bottleneck", "client", ("overload", "large batch", "timeout"), _client,
         "Throughput = clients / (own time + latency). The server idles: use more clients, or an open loop."),
    Case("sick_neighbour", "advanced", "priority", LAB8, "neighbour", ("no batching", "timeout", "long delay"), _neighbour,
         "Compute far above the own curve: the batch waits for the device. Cap the neighbour's batch, or give a pool."),
    Case("sick_instances", "advanced", "gpu", LAB4, "shared device", ("long delay", "timeout", "client"), _shared_device,
         "The device was full; more instances only move the wait into compute. A larger batch or a second GPU helps."),
    Case("sick_test", "beginner", "measuring", LAB2, "omission", ("few samples", "overload", "averaged"), _omission,
         "While the server stood still the user sent nothing, so one slow sample stands for hundreds. Use an open loop."),
    Case("sick_claim", "intermediate", "measuring", LAB2, "few samples", ("omission", "overload", "timeout"), _few,
         "Even without a miss a P99 takes 459 independent requests at 99 % confidence. Test longer."),
    Case("sick_shapes", "advanced", "batching", "05_shape_the_traffic", "shapes", ("client", "timeout", "long delay"), _shapes,
         "Only equal shapes ride together. Pad into a few buckets, or use ragged batching."),
    Case("sick_levels", "advanced", "priority", LAB8, "starved", ("timeout", "client", "no batching"), _starved,
         "Levels are strict: the low one gets what is left. Leave capacity for it, or bound it by a timeout."),
    Case("sick_dashboard", "intermediate", "scaling", LAB2, "averaged", ("few samples", "omission", "timeout"), _averaged,
         "Percentiles do not average. Merge histograms, then take the percentile; and mend the balancer."),
)  # fmt: skip
