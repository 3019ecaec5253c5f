"""The tuner against a machine whose highest rate is known exactly."""

import json
import os
import signal
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from fake_server import MODEL, FakeServer
from loads import once_sampled
from queues import queue_latencies

from batchlab import arrivals, journal
from batchlab.measure import Run
from batchlab.points import Knobs, PointError, PointLog, pareto
from batchlab.provenance import Provenance
from batchlab.repository import DynamicBatching, InstanceGroup, ModelConfig, QueuePolicy
from batchlab.slo import Slo, min_requests, verdict
from batchlab.tune import SAFE_SHARE, TuneError, Tuner, configured, drive_server, grid

SLO = Slo(percentile=99, limit_ms=100)


def run_of(times_s: np.ndarray, latency_s: float | np.ndarray) -> Run:
    samples = pd.DataFrame({"intended_s": times_s, "sent_s": times_s, "done_s": times_s + latency_s, "batch_size": 1})
    return Run(samples.assign(ok=True, error=""), Provenance("simulated", "machine", "none"), "simulated")


class Machine:
    """A server that keeps 50 ms up to its highest rate and needs 500 ms above it; the knobs set that rate."""

    def __init__(self) -> None:
        self.calls: list[tuple[Knobs, float]] = []

    def limit_rps(self, knobs: Knobs) -> float:
        return 100.0 + 10 * knobs.max_batch_size - knobs.max_delay_us / 1000

    def __call__(self, knobs: Knobs, schedule: arrivals.Arrivals) -> Run:
        rate_rps = float(schedule.rate_rps)
        self.calls.append((knobs, rate_rps))
        latency_s = 0.05 if rate_rps <= self.limit_rps(knobs) else 0.5
        return run_of(np.asarray(schedule.times_s), latency_s)


def pattern(rate_rps: float, seconds: float, seed: int) -> arrivals.Arrivals:
    return arrivals.constant(rate_rps, seconds)


def tuner(machine: Machine, folder=None) -> Tuner:
    return Tuner("machine", SLO, machine, pattern, seconds=2.0, tolerance=0.02, folder=folder)


def test_grid_says_once_what_cannot_differ():
    cells = grid(max_batch_size=(1, 8), max_delay_ms=(0, 5, 20))
    assert len(cells) == 4
    assert {Knobs(1, 0), Knobs(8, 20_000)} <= set(cells)


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"max_batch_size": ()}, "max_batch_size is empty"),
        ({"max_batch_size": (0,)}, "max_batch_size = 0"),
        ({"max_delay_ms": (-1,)}, "max_delay_ms = -1"),
        ({"instances": (0,)}, "instances = 0"),
    ],
)
def test_grid_refuses(axes, named):
    with pytest.raises(TuneError, match=named):
        grid(**axes)


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_bisection_finds_the_known_limit(batch):
    machine, knobs = Machine(), Knobs(batch, 0)
    best = tuner(machine).highest_rate(knobs, 10, 1000)
    limit = machine.limit_rps(knobs)
    # The bracket ends at 2 % of its upper end; the schedule of whole requests adds a little.
    assert 0.96 * limit <= best.rate_rps <= 1.01 * limit
    assert len(machine.calls) < 14


def test_bisection_ends_at_the_top_when_the_top_keeps_the_slo():
    machine = Machine()
    assert tuner(machine).highest_rate(Knobs(32, 0), 10, 200).rate_rps == 200
    assert len(machine.calls) == 2


def test_search_confirms_only_what_could_still_win():
    found = tuner(Machine()).search(grid((1, 8, 32), (0, 20)), 10, 1000)
    assert found.confirmed.knobs == Knobs(32, 0)
    assert found.confirmed.outcome == "PASS"
    assert found.confirmed.requests >= 459
    assert found.table()["max_batch_size"].iloc[0] == 32
    assert {point.knobs for point in found.points if point.purpose == "confirm"} <= {Knobs(32, 0), Knobs(32, 20_000)}
    assert "carries" in str(found)


def test_search_without_a_winner_names_the_nearest():
    class Slow(Machine):
        def limit_rps(self, knobs: Knobs) -> float:
            return 0.0

    found = tuner(Slow()).search(grid((1, 8), (0,)), 10, 100)
    assert found.confirmed is None
    assert found.nearest.p99_ms == pytest.approx(500)
    assert "no configuration kept" in str(found)
    assert (found.table()["rate_rps"] == 0).all()


def test_search_that_confirms_nothing_says_what_the_short_runs_found():
    class Fading(Machine):
        def __call__(self, knobs, schedule):
            longer = len(schedule.times_s) > 2.5 * float(schedule.rate_rps)
            run = super().__call__(knobs, schedule)
            return run_of(np.asarray(schedule.times_s), 0.5) if longer else run

    found = tuner(Fading()).search(grid((1,), (0,)), 10, 1000)
    assert found.confirmed is None
    assert "short runs found 10" in str(found)
    assert "no longer run confirmed" in str(found)
    assert "no configuration kept" not in str(found)


def test_a_killed_search_resumes_without_measuring_twice(tmp_path):
    class Killed(Machine):
        def __call__(self, knobs, schedule):
            if len(self.calls) == 7:
                raise KeyboardInterrupt
            return super().__call__(knobs, schedule)

    first, second, whole = Killed(), Machine(), Machine()
    cells = grid((1, 8), (0,))
    with pytest.raises(KeyboardInterrupt):
        tuner(first, tmp_path).search(cells, 10, 1000)
    with (tmp_path / "points.jsonl").open("a") as file:
        file.write('{"max_batch_size": 8, "max_de')  # The kill came in the middle of a line.
    resumed = tuner(second, tmp_path).search(cells, 10, 1000)
    direct = tuner(whole).search(cells, 10, 1000)
    assert len(first.calls) + len(second.calls) == len(whole.calls)
    assert resumed.confirmed.knobs == direct.confirmed.knobs
    assert resumed.confirmed.rate_rps == direct.confirmed.rate_rps
    assert all(json.loads(line) for line in (tmp_path / "points.jsonl").read_text().splitlines())


def test_why_a_confirmation_is_not_judged_as_correlated():
    """M/D/1 at 80 % load without a single miss: the discounted rule passes no run of a confirmation's length."""

    def passed(requests: int, streams: int) -> float:
        latencies_s = queue_latencies(0.8, requests, streams, 31) / 1000
        limit = Slo(percentile=99, limit_ms=float(latencies_s.max() * 2000))
        times_s = np.arange(requests) * 1.25e-3
        verdicts = [
            verdict(run_of(times_s, stream), limit, correlated=True).outcome == "PASS" for stream in latencies_s.T
        ]
        return float(np.mean(verdicts))

    assert passed(int(SAFE_SHARE * min_requests(3)), 100) < 0.02
    assert passed(5_000, 50) < 0.2
    assert passed(20_000, 25) > 0.8


class Strained(Machine):
    """A `Machine` whose sender is late above a rate: always, or in the first runs only."""

    def __init__(self, late_above_rps: float, times: float = float("inf")) -> None:
        super().__init__()
        self.late_above_rps, self.times = late_above_rps, times

    def __call__(self, knobs, schedule):
        run = super().__call__(knobs, schedule)
        if schedule.rate_rps > self.late_above_rps and self.times > 0:
            self.times -= 1
            run.invalid = ["The sender was late: P99 of its lateness is 8.0 ms, the bound 5 ms."]
        return run


def test_a_sender_that_was_late_for_a_moment_changes_nothing():
    strained, calm, knobs = Strained(300, times=2), Machine(), Knobs(32, 0)  # The machine itself carries 420.
    search = tuner(strained)
    assert search.highest_rate(knobs, 10, 410).rate_rps == tuner(calm).highest_rate(knobs, 10, 410).rate_rps == 410
    assert len(strained.calls) == len(calm.calls) + 2
    assert strained.calls[1] == strained.calls[2] == strained.calls[3]
    assert search.sender_limited == {}


def test_a_sender_that_stays_late_is_not_called_a_broken_slo():
    strained, knobs = Strained(300), Knobs(32, 0)  # The machine itself carries 420.
    found = tuner(strained).search([knobs], 10, 400)
    assert 0.96 * 300 <= found.highest[knobs].rate_rps <= 300
    limit = found.sender_limited[knobs]
    assert 300 < limit.rate_rps < 1.03 * 300
    assert not limit.valid
    assert found.confirmed.rate_rps == found.highest[knobs].rate_rps
    assert "the sender was the limit, not the server: they may carry more" in str(found)
    assert "P99 of its lateness is 8.0 ms" in str(found)


def test_a_late_sender_above_the_servers_own_limit_does_not_matter():
    machine, knobs = Strained(600), Knobs(32, 0)
    search = tuner(machine)
    assert search.highest_rate(knobs, 10, 1000).rate_rps == pytest.approx(420, rel=0.03)
    assert search.sender_limited == {}
    assert len(machine.calls) == len(set(machine.calls))  # the SLO was broken by far more than anyone was late


def test_a_miss_no_longer_than_the_sender_was_late_is_measured_again():
    class Stalled(Strained):
        def __call__(self, knobs, schedule):
            run = super().__call__(knobs, schedule)
            if run.invalid:
                run.samples["sent_s"] += 0.45  # of the 0.5 s that a request took
            return run

    machine = Stalled(600, times=1)
    assert not tuner(machine).measure(Knobs(32, 0), 700).within_slo
    assert machine.calls[0] == machine.calls[1]


def test_a_sender_out_of_processor_time_is_measured_again_whatever_the_tail():
    class Busy(Strained):
        def __call__(self, knobs, schedule):
            run = super().__call__(knobs, schedule)
            run.invalid += ["The sender was out of processor time: it used 0.95 of its core."] if run.invalid else []
            return run

    machine = Busy(600, times=1)
    assert not tuner(machine).measure(Knobs(32, 0), 700).within_slo
    assert machine.calls[0] == machine.calls[1]  # a client that starved reads its answers late, too


def test_each_configuration_may_have_an_end_of_its_own():
    machine, small, large = Machine(), Knobs(8, 0), Knobs(32, 0)
    found = tuner(machine).search([small, large], 10, {small: 170.0, large: 400.0}.__getitem__)
    assert [found.highest[knobs].rate_rps for knobs in (small, large)] == [170, 400]


def test_a_sender_that_is_late_at_every_rate_proves_nothing():
    found = tuner(Strained(0)).search([Knobs(8, 0)], 10, 100)
    assert found.confirmed is None
    assert found.nearest is None
    assert "nothing valid was measured" in str(found)
    assert "no configuration kept" not in str(found)
    assert "In 1 of 1 configurations the sender was the limit" in str(found)


def test_a_server_beyond_its_capacity_breaks_the_slo_though_its_run_is_not_valid():
    class Flooded(Machine):
        def __call__(self, knobs, schedule):
            run = super().__call__(knobs, schedule)
            if schedule.rate_rps > self.limit_rps(knobs):
                run.invalid = ["70 requests were not sent because 2000 were in flight already: the server is far ..."]
            return run

    flooded, knobs = Flooded(), Knobs(8, 0)
    search = tuner(flooded)
    assert search.highest_rate(knobs, 10, 1000).rate_rps == pytest.approx(180, rel=0.03)
    assert len(flooded.calls) == len(set(flooded.calls))
    assert search.sender_limited == {}


def test_a_resumed_search_measures_anew_what_was_not_valid(tmp_path):
    knobs = Knobs(8, 0)
    tuner(Strained(100), tmp_path).measure(knobs, 120)
    again = Machine()
    assert tuner(again, tmp_path).measure(knobs, 120).valid
    assert len(again.calls) == 1
    tuner(again, tmp_path).measure(knobs, 120)
    assert len(again.calls) == 1


def test_lines_of_an_older_log_are_valid(tmp_path):
    path = tmp_path / "points.jsonl"
    tuner(Machine(), tmp_path).measure(Knobs(8, 0), 120)
    search, point = map(json.loads, path.read_text().splitlines())
    del point["valid"], point["reason"]
    path.write_text(json.dumps(search) + "\n" + json.dumps(point) + "\n")
    again = Machine()
    assert tuner(again, tmp_path).measure(Knobs(8, 0), 120).valid
    assert again.calls == []


def test_a_folder_of_another_search_is_refused(tmp_path):
    PointLog(tmp_path, {"model": "a"})
    with pytest.raises(PointError, match="another search"):
        PointLog(tmp_path, {"model": "b"})


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 10), (20, 10), (-5, 10)])
def test_a_bracket_that_is_none_is_refused(low, high):
    with pytest.raises(TuneError, match="bracket"):
        tuner(Machine()).highest_rate(Knobs(8, 0), low, high)


def test_pareto_keeps_what_nothing_beats():
    points = pd.DataFrame({"throughput_rps": [100, 200, 200, 300, 250], "p99_ms": [10, 20, 25, 40, 50]})
    front = pareto(points)
    assert front["throughput_rps"].tolist() == [100, 200, 300]
    assert front["p99_ms"].tolist() == [10, 20, 40]


def test_configured_changes_the_knobs_and_nothing_else():
    before = ModelConfig(
        name="m",
        backend="emulated",
        max_batch_size=128,
        instance_groups=(InstanceGroup(count=1, kind="KIND_CPU"),),
        parameters={"profile": "p"},
    )
    after = configured(before, Knobs(32, 5000, instances=2, max_queue_size=64))
    assert after.max_batch_size == 32
    assert after.dynamic_batching == DynamicBatching(
        max_queue_delay_microseconds=5000, default_queue_policy=QueuePolicy(max_queue_size=64)
    )
    assert after.instance_groups == (InstanceGroup(count=2, kind="KIND_CPU"),)
    assert after.parameters == before.parameters
    assert configured(before, Knobs(32, 0, batching=False)).dynamic_batching is None


@pytest.mark.alone
def test_a_saved_run_knows_its_knobs(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))

    class Reloaded(FakeServer):
        loads: ClassVar[list] = []

        def config(self, model):
            return ModelConfig(name=model, backend="python", max_batch_size=8)

        def load(self, model, config):
            self.loads.append(config.max_batch_size)

    knobs = [Knobs(4, 2000), Knobs(4, 2000), Knobs(8, 0)]
    with Reloaded() as server:
        drive = drive_server(server, MODEL)
        runs = [drive(chosen, pattern(100, 0.1, 0)) for chosen in knobs]
    assert server.loads == [4, 8]  # A reload only where the knobs change.
    assert [Knobs(**journal.load(run.run_id).settings["knobs"]) for run in runs] == knobs


class Unchanged(FakeServer):
    def config(self, model):
        return ModelConfig(name=model, backend="python", max_batch_size=8)

    def load(self, model, config):
        pass


@pytest.mark.alone
def test_a_search_that_is_interrupted_forgets_the_run_in_hand_and_keeps_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "first"))
    kept = tmp_path / "search"
    with Unchanged() as server:
        drive = drive_server(server, MODEL)

        def driven(knobs, schedule):
            if schedule.rate_rps > 50:
                monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "second"))
                once_sampled(tmp_path / "second", lambda: os.kill(os.getpid(), signal.SIGINT))
            return drive(knobs, schedule)

        tune = Tuner(MODEL, SLO, driven, pattern, seconds=2.0, folder=kept)
        tune.measure(Knobs(8, 0), 50)
        with pytest.raises(KeyboardInterrupt):
            tune.measure(Knobs(8, 0), 100)
    lines = [json.loads(line) for line in (kept / "points.jsonl").read_text().splitlines()]
    assert {line["rate_rps"] for line in lines[1:]} == {50}  # More than once where the machine was busy.
    assert len(journal.saved()) == 1  # What was measured of the second run is on disk all the same.


@pytest.mark.alone
def test_a_search_whose_server_goes_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    with Unchanged() as server:
        once_sampled(tmp_path, server.kill)
        tune = Tuner(MODEL, SLO, drive_server(server, MODEL), pattern, seconds=20.0)
        with pytest.raises(TuneError, match=r"The server was gone .* goes on where it was"):
            tune.measure(Knobs(8, 0), 50)
    assert tune.points == []
