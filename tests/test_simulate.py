"""The twin against Triton's code path in plain Python, against itself, and against what must hold in any queue."""

import numpy as np
import pytest
import triton_reference
import twin_cases

from batchlab import arrivals, journal, measure, twin
from batchlab.configuration import QueuePolicy
from batchlab.schedule import Arrivals
from batchlab.service import Overheads, ServiceTime
from batchlab.simulate import ERRORS, SimulateError, Stream, replay, simulate
from batchlab.twin_state import EXPIRED, QUEUE_FULL

TEXTS = {"ok": "", "full": ERRORS[QUEUE_FULL], "expired": ERRORS[EXPIRED]}
AFFINE = ServiceTime.from_function(lambda b: 10 + b, range(1, 65))


def times(*seconds):
    return Arrivals(np.array(seconds), float(seconds[-1]) + 1)


def assert_same(streams, resources=None):
    """Every request: what became of it, when to the nanosecond, and with whom it rode."""
    wanted, found = triton_reference.play(streams, resources), replay(streams, resources=resources)
    for stream, requests in zip(streams, wanted, strict=True):
        samples = found[stream.model.name].run.samples
        done_ns = np.round(samples["done_s"].to_numpy() * 1e9).astype(np.int64) + triton_reference.BASE_NS
        taken_ns = np.round(samples["taken_s"].to_numpy() * 1e9).astype(np.int64) + triton_reference.BASE_NS
        together = samples[samples["ok"]].groupby("batch").groups
        for i, request in enumerate(requests):
            riders = tuple(together[samples["batch"][i]]) if samples["ok"][i] else ()
            seen = (samples["error"][i], taken_ns[i], done_ns[i], riders)
            assert seen == (TEXTS[request.status], request.taken, request.done, request.riders), (stream, i)


@pytest.mark.parametrize("hundred", range(4))
def test_one_model_does_what_tritons_code_does(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        assert_same(twin_cases.one_model(seed))


def test_models_on_one_device_do_what_tritons_code_does():
    for seed in range(100):
        assert_same(twin_cases.shared_device(seed))


def test_the_rate_limiter_does_what_tritons_code_does():
    for seed in range(150):
        assert_same(*twin_cases.rate_limited(seed))


def test_the_random_cases_meet_every_outcome_and_every_reason():
    errors, reasons, merged = set(), set(), 0
    for seed in range(400):
        played = replay(twin_cases.one_model(seed))["one"]
        errors |= set(played.run.samples["error"])
        reasons |= set(played.batches["reason"])
        merged += int(np.diff(np.sort(played.batches["batch"])).max(initial=1) > 1)
    assert errors == set(TEXTS.values())
    assert reasons == {"no wait", "full", "preferred size", "wait over", "other shape"}
    assert merged >= 5, "batches that were merged into others leave gaps in the numbers"


def test_two_batches_of_other_shapes_do_not_stop_the_clock():
    # Triton's thread spins here: the batch that waits takes no other shape, and there is nothing else to do.
    model = twin.model(AFFINE, max_batch_size=8, max_delay_ms=5, same_shape=True)
    stream = Stream(model, times(0, 0, 0, 0.001), shape=[1, 2, 2, 1])
    assert_same([stream])


def test_a_refused_request_hears_of_it_when_the_batcher_wakes():
    model = twin.model(AFFINE, max_batch_size=8, max_delay_ms=50, timeout_ms=20)
    model = model.changed(allow_timeout_override=True)
    stream = Stream(model, times(0, 0.005), timeout_us=[10_000, 0])
    assert_same([stream])
    samples = replay([stream])["twin"].run.samples
    # It expired at 10 ms; the second, looked at then, would wait until 25 ms, and so the answer does.
    assert samples["done_s"][0] > 0.02
    assert samples["error"][0] == ERRORS[EXPIRED]


def test_expired_requests_are_swept_twice_a_second_while_the_device_is_busy():
    slow = ServiceTime.from_function(lambda b: 3000.0, [1, 4])
    model = twin.model(slow, max_batch_size=4, timeout_ms=100)
    stream = Stream(model, times(0, 0.2, 0.9))
    assert_same([stream])
    assert replay([stream])["twin"].run.samples["done_s"].round(6).tolist() == [3.0, 1.0, 1.5]


def test_every_request_is_answered_once_and_batches_keep_their_limits():
    for seed in range(60):
        (stream,) = twin_cases.one_model(seed)
        played = replay([stream])[stream.model.name]
        samples, batches, count = played.run.samples, played.batches, len(stream.arrivals)
        assert len(samples) == count
        assert (samples["done_s"] >= samples["intended_s"] - 2e-9).all()
        assert batches["items"].max() <= stream.model.max_batch if len(batches) else not samples["ok"].any()
        riders = samples[samples["ok"]].groupby("batch").agg(items=("batch_size", "sum"), requests=("ok", "size"))
        told = batches.set_index("batch")[["items", "requests"]].sort_index()
        assert riders.to_numpy().tolist() == told.to_numpy().tolist()
        for _, mine in batches.groupby("instance"):
            assert (mine["start_s"].to_numpy()[1:] >= mine["end_s"].to_numpy()[:-1]).all()
        if stream.model.shared:
            assert (batches["start_s"].to_numpy()[1:] >= batches["end_s"].to_numpy()[:-1]).all()


def test_within_a_level_first_come_is_first_taken():
    model = twin.model(AFFINE, max_batch_size=16, max_delay_ms=5, priority_levels=3)
    traffic = arrivals.poisson(600, 5, seed=1)
    level = np.random.default_rng(1).integers(1, 4, len(traffic))
    samples = simulate(model, traffic, priority=level).samples
    for _, mine in samples.groupby("priority"):
        assert mine["taken_s"].is_monotonic_increasing
    waits = (samples["taken_s"] - samples["intended_s"]).groupby(samples["priority"]).mean()
    assert waits[1] < waits[2] < waits[3]


def test_without_a_wait_the_device_rests_only_when_nobody_waits():
    model = twin.model(AFFINE, max_batch_size=8)
    played = replay([Stream(model, arrivals.poisson(350, 5, seed=2))])["twin"]
    start, end = played.batches["start_s"].to_numpy(), played.batches["end_s"].to_numpy()
    arrived = played.run.samples["intended_s"].to_numpy()
    for rest_from, rest_to in zip(end[:-1], start[1:], strict=True):
        if rest_to > rest_from + 1e-9:
            assert not ((arrived > rest_from) & (arrived < rest_to - 1e-8)).any()


def test_a_seed_is_a_run():
    service = ServiceTime(AFFINE.batch_sizes, AFFINE.mean_ms, variation=0.3)
    model = twin.model(service, overheads=Overheads(jitter_ms=1.0), max_delay_ms=2)
    traffic = arrivals.poisson(500, 2, seed=0)
    first, again, other = (simulate(model, traffic, seed=seed).samples["done_s"] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_service_times_spread_as_told_and_keep_their_mean():
    service = ServiceTime(np.array([1]), np.array([10.0]), variation=0.5)
    played = replay([Stream(twin.model(service), arrivals.constant(20, 2000))])["twin"]
    busy_ms = (played.batches["end_s"] - played.batches["start_s"]) * 1000
    error = 5.0 / np.sqrt(len(busy_ms))
    assert busy_ms.mean() == pytest.approx(10, abs=4 * error)
    assert busy_ms.std() / busy_ms.mean() == pytest.approx(0.5, rel=0.05)


def test_jitter_is_late_and_never_early():
    model = twin.model(AFFINE, overheads=Overheads(send_ms=1, answer_ms=1, jitter_ms=2.0))
    traffic = arrivals.constant(5, 2000)
    extra_ms = simulate(model, traffic).latencies_ms - (11 + 2)
    assert extra_ms.min() >= -1e-6
    assert extra_ms.std() == pytest.approx(2.0, rel=0.1)


def test_warm_up_counts_nowhere():
    run = simulate(twin.model(AFFINE), arrivals.poisson(100, 10, seed=3), warmup_s=4)
    assert run.warmup_s == 4
    assert run.kept["intended_s"].min() >= 4
    assert len(run.latencies_ms) == len(run.kept) < len(run.samples)


def test_the_record_is_that_of_a_real_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    model = twin.model(AFFINE, max_batch_size=8, max_delay_ms=3, max_queue_size=20, name="twin_of_it")
    run = simulate(model, arrivals.poisson(500, 2, seed=4), warmup_s=0.5)
    assert set(measure.COLUMNS) < set(run.samples.columns)
    assert run.kind == "simulated"
    assert run.provenance.tier == "simulated"
    loaded = journal.load(journal.save(run))
    assert loaded.describe() == run.describe()
    assert loaded.server == run.server
    assert loaded.settings == run.settings
    assert loaded.samples["done_s"].to_numpy() == pytest.approx(run.samples["done_s"].to_numpy(), abs=1e-6)


def test_the_servers_account_is_what_the_samples_say():
    model = twin.model(AFFINE, max_batch_size=8, max_delay_ms=3, max_queue_size=12, instances=2)
    items = np.random.default_rng(5).integers(1, 4, len(arrivals.poisson(400, 3, seed=5)))
    played = replay([Stream(model, arrivals.poisson(400, 3, seed=5), batch_size=items)])["twin"]
    samples, batches, told = played.run.samples, played.batches, played.run.server
    answered = samples[samples["ok"]]
    assert (told.requests, told.failures) == (len(answered), len(samples) - len(answered))
    assert told.failures > 0
    assert told.inferences == answered["batch_size"].sum() == sum(size * n for size, n in told.batches.items())
    assert told.executions == len(batches) == sum(told.batches.values())
    assert told.queue_ms == pytest.approx(1000 * (answered["taken_s"] - answered["intended_s"]).mean())
    assert told.queue_ms + told.compute_infer_ms == pytest.approx(played.run.mean_latency_ms)
    assert told.batch_compute_ms == pytest.approx({size: 10 + size for size in told.batches})


@pytest.mark.parametrize(
    ("instances", "shared", "dispatch_ms", "item_ms"),
    [(1, True, 0, 0), (1, True, 4, 0.2), (2, True, 4, 0), (3, False, 4, 0)],
)
def test_capacity_is_what_a_saturated_twin_carries(instances, shared, dispatch_ms, item_ms):
    overheads = Overheads(dispatch_ms=dispatch_ms, dispatch_item_ms=item_ms)
    model = twin.model(AFFINE, max_batch_size=32, instances=instances, shared=shared, overheads=overheads)
    run = simulate(model, arrivals.constant(2 * model.capacity_rps(), 20))
    assert run.throughput_rps == pytest.approx(model.capacity_rps(), rel=0.01)


def test_more_than_it_can_carry_is_called_unstable_and_ends():
    model = twin.model(AFFINE, max_batch_size=4)
    capacity = model.capacity_rps()
    over = simulate(model, arrivals.poisson(1.5 * capacity, 5, seed=6))
    under = simulate(model, arrivals.poisson(0.7 * capacity, 5, seed=6))
    assert over.settings["unstable"].startswith("unstable: ")
    assert under.settings["unstable"] == ""
    assert len(over.answered) == len(over.samples)
    assert over.throughput_rps == pytest.approx(capacity, rel=0.02)


def test_prefetch_makes_a_short_wait_worse_than_none_and_priority_levels_cure_it():
    traffic = arrivals.poisson(400, 60, seed=7)

    def p50_ms(**knobs):
        return simulate(twin.model(AFFINE, max_batch_size=32, **knobs), traffic).percentile_ms(50).value

    none, five, twenty = p50_ms(), p50_ms(max_delay_ms=5), p50_ms(max_delay_ms=20)
    cured = p50_ms(max_delay_ms=5, priority_levels=2)
    assert none < 0.95 * twenty < 0.95 * five
    assert cured == pytest.approx(none, rel=0.1)


def test_no_requests_are_an_error():
    with pytest.raises(SimulateError, match="no requests to simulate"):
        simulate(twin.model(AFFINE), Arrivals(np.array([]), 1.0))


def test_two_streams_for_one_model_are_an_error():
    stream = Stream(twin.model(AFFINE), times(0, 1))
    with pytest.raises(SimulateError, match="a model of its own name"):
        replay([stream, stream])
    with pytest.raises(SimulateError, match="a model of its own name"):
        replay([])


def test_a_full_queue_refuses_at_once():
    model = twin.model(AFFINE, max_batch_size=1, max_queue_size=2)
    run = simulate(model, times(0, 0.001, 0.002, 0.003))
    assert run.samples["ok"].tolist() == [True, True, True, False]
    assert run.samples["done_s"][3] == pytest.approx(0.003)
    assert run.errors == {ERRORS[QUEUE_FULL]: 1}


def test_late_requests_that_may_wait_let_the_others_pass():
    policy = QueuePolicy(timeout_action="DELAY", default_timeout_microseconds=15_000)
    model = twin.model(AFFINE, max_batch_size=1).changed(default_queue_policy=policy)
    samples = simulate(model, times(0, 0.001, 0.02, 0.021)).samples
    assert samples["ok"].all()
    assert samples["taken_s"].round(6).tolist() == [0, 0.011, 0.022, 0.033]
    samples = simulate(model, times(0, 0.001, 0.002, 0.0215)).samples
    # The third expired at 17 ms: at 22 ms the fourth, of 21.5 ms, goes first.
    assert samples["taken_s"].round(6).tolist() == [0, 0.011, 0.033, 0.022]
