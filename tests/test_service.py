"""Service times and overheads: a table of what is known, nothing beyond it, and no curve that no server can have."""

import json

import numpy as np
import pytest

from batchlab.profiles import load_profiles
from batchlab.service import Calibration, Overheads, ServiceError, ServiceTime


def curve(times_ms, sizes=(1, 2, 4), **more):
    return ServiceTime(np.array(sizes), np.array(times_ms), **more)


def test_between_known_sizes_it_is_linear():
    service = curve([5.0, 6.0, 10.0])
    assert service.table_ms(4)[1:].tolist() == [5, 6, 8, 10]
    assert service.latency_ms([1, 3]).tolist() == [5, 8]
    assert service.max_batch == 4


def test_beyond_the_largest_known_size_it_says_so():
    with pytest.raises(ServiceError, match=r"known up to batch 4 .*asked for 8"):
        curve([5.0, 6.0, 10.0]).table_ms(8)


def test_a_formula_and_a_profile_become_curves():
    assert ServiceTime.from_function(lambda b: 10 + b, [1, 2, 32]).latency_ms(32) == 42
    profile = next(iter(load_profiles().values()))
    service = ServiceTime.from_profile(profile)
    assert service.mean_ms.tolist() == list(profile.latencies_ms)
    assert service.source == profile.description


@pytest.mark.parametrize(
    ("times_ms", "sizes", "said"),
    [
        ([5.0, 4.0, 10.0], (1, 2, 4), "batch of 2 takes 4 ms, less than the 5 ms of a batch of 1"),
        ([5.0, 6.0], (1, 2, 4), "Give one time for each size"),
        ([], (), "Give one time for each size"),
        ([5.0, 6.0, 7.0], (2, 3, 4), "must rise from 1"),
        ([5.0, 6.0, 7.0], (1, 4, 2), "must rise from 1"),
        ([0.0, 6.0, 7.0], (1, 2, 4), "must be above 0"),
        ([5.0, float("nan"), 7.0], (1, 2, 4), "must be above 0"),
    ],
)
def test_curves_that_no_server_has_are_errors(times_ms, sizes, said):
    with pytest.raises(ServiceError, match=said):
        curve(times_ms, sizes)


def test_a_dip_of_published_size_is_no_mistake():
    assert curve([5.0, 4.9, 6.0]).latency_ms(2) == 4.9


def test_a_spread_below_0_is_an_error():
    with pytest.raises(ServiceError, match="coefficient of variation is 0 or more"):
        curve([5.0, 6.0, 7.0], variation=-0.1)


@pytest.mark.parametrize(
    "name", ["send_ms", "dispatch_ms", "dispatch_item_ms", "answer_ms", "jitter_ms", "missed_row", "cold_ms"]
)
def test_overheads_are_not_negative(name):
    with pytest.raises(ServiceError, match=rf"Overheads\.{name} is -1"):
        Overheads(**{name: -1})


def test_cooling_takes_time():
    with pytest.raises(ServiceError, match="cooling_ms is 0; it is above 0"):
        Overheads(cooling_ms=0)


def test_a_lone_request_pays_every_overhead_once():
    assert Overheads(1, 2, 0.5, 4).round_trip_ms == 7.5


def test_a_calibration_is_trusted_until_something_speaks_against_it():
    service = curve([5.0, 6.0, 10.0])
    assert Calibration("m", service, Overheads()).trusted
    doubted = Calibration("m", service, Overheads(), warnings=("too short",))
    assert not doubted.trusted
    assert json.loads(json.dumps(doubted.to_dict()))["service"]["mean_ms"] == [5, 6, 10]
