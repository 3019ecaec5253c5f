"""Load on a server: a schedule sent as planned (open loop), or clients that wait for their answers (closed loop).

An open loop asks what users see: they come when they come, and latency counts from the moment a request was meant to
be sent, so that waiting behind a slow answer is not hidden. A closed loop asks what a number of busy clients get. The
sending itself is done by Locust in processes of its own (`batchlab.fleet`), because it cannot live in a kernel.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlab.inputs import Inputs, request_bodies
from batchlab.measure import Run, pace
from batchlab.plan import Plan
from batchlab.recording import LoadError, Recorder

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.server import Server

MAX_LATENESS_MS = 5.0
MAX_WORKERS = 64
MAX_CONNECTIONS = 2000
TIMEOUT_S = 10.0


def open_loop(
    server: "Server",
    model: str,
    arrivals: "Arrivals",
    *,
    inputs: Inputs = None,
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
        workers: sending processes that share the schedule, started at one common moment.
        warmup_s: requests meant to be sent earlier than this are left out of every statistic.
        timeout_s: a request unanswered for so long is a failed sample.
        max_lateness_ms: bound on the P99 of the sender's own lateness, in ms.
        max_connections: most requests in flight at once.
        settings: more to keep in the run's settings, such as the server's configuration.
        progress: show a bar with live P50 and P99.

    Returns:
        The run, kept on disk as it came. An interrupt, or a server that is gone, ends it early: `partial`.

    Raises:
        LoadError: nothing to send, an argument out of range, or inputs that the server refuses.
    """
    _check(workers >= 1, f"workers must be 1 or more, got {workers}.")
    _check(workers <= MAX_WORKERS, f"workers must be at most {MAX_WORKERS}, got {workers}.")
    _check(max_lateness_ms >= 0, f"max_lateness_ms must not be negative, got {max_lateness_ms}.")
    if pace() < 1:
        # A faster pace cuts the traffic short; it does not make it denser.
        arrivals, warmup_s = arrivals.clip(0.0, arrivals.seconds * pace()), warmup_s * pace()
    plan, sizes = _open_plan(server, model, arrivals, inputs, timeout_s, max_connections)
    _check(0 <= warmup_s <= arrivals.seconds, f"warmup_s must lie in the {arrivals.seconds:g} s, got {warmup_s}.")
    # The times themselves are in the samples; the recipe says where they came from.
    recipe = {key: value for key, value in arrivals.to_dict().items() if key not in ("times_s", "sizes")}
    planned = {
        "arrivals": recipe,
        "rate_rps": arrivals.rate_rps,
        "requests": len(arrivals),
        "seconds": arrivals.seconds,
        "workers": workers,
        "timeout_s": timeout_s,
        "max_lateness_ms": max_lateness_ms,
    }
    taken = sorted(planned.keys() & (settings or {}).keys())
    _check(not taken, f"settings must not hold {', '.join(taken)}: the run keeps its own. Choose other names.")
    return Recorder(
        server,
        plan,
        workers=workers,
        warmup_s=warmup_s,
        settings={**planned, **(settings or {})},
        max_lateness_ms=max_lateness_ms,
        seed=arrivals.seed,
        body_sizes=sizes,
        size_name=arrivals.size_name or "size",
        progress=progress,
    ).record()


def closed_loop(
    server: "Server",
    model: str,
    *,
    clients: int = 1,
    seconds: float = 5.0,
    inputs: Inputs = None,
    batch_size: int = 1,
    warmup_s: float = 0.5,
    think_s: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    progress: bool = True,
) -> Run:
    """Keep `clients` busy for `seconds` after the warm-up: each waits for its answer, thinks, and asks again.

    Every request is meant to be sent when its client sends it, so latency is service as a waiting client sees it; what
    users who do not wait would see is the business of `open_loop`.

    Raises:
        LoadError: an argument out of range, or inputs that the server refuses.
    """
    _check(clients >= 1, f"clients must be 1 or more, got {clients}.")
    _check(seconds > 0, f"seconds must be positive, got {seconds}.")
    _check(min(warmup_s, think_s) >= 0, f"warmup_s and think_s must not be negative, got {warmup_s} and {think_s}.")
    _check(timeout_s > 0, f"timeout_s must be positive, got {timeout_s}.")
    warmup_s, seconds = warmup_s * pace(), seconds * pace()
    bodies, _ = request_bodies(server, model, inputs, batch_size=batch_size)
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
    settings = {"clients": clients, "seconds": seconds, "think_s": think_s, "batch_size": bodies[0].batch_size}
    return Recorder(
        server,
        plan,
        workers=1,
        warmup_s=warmup_s,
        settings=settings,
        max_lateness_ms=MAX_LATENESS_MS,
        progress=progress,
    ).record()


def write_plan(server: "Server", model: str, arrivals: "Arrivals", path: Path | str, *, inputs: Inputs = None) -> Path:
    """Write the plan that ``BATCHLAB_PLAN=<path> locust -f batchlab/sender.py`` carries out, web page and all."""
    plan, _ = _open_plan(server, model, arrivals, inputs, TIMEOUT_S, MAX_CONNECTIONS)
    chosen = Path(path)
    plan.save(chosen)
    return chosen


def _check(fine: bool, complaint: str) -> None:
    if not fine:
        raise LoadError(complaint)


def _open_plan(
    server: "Server", model: str, arrivals: "Arrivals", inputs: Inputs, timeout_s: float, max_connections: int
) -> tuple[Plan, np.ndarray | None]:
    """Return the plan, and the size that each body stands for where the schedule has sizes."""
    _check(len(arrivals) > 0, "The schedule is empty: there is nothing to send. Raise its rate or its length.")
    _check(timeout_s > 0, f"timeout_s must be positive, got {timeout_s}.")
    _check(max_connections >= 1, f"max_connections must be 1 or more, got {max_connections}.")
    sizes, seed = arrivals.sizes, arrivals.seed or 0
    bodies, choice = request_bodies(server, model, inputs, sizes=sizes, size_name=arrivals.size_name, seed=seed)
    plan = Plan(
        kind="open_loop",
        url=server.url,
        model=model,
        bodies=bodies,
        times_s=arrivals.times_s,
        choice=np.arange(len(arrivals)) % len(bodies) if choice is None else choice,
        timeout_s=timeout_s,
        max_connections=max_connections,
    )
    return plan, None if sizes is None or arrivals.size_name == "batch_size" else np.unique(sizes)
