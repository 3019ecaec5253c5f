"""The twin's queues, one by one: order, limits, and what becomes of requests that wait too long."""

import numpy as np
import pytest

from batchlab.twin_queue import cut, enqueue, expire, push, sweep_expired, tell_refused
from batchlab.twin_state import EXPIRED, LEVEL, MODEL, NEVER, NONE, PENDING, QUEUE, QUEUE_FULL, REQUEST


@pytest.fixture
def state():
    models, levels, queues = np.zeros(1, MODEL), np.zeros((1, 1), LEVEL), np.zeros((1, 1, 2), QUEUE)
    queues["head"] = queues["tail"] = NONE
    models["refused"] = NONE
    requests = np.zeros(4, REQUEST)
    requests["items"], requests["arrival_ns"], requests["expiry_ns"] = 2, [1, 2, 3, 4], NEVER
    return models, levels, queues, requests


def waiting(queue, requests):
    found, r = [], queue["head"]
    while r != NONE:
        found.append(int(r))
        r = requests[r]["follower"]
    return found


def test_a_queue_is_first_in_first_out_wherever_one_is_cut(state):
    _, _, queues, requests = state
    queue = queues[0, 0, 0]
    for r in range(4):
        push(queue, requests, r)
    cut(queue, requests, 1, 2)
    assert waiting(queue, requests) == [0, 1, 3]
    cut(queue, requests, 1, 3)
    cut(queue, requests, NONE, 0)
    push(queue, requests, 2)
    assert waiting(queue, requests) == [1, 2]
    assert (queue["count"], queue["tail"]) == (2, 2)


def test_a_full_queue_refuses_and_counts_what_it_refused(state):
    models, levels, queues, requests = state
    levels["max_queue"] = 2
    assert [enqueue(models[0], levels, queues, requests, 0, r) for r in range(3)] == [True, True, False]
    assert requests["status"].tolist()[:3] == [PENDING, PENDING, QUEUE_FULL]
    assert requests["done_ns"][2] == 3
    # Triton adds before it refuses: 3 requests of 2 items, though 2 wait.
    assert (models["queued"][0], models["queued_items"][0]) == (2, 6)


def test_what_expires_is_refused_or_waits_behind_the_others(state):
    models, levels, queues, requests = state
    for r in range(3):
        enqueue(models[0], levels, queues, requests, 0, r)
    expire(models[0], levels, queues, requests, 0, 0, 0, 1)
    assert requests["status"][1] == PENDING
    tell_refused(models[0], requests, 9)
    assert (requests["status"][1], requests["done_ns"][1], models["queued"][0]) == (EXPIRED, 9, 2)
    levels["delays_late"] = 1
    expire(models[0], levels, queues, requests, 0, 0, NONE, 0)
    assert [waiting(queues[0, 0, kind], requests) for kind in (0, 1)] == [[2], [0]]
    assert models["queued"][0] == 2


def test_the_sweep_takes_what_has_expired_and_no_more(state):
    models, levels, queues, requests = state
    requests["expiry_ns"] = [5, 20, 6, 10]
    for r in range(4):
        enqueue(models[0], levels, queues, requests, 0, r)
    sweep_expired(models[0], levels, queues, requests, 0, 10)
    assert waiting(queues[0, 0, 0], requests) == [1, 3]
    assert requests["status"].tolist() == [EXPIRED, PENDING, EXPIRED, PENDING]
    levels["delays_late"] = 1
    sweep_expired(models[0], levels, queues, requests, 0, 99)
    assert waiting(queues[0, 0, 0], requests) == [1, 3]
