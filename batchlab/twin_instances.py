"""The twin's instances, compiled: who takes a batch, how long its device is busy, and whom the rate limiter lets go.

Source: ``RateLimiter`` in ``src/rate_limiter.cc``, ``BackendThread`` in ``src/backend_model_instance.cc``,
triton-inference-server/core, as of 2.51.
"""

from typing import Any

import numpy as np

from batchlab.twin_batcher import merge_ahead, ride
from batchlab.twin_state import ASLEEP, NEVER, NONE, RUNNING, World, compiled, inlined


@inlined
def first_ahead(me: Any, batches: Any) -> int:
    """Take the batch that waits longest for an instance."""
    b = me.ahead_head
    me.ahead_head = batches[b].follower
    me.ahead -= 1
    return int(b)


@inlined
def take(w: World, m: int, i: int, t: int) -> None:
    """Let a free instance take the batch that waits longest."""
    b = first_ahead(w.models[m], w.batches)
    merge_ahead(w.models[m], w.requests, w.batches, b, t)
    execute(w, m, i, b, t)


@compiled
def execute(w: World, m: int, i: int, b: int, t: int) -> None:
    """Start a batch: its instance is taken now, its device when it is free."""
    me, mine = w.models[m], w.batches[b]
    busy_ns = w.service_ns[m, mine.items]
    if me.cold_ns > 0:
        busy_ns += me.cold_ns * (1 - np.exp((w.instances[m, i].ended_ns - t) / me.cooling_ns))
    if me.memoryless:
        busy_ns *= np.random.standard_exponential()
    elif me.spread > 0:
        sigma = np.sqrt(np.log(1 + me.spread**2))
        busy_ns *= np.exp(sigma * np.random.standard_normal() - sigma**2 / 2)
    start = t + me.dispatch_ns + me.dispatch_item_ns * mine.items
    if me.device != NONE:
        start = max(start, w.device_free_ns[me.device])
    ended = start + np.int64(busy_ns)
    if me.device != NONE:
        w.device_free_ns[me.device] = ended
    w.begun[m, mine.items] += 1
    w.busy_ns[m, mine.items] += ended - start
    mine.state = RUNNING
    mine.instance = i
    mine.start_ns = start
    mine.end_ns = ended
    w.instances[m, i].busy = b
    w.instances[m, i].until_ns = ended
    me.free -= 1
    ride(me, w.requests, w.batches, b, t)


@inlined
def end(w: World, m: int, i: int, t: int) -> None:
    """Free an instance; it takes what is ready before the batcher hears of it."""
    me, instance = w.models[m], w.instances[m, i]
    instance.busy = NONE
    instance.until_ns = NEVER
    instance.ended_ns = t
    me.free += 1
    if len(w.available) > 0:
        instance.executions += 1
        for k in range(len(w.available)):
            w.available[k] += w.needs[m, k]
        stage(w, m, t)
        allocate(w, t)
    elif me.ahead > 0:
        take(w, m, i, t)


@compiled
def stage(w: World, m: int, t: int) -> None:
    """Pair batches with free instances, the least used first; the pairs then wait for their resources."""
    me = w.models[m]
    while me.ahead > 0:
        chosen = NONE
        for i in range(me.instances):
            instance = w.instances[m, i]
            if instance.busy != NONE or instance.staged != NONE:
                continue
            if chosen == NONE or instance.executions < w.instances[m, chosen].executions:
                chosen = i
        if chosen == NONE:
            return
        w.instances[m, chosen].staged = first_ahead(me, w.batches)
        w.instances[m, chosen].turn = w.made[1]
        w.made[1] += 1
        me.staged += 1
        allocate(w, t)


@compiled
def allocate(w: World, t: int) -> None:
    """Run the staged pair of lowest score, executions so far times weight, if its resources are there.

    Only that one is looked at: a pair that could run waits behind one that cannot (head-of-line). Of two alike the
    first staged goes first.
    """
    model, chosen, least, turn = NONE, NONE, NEVER, NEVER
    for m in range(len(w.models)):
        for i in range(w.models[m].instances):
            instance = w.instances[m, i]
            score = instance.executions * w.models[m].weight
            if instance.staged != NONE and (score < least or (score == least and instance.turn < turn)):
                model, chosen, least, turn = m, i, score, instance.turn
    if model == NONE:
        return
    for k in range(len(w.available)):
        if w.available[k] < w.needs[model, k]:
            return
    for k in range(len(w.available)):
        w.available[k] -= w.needs[model, k]
    me = w.models[model]
    b = w.instances[model, chosen].staged
    w.instances[model, chosen].staged = NONE
    me.staged -= 1
    execute(w, model, chosen, b, t)
    # That model's batcher learns that its batch is gone.
    if me.batching and me.batcher == ASLEEP and me.queued > 0:
        me.wake_ns = t
