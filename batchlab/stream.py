"""Traffic for one model of the digital twin: a schedule, and what each request of it is like."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from batchlab.schedule import Arrivals
from batchlab.twin import NS_PER_MS, NS_PER_US, Twin, policy_of
from batchlab.twin_record import lay_out
from batchlab.twin_state import NEVER, REQUEST


class SimulateError(ValueError):
    """Traffic that cannot be simulated: no requests, one larger than the largest batch, an unknown priority."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Traffic for one model of the twin.

    Attributes:
        model: the model.
        arrivals: when its requests are meant to be sent.
        batch_size: items of each request, a number or shape ``(n,)``.
        priority: level of each request as Triton counts them, 1 the highest; 0 takes the model's default.
        timeout_us: own timeout of each request, 0 for none; counts where the model allows it.
        shape: a number that names the shape of each request's inputs; None takes the schedule's sizes where the
            model batches only equal shapes.
    """

    model: Twin
    arrivals: Arrivals
    batch_size: Any = 1
    priority: Any = 0
    timeout_us: Any = 0
    shape: Any = None


def requests_of(stream: Stream, rng: np.random.Generator) -> np.ndarray:
    """Return the requests as records (`twin_state.REQUEST`), in the order in which they reach the model's queue.

    Raises:
        SimulateError: see there.
    """
    model, times = stream.model, stream.arrivals.times_s
    count = len(times)
    if count == 0:
        raise SimulateError(f"{model.name}: no requests to simulate. Lengthen the schedule or raise its rate.")
    batcher = model.config.dynamic_batching
    levels = (batcher.priority_levels if batcher else 0) or 1
    items = _column(model, "batch_size", stream.batch_size, count, 1, model.max_batch)
    asked = _column(model, "priority", stream.priority, count, 0, levels if levels > 1 else 2**31)
    jitter = np.zeros(1)
    if model.overheads.jitter_ms:
        # Exponential above a floor: no request is faster than the way itself.
        jitter = rng.exponential(model.overheads.jitter_ms * NS_PER_MS, count)
    requests = np.empty(count, REQUEST)
    lay_out(requests, times, model.overheads.send_ms * NS_PER_MS, jitter, items)
    if levels > 1:
        default = batcher.default_priority_level if batcher else 1
        requests["level"] = np.where(asked == 0, default, asked) - 1
    timeout = _timeouts_ns(stream, requests["level"] if levels > 1 else np.zeros(1, int), count)
    if timeout is not None:
        requests["expiry_ns"] = np.where(timeout > 0, requests["arrival_ns"] + timeout, NEVER)
    shape = stream.arrivals.sizes if stream.shape is None and model.same_shape else stream.shape
    if shape is not None:
        requests["shape"] = _column(model, "shape", shape, count, 0, 2**31 - 1)
    if model.overheads.jitter_ms:
        # One may have overtaken another: first come is what the queue sees.
        requests = requests[np.argsort(requests["arrival_ns"], kind="stable")]
    return requests


def _timeouts_ns(stream: Stream, level: np.ndarray, count: int) -> np.ndarray | None:
    batcher = stream.model.config.dynamic_batching
    policies = [policy_of(batcher, value) for value in range(int(level.max()) + 1)]
    defaults = np.array([policy.default_timeout_microseconds for policy in policies])
    if not defaults.any():
        return None
    timeout = defaults[level]
    own = _column(stream.model, "timeout_us", stream.timeout_us, count, 0, 2**62)
    # A request's own timeout counts only where it is allowed and the shorter one.
    allowed = np.array([policy.allow_timeout_override for policy in policies])[level]
    return np.where(allowed & (own > 0) & (own < timeout), own, timeout) * NS_PER_US


def _column(model: Twin, name: str, value: Any, count: int, low: int, high: int) -> np.ndarray:
    """Return a property of each request, shape ``(count,)``, or ``(1,)`` where it is that of all of them."""
    shape = np.shape(value)
    if shape not in ((), (count,)):
        raise SimulateError(f"{model.name}: {count} requests need one {name} or as many, got {np.size(value)}.")
    # A copy: compiled code is compiled once, for arrays that are whole and may be written.
    each = np.array(value, dtype=np.int64, ndmin=1)
    wrong = each[(each < low) | (each > high)]
    if wrong.size:
        raise SimulateError(f"{model.name}: {name} {wrong[0]} is out of range; it lies between {low} and {high}.")
    return each
