"""One model's metrics, and the difference of two looks."""

import json
import math

import pytest
from metrics_server import exposition

from batchlab import prometheus
from batchlab.reading import Counters, Reading, counters

BEFORE = Counters(requests=10, inferences=40, executions=5, queue_us=1000, compute_us=2000, request_us=4000)
AFTER = Counters(
    requests=110, inferences=440, executions=105, rejected=6, failures=2, queue_us=301_000, compute_us=502_000,
    request_us=904_000, pending=7,
)  # fmt: skip


def read(text: str) -> dict[str, Counters]:
    return counters(prometheus.parse(text))


def test_rates_are_per_second_and_times_per_request() -> None:
    reading = Reading.between("m", BEFORE, AFTER, 2.0)
    assert (reading.requests_rps, reading.inferences_ips, reading.executions_per_s) == (50, 200, 50)
    assert (reading.rejected_rps, reading.failures_rps, reading.pending) == (3, 1, 7)
    assert reading.mean_batch == 4
    assert (reading.queue_ms, reading.compute_ms, reading.request_ms) == (3, 5, 9)


def test_a_mean_of_nothing_is_not_a_number_and_null_in_json() -> None:
    reading = Reading.between("m", BEFORE, BEFORE, 1.0)
    assert all(math.isnan(each) for each in (reading.mean_batch, reading.queue_ms, reading.p99_ms))
    assert reading.requests_rps == 0
    told = json.loads(json.dumps(reading.to_dict(), allow_nan=False))
    assert told["queue_ms"] is None
    assert told["requests_rps"] == 0


def test_only_timeouts_in_the_queue_count_as_rejected() -> None:
    assert read(exposition(rejected=3, failures=2))["m"].rejected == 3
    assert read(exposition(rejected=3, failures=2))["m"].failures == 2


def test_versions_are_added_up_and_models_kept_apart() -> None:
    both = exposition(requests=1) + exposition(requests=2).replace('"1"', '"2"') + exposition("n", requests=5)
    assert {model: each.requests for model, each in read(both).items()} == {"m": 3, "n": 5}


def test_triton_s_own_p99_is_read_where_it_tells_one() -> None:
    summary = 'nv_inference_request_summary_us{model="m",version="1",quantile="0.99"} 10553\n'
    other = 'nv_inference_request_summary_us{model="m",version="1",quantile="0.5"} 99999\n'
    found = read(exposition() + summary + other)["m"]
    assert Reading.between("m", Counters(), found, 1.0).p99_ms == pytest.approx(10.553)
    nothing = summary.replace("10553", "NaN")
    assert math.isnan(read(exposition() + nothing)["m"].p99_us)


def test_counters_that_fall_are_seen_and_gauges_may_fall() -> None:
    assert BEFORE.went_backwards(AFTER)
    assert not AFTER.went_backwards(BEFORE)
    assert not Counters(pending=0, p99_us=1).went_backwards(Counters(pending=9, p99_us=5))
