"""Calibration: one short run on a server tells the twin what a batch costs there, and what the way costs.

Waiting clients climb a ladder: two of them keep single requests coming back to back, twice 32 keep batches of 32
coming. From each rung come, by Triton's own statistics, the time of a batch of that size, and by the clients' clocks
the time from one batch to the next. The difference is what the server loses between batches.
"""

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq
from tqdm.auto import tqdm

from batchlab import arrivals, simulate, twin
from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy
from batchlab.load import closed_loop, open_loop
from batchlab.measure import Run
from batchlab.rungs import read
from batchlab.service import Calibration
from batchlab.statistics import Snapshot

if TYPE_CHECKING:
    from batchlab.server import Server

WARMUP_S = 0.3
SMALL_BATCH = 4
NO_REAL_LIMIT = 1_000_000
MISS_LOAD, MISS_RPS, MISS_S = 0.7, 300.0, 4.0
MOST_MISSED = 0.9
POLL_S = 0.04


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
    """Measure what the twin of `model` needs to know, in under 20 s.

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
        # The lone client comes twice: a machine that has changed in between is not to be trusted.
        plan = [1, *(2 * size for size in sizes), 1]
        for i, clients in enumerate(tqdm(plan, desc=f"calibrate {model}", unit="rung", disable=not progress)):
            with _Watch(server, model, spread):
                run = closed_loop(
                    server,
                    model,
                    clients=clients,
                    seconds=seconds_per_rung,
                    warmup_s=WARMUP_S,
                    inputs=inputs,
                    progress=False,
                )
            if not len(run.latencies_ms) or run.server is None or not run.server.executions:
                problem = next(iter(run.errors), "no answer came in time")
                raise CalibrateError(f"{model} answered nothing to {clients} waiting client(s): {problem}")
            runs[-1 if i + 1 == len(plan) else clients] = run
        found = read(model, runs, spread, device, profile=original.parameters.get("profile", ""))
        missed = missed_wake(server, original, found, inputs) if original.max_batch_size else 0.0
    finally:
        server.load(model, original)
    overheads = dataclasses.replace(found.overheads, missed_wake=missed)
    return dataclasses.replace(found, overheads=overheads, seconds=time.monotonic() - began)


def missed_wake(server: "Server", config: ModelConfig, found: Calibration, inputs: Any = None) -> float:
    """Return how often the batcher misses that an instance became free: what explains the mean of one short run.

    Small batches and a limit on the queue, so that Triton forms nothing ahead; the twin, given the same schedule, is
    asked which probability gives the latency that was seen.
    """
    policy = QueuePolicy(max_queue_size=NO_REAL_LIMIT)
    small = probed(config, min(SMALL_BATCH, int(found.service.max_batch)))
    small = small.replace(dynamic_batching=DynamicBatching(default_queue_policy=policy))
    model_twin = twin.of(small, found)
    schedule = arrivals.poisson(min(MISS_LOAD * model_twin.capacity_rps(), MISS_RPS), MISS_S, 1)
    server.load(config.name, small)
    seen = open_loop(server, config.name, schedule, inputs=inputs, progress=False)
    if not len(seen.latencies_ms):
        return 0.0

    def excess_ms(probability: float) -> float:
        guess = dataclasses.replace(model_twin, overheads=dataclasses.replace(found.overheads, missed_wake=probability))
        runs = [simulate.simulate(guess, schedule, seed=seed) for seed in range(5)]
        return float(np.mean([run.mean_latency_ms for run in runs])) - seen.mean_latency_ms

    if excess_ms(0.0) >= 0:
        return 0.0
    if excess_ms(MOST_MISSED) <= 0:
        return MOST_MISSED
    return float(brentq(excess_ms, 0.0, MOST_MISSED, xtol=0.01))


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
