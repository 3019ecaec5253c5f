"""The twin's requests: as they are before anything happens, and the columns that are read from them afterwards."""

import sys

import numpy as np

from batchlab import arrivals, twin, twin_kernel
from batchlab.service import ServiceTime
from batchlab.simulate import simulate
from batchlab.twin_record import lay_out, read
from batchlab.twin_state import ANSWERED, EXPIRED, NEVER, NONE, PENDING, REQUEST

HOUR_NS = 3_600_000_000_000


def laid_out(times_s, send_ns=0.0, jitter_ns=(0.0,), items=(1,)):
    # What was there before must not show through.
    requests = np.frombuffer(bytearray(b"\xff" * REQUEST.itemsize * len(times_s)), REQUEST)
    lay_out(requests, np.array(times_s), send_ns, np.array(jitter_ns), np.array(items))
    return requests


def columns(requests, answer_ns=0):
    count = len(requests)
    found = {name: np.empty(count) for name in ("done_s", "taken_s")}
    found |= {name: np.empty(count, np.int64) for name in ("items", "priority", "batch")}
    found["status"] = np.empty(count, np.int8)
    return found, read(requests, answer_ns, *found.values())


def test_requests_are_laid_out_in_the_order_of_the_schedule() -> None:
    requests = laid_out([0.0, 0.001, 0.0015], send_ns=500.0, items=[3])
    assert requests["arrival_ns"].tolist() == [500, 1_000_500, 1_500_500]
    assert requests["place"].tolist() == [0, 1, 2]
    assert requests["items"].tolist() == [3, 3, 3]
    for name, value in {"expiry_ns": NEVER, "batch": NONE, "status": PENDING, "level": 0, "shape": 0}.items():
        assert (requests[name] == value).all(), name


def test_jitter_and_items_may_be_each_requests_own() -> None:
    requests = laid_out([0.0, 0.001], jitter_ns=[0.9, 7.9], items=[2, 5])
    assert requests["arrival_ns"].tolist() == [0, 1_000_007]  # parts of a nanosecond are cut off
    assert requests["items"].tolist() == [2, 5]


def test_columns_follow_the_schedule_whoever_overtook_whom() -> None:
    requests = laid_out([0.0, 0.001, 0.002], items=[1, 2, 3])
    requests["done_ns"], requests["start_ns"], requests["batch"] = [10, 20, 30], [1, 2, 3], [7, 8, 9]
    requests["status"], requests["level"] = [ANSWERED, EXPIRED, ANSWERED], [0, 1, 2]
    found, _ = columns(requests[[2, 0, 1]])
    assert found["done_s"].tolist() == [1e-8, 2e-8, 3e-8]
    assert found["taken_s"].tolist() == [1e-9, 2e-9, 3e-9]
    assert found["items"].tolist() == [1, 2, 3]
    assert found["priority"].tolist() == [1, 2, 3]
    assert found["batch"].tolist() == [7, 8, 9]
    assert found["status"].tolist() == [ANSWERED, EXPIRED, ANSWERED]


def test_the_sums_are_of_the_answered_ones() -> None:
    requests = laid_out([0.0, 0.0, 0.0], items=[1, 2, 4])
    requests["status"] = [ANSWERED, EXPIRED, ANSWERED]
    requests["start_ns"], requests["done_ns"] = [5, 99, 9], [100, 99, 200]
    assert columns(requests, answer_ns=10)[1] == (2, 5, 14, 85 + 181)


def test_late_in_a_long_day_the_sums_still_hold() -> None:
    requests = laid_out(np.full(1000, 0.0))
    # A thousand such times would not fit into 64 bits; what lies between them does.
    requests["arrival_ns"] = requests["start_ns"] = 10_000 * HOUR_NS
    requests["done_ns"] = 10_000 * HOUR_NS + 5
    requests["status"] = ANSWERED
    assert columns(requests)[1] == (1000, 1000, 0, 5000)


def test_the_loop_leaves_nobody_holding_its_arrays() -> None:
    model = twin.model(ServiceTime(np.array([1]), np.array([10.0])))
    simulate(model, arrivals.constant(10, 1))
    requests = laid_out([0.0, 0.001])
    played = twin.world([model], [requests])
    before = [sys.getrefcount(array) for array in played]
    twin_kernel.run(played, 0)  # once: a world is played to its end, and has no room for more batches
    assert [sys.getrefcount(array) for array in played] == before
