"""Triton's dynamic batcher, rule by rule, compiled: which requests leave together, and when.

Source: ``GetDynamicBatch`` in ``src/dynamic_batch_scheduler.cc``, ``InstanceQueue::Dequeue`` in
``src/instance_queue.cc``, triton-inference-server/core, as of 2.51. `batchlab.twin_state` names the records.
"""

from typing import Any

from batchlab.twin_queue import cut, expire
from batchlab.twin_state import (
    ANSWERED,
    AT_ONCE,
    DELAY,
    FULL,
    NEVER,
    NONE,
    PREFERRED,
    RUNNING,
    SHAPE,
    compiled,
    inlined,
)

US = 1_000


@inlined
def choose(
    me: Any, levels: Any, queues: Any, requests: Any, batches: Any, preferred: Any, m: int, t: int
) -> tuple[int, int, int]:
    """Decide about the waiting requests: ``(wait_ns, requests to send, why)``; a wait of 0 means now."""
    current = batches[me.current]
    held = current.items
    best, best_count, items, count = 0, 0, 0, 0
    oldest, closest = NEVER, NEVER
    stop = False
    reason = DELAY if me.delay_ns > 0 else AT_ONCE
    shape = requests[current.head].shape if held > 0 else NONE
    for level in range(levels.shape[1]):
        for kind in range(2):
            before, r = NONE, queues[m, level, kind].head
            # What expires here goes to this level's second queue, which is looked at next.
            while r != NONE and not stop:
                request = requests[r]
                after = request.follower
                if kind == 0 and t > request.expiry_ns:
                    expire(me, levels, queues, requests, m, level, before, r)
                    if levels[m, level].delays_late == 0:
                        me.queued_items -= request.items
                    r = after
                    continue
                if held + count == 0:
                    shape = request.shape
                else:
                    if held + items + request.items > me.max_preferred and best == 0:
                        best, best_count = items, count
                        me.saturated = 1
                    if held + items + request.items > me.max_batch:
                        stop, reason = True, FULL
                        break
                    if me.same_shape and request.shape != shape:
                        current.sealed = 1
                        stop, reason = True, SHAPE
                        break
                items += request.items
                count += 1
                oldest = min(oldest, request.arrival_ns)
                if kind == 0:
                    closest = min(closest, request.expiry_ns)
                if preferred[m, items + held]:
                    best, best_count = items, count
                before, r = r, after
            if stop:
                break
        if stop:
            break
    late = me.delay_ns > 0 and (count == 0 or t - oldest >= me.delay_ns)
    if best != 0 and not late:
        if me.delay_ns == 0:
            me.saturated = 1
        if best + held >= me.max_batch:
            reason = FULL
        elif not (stop and best == items):
            reason = PREFERRED
        return 0, best_count, reason
    if count == 0:
        return 0, 0, reason
    if stop or held + items >= me.max_preferred:
        me.saturated = 1
        return 0, count, reason if stop else FULL
    if late or me.delay_ns == 0:
        return 0, count, reason
    me.next_preferred = next_preferred(preferred, m, items + held, me.min_preferred) - held
    # A batch that waits for its instance and may still grow takes them in at once.
    if me.saturated == 0 and held != 0 and not preferred[m, held]:
        return 0, count, reason
    wait = me.delay_ns - (t - oldest)
    if closest != NEVER:
        wait = min(closest - t, wait) if t <= closest else US
    return wait // US * US, count, reason


@inlined
def next_preferred(preferred: Any, m: int, items: int, smallest: int) -> int:
    """Return the first preferred size above `items`, else the smallest of all."""
    for size in range(items + 1, preferred.shape[1]):
        if preferred[m, size]:
            return size
    return smallest


@inlined
def new_batch(me: Any, batches: Any, made: Any, m: int) -> None:
    """Begin another batch."""
    b = made[0]
    made[0] += 1
    batch = batches[b]
    batch.model = m
    batch.head = batch.tail = batch.follower = batch.instance = NONE
    batch.oldest_ns = NEVER
    me.current = b
    me.saturated = 0


@inlined
def join(requests: Any, batches: Any, b: int, r: int) -> None:
    """Add one request to a batch."""
    request, batch = requests[r], batches[b]
    request.follower = NONE
    if batch.head == NONE:
        batch.head = r
    else:
        requests[batch.tail].follower = r
    batch.tail = r
    batch.items += request.items
    batch.requests += 1
    batch.oldest_ns = min(batch.oldest_ns, request.arrival_ns)


@inlined
def fill(me: Any, queues: Any, requests: Any, batches: Any, m: int, count: int, reason: int) -> None:
    """Move the first `count` requests, highest level first, from the queues into the current batch."""
    level, kind = 0, 0
    while count > 0:
        queue = queues[m, level, kind]
        if queue.count == 0:
            kind += 1
            if kind == 2:
                level, kind = level + 1, 0
            continue
        r = queue.head
        cut(queue, requests, NONE, r)
        me.queued -= 1
        me.queued_items -= requests[r].items
        join(requests, batches, me.current, r)
        count -= 1
    batches[me.current].reason = reason


@compiled
def merge_ahead(me: Any, requests: Any, batches: Any, b: int, t: int) -> None:
    """Let a batch that an instance takes swallow those behind it that have waited out the delay and fit in."""
    batch = batches[b]
    if me.delay_ns == 0 or me.max_batch <= 1 or batch.sealed:
        return
    while me.ahead > 0:
        other = batches[me.ahead_head]
        if other.sealed or t - other.oldest_ns <= me.delay_ns:
            return
        # Looked at is closed, even where it does not fit: the batcher adds no more to it.
        other.state = RUNNING
        if batch.items + other.items > me.max_batch:
            return
        if me.same_shape and requests[batch.head].shape != requests[other.head].shape:
            return
        me.ahead_head = other.follower
        me.ahead -= 1
        requests[batch.tail].follower = other.head
        batch.tail = other.tail
        batch.items += other.items
        batch.requests += other.requests
        batch.oldest_ns = min(batch.oldest_ns, other.oldest_ns)
        other.items = other.requests = 0
        other.head = NONE


@inlined
def ride(me: Any, requests: Any, batches: Any, b: int, t: int) -> None:
    """Tell every request of a batch that runs when it was taken, and when its answer comes."""
    r = batches[b].head
    done = batches[b].end_ns + me.answer_ns
    while r != NONE:
        request = requests[r]
        request.status = ANSWERED
        request.batch = b
        request.start_ns = t
        request.done_ns = done
        r = request.follower
