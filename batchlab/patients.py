"""Configurations that are broken on purpose, to be diagnosed from what Triton counts: each a patient.

Two learners get different patients: their order and numbers come from a seed that is made of the learner's name. The
name stands in the notebook, so that a teacher who runs it again meets the same patients. What a patient suffers from
is known here (`Patient.illness`) and not in the notebook.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from batchlab import arrivals, load
from batchlab.configuration import InstanceGroup

if TYPE_CHECKING:
    from batchlab.server import Server

CRITICAL, OTHER = "fraud_check_shared", "ad_scoring_shared"
ILLNESSES = {
    "limiter": "priorities for the rate limiter, on a server that was started without it",
    "company": "a preferred batch size that never comes together within a long wait",
    "timeout": "a default timeout in the queue of the critical model",
    "full queue": "a queue limit of the critical model that is too short",
}
# What speaks against each illness where it is not the right one.
SYMPTOMS = {
    "limiter": "then A's batches would wait inside their instance: a long mean compute, and nothing rejected.",
    "company": "then nearly all of the time would be queue, the compute a few ms, and everyone would be answered.",
    "timeout": "then Triton would count rejected requests.",
    "full queue": "then requests would be missing between client and Triton, and nothing would count them.",
}
PATIENTS = 3
ITEMS = 8  # of a request to the other model
LIMITER = 'rate_limiter {{ resources [{{ name: "R" global: true count: 1 }}] priority: {priority} }}'


def seed_of(name: str) -> int:
    """Return the seed that belongs to a name, whatever its case and its blanks; from 0 to 2^32 - 1."""
    plain = "".join(name.casefold().split())
    return int.from_bytes(hashlib.sha256(plain.encode()).digest()[:4], "big")


@dataclass(frozen=True)
class Patient:
    """Two models on one device, one of them badly configured.

    Attributes:
        number: from 1, as the ward calls it.
        illness: a key of `ILLNESSES`.
        rate_rps, other_rps: what is sent to the critical model and to the other one.
        changes, other_changes: what is changed in their configurations, by the names of `Server.reconfigure`.
        seed: of the traffic.
    """

    number: int
    illness: str
    rate_rps: float
    other_rps: float
    changes: dict[str, Any] = field(repr=False)
    other_changes: dict[str, Any] = field(repr=False)
    seed: int = field(repr=False)

    def chart(self, server: "Server", seconds: float = 3.0) -> pd.Series:
        """Watch the patient for some seconds and return what Triton counted of the critical model; put all back.

        Raises:
            ServerError: a model is not loaded, or the server is gone.
        """
        server.load(CRITICAL)
        server.load(OTHER)
        try:
            server.reconfigure(CRITICAL, **self.changes)
            server.reconfigure(OTHER, **self.other_changes)
            page = {"item": np.zeros((ITEMS, 1), np.int32)}
            traffic = {
                CRITICAL: load.Traffic(arrivals.poisson(self.rate_rps, seconds, seed=self.seed), max_lateness_ms=50),
                OTHER: load.Traffic(
                    arrivals.poisson(self.other_rps, seconds, seed=self.seed + 1), inputs=page, max_lateness_ms=50
                ),
            }
            before = server.metrics()
            run = load.mixed(server, traffic, progress=False)[CRITICAL]
            rejected = _rejected(server.metrics()) - _rejected(before)
        finally:
            server.load(CRITICAL)
            server.load(OTHER)
        told = run.server
        assert told is not None
        return pd.Series(
            {
                "sent by the client": len(run.samples),
                "answered, by Triton": told.requests,
                "rejected, by Triton": int(rejected),
                "mean queue ms": round(told.queue_ms, 1),
                "mean compute ms": round(told.compute_infer_ms, 1),
                "mean batch": round(told.mean_batch, 1),
            },
            name=f"patient {self.number}",
        )


def ward(name: str) -> list[Patient]:
    """Return the three patients of a learner, in order of their numbers."""
    rng = np.random.default_rng(seed_of(name))
    chosen = rng.permutation(sorted(ILLNESSES))[:PATIENTS]
    return [_fall_ill(number, str(illness), rng) for number, illness in enumerate(chosen, 1)]


def _fall_ill(number: int, illness: str, rng: np.random.Generator) -> Patient:
    rate_rps, seed = float(rng.integers(120, 161)), int(rng.integers(1, 10_000))
    crowd_rps, calm_rps = float(rng.integers(60, 81)), float(rng.integers(6, 11))
    impatient = {"default_timeout_microseconds": 800_000}
    if illness == "limiter":
        groups = [
            {"instance_groups": (InstanceGroup(1, "KIND_CPU", extra=LIMITER.format(priority=priority)),)}
            for priority in (1, int(rng.integers(5, 21)))
        ]
        return Patient(number, illness, rate_rps, crowd_rps, groups[0], groups[1] | impatient, seed)
    if illness == "company":
        wait_us = 1000 * int(rng.integers(40, 81))
        changes = {"preferred_batch_size": (32,), "max_queue_delay_microseconds": wait_us}
        return Patient(number, illness, rate_rps, calm_rps, changes, {"max_batch_size": ITEMS}, seed)
    other = {"max_batch_size": 2 * ITEMS} | impatient
    if illness == "timeout":
        changes = {"default_timeout_microseconds": 1000 * int(rng.integers(10, 26))}
    else:
        changes = {"max_queue_size": int(rng.integers(1, 4))}
    return Patient(number, illness, rate_rps, crowd_rps, changes, other, seed)


def _rejected(metrics: dict[str, list[tuple[dict[str, str], float]]]) -> float:
    rows = metrics.get("nv_inference_request_failure", [])
    return sum(
        value for labels, value in rows if labels.get("model") == CRITICAL and labels.get("reason") == "REJECTED"
    )
