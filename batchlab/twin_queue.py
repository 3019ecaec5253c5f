"""The queues in front of Triton's batcher, compiled: priority levels, limits, and requests that wait too long.

Source: ``PriorityQueue`` and ``PolicyQueue`` in ``src/scheduler_utils.cc``, triton-inference-server/core, as of 2.51.
`batchlab.twin_state` names the records.
"""

from typing import Any

from batchlab.twin_state import EXPIRED, NONE, QUEUE_FULL, compiled, inlined


@inlined
def push(queue: Any, requests: Any, r: int) -> None:
    """Put a request at the end of a queue."""
    requests[r].follower = NONE
    if queue.count == 0:
        queue.head = r
    else:
        requests[queue.tail].follower = r
    queue.tail = r
    queue.count += 1


@inlined
def cut(queue: Any, requests: Any, before: int, r: int) -> None:
    """Take `r` out of its queue, where it follows `before` (NONE: it is the first)."""
    after = requests[r].follower
    if before == NONE:
        queue.head = after
    else:
        requests[before].follower = after
    if after == NONE:
        queue.tail = before
    queue.count -= 1


@inlined
def enqueue(me: Any, levels: Any, queues: Any, requests: Any, m: int, r: int) -> bool:
    """Take a request into its level's queue, or refuse it (HTTP 503) when that is full."""
    request = requests[r]
    level = request.level
    limit = levels[m, level].max_queue
    # Counted before it is refused, and never taken back: so it is in Triton.
    me.queued_items += request.items
    if limit > 0 and queues[m, level, 0].count + queues[m, level, 1].count >= limit:
        request.status = QUEUE_FULL
        request.start_ns = request.arrival_ns
        request.done_ns = request.arrival_ns + me.answer_ns
        return False
    push(queues[m, level, 0], requests, r)
    me.queued += 1
    return True


@compiled
def expire(me: Any, levels: Any, queues: Any, requests: Any, m: int, level: int, before: int, r: int) -> None:
    """Refuse a request that waited too long, or let it wait behind the others, as its level's policy says."""
    cut(queues[m, level, 0], requests, before, r)
    if levels[m, level].delays_late:
        push(queues[m, level, 1], requests, r)
        return
    me.queued -= 1
    requests[r].follower = me.refused
    me.refused = r


@compiled
def tell_refused(me: Any, requests: Any, t: int) -> None:
    """Answer the refused requests; Triton does so only when its batcher has slept out the wait it had decided on."""
    while me.refused != NONE:
        request = requests[me.refused]
        me.refused = request.follower
        request.status = EXPIRED
        request.start_ns = t
        request.done_ns = t + me.answer_ns


@compiled
def sweep_expired(me: Any, levels: Any, queues: Any, requests: Any, m: int, t: int) -> None:
    """Refuse what has expired, as Triton does every 500 ms while it waits for a free instance.

    It forgets to take them off its count of queued items.
    """
    for level in range(levels.shape[1]):
        if levels[m, level].delays_late:
            continue
        before, r = NONE, queues[m, level, 0].head
        while r != NONE:
            after = requests[r].follower
            if t > requests[r].expiry_ns:
                expire(me, levels, queues, requests, m, level, before, r)
            else:
                before = r
            r = after
    tell_refused(me, requests, t)
