"""The arrays of the digital twin: what Triton is told, what is asked of it, and what it has in hand.

The twin's loop is compiled, and compiled code wants arrays. Each noun is one array of records. Times are whole
nanoseconds.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from batchlab import twin_cache

NEVER = np.iinfo(np.int64).max
LONG_AGO_NS = -(10**15)
NONE = -1
"""Stands for "no request", "no batch", "no device"."""

NAP_NS = 500_000_000
"""How often the batcher looks anew, and sweeps expired requests, while no instance is free."""

# States of a batch on its way (the payload of Triton's sources).
EMPTY, QUEUED, RUNNING = 0, 1, 2
# What Triton's batcher thread is doing.
ASLEEP, WANTS_SLOT = 0, 1
# Why a batch was closed.
AT_ONCE, FULL, PREFERRED, DELAY, SHAPE = 0, 1, 2, 3, 4
REASONS = ("no wait", "full", "preferred size", "wait over", "other shape")
# What became of a request.
PENDING, ANSWERED, QUEUE_FULL, EXPIRED = 0, 1, 2, 3

MODEL = np.dtype(
    [
        ("batching", "i8"),  # 0: requests go to the instances as they come
        ("max_batch", "i8"),
        ("max_preferred", "i8"),
        ("min_preferred", "i8"),
        ("delay_ns", "i8"),
        ("instances", "i8"),
        ("prefetch", "i8"),  # batches are formed ahead of the instances
        ("same_shape", "i8"),  # only requests of one shape ride together
        ("device", "i8"),  # models of one device wait for each other; NONE: each instance computes for itself
        ("weight", "i8"),  # the rate limiter's priority
        ("dispatch_ns", "i8"),  # from the choice of a batch to the start of its device
        ("dispatch_item_ns", "i8"),  # more for each item of the batch
        ("answer_ns", "i8"),  # from the device to the client
        ("missed_wake", "f8"),  # how often the batcher does not notice that an instance became free
        ("missed_lone", "f8"),  # so many times that after a batch of one request
        ("missed_row", "f8"),  # over so many ends with work waiting it comes to that
        ("row", "i8"),  # ends in a row that found work waiting
        ("cold_ns", "i8"),  # what a batch takes longer after a long pause of its instance
        ("cooling_ns", "f8"),  # such a pause is long
        ("memoryless", "i8"),  # exponential service times
        ("spread", "f8"),  # coefficient of variation of the service time
        ("following", "i8"),  # the next request to arrive
        ("last", "i8"),  # one beyond the last
        ("queued", "i8"),  # requests in all its queues
        ("queued_items", "i8"),
        ("current", "i8"),  # the batch that the batcher is filling
        ("saturated", "i8"),  # that batch takes no more
        ("next_preferred", "i8"),  # below so many queued items an arrival does not wake the batcher
        ("batcher", "i8"),  # ASLEEP or WANTS_SLOT
        ("wake_ns", "i8"),
        ("since_ns", "i8"),  # when it fell asleep without work
        ("refused", "i8"),  # requests refused, not yet told so
        ("ahead_head", "i8"),  # batches formed, no instance yet
        ("ahead_tail", "i8"),
        ("ahead", "i8"),
        ("free", "i8"),  # idle instances
        ("staged", "i8"),  # idle instances that wait for the rate limiter
    ]
)
LEVEL = np.dtype([("max_queue", "i8"), ("delays_late", "i8")])
QUEUE = np.dtype([("head", "i8"), ("tail", "i8"), ("count", "i8")])
INSTANCE = np.dtype(
    [
        ("busy", "i8"),  # its batch
        ("until_ns", "i8"),
        ("ended_ns", "i8"),  # its last batch
        ("staged", "i8"),
        ("turn", "i8"),
        ("executions", "i8"),
    ]
)
REQUEST = np.dtype(
    [
        ("arrival_ns", "i8"),  # at Triton's queue
        ("expiry_ns", "i8"),  # NEVER: none
        ("start_ns", "i8"),  # taken by an instance
        ("done_ns", "i8"),  # the client has its answer
        ("place", "i4"),  # in the schedule
        ("items", "i4"),
        ("shape", "i4"),
        ("follower", "i4"),  # in the same queue or batch
        ("batch", "i4"),
        ("level", "i2"),  # from 0, the highest
        ("status", "i2"),
    ]
)
BATCH = np.dtype(
    [
        ("closed_ns", "i8"),  # handed over by the batcher
        ("start_ns", "i8"),  # on its device
        ("end_ns", "i8"),  # off its device
        ("oldest_ns", "i8"),
        ("head", "i4"),
        ("tail", "i4"),
        ("items", "i4"),
        ("requests", "i4"),
        ("follower", "i4"),
        ("model", "i2"),
        ("instance", "i2"),
        ("state", "i1"),
        ("sealed", "i1"),  # another shape came: never merged
        ("reason", "i1"),
    ]
)

# Every compiled module of the twin begins with this one.
twin_cache.forget_stale(Path(__file__).parent)
# The loop makes no array. Numba would still count the holders of each one that is named, at every branch: most of the
# loop's time.
UNCOUNTED: dict[str, Any] = {"cache": True, "_nrt": False}
compiled = njit(**UNCOUNTED)
inlined = njit(**UNCOUNTED, forceinline=True)


class World(NamedTuple):
    """Everything that the loop reads and writes."""

    models: np.ndarray  # [model] MODEL
    levels: np.ndarray  # [model, level] LEVEL
    queues: np.ndarray  # [model, level, 2] QUEUE: unexpired, and expired ones that wait on
    instances: np.ndarray  # [model, instance] INSTANCE
    requests: np.ndarray  # [request] REQUEST, model after model, each in order of arrival
    batches: np.ndarray  # [batch] BATCH
    made: np.ndarray  # [2] how many batches there are; how many turns the rate limiter has given
    preferred: np.ndarray  # [model, batch size] bool
    service_ns: np.ndarray  # [model, batch size] float
    needs: np.ndarray  # [model, resource]
    available: np.ndarray  # [resource]; empty: no rate limiter
    device_free_ns: np.ndarray  # [device]
    begun: np.ndarray  # [model, batch size] batches that an instance took
    busy_ns: np.ndarray  # [model, batch size] their time on the device, together


def idle(models: np.ndarray, levels: np.ndarray, requests: np.ndarray, **tables: np.ndarray) -> World:
    """Return a server at rest, with these requests on their way."""
    count, depth = levels.shape
    queues = np.zeros((count, depth, 2), QUEUE)
    queues["head"] = queues["tail"] = NONE
    instances = np.zeros((count, int(models["instances"].max())), INSTANCE)
    instances["busy"] = instances["staged"] = NONE
    instances["until_ns"] = NEVER
    instances["ended_ns"] = LONG_AGO_NS
    models = models.copy()
    models["free"] = models["instances"]
    models["wake_ns"] = NEVER
    for name in ("current", "ahead_head", "ahead_tail", "refused"):
        models[name] = NONE
    return World(
        models=models,
        levels=levels,
        queues=queues,
        instances=instances,
        requests=requests,
        batches=np.zeros(len(requests) + count + 1, BATCH),
        made=np.zeros(2, np.int64),
        device_free_ns=np.zeros(int(models["device"].max()) + 1, np.int64),
        begun=np.zeros(tables["service_ns"].shape, np.int64),
        busy_ns=np.zeros(tables["service_ns"].shape, np.int64),
        **tables,
    )
