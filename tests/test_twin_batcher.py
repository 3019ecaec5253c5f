"""Triton's decision about one queue: send now, how many, or wait until when; case by case."""

import numpy as np
import pytest

from batchlab import twin
from batchlab.schedule import Arrivals
from batchlab.service import ServiceTime
from batchlab.stream import Stream, requests_of
from batchlab.twin_batcher import choose, fill, merge_ahead, new_batch, next_preferred
from batchlab.twin_queue import enqueue
from batchlab.twin_state import AT_ONCE, DELAY, FULL, NONE, PREFERRED, QUEUED, RUNNING, SHAPE

AFFINE = ServiceTime.from_function(lambda b: 10 + b, range(1, 65))
MS = 1_000_000


def waiting(times_ms, now_ms, *, items=1, shape=0, **knobs):
    """Return a world whose requests of these times wait, and Triton's decision about them."""
    model = twin.model(AFFINE, **knobs)
    stream = Stream(model, Arrivals(np.array(times_ms) / 1000, 1.0), batch_size=items, shape=shape)
    w = twin.world([model], [requests_of(stream, np.random.default_rng(0))])
    new_batch(w.models[0], w.batches, w.made, 0)
    for r in range(len(times_ms)):
        enqueue(w.models[0], w.levels, w.queues, w.requests, 0, r)
    return w, decide(w, now_ms)


def decide(w, now_ms):
    return choose(w.models[0], w.levels, w.queues, w.requests, w.batches, w.preferred, 0, round(now_ms * MS))


@pytest.mark.parametrize(
    ("knobs", "now_ms", "decision"),
    [
        ({}, 3, (0, 3, AT_ONCE)),
        ({"max_batch_size": 2}, 3, (0, 2, FULL)),
        ({"max_delay_ms": 5}, 3, (2 * MS, 3, DELAY)),
        ({"max_delay_ms": 5}, 5, (0, 3, DELAY)),
        ({"max_delay_ms": 5, "preferred_batch_size": (2, 8)}, 3, (0, 2, PREFERRED)),
        ({"max_delay_ms": 5, "preferred_batch_size": (2, 8)}, 6, (0, 3, DELAY)),
        ({"max_delay_ms": 5, "timeout_ms": 4}, 3, (1 * MS, 3, DELAY)),
        ({"max_delay_ms": 5, "max_batch_size": 6, "items": [3, 2, 4]}, 3, (0, 2, FULL)),
        ({"max_delay_ms": 5, "same_shape": True, "shape": [7, 7, 8]}, 3, (0, 2, SHAPE)),
    ],
)
def test_three_requests_of_0_1_and_2_ms(knobs, now_ms, decision):
    assert waiting([0, 1, 2], now_ms, **knobs)[1] == decision


def test_the_next_size_worth_waking_for_counts_from_what_the_batch_holds():
    w, _ = waiting([0, 1, 2], 3, max_delay_ms=5, preferred_batch_size=(8, 16))
    assert w.models["next_preferred"][0] == 8
    assert next_preferred(w.preferred, 0, 8, 8) == 16
    assert next_preferred(w.preferred, 0, 16, 8) == 8


def test_a_batch_that_waits_for_its_instance_takes_more_in_at_once():
    w, (_, count, reason) = waiting([0, 1], 6, max_delay_ms=5)
    fill(w.models[0], w.queues, w.requests, w.batches, 0, count, reason)
    assert (w.batches["items"][0], w.models["queued"][0]) == (2, 0)
    w.requests["arrival_ns"][1] = 6 * MS
    enqueue(w.models[0], w.levels, w.queues, w.requests, 0, 1)
    assert decide(w, 6.5) == (0, 1, DELAY)


def two_ahead(items, shapes=(0, 0), **knobs):
    w, _ = waiting([0, 1], 0, items=items, shape=shapes, **knobs)
    me = w.models[0]
    for b in (0, 1):
        if b:
            new_batch(me, w.batches, w.made, 0)
        fill(me, w.queues, w.requests, w.batches, 0, 1, DELAY)
        w.batches[b]["state"] = QUEUED
    w.batches["sealed"] = 0
    # An instance has just taken the first; the second is next.
    me["ahead"], me["ahead_head"], me["ahead_tail"] = 1, 1, 1
    return w


@pytest.mark.parametrize(
    ("items", "shapes", "knobs", "now_ms", "merged", "closed"),
    [
        ([3, 4], (0, 0), {"max_delay_ms": 5}, 7, True, True),
        ([3, 4], (0, 0), {"max_delay_ms": 5}, 6, False, False),
        ([3, 6], (0, 0), {"max_delay_ms": 5}, 7, False, True),
        ([3, 4], (1, 2), {"max_delay_ms": 5, "same_shape": True}, 7, False, True),
        ([3, 4], (0, 0), {}, 7, False, False),
    ],
)
def test_a_batch_swallows_the_next_once_that_has_waited_out_the_delay(items, shapes, knobs, now_ms, merged, closed):
    w = two_ahead(items, shapes, max_batch_size=8, **knobs)
    merge_ahead(w.models[0], w.requests, w.batches, 0, now_ms * MS)
    assert w.batches["items"][0] == (sum(items) if merged else items[0])
    assert w.models["ahead"][0] == (0 if merged else 1)
    assert w.batches["state"][1] == (RUNNING if closed else QUEUED)
    assert w.batches["head"][1] == (NONE if merged else 1)
