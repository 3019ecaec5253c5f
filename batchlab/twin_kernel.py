"""The twin's clock, compiled: arrivals, instances, devices, the rate limiter, and the moments when the batcher looks.

Source: ``Enqueue``, ``BatcherThread`` and ``WaitForPayloadSlotAvailable`` in ``src/dynamic_batch_scheduler.cc``,
``RateLimiter`` in ``src/rate_limiter.cc``, ``BackendThread`` in ``src/backend_model_instance.cc``,
triton-inference-server/core, as of 2.51.
"""

from typing import Any

import numpy as np
from numba import njit

from batchlab.twin_batcher import choose, fill, join, merge_ahead, new_batch, ride
from batchlab.twin_queue import compiled, enqueue, sweep_expired
from batchlab.twin_state import ASLEEP, AT_ONCE, EMPTY, NEVER, NONE, QUEUED, RUNNING, WANTS_SLOT, World

NAP_NS = 500_000_000
"""How often the batcher looks anew, and sweeps expired requests, while no instance is free."""
END, ARRIVAL, WAKE = 0, 1, 2


@njit(cache=True)
def run(w: World, seed: int) -> None:
    """Play every request of `w` to its end; what happened is written into its requests and batches."""
    np.random.seed(seed)
    models, requests = w.models, w.requests
    count = len(models)
    for m in range(count):
        new_batch(models[m], w.batches, w.made, m)
    while True:
        t, what, at, i = NEVER, NONE, 0, 0
        for m in range(count):
            me = models[m]
            # A moment's order: what ends comes first, so that a new request finds the instance free.
            for k in range(me.instances):
                if w.instances[m, k].until_ns < t:
                    t, what, at, i = w.instances[m, k].until_ns, END, m, k
            if me.following < me.last and requests[me.following].arrival_ns < t:
                t, what, at = requests[me.following].arrival_ns, ARRIVAL, m
            if me.wake_ns < t:
                t, what, at = me.wake_ns, WAKE, m
        if what == NONE:
            return
        me = models[at]
        look = True
        if what == ARRIVAL:
            r = me.following
            me.following += 1
            if not me.batching:
                # Every request is a batch of its own, in front of the instances as it came.
                join(requests, w.batches, me.current, r)
                w.batches[me.current].reason = AT_ONCE
            else:
                taken = enqueue(me, w.levels, w.queues, requests, at, r)
                stale = me.saturated or w.batches[me.current].state == RUNNING
                enough = stale or me.same_shape or me.queued_items >= me.next_preferred
                look = taken and enough and slot(w, at)
        elif what == END:
            end(w, at, i, t)
            look = me.batching and (me.batcher == ASLEEP or slot(w, at))
            if look and me.batcher == WANTS_SLOT and not me.prefetch and me.missed_wake > 0:
                look = np.random.random() >= me.missed_wake
        elif me.batcher == WANTS_SLOT:
            sweep_expired(me, w.levels, w.queues, requests, at, t)
        if look:
            batch(w, at, t)


@compiled
def slot(w: World, m: int) -> bool:
    """Return whether the batcher may form another batch."""
    me = w.models[m]
    if me.prefetch:
        # Under the rate limiter batches wait outside the queue that is counted, so there is always a slot.
        return len(w.available) > 0 or me.ahead < 2 * me.instances
    return me.free - me.staged > me.ahead


@compiled
def batch(w: World, m: int, t: int) -> None:
    """Let the batcher thread look at its queue until it has nothing more to do."""
    me = w.models[m]
    while True:
        if not me.batching:
            if w.batches[me.current].items > 0:
                hand_over(w, m, t)
                new_batch(me, w.batches, w.made, m)
            return
        if me.saturated or w.batches[me.current].state == RUNNING:
            new_batch(me, w.batches, w.made, m)
            me.next_preferred = 0
        if me.queued == 0:
            me.batcher, me.wake_ns = ASLEEP, NEVER
            return
        if not slot(w, m):
            me.batcher, me.wake_ns = WANTS_SLOT, t + NAP_NS
            return
        wait_ns, count, reason = choose(me, w.levels, w.queues, w.requests, w.batches, w.preferred, m, t)
        if wait_ns > 0:
            me.batcher, me.wake_ns = ASLEEP, t + wait_ns
            return
        if count > 0:
            fill(me, w.queues, w.requests, w.batches, m, count, reason)
            if w.batches[me.current].state == EMPTY:
                hand_over(w, m, t)


@compiled
def hand_over(w: World, m: int, t: int) -> None:
    """Give the current batch to the instances; it may grow until one of them takes it."""
    me = w.models[m]
    b = me.current
    w.batches[b].state = QUEUED
    w.batches[b].closed_ns = t
    if me.ahead == 0:
        me.ahead_head = b
    else:
        w.batches[me.ahead_tail].follower = b
    me.ahead_tail = b
    me.ahead += 1
    if len(w.available) > 0:
        stage(w, m, t)
    elif me.free > 0:
        for i in range(me.instances):
            if w.instances[m, i].busy == NONE:
                take(w, m, i, t)
                break


@compiled
def first_ahead(me: Any, batches: Any) -> int:
    """Take the batch that waits longest for an instance."""
    b = me.ahead_head
    me.ahead_head = batches[b].follower
    me.ahead -= 1
    return int(b)


@compiled
def take(w: World, m: int, i: int, t: int) -> None:
    """Let a free instance take the batch that waits longest."""
    b = first_ahead(w.models[m], w.batches)
    merge_ahead(w.models[m], w.requests, w.batches, b, t)
    execute(w, m, i, b, t)


@njit(cache=True)
def execute(w: World, m: int, i: int, b: int, t: int) -> None:
    """Start a batch: its instance is taken now, its device when it is free."""
    me, mine = w.models[m], w.batches[b]
    busy_ns = w.service_ns[m, mine.items]
    if me.spread > 0:
        sigma = np.sqrt(np.log(1 + me.spread**2))
        busy_ns *= np.exp(sigma * np.random.standard_normal() - sigma**2 / 2)
    start = t + me.dispatch_ns + me.dispatch_item_ns * mine.items
    if me.device != NONE:
        start = max(start, w.device_free_ns[me.device])
        w.device_free_ns[me.device] = start + np.int64(busy_ns)
    mine.state = RUNNING
    mine.instance = i
    mine.start_ns = start
    mine.end_ns = start + np.int64(busy_ns)
    w.instances[m, i].busy = b
    w.instances[m, i].until_ns = mine.end_ns
    me.free -= 1
    ride(me, w.requests, w.batches, b, t)


@compiled
def end(w: World, m: int, i: int, t: int) -> None:
    """Free an instance; it takes what is ready before the batcher hears of it."""
    me, instance = w.models[m], w.instances[m, i]
    instance.busy = NONE
    instance.until_ns = NEVER
    me.free += 1
    if len(w.available) > 0:
        instance.executions += 1
        for k in range(len(w.available)):
            w.available[k] += w.needs[m, k]
        stage(w, m, t)
        allocate(w, t)
    elif me.ahead > 0:
        take(w, m, i, t)


@njit(cache=True)
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
        me.staged += 1
        allocate(w, t)


@njit(cache=True)
def allocate(w: World, t: int) -> None:
    """Run the staged pair of lowest score, executions so far times weight, if its resources are there.

    Only that one is looked at: a pair that could run waits behind one that cannot (head-of-line).
    """
    model, chosen, least = NONE, NONE, NEVER
    for m in range(len(w.models)):
        for i in range(w.models[m].instances):
            score = w.instances[m, i].executions * w.models[m].weight
            if w.instances[m, i].staged != NONE and score < least:
                model, chosen, least = m, i, score
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
