"""Calibration: one short run on a server tells the twin what a batch costs there, and what the way costs.

Waiting clients climb a ladder: two of them keep single requests coming back to back, twice 32 keep batches of 32
coming. From each rung come, by Triton's own statistics, the time of a batch of that size, and by the clients' clocks
the time from one batch to the next. The difference is what the server loses between batches. Then comes some traffic in
small batches, without any formed ahead, which shows what the batcher misses, and for a real model what pauses cost.
"""

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from batchlab import cycles
from batchlab.arrivals import poisson
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy
from batchlab.load import closed_loop, open_loop
from batchlab.measure import Run, pace
from batchlab.rungs import read
from batchlab.service import Calibration

if TYPE_CHECKING:
    from batchlab.server import Server

WARMUP_S = 0.3
WARM_S = 0.2
NO_REAL_LIMIT = 1_000_000
TRAFFIC_LOAD, TRAFFIC_S, LEAST_REQUESTS, SEED = 0.6, 3.0, 20, 7
SMALL = {1: (0.6, 600, 6.0), 2: (0.6, 800, 9.0)}
"""Runs in small batches, by the largest size: load, how many requests are wanted, in at most so many seconds.
Misses are rare, and small batches end the most often. At this load work waits at most ends, and a real model in batches
of one is still found idle after pauses of all lengths."""
LEAST_S = 5.0
LEAST_RUNG_S = 0.25
"""At whatever pace: a rung in which no batch ends says nothing."""


class CalibrateError(ValueError):
    """A calibration that cannot be made: no answers, or a model without the dynamic batcher's rules."""


def calibrate(
    server: "Server",
    model: str,
    *,
    max_batch_size: int | None = None,
    inputs: Any = None,
    seconds_per_rung: float = 0.8,
    progress: bool = True,
) -> Calibration:
    """Measure what the twin of `model` needs to know: 15 to 30 s on two cores, longer the larger the largest batch.

    The model is reloaded with one instance and no wait for the time of the calibration, then put back as it was.

    Args:
        max_batch_size: the largest batch to learn about; the model's own where not given.
        inputs: of the requests, as of `load.closed_loop`.
        seconds_per_rung: how long each number of clients is watched.

    Returns:
        The calibration; `Calibration.warnings` say when it is not to be trusted.

    Raises:
        CalibrateError: the model answers nothing.
        ServerError: the server refuses to reload the model, or is gone.
    """
    began = time.monotonic()
    original = server.config(model)
    largest = max(max_batch_size or original.max_batch_size, 1)
    device = device_curve(original, largest)
    # A device that is played back is known; only the way there is measured, and that is a straight line.
    # The small batches of a real model are shown by traffic, further down.
    step, sizes = 4 if device is None else 8, [1]
    while sizes[-1] < largest:
        sizes.append(min(step * sizes[-1], largest))
    runs: dict[int, Run] = {}
    try:
        server.load(model, probed(original, largest))
        # The first batches of a freshly loaded model are slow, and belong in no curve.
        closed_loop(server, model, clients=2 * largest, seconds=WARM_S, warmup_s=0.0, inputs=inputs, progress=False)
        # The lone client comes twice: a machine that has changed in between is not to be trusted.
        plan = [1, *(2 * size for size in sizes), 1]
        for i, clients in enumerate(tqdm(plan, desc=f"calibrate {model}", unit="rung", disable=not progress)):
            run = closed_loop(
                server,
                model,
                clients=clients,
                seconds=max(seconds_per_rung, LEAST_RUNG_S / pace()),
                warmup_s=WARMUP_S,
                inputs=inputs,
                progress=False,
            )
            if not len(run.latencies_ms) or run.server is None or not run.server.executions:
                problem = next(iter(run.errors), "no answer came in time")
                raise CalibrateError(f"{model} answered nothing to {clients} waiting client(s): {problem}")
            runs[-1 if i + 1 == len(plan) else clients] = run
        profile = original.parameters.get("profile", "")
        found = read(model, runs, device, profile=profile)
        small = {}
        if device is None:
            busy = in_traffic(server, probed(original, largest), found, TRAFFIC_LOAD, 0, TRAFFIC_S, inputs=inputs)
        # A played device has no caches to cool down: batches of two tell all of it.
        batches = 1 if not original.max_batch_size else min(largest, 2)
        for size in range(1 if device is None else batches, batches + 1):
            config = unprefetched(original, size)
            server.load(model, config)
            small[size] = in_traffic(server, config, found, *SMALL[size], inputs=inputs)
        if device is None:
            found = read(model, runs, None, traffic=busy, singles=small[1])
    finally:
        server.load(model, original)
    overheads = dataclasses.replace(found.overheads, **(missed_ends(small, found) if original.max_batch_size else {}))
    details = {**found.details, "runs": len(runs) + len(small) + (device is None)}
    return dataclasses.replace(found, overheads=overheads, details=details, seconds=time.monotonic() - began)


def in_traffic(
    server: "Server",
    config: ModelConfig,
    found: Calibration,
    load: float,
    requests: int,
    longest_s: float,
    *,
    inputs: Any = None,
) -> Run:
    """Measure Poisson traffic at a share of what a model loaded as `config` can carry, as far as `found` tells.

    Args:
        requests: so many at least, but in no more than `longest_s`, and no less than `LEAST_S`.
    """
    sizes = np.arange(1, max(config.max_batch_size, 1) + 1)
    rate_rps = load * float((sizes / found.cycle_ms(sizes)).max()) * 1e3
    seconds = float(np.clip(requests / rate_rps, min(LEAST_S, longest_s), longest_s))
    # At whatever pace, enough requests that there are some.
    schedule = poisson(rate_rps, max(seconds, LEAST_REQUESTS / (rate_rps * pace())), SEED)
    return open_loop(server, config.name, schedule, inputs=inputs, progress=False)


def missed_ends(small: dict[int, Run], found: Calibration) -> dict[str, float]:
    """Return how often the batcher misses that an instance became free, for `Overheads`.

    The race depends on what the other cores do at that moment, so it is counted in traffic like that of the day: in
    clumps of requests far apart it is lost about half as often. After batches of two or more it is lost more often than
    after a single request.

    Args:
        small: Poisson traffic by the largest batch, 1 or 2, of a model with a limit on its queue: nothing is formed
            ahead, and a miss costs the next batch the wait for another request.
    """
    if any(len(run.latencies_ms) <= LEAST_REQUESTS for run in small.values()):
        return {}
    row = 0.0 if found.shared_device else cycles.MISSED_ROW
    lone = cycles.missed(small[min(small)], found.cycle_ms, lone=True, row=row)
    share = cycles.missed(small[2], found.cycle_ms, lone=False) if 2 in small else lone
    return {"missed_wake": share or lone, "missed_lone": lone / (share or lone or 1.0), "missed_row": row}


def unprefetched(config: ModelConfig, max_batch_size: int) -> ModelConfig:
    """Return `config` as `probed`, with a limit on the queue that no queue reaches: nothing is formed ahead."""
    batcher = DynamicBatching(default_queue_policy=QueuePolicy(max_queue_size=NO_REAL_LIMIT))
    return probed(config, max_batch_size).replace(dynamic_batching=batcher if config.max_batch_size else None)


def probed(config: ModelConfig, max_batch_size: int) -> ModelConfig:
    """Return `config` as a calibration wants it: one instance, no wait, no queue policy."""
    group = config.instance_groups[0] if config.instance_groups else InstanceGroup()
    return config.replace(
        max_batch_size=max_batch_size if config.max_batch_size else 0,
        dynamic_batching=DynamicBatching() if config.max_batch_size else None,
        instance_groups=(dataclasses.replace(group, count=1),),
    )


def device_curve(config: ModelConfig, max_batch_size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the curve that an emulated model plays, sizes and ms, up to `max_batch_size`; None for a real one."""
    text = config.parameters.get("curve_ms")
    if config.backend != "emulated" or not text:
        return None
    points = sorted((int(size), float(ms)) for size, _, ms in (part.partition(":") for part in text.split(",")))
    known, times = np.array([size for size, _ in points]), np.array([ms for _, ms in points])
    sizes = np.unique(np.concatenate([known[known < max_batch_size], [max_batch_size]]))
    return sizes, np.interp(sizes, known, times)
