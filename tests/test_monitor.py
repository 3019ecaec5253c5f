"""A Triton watched: two looks, a history, and servers that restart or go."""

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import small_models
from metrics_server import MetricsServer, exposition
from remains import until

from batchlab import monitor, server
from batchlab.endpoint import ModelError, ServerError
from batchlab.monitor import Monitor, MonitorError
from batchlab.repository import DynamicBatching, QueuePolicy
from batchlab.server import Server
from batchlab.statistics import Activity


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def look_later(watch: Monitor, clock: Clock, seconds: float = 1.0):
    clock.now += seconds
    return watch.look()


def test_the_second_look_tells_what_happened_since_the_first(clock: Clock) -> None:
    with MetricsServer(exposition(requests=10)) as fake:
        watch = Monitor(fake.url, clock=clock)
        first = watch.look()
        fake.text = exposition(requests=30, inferences=80, executions=10, queue_us=40_000)
        second = look_later(watch, clock, 2.0)
    assert (first.state, dict(first.readings)) == ("first", {})
    assert (second.state, second.note) == ("ok", "")
    assert (second.readings["m"].requests_rps, second.readings["m"].mean_batch) == (10, 8)
    assert second.readings["m"].queue_ms == 2


def test_a_queue_is_waited_for_until_it_is_empty() -> None:
    with MetricsServer(exposition(requests=10, pending=4)) as fake:
        there = SimpleNamespace(metrics_url=fake.url)
        threading.Timer(0.6, lambda: setattr(fake, "text", exposition(requests=14))).start()
        assert 0.5 < monitor.drain(there, "m", within_s=30) < 30


def test_a_queue_that_stays_full_and_a_model_that_is_not_there_are_told() -> None:
    with MetricsServer(exposition(requests=10, pending=4)) as fake:
        there = SimpleNamespace(metrics_url=fake.url)
        with pytest.raises(MonitorError, match=r"After 0.5 s requests still wait: \{'m': 4\}"):
            monitor.drain(there, "m", within_s=0.5)
        with pytest.raises(MonitorError, match="No metrics of absent"):
            monitor.drain(there, ["absent"], within_s=5)
    with pytest.raises(MonitorError, match="Gone"):
        monitor.drain(there, "m", within_s=5)


def test_a_restart_is_told_and_gives_no_rate(clock: Clock) -> None:
    with MetricsServer(exposition(requests=1000)) as fake:
        watch = Monitor(fake.url, clock=clock)
        watch.look()
        fake.text = exposition(requests=3)
        restarted = look_later(watch, clock)
        fake.text = exposition(requests=8)
        after = look_later(watch, clock)
    assert restarted.state == "restarted"
    assert "began anew" in restarted.note
    assert not restarted.readings
    assert after.readings["m"].requests_rps == 5


def test_a_server_that_is_gone_is_told_and_looked_for_again(clock: Clock) -> None:
    with MetricsServer(exposition(requests=1)) as fake:
        watch = Monitor(fake.url, clock=clock)
        watch.look()
    gone = [look_later(watch, clock, 2.0) for _ in range(2)]
    assert [look.state for look in gone] == ["gone", "gone"]
    assert f"No Triton answers at {fake.url}" in gone[1].note
    assert "Gone for 2 s; trying again." in gone[1].note
    with MetricsServer(exposition(requests=70), fake.port) as back:
        assert look_later(watch, clock).state == "first"  # what happened meanwhile belongs to no second
        back.text = exposition(requests=71)
        assert look_later(watch, clock).readings["m"].requests_rps == 1


@pytest.mark.parametrize("text", ["Hello world\n", "<html>\n"])
def test_another_service_s_answer_is_no_metrics(clock: Clock, text: str) -> None:
    with MetricsServer(text) as fake:
        watch = Monitor(fake.url, ["m"], clock=clock)
        look = watch.look()
    assert look.note
    assert not look.readings


def test_a_wanted_model_that_is_not_there_is_named(clock: Clock) -> None:
    with MetricsServer(exposition() + exposition("n")) as fake:
        watch = Monitor(fake.url, ["m", "x"], clock=clock)
        watch.look()
        look = look_later(watch, clock)
    assert look.note == "No metrics of x; there are: m, n."
    assert list(look.readings) == ["m"]


def test_the_history_keeps_the_newest_looks_and_gaps(clock: Clock) -> None:
    with MetricsServer(exposition()) as fake:
        watch = Monitor(fake.url, keep=3, clock=clock)
        for pending in range(5):
            fake.text = exposition(pending=pending)
            look_later(watch, clock)
    look_later(watch, clock)
    times, values = watch.series("m", "pending")
    assert times == [104.0, 105.0, 106.0]
    assert values[:2] == [3, 4]
    assert math.isnan(values[2])
    assert all(math.isnan(value) for value in watch.series("nobody", "pending")[1])


def test_looks_end_when_told() -> None:
    stop = threading.Event()
    with MetricsServer(exposition()) as fake:
        seen = []
        for look in Monitor(fake.url, interval_s=0.1).looks(stop):
            seen.append(look.state)
            if len(seen) == 3:
                stop.set()
    assert seen == ["first", "ok", "ok"]


def test_bad_input_is_told() -> None:
    with pytest.raises(MonitorError, match=r"at least 0\.1 s, got 0"):
        Monitor("127.0.0.1:8002", interval_s=0)
    with pytest.raises(MonitorError, match="at least 1, got 0"):
        Monitor("127.0.0.1:8002", keep=0)
    with pytest.raises(ServerError, match="write it as host:port"):
        Monitor("ftp://x")


# A real Triton


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two slow models: one whose queue times out, one whose queue is short."""
    repository = tmp_path_factory.mktemp("repository")
    policies = {"late": QueuePolicy(default_timeout_microseconds=50_000), "full": QueuePolicy(max_queue_size=1)}
    for name, policy in policies.items():
        config = small_models.put_emulated(repository, name, "1:150", name, max_batch_size=1)
        changed = config.replace(dynamic_batching=DynamicBatching(default_queue_policy=policy))
        (repository / name / "config.pbtxt").write_text(changed.to_pbtxt())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        with server.start(list(policies), repository=repository, reuse=False) as started:
            yield started


def ask_at_once(triton: Server, model: str, count: int) -> list[str]:
    """Send `count` requests side by side; return the errors."""

    def ask(_: int) -> str:
        try:
            triton.infer(model, {"item": np.ones((1, 1), np.int32)})
        except ServerError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(count) as pool:
        return [error for error in pool.map(ask, range(count)) if error]


def ended(activity: Activity) -> int:
    """Return how many requests Triton has counted, answered or refused: it counts a moment after it answers."""
    return activity.requests + activity.failures


@pytest.mark.server
def test_a_real_triton_agrees_with_what_was_asked_of_it(limited: Server) -> None:
    clock = Clock()
    watch = Monitor(limited.metrics_url, clock=clock)
    before = limited.statistics("late")
    watch.look()
    errors = ask_at_once(limited, "late", 8)
    assert until(lambda: ended(limited.statistics("late") - before) == 8)
    reading = look_later(watch, clock).readings["late"]
    activity = limited.statistics("late") - before
    assert errors
    assert all("timeout expired" in error for error in errors)
    assert reading.rejected_rps == len(errors)
    assert reading.requests_rps == 8 - len(errors) == activity.requests
    assert reading.executions_per_s == activity.executions
    assert reading.queue_ms == pytest.approx(activity.queue_ms, abs=0.01)
    assert reading.compute_ms == pytest.approx(activity.compute_infer_ms, abs=0.01)
    assert reading.request_ms >= reading.queue_ms + reading.compute_ms
    assert reading.pending == 0


@pytest.mark.server
def test_triton_does_not_count_what_a_full_queue_refuses(limited: Server) -> None:
    # A fact that docs/monitoring.md and the alert rules build on: should a later Triton count them, both must say so.
    clock = Clock()
    watch = Monitor(limited.metrics_url, ["full"], clock=clock)
    watch.look()
    errors = ask_at_once(limited, "full", 8)
    reading = look_later(watch, clock).readings["full"]
    assert any("Exceeds maximum queue size" in error for error in errors)
    assert reading.requests_rps == 8 - len(errors)
    assert (reading.rejected_rps, reading.failures_rps) == (0, 0)


@pytest.mark.server
def test_a_panel_of_a_real_triton_tells_its_tier_and_refuses_a_model_that_is_not_there(limited: Server) -> None:
    live = monitor.panel(limited, ["late", "full"], slo_ms=200)
    live.stop()
    assert "emulated: real Triton" in live.picture().data
    assert live.monitor.history[-1].state in ("first", "ok")
    with pytest.raises(ModelError, match="'lat' is not loaded"):
        monitor.panel(limited, ["lat"])
