"""Results that look real, made by a small queue of one device, and one call per picture. Shared by the plot tests."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import priced
import staircase

from batchlab import arrivals, plots, sensitivity, simulate, timeline, trace, twin
from batchlab.breakdown import Breakdown
from batchlab.curve import Sweep
from batchlab.measure import COLUMNS, Run
from batchlab.profiles import synthetic_profile
from batchlab.provenance import Machine, Provenance
from batchlab.race import Race
from batchlab.scaling import WAYS
from batchlab.slo import Slo
from batchlab.statistics import Activity

MACHINE = Machine("Intel(R) Xeon(R) Processor @ 2.70GHz", 2, 7.8, "Linux x86_64", "3.11.7")
# Device latency in ms by batch size, of published ResNet-50 measurements.
CURVES = {
    "rn50-amp-t4-eager": {1: 12.66, 8: 19.4, 32: 72.1, 128: 277.4},
    "rn50-fp16-a100": {1: 0.766, 8: 1.137, 32: 2.447, 128: 7.811},
    "rn50-fp16-a10": {1: 0.901, 8: 2.29, 32: 6.787, 128: 24.33},
}


def provenance(tier="emulated", profile="rn50-amp-t4-eager", model="resnet50_t4", seed=None):
    return Provenance(
        tier, model, "triton 2.51.0 (embedded)", MACHINE, profile=profile, seed=seed, date="2026-11-24T09:00:00+00:00"
    )


def run_of(latencies_ms, gaps_s=None, batch=1, origin=None, server=None, **more):
    latencies = np.asarray(latencies_ms, dtype=float)
    starts = np.cumsum(gaps_s) if gaps_s is not None else np.concatenate([[0.0], np.cumsum(latencies[:-1] / 1000)])
    frame = pd.DataFrame({"intended_s": starts, "sent_s": starts, "done_s": starts + latencies / 1000})
    frame = frame.assign(batch_size=batch, ok=True, error="")
    return Run(frame[list(COLUMNS)], origin or provenance(), "sequential", server=server, **more)


def sweep_of(profile, requests=600, tier="emulated", model=None):
    random, runs = np.random.default_rng(3), {}
    origin = provenance(tier, profile, model or profile.replace("-", "_"))
    for size, ms in CURVES[profile].items():
        count = max(requests // size, 5)
        runs[size] = run_of(ms + 0.6 + random.gamma(1.5, 0.25 + ms * 0.01, count), batch=size, origin=origin)
    return Sweep(runs, origin)


def queue_run(rate_rps=300.0, seconds=20.0, seed=1, limit=32, fixed_ms=10.0, per_item_ms=1.0, closed=0):
    """One device that takes whatever waits, up to `limit`; Poisson arrivals, or `closed` clients that wait."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1 / rate_rps, int(rate_rps * seconds)))
    rows, free, batches, first = [], 0.0, {}, 0
    waiting = [0.0] * closed
    while (waiting and free < seconds) if closed else first < len(arrivals):
        if closed:
            free = max(free, min(waiting))
            taken = [at for at in sorted(waiting) if at <= free][:limit]
            waiting = sorted(waiting)[len(taken) :]
        else:
            free = max(free, arrivals[first])
            last = min(int(np.searchsorted(arrivals, free, side="right")), first + limit)
            taken, first = list(arrivals[first:last]), last
        busy_ms = fixed_ms + per_item_ms * len(taken)
        free += busy_ms / 1000
        batches[len(taken)] = batches.get(len(taken), 0) + 1
        done = free + 0.0008 + random.gamma(2, 0.0003, len(taken))
        rows += [(at, at, end, 1, True, "", busy_ms) for at, end in zip(taken, done, strict=True)]
        waiting += list(done + 0.0002) if closed else []
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "device_ms"]).sort_values("intended_s", ignore_index=True)
    total_ms = float(((frame["done_s"] - frame["intended_s"]) * 1000).mean())
    compute = float(frame["device_ms"].mean())
    server = Activity(
        model="toy_t4",
        requests=len(frame),
        failures=0,
        inferences=len(frame),
        executions=sum(batches.values()),
        queue_ms=max(total_ms - compute - 1.6, 0.05),
        compute_input_ms=0.21,
        compute_infer_ms=compute,
        compute_output_ms=0.17,
        batches=batches,
        batch_compute_ms={size: fixed_ms + per_item_ms * size for size in batches},
    )
    origin = provenance(model="toy_t4", profile="10 ms + 1 ms per item", seed=seed)
    return Run(frame, origin, "closed_loop" if closed else "open_loop", server=server, settings={"rate_rps": rate_rps})


def search_table():
    rows = []
    for delay in (0, 1000, 2000, 5000, 10000, 20000):
        for batch in (1, 4, 8, 16, 32, 64):
            rate = 1000 * batch / (10 + batch) * (0.86 - 0.006 * delay / 1000)
            p99 = 2.1 * (10 + batch) + delay / 1000 * 1.5 + (60 if batch == 1 else 0)
            rows.append((delay, batch, rate, p99, f"batch {batch}, {delay / 1000:g} ms"))
    return pd.DataFrame(rows, columns=["max_delay_us", "max_batch_size", "throughput_rps", "p99_ms", "name"])


def spike():
    random = np.random.default_rng(5)
    times = np.concatenate([random.uniform(0, 60, 6000), random.uniform(25, 32, 3500)])
    return SimpleNamespace(times_s=np.sort(times), name="spike", seed=5)


def three_gpus():
    return {name: sweep_of(name) for name in CURVES}


def replayed(max_delay_ms):
    twin_of_it = twin.model(synthetic_profile(10, 1, 32), name="toy_t4", max_delay_ms=max_delay_ms)
    schedule = arrivals.poisson(400, 1, seed=2)
    return timeline.window(simulate.replay([simulate.Stream(twin_of_it, schedule)])["toy_t4"], 0.5, 0.08)


def waits_by_load():
    alone = twin.model(synthetic_profile(9, 1, 1), name="toy_t4", batching=False)
    return [simulate.simulate(alone, arrivals.poisson(rate, 60, seed=3)) for rate in (50, 80, 92)]


STACKS = {("run",): 1.0, ("run", "Conv"): 20.0, ("run", "Relu"): 4.0, ("run", "Conv", "pad"): 3.0}


def split_of(queue_ms):
    parts = {"client wait": 0.2, "client work": 3.0, "network and HTTP": 6.0, "queue": queue_ms, "compute": 12.0}
    return Breakdown(parts, 100, provenance())


def two_requests():
    """Two requests, one behind the other, as Triton's trace tells of them."""
    moments = ([0, 1, 3, 3.1, 4, 4.2, 16, 16.2, 16.5, 17], [2, 3, 5, 5.1, 16, 16.2, 28, 28.2, 28.5, 29])
    rows = []
    for number, times in enumerate(moments, 1):
        stamps = {name: round(ms * 1e6) for (name, _), ms in zip(trace.MILESTONES, times, strict=True)}
        rows += trace.Traced(number, "resnet50_t4", 1, f"probe-{number}", 0, stamps).spans()
    return rows


def race_of(batch):
    random, ms = np.random.default_rng(batch), {"eager": 9.0, "onnx-none": 8.0, "onnx-all": 6.0, "int8-static": 4.0}
    return Race({name: time * batch * random.lognormal(0, 0.1, 20) for name, time in ms.items()})


PICTURES = {
    "latency_one": lambda: plots.latency_against_batch(sweep_of("rn50-amp-t4-eager")),
    "latency_three": lambda: plots.latency_against_batch(list(three_gpus().values())),
    "latency_per_inference": lambda: plots.latency_against_batch(sweep_of("rn50-fp16-a100"), per="inference"),
    "throughput_one": lambda: plots.throughput_against_batch(sweep_of("rn50-amp-t4-eager")),
    "throughput_three": lambda: plots.throughput_against_batch(three_gpus()),
    "throughput_relative": lambda: plots.throughput_against_batch(three_gpus(), relative=True),
    "throughput_latency": lambda: plots.throughput_latency(three_gpus(), slo=50),
    "throughput_latency_one": lambda: plots.throughput_latency(sweep_of("rn50-amp-t4-eager"), slo=100),
    "fixed_and_per_item": lambda: plots.fixed_and_per_item(sweep_of("rn50-fp16-a100")),
    "timeline": lambda: plots.request_timeline(queue_run(rate_rps=80, limit=1), 14),
    "timeline_batched": lambda: plots.request_timeline(queue_run(rate_rps=300), 24),
    "histogram": lambda: plots.latency_histogram(queue_run(), slo=60),
    "histogram_plain": lambda: plots.latency_histogram(sweep_of("rn50-amp-t4-eager").runs[1]),
    "ecdf": lambda: plots.latency_ecdf(
        {"300/s": queue_run(300), "500/s": queue_run(500), "650/s": queue_run(650)}, slo=100
    ),
    "closed_open": lambda: plots.closed_against_open(
        queue_run(closed=4, limit=1, seconds=60, per_item_ms=0), queue_run(95, 60, limit=1, per_item_ms=0)
    ),
    "batches": lambda: plots.batch_histogram(queue_run(500)),
    "time_one": lambda: plots.time_in_server(queue_run(500)),
    "time_three": lambda: plots.time_in_server(
        {"100/s": queue_run(100), "300/s": queue_run(300), "600/s": queue_run(600)}
    ),
    "rate_schedule": lambda: plots.rate_over_time(spike()),
    "rate_run": lambda: plots.rate_over_time(queue_run(600, seconds=30), bin_s=1, slo=60),
    "p99_rate": lambda: plots.p99_against_rate(
        [queue_run(rate, 8) for rate in (100, 200, 300, 400, 500, 600, 680, 740)], 100
    ),
    "p99_rate_two": lambda: plots.p99_against_rate(
        {
            f"max batch {limit}": [queue_run(rate, 8, limit=limit) for rate in (100, 200, 300, 400, 500)]
            for limit in (8, 32)
        },
        100,
    ),
    "batch_timeline": lambda: plots.batch_timeline(replayed(0)),
    "batch_timeline_wait": lambda: plots.batch_timeline(replayed(5)),
    "formula": lambda: plots.formula_against_runs(
        {"M/D/1": lambda load: 5 * load / (1 - load), "M/M/1": lambda load: 10 * load / (1 - load)},
        {"twin": waits_by_load()},
        x=lambda run: run.offered_rps / 100,
        y=lambda run: run.server.queue_ms,
        x_range=(0.3, 0.95),
        x_label="load",
        y_label="mean wait (ms)",
        y_top=50,
    ),
    "windows": lambda: plots.percentile_by_window(
        {"slow": queue_run(600, seconds=20), "quick": queue_run(200, seconds=20)}, Slo(p99_ms=60), 2.0, spike_s=(5, 10)
    ),
    "split": lambda: plots.split({"alone": split_of(2.0), "in a crowd": split_of(40.0)}),
    "span_lines": lambda: plots.span_lines(two_requests(), provenance()),
    "flame": lambda: plots.flame(STACKS, provenance()),
    "speedup": lambda: plots.speedup_by_technique(
        {batch: race_of(batch) for batch in (1, 8, 32)}, "eager", provenance=provenance("cpu", "", "text_encoder")
    ),
    "slo_surface": lambda: plots.slo_surface(search_table(), 100, provenance=provenance()),
    "pareto": lambda: plots.pareto(search_table(), provenance=provenance(), label="name", slo=100),
    "capacity": lambda: plots.capacity_curves(priced.curves()),
    "fleets": lambda: plots.fleets_over_day(
        [way(priced.case()) for way in WAYS.values()], priced.case(), provenance=priced.curve_of(32).provenance
    ),
    "tornado": lambda: plots.tornado(sensitivity.tornado(priced.case()), provenance=priced.curve_of(32).provenance),
    "share_of_limit": lambda: plots.share_of_limit(
        {"mosec": [staircase.a_run(9, "mosec"), staircase.a_run(2, "mosec")], "TorchServe": []},
        staircase.STAIRS,
        staircase.SLO,
    ),
    "cost_front": lambda: plots.cost_front(priced.found()),
}
