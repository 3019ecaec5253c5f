"""Sick services for the diagnosis questions: each a short simulation whose figures show what is wrong.

The digital twin makes all figures, except where a line of the table says otherwise. `CAUSES` holds what may be wrong;
the second text of each says what would be seen if it were so, and therefore speaks against it where it is not.
"""

# A question is prose: its lines are cut by meaning.
# ruff: noqa: E501

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from batchlab import arrivals, measure, simulate, twin
from batchlab.drill.question import between
from batchlab.measure import Run
from batchlab.service import ServiceTime
from batchlab.simulate import Stream

Rng = np.random.Generator
CAUSES = {
    "no batching": ("the batcher is off", "then every batch would hold one request."),
    "large batch": ("the max batch is too large for the SLO", "then batches would be large and their compute near the limit."),
    "long delay": ("the queue delay is too long for so little traffic", "then the queue would last about the delay and the "
                   "compute only a few ms."),
    "preferred": ("a preferred batch size that never comes together", "then the queue would be long although the device idles, "
                  "and a preferred size would be set."),
    "timeout": ("a queue timeout that is too short", "then Triton would reject requests as timed out."),
    "full queue": ("a queue limit that is too short", "then refusals would name the queue size."),
    "overload": ("more is offered than the device can carry", "then the device would never idle and the queue would grow."),
    "bursts": ("bursts: the mean load hides the clumps", "then the P99 would be far above the median at a modest mean load."),
    "client": ("the client is the limit", "then the server would idle while few requests are in flight."),
    "neighbour": ("a neighbour's batches block the device", "then compute would last longer than the model's own curve says."),
    "shared device": ("instances were added on a device that was full", "then there would be several instances, a busy device "
                      "and no gain."),
    "omission": ("coordinated omission: a closed loop hid the stall", "then the test would wait for answers before it sends."),
    "few samples": ("too few requests for that percentile", "then there would be only a few hundred requests."),
    "shapes": ("lengths that differ keep requests apart", "then batches would be small under load, and lengths would vary."),
    "starved": ("low priority is starved", "then the low level would wait far longer than the high one."),
    "averaged": ("percentiles of replicas were averaged", "then the figure would be a mean of several P99s."),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A diagnosis before its numbers are drawn: the cause, and others that the same figures rule out."""

    id: str
    level: str
    topic: str
    lab: str
    cause: str
    others: tuple[str, ...]
    show: Callable[[Rng], dict[str, Any]]
    solution: str


def _service(fixed: float = 10.0, item: float = 1.0, most: int = 128) -> ServiceTime:
    return ServiceTime.from_function(lambda b: fixed + item * b, [1, most])


def _facts(run: Run, **told: Any) -> dict[str, Any]:
    seen = run.server
    assert seen is not None
    busy = sum(seen.batches[size] * seen.batch_compute_ms[size] for size in seen.batches) / 10 / run.duration_s
    return {
        **{name.replace("_", " "): value for name, value in told.items()},
        "offered, requests/s": f"{run.offered_rps:.0f}",
        "answered / failed": f"{seen.requests} / {seen.failures}",
        "mean batch": f"{seen.mean_batch:.1f}",
        "mean queue, ms": f"{seen.queue_ms:.1f}",
        "mean compute, ms": f"{seen.compute_infer_ms:.1f}",
        "device busy, %": f"{min(busy, 100):.0f}",
        "P50 / P99, ms": f"{run.percentile_ms(50).value:.0f} / {run.percentile_ms(99).value:.0f}",
    }


def _one(
    rng: Rng, rate: float, told: dict[str, Any], seconds: float = 8.0, scv: float = 1.0, **knobs: Any
) -> dict[str, Any]:
    curve = knobs.pop("curve", _service())
    times = arrivals.gamma(rate, seconds, scv, seed=int(rng.integers(1, 10_000)))
    shapes: dict[str, Any] = {"shape": rng.integers(0, 24, len(times.times_s))} if knobs.get("same_shape") else {}
    run = simulate.simulate(twin.model(curve, **knobs), times, **shapes)
    facts = _facts(run, **told)
    for text in run.errors:
        facts["error"] = text
    return facts


def _no_batching(rng: Rng) -> dict[str, Any]:
    return _one(rng, between(rng, 120, 200, 10), {"max_batch_size": 32, "dynamic_batching": "not set"}, batching=False,
                max_batch_size=1, seconds=4)  # fmt: skip


def _large_batch(rng: Rng) -> dict[str, Any]:
    return _one(rng, between(rng, 780, 840, 10), {"SLO": "P99 <= 100 ms", "max_batch_size": 128}, max_batch_size=128)


def _long_delay(rng: Rng) -> dict[str, Any]:
    delay = between(rng, 40, 80, 10)
    return _one(rng, between(rng, 3, 6), {"max_batch_size": 32, "max_queue_delay": f"{delay:g} ms"}, seconds=60,
                max_batch_size=32, max_delay_ms=delay)  # fmt: skip


def _preferred(rng: Rng) -> dict[str, Any]:
    delay = between(rng, 60, 100, 10)
    told = {"preferred_batch_size": "[32]", "max_queue_delay": f"{delay:g} ms"}
    return _one(rng, between(rng, 90, 130, 10), told, max_batch_size=32, max_delay_ms=delay, preferred_batch_size=(32,),
                curve=_service(3, 0.1))  # fmt: skip


def _timeout(rng: Rng) -> dict[str, Any]:
    limit = between(rng, 8, 14)
    return _one(rng, between(rng, 350, 500, 50), {"max_batch_size": 32}, max_batch_size=32, timeout_ms=limit)


def _full_queue(rng: Rng) -> dict[str, Any]:
    return _one(
        rng,
        between(rng, 350, 500, 50),
        {"max_batch_size": 32},
        max_batch_size=32,
        max_queue_size=int(rng.integers(2, 5)),
    )


def _overload(rng: Rng) -> dict[str, Any]:
    return _one(
        rng, between(rng, 850, 1000, 50), {"max_batch_size": 32, "curve": "10 + b ms"}, seconds=5, max_batch_size=32
    )


def _bursts(rng: Rng) -> dict[str, Any]:
    told = {"max_batch_size": 16, "curve": "10 + b ms", "squared variation of the gaps": 60}
    return _one(rng, between(rng, 200, 260, 10), told, scv=60.0, max_batch_size=16, seconds=30)


def _client(rng: Rng) -> dict[str, Any]:
    clients, own = int(rng.integers(1, 4)), between(rng, 30, 60, 10)
    times = arrivals.constant(round(1000 * clients / (own + 11)), 8)
    told = {
        "load": f"closed loop, {clients} client(s), each prepares {own:g} ms between two requests",
        "complaint": "throughput is low",
    }
    return _facts(simulate.simulate(twin.model(_service(), max_batch_size=32), times), **told)


def _neighbour(rng: Rng) -> dict[str, Any]:
    size = int(rng.choice([64, 96]))
    critical = twin.model(_service(2, 0.05), name="critical", max_batch_size=32, device="gpu-0")
    other = twin.model(_service(20, 2.5), name="background", max_batch_size=size, device="gpu-0", timeout_ms=1000)
    streams = [Stream(critical, arrivals.poisson(between(rng, 100, 150, 10), 8, seed=1)),
               Stream(other, arrivals.poisson(between(rng, 30, 50, 5), 8, seed=2), batch_size=8)]  # fmt: skip
    run = simulate.replay(streams)["critical"].run
    return {
        **_facts(run, own_curve="2 + 0.05 b ms", max_batch_size=32),
        "device busy, %": "not known: other models run on it",
    }


def _shared_device(rng: Rng) -> dict[str, Any]:
    copies = int(rng.integers(3, 6))
    told = {
        "change": f"instances 1 -> {copies} on one GPU",
        "throughput": "before and after the same",
        "max_batch_size": 8,
    }
    return _one(rng, between(rng, 430, 440, 5), told, max_batch_size=8, instances=copies, seconds=6)


def _omission(rng: Rng) -> dict[str, Any]:
    stall, each, n = between(rng, 1, 3, 0.5), between(rng, 8, 16), 2000
    closed = np.append(np.full(n - 1, each), 1000 * stall)
    due = np.arange(0, n * each / 1000, each / 1000)
    start = due[n // 2]
    opened = np.where((due >= start) & (due < start + stall), 1000 * (start + stall - due) + each, each)
    p99 = [measure.percentile(values, 99).value for values in (closed, opened)]
    return {"load tool": "one user, sends when the answer is there", "requests": n, "stall of the server, s": stall,
            "P99 of the tool, ms": f"{p99[0]:.0f}", "P99 of users who come every so often, ms": f"{p99[1]:.0f}"}  # fmt: skip


def _few(rng: Rng) -> dict[str, Any]:
    rate = between(rng, 20, 40, 5)
    facts = _one(rng, rate, {"claim": "P99 <= 100 ms holds", "max_batch_size": 32}, seconds=6, max_batch_size=32)
    return facts | {"misses": "0 seen"}


def _shapes(rng: Rng) -> dict[str, Any]:
    told = {"max_batch_size": 32, "requests": "24 different lengths, no padding", "curve": "10 + b ms"}
    return _one(rng, between(rng, 100, 140, 10), told, seconds=4, max_batch_size=32, same_shape=True)


def _starved(rng: Rng) -> dict[str, Any]:
    model = twin.model(_service(10, 1, 8), max_batch_size=8, priority_levels=2)
    times = arrivals.poisson(between(rng, 480, 560, 20), 6, seed=int(rng.integers(1, 1000)))
    level = 1 + (rng.random(len(times.times_s)) < 0.3).astype(int)
    run = simulate.simulate(model, times, priority=level)
    rows = run.samples.assign(ms=(run.samples["done_s"] - run.samples["intended_s"]) * 1000)
    p99 = rows.groupby("priority")["ms"].quantile(0.99)
    return _facts(run, priority_levels=2) | {
        "P99 of level 1, ms": f"{p99[1]:.0f}",
        "P99 of level 2, ms": f"{p99[2]:.0f}",
    }


def _averaged(rng: Rng) -> dict[str, Any]:
    model = twin.model(_service(), max_batch_size=32)
    rates = [between(rng, 80, 120, 10), between(rng, 80, 120, 10), between(rng, 700, 730, 10)]
    runs = [simulate.simulate(model, arrivals.poisson(rate, 5, seed=i)) for i, rate in enumerate(rates)]
    each = [run.percentile_ms(99).value for run in runs]
    everyone = measure.percentile(np.concatenate([run.latencies_ms for run in runs]), 99).value
    return {"P99 of the replicas, ms": ", ".join(f"{value:.0f}" for value in each), "dashboard, mean of them, ms":
            f"{np.mean(each):.0f}", "P99 that clients see, ms": f"{everyone:.0f}"}  # fmt: skip


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
