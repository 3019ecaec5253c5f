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
    _numbers: np.ndarray
    _made: np.ndarray

    @cached_property
    def batches(self) -> pd.DataFrame:
        """One row per batch, in order of start: ``batch``, ``closed_s`` (handed to the instances), ``start_s`` and
        ``end_s`` on the device, ``items``, ``requests``, ``instance``, ``reason`` (one of `REASONS`).
        """
        made = self._made
        frame = pd.DataFrame(
            {
                "batch": self._numbers,
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
        # Batches that were merged into others, or never begun, have no instance.
        mine = np.flatnonzero((made["model"] == i) & (made["instance"] != NONE))
        requests = played.requests[ends[i] - len(parts[i]) : ends[i]]
        # One model's batches mostly lie side by side: a view then, not a copy.
        beside = len(mine) > 0 and mine[-1] - mine[0] + 1 == len(mine)
        done = made[mine[0] : mine[-1] + 1] if beside else made[mine]
        run = _run(stream, requests, done, seed, warmup_s, dict(resources or {}))
        found[names[i]] = Replay(run, mine, done)
    return found


def _run(
    stream: Stream, requests: np.ndarray, made: np.ndarray, seed: int, warmup_s: float, resources: dict[str, int]
) -> Run:
    model, times = stream.model, stream.arrivals.times_s
    if model.overheads.jitter_ms:
        requests = requests[np.argsort(requests["place"])]
    ok = requests["status"] == ANSWERED
    error = np.full(len(ok), "", dtype=object)
    answered = requests
    if not ok.all():
        answered = requests[ok]
        for code, text in ERRORS.items():
            error[requests["status"] == code] = text
    columns = {
        "intended_s": times,
        "sent_s": times,
        "done_s": requests["done_ns"] / NS_PER_S,
        "batch_size": requests["items"].astype(np.int64),
        "ok": ok,
        "error": error,
        "priority": requests["level"].astype(np.int64) + 1,
        "taken_s": requests["start_ns"] / NS_PER_S,
        "batch": requests["batch"].astype(np.int64),
    }
    offered, capacity = float(requests["items"].sum() / stream.arrivals.seconds), model.capacity_rps()
    unstable = (
        f"unstable: {offered:.4g} items/s are offered and {capacity:.4g} can be carried; the queue grows while it lasts"
        if offered > capacity
        else ""
    )
    return Run(
        pd.DataFrame(columns, copy=False),
        Provenance(
            tier="simulated",
            model=model.name,
            server="digital twin of triton 2.51",
            profile=model.service.source,
            seed=seed,
        ),
        "simulated",
        warmup_s=warmup_s,
        server=_activity(model, answered, len(requests) - len(answered), made),
        settings={
            "arrivals": stream.arrivals.to_dict() if stream.arrivals.name != "given" else {"name": "given"},
            "config": model.config.to_json(),
            "overheads": dict(model.overheads.__dict__),
            "resources": resources,
            "unstable": unstable,
        },
    )


def _activity(model: Twin, answered: np.ndarray, failures: int, made: np.ndarray) -> Activity:
    sizes, busy_ms = made["items"], (made["end_ns"] - made["start_ns"]) / NS_PER_MS
    counts, total = np.bincount(sizes), np.bincount(sizes, weights=busy_ms)
    seen = np.flatnonzero(counts)
    riders = max(len(answered), 1)
    ended = float((made["end_ns"] * made["requests"]).sum() / NS_PER_MS)
    taken, arrived = (float(answered[name].sum(dtype=float) / NS_PER_MS) for name in ("start_ns", "arrival_ns"))
    return Activity(
        model=model.name,
        requests=len(answered),
        failures=failures,
        inferences=int(answered["items"].sum()),
        executions=len(made),
        queue_ms=(taken - arrived) / riders,
        compute_input_ms=0.0,
        compute_infer_ms=(ended - taken) / riders,
        compute_output_ms=0.0,
        batches={int(size): int(counts[size]) for size in seen},
        batch_compute_ms={int(size): float(total[size] / counts[size]) for size in seen},
    )
