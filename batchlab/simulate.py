"""The digital twin: Triton's scheduling played without a server, millions of requests a second.

Same rules, same schedule, same record as a real run. What it knows of a server is its configuration and a calibration;
what it does not know (other programs on the machine, a sender that is late) it does not invent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from batchlab import twin_kernel
from batchlab.measure import Run
from batchlab.provenance import Provenance
from batchlab.schedule import Arrivals
from batchlab.statistics import Activity
from batchlab.stream import SimulateError, Stream, requests_of
from batchlab.twin import NS_PER_MS, NS_PER_S, Twin, world
from batchlab.twin_record import read
from batchlab.twin_state import ANSWERED, EXPIRED, NONE, QUEUE_FULL, REASONS

__all__ = ["Replay", "SimulateError", "Stream", "replay", "simulate"]

ERRORS = {QUEUE_FULL: "503: Exceeds maximum queue size", EXPIRED: "503: Request timeout expired"}


@dataclass(frozen=True, eq=False)
class Replay:
    """A simulated run, and each of its batches.

    Attributes:
        run: the record, as of a real run; its samples also say when a request was ``taken_s`` and in which ``batch``.
    """

    run: Run
    _model: int
    _made: np.ndarray

    @cached_property
    def batches(self) -> pd.DataFrame:
        """One row per batch, in order of start: ``batch``, ``closed_s`` (handed to the instances), ``start_s`` and
        ``end_s`` on the device, ``items``, ``requests``, ``instance``, ``reason`` (one of `REASONS`).
        """
        # Batches that were merged into others, or never begun, have no instance.
        numbers = np.flatnonzero((self._made["model"] == self._model) & (self._made["instance"] != NONE))
        made = self._made[numbers]
        frame = pd.DataFrame(
            {
                "batch": numbers,
                "closed_s": made["closed_ns"] / NS_PER_S,
                "start_s": made["start_ns"] / NS_PER_S,
                "end_s": made["end_ns"] / NS_PER_S,
                "items": made["items"].astype(np.int64),
                "requests": made["requests"].astype(np.int64),
                "instance": made["instance"].astype(np.int64),
                "reason": pd.Categorical.from_codes(made["reason"], categories=list(REASONS)),
            }
        )
        return frame.sort_values("start_s", ignore_index=True, kind="stable")


def simulate(model: Twin, arrivals: Arrivals, *, seed: int = 0, warmup_s: float = 0.0, **stream: Any) -> Run:
    """Play `arrivals` on the twin of one model.

    Args:
        seed: of the service times' spread and the jitter; the schedule has its own.
        warmup_s: requests meant to be sent earlier count in no statistic.
        stream: further fields of `Stream`.

    Returns:
        A run of kind ``"simulated"``. Where more is offered than the model can carry, ``settings["unstable"]`` says so.

    Raises:
        SimulateError: see there.
    """
    return replay([Stream(model, arrivals, **stream)], seed=seed, warmup_s=warmup_s)[model.name].run


def replay(
    streams: Sequence[Stream], *, resources: Mapping[str, int] | None = None, seed: int = 0, warmup_s: float = 0.0
) -> dict[str, Replay]:
    """Play several models side by side, on shared devices or apart.

    Args:
        streams: one per model.
        resources: turns Triton's rate limiter on, with so much of each resource
            (``--rate-limit=execution_count --rate-limit-resource=R:1``).

    Returns:
        The account of each model by its name.

    Raises:
        SimulateError, TwinError: see there.
    """
    names = [stream.model.name for stream in streams]
    if not names or len(set(names)) < len(names):
        raise SimulateError(f"Each stream needs a model of its own name, got {names}.")
    parts = [requests_of(stream, np.random.default_rng([seed, i])) for i, stream in enumerate(streams)]
    played = world([stream.model for stream in streams], parts, resources)
    twin_kernel.run(played, seed)
    ends = np.cumsum([len(part) for part in parts])
    made = played.batches[: played.made[0]]
    found = {}
    for i, stream in enumerate(streams):
        requests = played.requests[ends[i] - len(parts[i]) : ends[i]]
        samples, activity = _account(stream, requests, played.begun[i], played.busy_ns[i])
        found[names[i]] = Replay(_run(stream, samples, activity, seed, warmup_s, dict(resources or {})), i, made)
    return found


def _account(
    stream: Stream, requests: np.ndarray, begun: np.ndarray, busy_ns: np.ndarray
) -> tuple[pd.DataFrame, Activity]:
    """Return a model's samples, in the order of the schedule, and what its server would count of them.

    Args:
        requests: as the loop left them.
        begun, busy_ns: its batches by size, and their time on the device.
    """
    model, times, count = stream.model, stream.arrivals.times_s, len(requests)
    done_s, taken_s = np.empty(count), np.empty(count)
    items, priority, batch = (np.empty(count, np.int64) for _ in range(3))
    status = np.empty(count, np.int8)
    answer_ns = round(model.overheads.answer_ms * NS_PER_MS)
    answered, inferences, waited_ns, served_ns = read(
        requests, answer_ns, done_s, taken_s, items, priority, batch, status
    )
    samples = pd.DataFrame(
        {
            "intended_s": times,
            "sent_s": times,
            "done_s": done_s,
            "batch_size": items,
            "ok": status == ANSWERED,
            "error": _errors(status),
            "priority": priority,
            "taken_s": taken_s,
            "batch": batch,
        },
        copy=False,
    )
    riders = max(answered, 1)
    sizes = np.flatnonzero(begun).tolist()
    activity = Activity(
        model=model.name,
        requests=answered,
        failures=count - answered,
        inferences=inferences,
        executions=int(begun.sum()),
        queue_ms=waited_ns / NS_PER_MS / riders,
        compute_input_ms=0.0,
        compute_infer_ms=served_ns / NS_PER_MS / riders,
        compute_output_ms=0.0,
        batches={size: int(begun[size]) for size in sizes},
        batch_compute_ms={size: float(busy_ns[size] / NS_PER_MS / begun[size]) for size in sizes},
    )
    return samples, activity


def _errors(status: np.ndarray) -> Any:
    # Taken from an array of texts, so that pandas need not look at each of them.
    texts = pd.array([ERRORS.get(code, "") for code in range(status.max() + 1)], dtype="str")
    return texts.take(status)


def _run(
    stream: Stream, samples: pd.DataFrame, activity: Activity, seed: int, warmup_s: float, resources: dict[str, int]
) -> Run:
    model = stream.model
    offered, capacity = float(samples["batch_size"].sum() / stream.arrivals.seconds), model.capacity_rps()
    unstable = (
        f"unstable: {offered:.4g} items/s are offered and {capacity:.4g} can be carried; the queue grows while it lasts"
        if offered > capacity
        else ""
    )
    return Run(
        samples,
        Provenance(
            tier="simulated",
            model=model.name,
            server="digital twin of triton 2.51",
            profile=model.service.source,
            seed=seed,
        ),
        "simulated",
        warmup_s=warmup_s,
        server=activity,
        settings={
            "arrivals": stream.arrivals.to_dict() if stream.arrivals.name != "given" else {"name": "given"},
            "config": model.config.to_json(),
            "overheads": dict(model.overheads.__dict__),
            "resources": resources,
            "unstable": unstable,
        },
    )
