"""The twin's clock, compiled: what arrives, what ends, and the moments when the batcher looks.

Source: ``Enqueue``, ``BatcherThread`` and ``WaitForPayloadSlotAvailable`` in ``src/dynamic_batch_scheduler.cc``,
triton-inference-server/core, as of 2.51.
"""

import numpy as np

from batchlab.twin_batcher import US, choose, fill, join, new_batch
from batchlab.twin_instances import end, stage, take
from batchlab.twin_queue import enqueue, sweep_expired, tell_refused
from batchlab.twin_state import (
    ASLEEP,
    AT_ONCE,
    EMPTY,
    NAP_NS,
    NEVER,
    NONE,
    QUEUED,
    RUNNING,
    WANTS_SLOT,
    World,
    compiled,
    inlined,
)

END, ARRIVAL, WAKE = 0, 1, 2


@compiled
def run(w: World, seed: int) -> None:
    """Play every request of `w` to its end; what happened is written into its requests and batches."""
    np.random.seed(seed)
    play(w)


@compiled
def play(w: World) -> None:
    """Take one event after the other."""
    models, requests = w.models, w.requests
    count = len(models)
    for m in range(count):
        new_batch(models[m], w.batches, w.made, m)
    while True:
        t, what, at, i = NEVER, NONE, 0, 0
        # A moment's order: what ends comes first, so that a new request finds the instance free.
        for m in range(count):
            for k in range(models[m].instances):
                if w.instances[m, k].until_ns < t:
                    t, what, at, i = w.instances[m, k].until_ns, END, m, k
        for m in range(count):
            me = models[m]
            if me.following < me.last and requests[me.following].arrival_ns < t:
                t, what, at = requests[me.following].arrival_ns, ARRIVAL, m
        for m in range(count):
            if models[m].wake_ns < t:
                t, what, at = models[m].wake_ns, WAKE, m
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
                if taken and not look and me.wake_ns == NEVER:
                    # It sleeps in naps, and sees at the end of one what nobody woke it for.
                    me.wake_ns = me.since_ns + max(-((me.since_ns - t) // NAP_NS), 1) * NAP_NS
        elif what == END:
            lone = w.batches[w.instances[at, i].busy].requests == 1
            end(w, at, i, t)
            look = me.batching and (me.batcher == ASLEEP or slot(w, at))
            if look and misses(w, at, lone):
                look = False
                if me.batcher == ASLEEP:
                    want_slot(w, at, t)
        elif me.batcher == WANTS_SLOT:
            sweep_expired(me, w.levels, w.queues, requests, at, t)
            look = me.queued > 0
            if not look:
                me.wake_ns, me.since_ns = NEVER, t
        if look:
            batch(w, at, t)


@inlined
def slot(w: World, m: int) -> bool:
    """Return whether the batcher may form another batch."""
    me = w.models[m]
    if me.prefetch:
        # Under the rate limiter batches wait outside the queue that is counted, so there is always a slot.
        return len(w.available) > 0 or me.ahead < 2 * me.instances
    return me.free - me.staged > me.ahead


@inlined
def misses(w: World, m: int, lone: bool) -> bool:
    """Return whether the batcher, told that an instance ended, looks before that instance counts as free.

    `lone`: what ended was a batch of a single request.
    """
    me = w.models[m]
    if me.prefetch or me.missed_wake == 0:
        return False
    if me.queued == 0:
        me.row = 0
        return False
    me.row += 1
    share = me.missed_wake
    if lone:
        share *= me.missed_lone
        if me.missed_row > 0:
            share *= 1 - np.exp(-me.row / me.missed_row)
    # With another instance free there is a slot, whatever becomes of this one.
    needed = me.free - me.staged == me.ahead + 1
    return needed and np.random.random() < share


@inlined
def want_slot(w: World, m: int, t: int) -> None:
    """Let the batcher sleep until a request comes while there is a slot, or its nap is over."""
    me = w.models[m]
    renew(w, m)
    me.batcher, me.wake_ns = WANTS_SLOT, t + NAP_NS


@inlined
def renew(w: World, m: int) -> None:
    """Begin a new batch where the current one takes no more."""
    me = w.models[m]
    if me.saturated or w.batches[me.current].state == RUNNING:
        new_batch(me, w.batches, w.made, m)
        me.next_preferred = 0


@inlined
def batch(w: World, m: int, t: int) -> None:
    """Let the batcher thread look at its queue until it has nothing more to do."""
    me = w.models[m]
    tell_refused(me, w.requests, t)
    while True:
        if not me.batching:
            if w.batches[me.current].items > 0:
                hand_over(w, m, t)
                new_batch(me, w.batches, w.made, m)
            return
        renew(w, m)
        if me.queued == 0:
            me.batcher, me.wake_ns, me.since_ns = ASLEEP, NEVER, t
            return
        if not slot(w, m):
            want_slot(w, m, t)
            return
        wait_ns, count, reason = choose(me, w.levels, w.queues, w.requests, w.batches, w.preferred, m, t)
        if wait_ns > 0:
            # A thread's timer rings late, never early: what expires at that moment has expired when it looks.
            me.batcher, me.wake_ns = ASLEEP, t + wait_ns + US
            return
        if count > 0:
            fill(me, w.queues, w.requests, w.batches, m, count, reason)
            if w.batches[me.current].state == EMPTY:
                hand_over(w, m, t)
        tell_refused(me, w.requests, t)
        if count == 0 and me.queued > 0 and me.saturated == 0:
            # The next has another shape than the batch that waits for its instance: until it is gone, nothing to do.
            me.batcher, me.wake_ns, me.since_ns = ASLEEP, NEVER, t
            return


@inlined
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
