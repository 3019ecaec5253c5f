"""Traffic: parameters land in the right bodies, waits grow and jitter, a record says what was sent."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from fake_server import MODEL, FakeServer
from loads import LOOSE_MS, schedule, send

from batchlab import journal
from batchlab.arrivals import Arrivals
from batchlab.configuration import DynamicBatching, QueuePolicy
from batchlab.load import closed_loop, mixed
from batchlab.measure import Run
from batchlab.plan import Body
from batchlab.profiles import emulated_config, synthetic_profile
from batchlab.provenance import Provenance
from batchlab.recording import LoadError
from batchlab.runfile import frame
from batchlab.traffic import MAX_WAIT_S, Traffic, backoff_s, tagged

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.alone]

SERVER = SimpleNamespace(
    url="h:1",
    metadata=lambda model: {"name": model, "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]},
    config=lambda model: SimpleNamespace(max_batch_size=8),
)


def arrivals(count, **options):
    return Arrivals(np.arange(count) * 0.1, count * 0.1, seed=7, **options)


def heads(plan):
    return [json.loads(body.data[: body.json_bytes]).get("parameters", {}) for body in plan.bodies]


def test_one_body_for_each_combination_that_occurs():
    inputs = [{"x": np.full((size, 2), size, np.float32)} for size in (1, 2)]
    priority = np.array([1, 2, 1, 1, 1, 2])
    plan, columns = Traffic(arrivals(6), inputs=inputs, priority=priority).plan(SERVER, "m")
    assert len(plan.bodies) == 3  # the first input never goes with priority 2
    assert columns["priority"][plan.choice].tolist() == priority.tolist()
    assert [heads(plan)[body]["priority"] for body in plan.choice] == priority.tolist()
    assert [plan.bodies[body].batch_size for body in plan.choice] == [1, 2, 1, 2, 1, 2]


def test_without_parameters_the_bodies_stay_as_they_are():
    plan, columns = Traffic(arrivals(3)).plan(SERVER, "m")
    assert columns == {}
    assert not any("priority" in head or "timeout" in head for head in heads(plan))
    assert tagged(Body(b"anything"), priority=0, timeout_us=0) == Body(b"anything")


def test_too_many_different_requests_are_named():
    with pytest.raises(LoadError, match=r"600 different requests are too many.*fewer different values of timeout_us"):
        Traffic(arrivals(600), timeout_us=np.arange(600)).plan(SERVER, "m")


def test_waits_double_and_jitter_and_are_the_same_each_time():
    waits = backoff_s(20000, 3, 100.0, seed=1)
    assert waits.shape == (20000, 3)
    # Uniform between 0 and a bound that doubles: mean half the bound, standard error below 1 % of it.
    assert waits.mean(axis=0) == pytest.approx([0.05, 0.1, 0.2], rel=0.02)
    assert (waits <= [0.1, 0.2, 0.4]).all()
    assert (waits.min(axis=0) < 0.001).all()
    assert np.array_equal(waits, backoff_s(20000, 3, 100.0, seed=1))
    assert not np.array_equal(waits, backoff_s(20000, 3, 100.0, seed=2))
    assert backoff_s(1000, 10, 10000.0, seed=1).max() <= MAX_WAIT_S
    assert backoff_s(5, 0, 100.0, seed=1).shape == (5, 0)


def test_settings_say_what_was_asked_for():
    said = Traffic(arrivals(2), priority=1, timeout_us=[5, 6], retries=2).settings()
    assert said["priority"] == 1
    assert said["timeout_us"] == "per request"
    assert (said["retries"], said["backoff_ms"]) == (2, 50.0)
    assert not {"priority", "timeout_us", "retries"} & set(Traffic(arrivals(2)).settings())


def test_an_empty_schedule_is_named():
    with pytest.raises(LoadError, match="schedule is empty"):
        Traffic(Arrivals([], 1.0))


def record(kind="open_loop", **extra):
    columns = ("intended_s", "sent_s", "done_s", "batch_size", "ok", "error", *extra)
    rows = [[at, at, at + 0.01, size, True, "", *(0 for _ in extra)] for at, size in ((0.3, 2), (0.1, 1))]
    samples = frame(rows, columns).assign(**extra)
    return Run(samples, Provenance(tier="simulated", model="m", server="none", seed=4), kind, settings={"seconds": 2.0})


def test_traffic_of_a_record_is_in_order_of_its_times():
    traffic = Traffic.of(record(priority=[2, 1]))
    assert traffic.arrivals.times_s.tolist() == [0.1, 0.3]
    assert traffic.arrivals.sizes.tolist() == [1, 2]
    assert traffic.arrivals.size_name == "batch_size"
    assert traffic.arrivals.seconds == 2.0
    assert traffic.priority.tolist() == [1, 2]
    assert traffic.timeout_us is None
    assert Traffic.of(record(seq_len=[9, 5])).arrivals.size_name == "seq_len"


def test_a_closed_loop_has_no_traffic_to_send_again():
    with pytest.raises(LoadError, match="'closed_loop' has no schedule"):
        Traffic.of(record(kind="closed_loop"))


def seen(server):
    """The request parameters as the server saw them, without the probe's, in order of arrival."""
    return server.fetch("/arrivals")["parameters"][1:]


def test_each_request_carries_its_priority_and_timeout_and_keeps_them_over_workers():
    priority, timeout_us = np.array([1, 2, 3, 2] * 10), np.array([0, 700] * 20)
    arrivals = schedule(np.arange(40) * 0.02)
    with FakeServer(service_ms=1) as server:
        run = send(server, arrivals, priority=priority, timeout_us=timeout_us, workers=3)
        carried = seen(server)
    rows = run.samples.sort_values("intended_s")
    assert rows["priority"].tolist() == priority.tolist()
    assert rows["timeout_us"].tolist() == timeout_us.tolist()
    assert [one.get("priority") for one in carried].count(2) == 20
    pairs = sorted((one["priority"], one.get("timeout", 0)) for one in carried)
    assert pairs == sorted(zip(priority.tolist(), timeout_us.tolist(), strict=True))
    loaded = journal.load(run.run_id)
    assert loaded.samples["priority"].tolist() == run.samples["priority"].tolist()
    assert loaded.settings["priority"] == "per request"


def test_one_priority_for_all_and_none_by_default():
    with FakeServer(service_ms=1) as server:
        run = send(server, schedule([0.0, 0.01]), priority=2)
        bare = send(server, schedule([0.0]))
        carried = server.fetch("/arrivals")["parameters"]
    assert [one.get("priority") for one in carried] == [2, 2, 2, None, None]
    assert run.samples["priority"].tolist() == [2, 2]
    assert run.settings["priority"] == 2
    assert "priority" not in bare.samples
    assert "attempts" not in bare.samples


def test_priorities_stay_with_their_requests_beside_sizes():
    inputs = [{"name": "ids", "datatype": "INT64", "shape": [-1, -1]}]
    sizes, priority = np.array([4, 400, 40, 4] * 3), np.array([1, 2, 2] * 4)
    with FakeServer(inputs=inputs, service_ms=1) as server:
        run = send(server, schedule(np.arange(12) * 0.02, sizes=sizes, size_name="seq_len"), priority=priority)
        notes = server.fetch("/arrivals")
    rows = run.samples.sort_values("intended_s")
    assert rows["seq_len"].tolist() == sizes.tolist()
    assert rows["priority"].tolist() == priority.tolist()
    longest = np.flatnonzero(np.array(notes["lengths"]) == max(notes["lengths"]))
    long = [notes["parameters"][number]["priority"] for number in longest]
    assert sorted(long) == sorted(priority[sizes == 400].tolist())


def test_clients_of_a_closed_loop_share_one_priority():
    with FakeServer(service_ms=5) as server:
        run = closed_loop(server, MODEL, seconds=0.2, warmup_s=0, priority=2, timeout_us=900, progress=False)
        assert {(one["priority"], one["timeout"]) for one in seen(server)} == {(2, 900)}
        with pytest.raises(LoadError, match="priority of a closed loop is one number"):
            closed_loop(server, MODEL, priority=[1, 2], progress=False)
    assert set(run.samples["priority"]) == {2}


def test_a_refused_request_comes_back_later_and_its_latency_holds_the_wait():
    with FakeServer(service_ms=1, refuse=4) as server:  # the probe, and three attempts
        run = send(server, schedule([0.0, 0.9]), retries=5, backoff_ms=20)
        notes = server.fetch("/arrivals")
    first, second = run.samples.sort_values("intended_s").itertuples()
    assert (first.attempts, second.attempts) == (4, 1)
    assert run.errors == {}
    assert len(notes["arrivals"]) == 1 + 4 + 1
    assert run.latencies_ms.max() >= (notes["arrivals"][4] - notes["arrivals"][1]) * 1000
    assert run.settings["retries"] == 5
    assert first.sent_s < 0.02 + LOOSE_MS / 1000


def test_more_attempts_lose_fewer_requests():
    burst = schedule(np.linspace(0, 0.02, 8))
    with FakeServer(service_ms=30, capacity=2) as server:
        once = send(server, burst)
        patient = send(server, burst, retries=8, backoff_ms=30)
    assert sum(once.errors.values()) >= 4
    assert sum(patient.errors.values()) < sum(once.errors.values())
    assert patient.samples["attempts"].max() > 1


def test_traffic_of_a_run_is_sent_again_as_it_was():
    priority = np.array([1, 2] * 10)
    arrivals = schedule(np.cumsum(np.random.default_rng(5).exponential(0.01, 20)))
    with FakeServer(service_ms=1) as server:
        run = send(server, arrivals, priority=priority, timeout_us=50, workers=2, retries=2)
        again = mixed(server, {MODEL: Traffic.of(journal.load(run.run_id))}, progress=False)[MODEL]
    rows = again.samples.sort_values("intended_s")
    assert np.allclose(rows["intended_s"], arrivals.times_s, atol=1e-6)
    assert rows["priority"].tolist() == priority.tolist()
    assert set(rows["timeout_us"]) == {50}
    assert again.settings["retries"] == 2


@pytest.mark.server
def test_triton_heeds_priorities_timeouts_and_lets_the_refused_come_back(triton):
    # A burst, and then a trickle: with priorities or a bounded queue Triton looks at its queue only when a request
    # comes or 500 ms have passed, so that a burst alone would leave in steps of half a second.
    traffic = schedule(np.concatenate([np.arange(40) * 0.002, 0.1 + np.arange(40) * 0.025]))
    config = emulated_config(synthetic_profile(20, 0, max_batch=4), name="bert_t4", device="traffic-0")
    levels = DynamicBatching(priority_levels=2, default_priority_level=2)
    triton.load(config.name, config.replace(dynamic_batching=levels))
    run = send(triton, traffic, model=config.name, priority=np.array([2, 1] * 40))
    assert run.errors == {}
    burst = run.answered[run.answered["intended_s"] < 0.09]
    first, second = (burst[burst["priority"] == level]["done_s"].median() for level in (1, 2))
    assert first < second - 0.03
    queue = QueuePolicy(default_timeout_microseconds=5_000_000, allow_timeout_override=True)
    triton.load(config.name, config.replace(dynamic_batching=DynamicBatching(default_queue_policy=queue)))
    hasty = send(triton, traffic, model=config.name, timeout_us=np.array([0, 40_000] * 40))
    failed = hasty.kept[~hasty.kept["ok"]]
    assert set(failed["timeout_us"]) == {40_000}
    assert failed["error"].str.contains("503 .*timeout", case=False).all()
    narrow = DynamicBatching(default_queue_policy=QueuePolicy(max_queue_size=4))
    triton.load(config.name, config.replace(dynamic_batching=narrow))
    refused = send(triton, traffic, model=config.name)
    patient = send(triton, traffic, model=config.name, retries=8, backoff_ms=100)
    triton.unload(config.name)
    assert refused.errors
    assert all(error.startswith("503") for error in refused.errors)
    assert sum(patient.errors.values()) < sum(refused.errors.values())
    assert patient.samples["attempts"].max() > 1


@pytest.mark.server
def test_two_models_of_triton_under_load_at_once(triton):
    triton.load_missing(["null", "bert_t4"])
    parts = {"null": Traffic(schedule(np.arange(50) * 0.02)), "bert_t4": Traffic(schedule(np.arange(25) * 0.04))}
    runs = mixed(triton, parts, progress=False)
    for name, count in {"null": 50, "bert_t4": 25}.items():
        assert runs[name].errors == {}
        assert runs[name].server.requests == len(runs[name].samples) == count
    assert runs["bert_t4"].percentile_ms(50).value > runs["null"].percentile_ms(50).value
    for name in parts:
        triton.unload(name)
