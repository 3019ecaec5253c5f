"""Calibration: one short run on a server tells the twin what a batch costs there, and what the way costs.

Waiting clients climb a ladder: two of them keep single requests coming back to back, twice 32 keep batches of 32
coming. From each rung come, by Triton's own statistics, the time of a batch of that size, and by the clients' clocks
the time from one batch to the next. The difference is what the server loses between batches. A real model is then shown
some traffic with pauses, after which its batches take longer than back to back.
"""

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from batchlab.arrivals import poisson
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy
from batchlab.load import closed_loop, open_loop
from batchlab.measure import Run, pace
from batchlab.rungs import missed, read
from batchlab.service import Calibration
from batchlab.statistics import Snapshot

if TYPE_CHECKING:
    from batchlab.server import Server

WARMUP_S = 0.3
WARM_S = 0.2
NO_REAL_LIMIT = 1_000_000
MISS_LOAD, MISS_BATCH, MISS_REQUESTS, MISS_S = 0.6, 2, 900, (6.0, 9.0)
"""Misses are rare: so many requests are wanted, in a run of at least and at most so long.
Batches of one miss a little less often than all others, and small batches end the most often: so batches of two."""
TRAFFIC_LOADS, TRAFFIC_S, LEAST_REQUESTS, SEED = (0.25, 0.6), 3.0, 20, 7
POLL_S = 0.04
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
    step, sizes = 2 if device is None else 8, [1]
    while sizes[-1] < largest:
        sizes.append(min(step * sizes[-1], largest))
    spread: list[tuple[int, int, float]] = []
    runs: dict[int, Run] = {}
    try:
        server.load(model, probed(original, largest))
        # The first batches of a freshly loaded model are slow, and belong in no curve.
        closed_loop(server, model, clients=2 * largest, seconds=WARM_S, warmup_s=0.0, inputs=inputs, progress=False)
        # The lone client comes twice: a machine that has changed in between is not to be trusted.
        plan = [1, *(2 * size for size in sizes), 1]
        for i, clients in enumerate(tqdm(plan, desc=f"calibrate {model}", unit="rung", disable=not progress)):
            with _Watch(server, model, spread):
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
        found = read(model, runs, spread, device, profile=profile)
        if device is None:
            paused = in_traffic(server, model, largest, found, inputs)
            found = read(model, runs, spread, device, profile=profile, traffic=paused)
        share = missed_wake(server, original, found, inputs) if original.max_batch_size else 0.0
    finally:
        server.load(model, original)
    overheads = dataclasses.replace(found.overheads, missed_wake=share)
    return dataclasses.replace(found, overheads=overheads, seconds=time.monotonic() - began)


def in_traffic(server: "Server", model: str, largest: int, found: Calibration, inputs: Any = None) -> list[Run]:
    """Measure Poisson traffic at each of `TRAFFIC_LOADS`, shares of the capacity that `found` tells of."""
    sizes = np.arange(1, largest + 1)
    rates_rps = float((sizes / found.cycle_ms(sizes)).max()) * 1e3 * np.array(TRAFFIC_LOADS)
    # At whatever pace, enough requests that there are some.
    schedules = [poisson(rate, max(TRAFFIC_S, LEAST_REQUESTS / (rate * pace())), SEED) for rate in rates_rps]
    return [open_loop(server, model, schedule, inputs=inputs, progress=False) for schedule in schedules]


def missed_wake(server: "Server", config: ModelConfig, found: Calibration, inputs: Any = None) -> float:
    """Return how often the batcher misses that an instance became free, counted in one short run.

    Poisson traffic with a limit on the queue, so that Triton forms nothing ahead: a miss then costs the next batch the
    wait for another request. The race depends on what the other cores do at that moment, so it is counted in traffic
    like that of the day: in clumps of requests far apart it is lost about half as often.
    """
    policy = QueuePolicy(max_queue_size=NO_REAL_LIMIT)
    largest = min(found.service.max_batch, config.max_batch_size, MISS_BATCH)
    small = probed(config, largest).replace(dynamic_batching=DynamicBatching(default_queue_policy=policy))
    rate_rps = MISS_LOAD * largest / found.cycle_ms(largest) * 1e3
    seconds = float(np.clip(MISS_REQUESTS / rate_rps, *MISS_S))
    server.load(config.name, small)
    seen = open_loop(server, config.name, poisson(rate_rps, seconds, SEED), inputs=inputs, progress=False)
    return missed(seen, found.cycle_ms) if len(seen.latencies_ms) > LEAST_REQUESTS else 0.0


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


class _Watch:
    """Looks at the model's statistics many times a second, and notes what ran between two looks."""

    def __init__(self, server: "Server", model: str, notes: list[tuple[int, int, float]]) -> None:
        self._server, self._model, self._notes = server, model, notes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        last: Snapshot | None = None
        while not self._stop.wait(POLL_S):
            try:
                now = self._server.statistics(self._model)
            except Exception:  # A look that fails is one look less; the run itself will say what is wrong.
                continue
            if last is not None:
                seen = now - last
                if len(seen.batches) == 1:
                    (size, count), (ms,) = next(iter(seen.batches.items())), tuple(seen.batch_compute_ms.values())
                    self._notes.append((size, count, ms))
            last = now
