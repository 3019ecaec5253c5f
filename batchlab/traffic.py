"""Traffic for one model: a schedule, and what each of its requests carries: inputs, priority, timeout, retries.

`batchlab.load` sends it. Source of the request parameters ``priority`` (1 is served first, 0 means the model's default
level) and ``timeout`` (microseconds in the queue; 0 means the model's own): Triton's "Schedule policy extension". A
model heeds the first only where its configuration has ``priority_levels``, the second only where its queue policy has
a default timeout and allows a request to override it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlab.inputs import Inputs, request_bodies
from batchlab.measure import COLUMNS
from batchlab.plan import Body, Plan
from batchlab.recording import LoadError

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.http_server import HttpServer
    from batchlab.measure import Run
    from batchlab.server import Server

PerRequest = int | Sequence[int] | np.ndarray | None

MAX_LATENESS_MS = 5.0
MAX_WORKERS = 64
MAX_CONNECTIONS = 2000
TIMEOUT_S = 10.0
BACKOFF_MS = 50.0
MAX_RETRIES = 10
MAX_WAIT_S = 5.0
MAX_BODIES = 512  # each is held whole in the sender's memory


@dataclass(frozen=True)
class Traffic:
    """A schedule and how it is sent.

    Attributes:
        arrivals: the schedule; its sizes, where it has some, choose the inputs (see `batchlab.inputs`).
        inputs: see `batchlab.inputs.request_bodies`; None makes them up from the model's metadata.
        priority: Triton's priority of every request, or one for each; None sends none.
        timeout_us: Triton's timeout in the queue of every request, or one for each; None sends none.
        retries: further attempts of a request that the server refuses with 503.
        backoff_ms: bound of the wait before the first of them; it doubles each time. See `backoff_s`.
        workers: sending processes that share the schedule.
        timeout_s: an attempt unanswered for so long is a failure.
        max_lateness_ms: bound on the P99 of the sender's own lateness.
        max_connections: most requests in flight at once from one sender.
        model: name of the model, where the traffic itself goes by another name (see `batchlab.load.mixed`).
        server: where to send it, where that is another server than the rest's (see `batchlab.load.mixed`).
    """

    arrivals: "Arrivals"
    inputs: Inputs = None
    priority: PerRequest = None
    timeout_us: PerRequest = None
    retries: int = 0
    backoff_ms: float = BACKOFF_MS
    workers: int = 1
    timeout_s: float = TIMEOUT_S
    max_lateness_ms: float = MAX_LATENESS_MS
    max_connections: int = MAX_CONNECTIONS
    model: str = ""
    server: "Server | HttpServer | None" = None

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            LoadError: the first that is out of range.
        """
        check(len(self.arrivals) > 0, "The schedule is empty: there is nothing to send. Raise its rate or its length.")
        check(self.workers >= 1, f"workers must be 1 or more, got {self.workers}.")
        check(self.workers <= MAX_WORKERS, f"workers must be at most {MAX_WORKERS}, got {self.workers}.")
        check(self.max_lateness_ms >= 0, f"max_lateness_ms must not be negative, got {self.max_lateness_ms}.")
        check(self.timeout_s > 0, f"timeout_s must be positive, got {self.timeout_s}.")
        check(self.max_connections >= 1, f"max_connections must be 1 or more, got {self.max_connections}.")
        check(0 <= self.retries <= MAX_RETRIES, f"retries must lie in 0 to {MAX_RETRIES}, got {self.retries}.")
        check(self.backoff_ms > 0, f"backoff_ms must be positive, got {self.backoff_ms}.")
        for name in ("priority", "timeout_us"):
            parameter_values(name, getattr(self, name), len(self.arrivals))

    def plan(self, server: "Server | HttpServer", model: str) -> tuple[Plan, dict[str, np.ndarray]]:
        """Return the plan of sending this to a model, and per column of the samples what each body stands for."""
        arrivals = self.arrivals
        count, seed, sizes = len(arrivals), arrivals.seed or 0, arrivals.sizes
        bodies, chosen = request_bodies(
            server, model, self.inputs, sizes=sizes, size_name=arrivals.size_name, seed=seed
        )
        choice = np.arange(count) % len(bodies) if chosen is None else chosen
        columns = {}
        if sizes is not None and arrivals.size_name != "batch_size":
            columns[arrivals.size_name or "size"] = np.unique(sizes)
        given = {name: parameter_values(name, getattr(self, name), count) for name in ("priority", "timeout_us")}
        bodies, choice, columns = _with_parameters(
            bodies, choice, columns, {name: values for name, values in given.items() if values is not None}
        )
        plan = Plan(
            kind="open_loop",
            url=server.url,
            model=model,
            bodies=bodies,
            times_s=arrivals.times_s,
            choice=choice,
            waits_s=backoff_s(count, self.retries, self.backoff_ms, seed),
            timeout_s=self.timeout_s,
            max_connections=self.max_connections,
        )
        return plan, columns

    def settings(self) -> dict[str, Any]:
        """Return what a run's record says about this traffic; what each request carried is in its samples."""
        arrivals = self.arrivals
        recipe = {key: value for key, value in arrivals.to_dict().items() if key not in ("times_s", "sizes")}
        said: dict[str, Any] = {
            "arrivals": recipe,
            "rate_rps": arrivals.rate_rps,
            "requests": len(arrivals),
            "seconds": arrivals.seconds,
            "workers": self.workers,
            "timeout_s": self.timeout_s,
            "max_lateness_ms": self.max_lateness_ms,
        }
        for name in ("priority", "timeout_us"):
            if (value := getattr(self, name)) is not None:
                said[name] = int(value) if np.ndim(value) == 0 else "per request"
        if self.retries:
            said |= {"retries": self.retries, "backoff_ms": self.backoff_ms}
        return said

    @classmethod
    def of(cls, run: "Run") -> "Traffic":
        """Return the traffic of a recorded open loop, to be sent again: times, sizes, priorities, timeouts, retries.

        Inputs and senders are not part of it: set them with `dataclasses.replace`. A partial run gives what was sent.

        Raises:
            LoadError: a closed loop, which has no schedule.
        """
        from batchlab.arrivals import Arrivals

        check(run.kind == "open_loop", f"A run of kind {run.kind!r} has no schedule. Take one of an open loop.")
        rows, said = run.samples.sort_values("intended_s", kind="stable"), run.settings
        further = set(rows.columns[len(COLUMNS) :]) - {"priority", "timeout_us", "attempts"}
        size_name = next(iter(further), "batch_size" if rows["batch_size"].nunique() > 1 else "")
        # A time was added to the clock and taken off again; nanoseconds are beyond what that keeps.
        times_s = rows["intended_s"].to_numpy(float).round(9).clip(0.0)
        seconds = max(float(said.get("seconds", 0.0)), float(times_s.max(initial=0.0)))
        sizes = rows[size_name].to_numpy() if size_name else None
        return cls(
            Arrivals(times_s, seconds, seed=run.provenance.seed, sizes=sizes, size_name=size_name),
            priority=rows["priority"].to_numpy() if "priority" in rows else None,
            timeout_us=rows["timeout_us"].to_numpy() if "timeout_us" in rows else None,
            retries=int(said.get("retries", 0)),
            backoff_ms=float(said.get("backoff_ms", BACKOFF_MS)),
        )


def check(fine: bool, complaint: str) -> None:
    """Raise `LoadError` with the complaint unless all is fine."""
    if not fine:
        raise LoadError(complaint)


def parameter_values(name: str, value: PerRequest, count: int) -> np.ndarray | None:
    """Return a request parameter of each of `count` requests, shape ``(count,)``; None where none is sent.

    Raises:
        LoadError: not whole numbers of 0 or more, or not one for each request.
    """
    if value is None:
        return None
    values = np.asarray(value)
    whole = values.dtype.kind in "iu" and bool((values >= 0).all())
    check(whole, f"{name} must be whole numbers of 0 or more, got {value!r:.60}.")
    if values.ndim == 0:
        return np.full(count, int(values))
    check(values.shape == (count,), f"{name} must be one number, or one for each of the {count} requests.")
    return values.astype(np.int64)


def tagged(body: Body, *, priority: int = 0, timeout_us: int = 0) -> Body:
    """Return a request body that carries Triton's ``priority`` and ``timeout``; 0 leaves one out."""
    said = {"priority": int(priority), "timeout": int(timeout_us)}
    said = {name: value for name, value in said.items() if value}
    return body.with_parameters(said) if said else body


def backoff_s(requests: int, retries: int, backoff_ms: float, seed: int) -> np.ndarray:
    """Draw the waits before each further attempt, in seconds, shape ``(requests, retries)``.

    Wait k (from 0) is uniform between 0 and ``backoff_ms * 2^k``, at most `MAX_WAIT_S`: exponential back-off with full
    jitter, so that requests refused together do not come back together. Source: M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """
    bounds = np.minimum(backoff_ms / 1000 * 2.0 ** np.arange(retries), MAX_WAIT_S)
    return np.random.default_rng([seed, requests]).random((requests, retries)) * bounds


def _with_parameters(
    bodies: tuple[Body, ...], choice: np.ndarray, columns: dict[str, np.ndarray], given: dict[str, np.ndarray]
) -> tuple[tuple[Body, ...], np.ndarray, dict[str, np.ndarray]]:
    """Make one body for each combination that occurs of an earlier body and parameters; columns follow the bodies."""
    if not given:
        return bodies, choice, columns
    rows, new_choice = np.unique(np.column_stack([choice, *given.values()]), axis=0, return_inverse=True)
    check(
        len(rows) <= MAX_BODIES,
        f"{len(rows)} different requests are too many to encode beforehand (at most {MAX_BODIES}). "
        f"Use fewer different values of {' and '.join(given)}.",
    )
    made = tuple(tagged(bodies[row[0]], **dict(zip(given, map(int, row[1:]), strict=True))) for row in rows)
    columns = {name: values[rows[:, 0]] for name, values in columns.items()}
    return made, new_choice.reshape(-1), columns | dict(zip(given, rows[:, 1:].T, strict=True))
