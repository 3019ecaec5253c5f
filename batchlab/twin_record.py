"""The twin's requests, compiled: laid out before the loop in one pass, read back after it in another.

`batchlab.twin_state` names the records.
"""

import numpy as np

from batchlab.twin_state import ANSWERED, NEVER, NONE, PENDING, compiled

NS_PER_S = 1e9


@compiled
def lay_out(
    requests: np.ndarray, times_s: np.ndarray, send_ns: float, jitter_ns: np.ndarray, items: np.ndarray
) -> None:
    """Write requests as they are before anything happens: no limit on their wait, one shape, the highest level.

    Args:
        requests: shape ``(n,)`` of `twin_state.REQUEST`; whatever is in it is overwritten.
        times_s: when they are sent, shape ``(n,)``.
        send_ns: from there to the queue, where parts of a nanosecond are cut off.
        jitter_ns: what comes on top for each, shape ``(n,)``, or ``(1,)`` for all alike.
        items: of each, shape ``(n,)``, or ``(1,)`` for all alike.
    """
    each_late, each_own = len(jitter_ns) > 1, len(items) > 1
    for i in range(len(requests)):
        request = requests[i]
        request.arrival_ns = np.int64(times_s[i] * NS_PER_S + send_ns + jitter_ns[i if each_late else 0])
        request.expiry_ns = NEVER
        request.start_ns = 0
        request.done_ns = 0
        request.place = i
        request.items = items[i if each_own else 0]
        request.shape = 0
        request.follower = 0
        request.batch = NONE
        request.level = 0
        request.status = PENDING


@compiled
def read(
    requests: np.ndarray,
    answer_ns: int,
    done_s: np.ndarray,
    taken_s: np.ndarray,
    items: np.ndarray,
    priority: np.ndarray,
    batch: np.ndarray,
    status: np.ndarray,
) -> tuple[int, int, int, int]:
    """Write what became of each request into columns, in the order of the schedule, and sum the answered ones up.

    Args:
        requests: shape ``(n,)`` of `twin_state.REQUEST`, in any order.
        answer_ns: from the device to the client.
        done_s, taken_s, items, priority, batch, status: columns to fill, shape ``(n,)`` each.

    Returns:
        Requests and items that were answered; their waits and their batches' times until the device had ended, in ns.
        Sums of differences: one of the times themselves overflows after little more than an hour of 1000 requests/s.
    """
    answered, inferences, waited_ns, served_ns = 0, 0, 0, 0
    for request in requests:
        i = request.place
        done_s[i] = request.done_ns / NS_PER_S
        taken_s[i] = request.start_ns / NS_PER_S
        items[i] = request.items
        priority[i] = request.level + 1
        batch[i] = request.batch
        status[i] = request.status
        if request.status == ANSWERED:
            answered += 1
            inferences += request.items
            waited_ns += request.start_ns - request.arrival_ns
            served_ns += request.done_ns - answer_ns - request.start_ns
    return answered, inferences, waited_ns, served_ns
