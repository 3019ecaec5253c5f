"""Load on a server: a schedule sent as planned (open loop), or clients that wait for their answers (closed loop).

An open loop asks what users see: they come when they come, and latency counts from the moment a request was meant to
be sent, so that waiting behind a slow answer is not hidden. A closed loop asks what a number of busy clients get. The
sending itself is done by Locust in processes of its own (`batchlab.fleet`), because it cannot live in a kernel.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlab.conductor import conduct
from batchlab.inputs import Inputs, request_bodies
from batchlab.measure import Run, pace
from batchlab.plan import Plan
from batchlab.recording import LoadError, Recorder
from batchlab.traffic import (
    BACKOFF_MS,
    MAX_CONNECTIONS,
    MAX_LATENESS_MS,
    MAX_WORKERS,
    TIMEOUT_S,
    PerRequest,
    Traffic,
    check,
    parameter_values,
    tagged,
)

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.http_server import HttpServer
    from batchlab.server import Server

__all__ = ["LoadError", "Traffic", "closed_loop", "mixed", "open_loop", "write_plan"]


def open_loop(
    server: "Server | HttpServer",
    model: str,
    arrivals: "Arrivals",
    *,
    inputs: Inputs = None,
    priority: PerRequest = None,
    timeout_us: PerRequest = None,
    retries: int = 0,
    backoff_ms: float = BACKOFF_MS,
    workers: int = 1,
    warmup_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    max_lateness_ms: float = MAX_LATENESS_MS,
    max_connections: int = MAX_CONNECTIONS,
    settings: dict[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Send every request of a schedule at its intended time and record what came back.

    The run is marked invalid, with the reason and the remedy, when the sender was the limit: its P99 of lateness
    above `max_lateness_ms`, more than 0.9 of a core used, or `max_connections` requests in flight.

    Args:
        server: where to send.
        model: name of the model.
        arrivals: the schedule; its sizes, where it has some, choose the inputs (see `batchlab.inputs`).
        inputs: see `batchlab.inputs.request_bodies`; None makes them up from the model's metadata.
        priority: Triton's priority (1 is served first), one for all or one for each request; a column of the samples.
        timeout_us: Triton's timeout in the queue, likewise; a column of the samples.
        retries: further attempts of a request refused with 503, after waits that double and jitter (see
            `batchlab.traffic.backoff_s`). It stays one sample, whose latency holds them all and whose column
            ``attempts`` counts them.
        backoff_ms: bound of the first wait.
        workers: sending processes that share the schedule, started at one common moment.
        warmup_s: requests meant to be sent earlier than this are left out of every statistic.
        timeout_s: an attempt unanswered for so long is a failed sample.
        max_lateness_ms: bound on the P99 of the sender's own lateness, in ms.
        max_connections: most requests in flight at once.
        settings: more to keep in the run's settings, such as the server's configuration.
        progress: show a bar with live P50 and P99.

    Returns:
        The run, kept on disk as it came. An interrupt, or a server that is gone, ends it early: `partial`.
        `Traffic.of` makes the same traffic again from it.

    Raises:
        LoadError: nothing to send, an argument out of range, or inputs that the server refuses.
    """
    traffic = Traffic(
        arrivals,
        inputs=inputs,
        priority=priority,
        timeout_us=timeout_us,
        retries=retries,
        backoff_ms=backoff_ms,
        workers=workers,
        timeout_s=timeout_s,
        max_lateness_ms=max_lateness_ms,
        max_connections=max_connections,
    )
    return conduct([_recorder(server, model, traffic, warmup_s, settings or {})], progress=progress)[0]


def mixed(
    server: "Server | HttpServer",
    traffic: "Mapping[str, Traffic | Arrivals]",
    *,
    warmup_s: float = 0.0,
    progress: bool = True,
) -> dict[str, Run]:
    """Send several schedules at the same time, each with senders of its own, from one common moment on.

    The runs share their clock: second 5 of one is second 5 of the others, so a spike in one can be held against the
    latency of another. A server that is gone, or an interrupt, ends them all.

    Args:
        server: where to send what names no `server` of its own.
        traffic: by model, a schedule, or a `Traffic` where more is to be said. Traffic that names its `model` may go
            by any name: two classes of request on one model are two entries.
        warmup_s, progress: as in `open_loop`, the same for all.

    Returns:
        A run for each entry, by its name. Triton's own account in it is of the model, whoever sent to it.

    Raises:
        LoadError: nothing to send, an argument out of range, or inputs that a model refuses.
    """
    check(bool(traffic), "There is no traffic: name at least one model and its schedule.")
    parts = {name: part if isinstance(part, Traffic) else Traffic(part) for name, part in traffic.items()}
    workers = sum(part.workers for part in parts.values())
    check(workers <= MAX_WORKERS, f"workers must be at most {MAX_WORKERS} in all, got {workers}.")
    recorders = []
    for name, part in parts.items():
        further = {"name": name, "beside": [other for other in parts if other != name]}
        recorders.append(_recorder(part.server or server, part.model or name, part, warmup_s, further))
    return dict(zip(parts, conduct(recorders, progress=progress), strict=True))


def closed_loop(
    server: "Server | HttpServer",
    model: str,
    *,
    clients: int = 1,
    seconds: float = 5.0,
    inputs: Inputs = None,
    batch_size: int = 1,
    priority: int | None = None,
    timeout_us: int | None = None,
    warmup_s: float = 0.5,
    think_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    progress: bool = True,
) -> Run:
    """Keep `clients` busy for `seconds` after the warm-up: each waits for its answer, thinks, and asks again.

    Every request is meant to be sent when its client sends it, so latency is service as a waiting client sees it; what
    users who do not wait would see is the business of `open_loop`. `priority` and `timeout_us` are Triton's, the same
    for every request, and columns of the samples.

    Raises:
        LoadError: an argument out of range, or inputs that the server refuses.
    """
    check(clients >= 1, f"clients must be 1 or more, got {clients}.")
    check(seconds > 0, f"seconds must be positive, got {seconds}.")
    check(min(warmup_s, think_s) >= 0, f"warmup_s and think_s must not be negative, got {warmup_s} and {think_s}.")
    check(timeout_s > 0, f"timeout_s must be positive, got {timeout_s}.")
    warmup_s, seconds = warmup_s * pace(), seconds * pace()
    bodies, _ = request_bodies(server, model, inputs, batch_size=batch_size)
    settings = {"clients": clients, "seconds": seconds, "think_s": think_s, "batch_size": bodies[0].batch_size}
    columns: dict[str, np.ndarray] = {}
    for name, value in {"priority": priority, "timeout_us": timeout_us}.items():
        check(
            value is None or np.ndim(value) == 0, f"{name} of a closed loop is one number, the same for every request."
        )
        values = parameter_values(name, value, len(bodies))
        if values is not None:
            columns[name], settings[name] = values, int(values[0])
    bodies = tuple(tagged(body, priority=priority or 0, timeout_us=timeout_us or 0) for body in bodies)
    plan = Plan(
        kind="closed_loop",
        url=server.url,
        model=model,
        bodies=bodies,
        clients=clients,
        seconds=warmup_s + seconds,
        think_s=think_s,
        timeout_s=timeout_s,
        max_connections=max(MAX_CONNECTIONS, clients),
    )
    recorder = Recorder(
        server,
        plan,
        workers=1,
        warmup_s=warmup_s,
        settings=settings,
        max_lateness_ms=MAX_LATENESS_MS,
        columns=columns,
    )
    return conduct([recorder], progress=progress)[0]


def write_plan(
    server: "Server | HttpServer", model: str, arrivals: "Arrivals", path: Path | str, *, inputs: Inputs = None
) -> Path:
    """Write the plan that ``BATCHLAB_PLAN=<path> locust -f batchlab/sender.py`` carries out, web page and all."""
    plan, _ = Traffic(arrivals, inputs=inputs).plan(server, model)
    chosen = Path(path)
    plan.save(chosen)
    return chosen


def _recorder(
    server: "Server | HttpServer", model: str, traffic: Traffic, warmup_s: float, further: dict[str, Any]
) -> Recorder:
    """Return the recorder of an open loop, its schedule cut to the pace."""
    if pace() < 1:
        traffic, warmup_s = _cut(traffic, pace()), warmup_s * pace()
    seconds = traffic.arrivals.seconds
    check(0 <= warmup_s <= seconds, f"warmup_s must lie in the {seconds:g} s, got {warmup_s}.")
    plan, columns = traffic.plan(server, model)
    settings = traffic.settings()
    taken = sorted(settings.keys() & further.keys())
    check(not taken, f"settings must not hold {', '.join(taken)}: the run keeps its own. Choose other names.")
    return Recorder(
        server,
        plan,
        workers=traffic.workers,
        warmup_s=warmup_s,
        settings={**settings, **further},
        max_lateness_ms=traffic.max_lateness_ms,
        seed=traffic.arrivals.seed,
        columns=columns,
    )


def _cut(traffic: Traffic, share: float) -> Traffic:
    """A faster pace cuts the traffic short; it does not make it denser."""
    arrivals = traffic.arrivals.clip(0.0, traffic.arrivals.seconds * share)

    def kept(value: PerRequest) -> PerRequest:
        return value if value is None or np.ndim(value) == 0 else np.asarray(value)[: len(arrivals)]

    priority, timeout_us = kept(traffic.priority), kept(traffic.timeout_us)
    return dataclasses.replace(traffic, arrivals=arrivals, priority=priority, timeout_us=timeout_us)
