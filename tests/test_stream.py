"""Traffic for the twin: requests in order of arrival, each with what Triton would make of its parameters."""

import numpy as np
import pytest

from batchlab import arrivals, twin
from batchlab.configuration import QueuePolicy
from batchlab.schedule import Arrivals
from batchlab.service import Overheads, ServiceTime
from batchlab.stream import SimulateError, Stream, requests_of
from batchlab.twin_state import NEVER

AFFINE = ServiceTime.from_function(lambda b: 10 + b, range(1, 33))
TRAFFIC = Arrivals(np.array([0.0, 0.001, 0.002]), 1.0)


def made(model=None, traffic=TRAFFIC, **more):
    return requests_of(Stream(model or twin.model(AFFINE), traffic, **more), np.random.default_rng(0))


def test_requests_reach_the_queue_after_the_way_there():
    requests = made(twin.model(AFFINE, overheads=Overheads(send_ms=2)))
    assert requests["arrival_ns"].tolist() == [2_000_000, 3_000_000, 4_000_000]
    assert requests["place"].tolist() == [0, 1, 2]
    assert (requests["expiry_ns"] == NEVER).all()


def test_jitter_lets_one_overtake_another():
    model = twin.model(AFFINE, overheads=Overheads(jitter_ms=5))
    requests = made(model, arrivals.constant(1000, 1))
    assert (np.diff(requests["arrival_ns"]) >= 0).all()
    assert (np.diff(requests["place"]) < 0).any()
    assert sorted(requests["place"]) == list(range(len(requests)))


def test_a_request_without_a_priority_takes_the_models_default():
    model = twin.model(AFFINE, priority_levels=3).changed(default_priority_level=2)
    assert made(model, priority=[0, 1, 3])["level"].tolist() == [1, 0, 2]


def test_a_models_timeout_gives_way_only_to_a_shorter_one_where_it_may():
    policy = QueuePolicy(default_timeout_microseconds=500)
    model = twin.model(AFFINE).changed(default_queue_policy=policy)
    own = [0, 100, 900]
    assert (made(model, timeout_us=own)["expiry_ns"] - made()["arrival_ns"]).tolist() == [500_000] * 3
    model = model.changed(allow_timeout_override=True)
    assert (made(model, timeout_us=own)["expiry_ns"] - made()["arrival_ns"]).tolist() == [500_000, 100_000, 500_000]
    assert (made(timeout_us=own)["expiry_ns"] == NEVER).all()


def test_shapes_are_the_schedules_sizes_where_shapes_matter():
    traffic = Arrivals(TRAFFIC.times_s, 1.0, sizes=np.array([5, 6, 5]))
    assert made(twin.model(AFFINE, same_shape=True), traffic)["shape"].tolist() == [5, 6, 5]
    assert made(traffic=traffic)["shape"].tolist() == [0, 0, 0]
    assert made(shape=[1, 2, 3])["shape"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"traffic": Arrivals(np.array([]), 1.0)}, "no requests to simulate"),
        ({"batch_size": 33}, "batch_size 33 is out of range; it lies between 1 and 32"),
        ({"batch_size": 0}, "batch_size 0 is out of range"),
        ({"batch_size": [1, 2]}, "3 requests need one batch_size or as many, got 2"),
        ({"priority": [1, 2, 3], "model": twin.model(AFFINE, priority_levels=2)}, "priority 3 is out of range"),
        ({"priority": -1}, "priority -1 is out of range"),
        ({"shape": -1}, "shape -1 is out of range"),
    ],
)
def test_traffic_that_cannot_be_simulated_is_an_error(more, said):
    with pytest.raises(SimulateError, match=said):
        made(**more)
