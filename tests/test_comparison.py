"""The staircase: the same for every server, cut by the pace in length only, and judged step by step."""

import numpy as np
import pandas as pd
import pytest
from fake_server import FakeServer

from batchlab import comparison, profiles, protocol
from batchlab.comparison import ComparisonError, Stairs
from batchlab.http_server import HttpServer
from batchlab.measure import COLUMNS, Run
from batchlab.provenance import Provenance
from batchlab.slo import Slo

SLO = Slo(p99_ms=100)


def stairs(**changes):
    return Stairs(**{"limit_rps": 1000.0, "shares": (0.2, 0.4, 0.8), "step_s": 1.0, "lead_s": 0.5, **changes})


def a_run(times_s, latency_ms, invalid=(), failed=()):
    """Return a run whose latency is a function of the intended time; `failed` lists requests that were refused."""
    ok = np.ones(len(times_s), bool)
    ok[list(failed)] = False
    rows = {
        "intended_s": times_s,
        "sent_s": times_s + 0.001,
        "done_s": times_s + np.array([latency_ms(time_s) for time_s in times_s]) / 1000,
        "batch_size": 1,
        "ok": ok,
        "error": np.where(ok, "", "503"),
    }
    samples = pd.DataFrame(rows)[list(COLUMNS)]
    return Run(samples, Provenance("emulated", "m", "x"), "open_loop", warmup_s=0.5, invalid=list(invalid))


def test_the_limit_is_the_best_of_all_batches_and_not_the_largest():
    assert comparison.limit_rps(profiles.synthetic_profile(10, 1), 10) == pytest.approx(10 / 20 * 1000)
    published = profiles.load_profiles()["rn50-amp-t4-eager"]
    assert comparison.limit_rps(published, 8) == pytest.approx(8 / 12.2699 * 1000)
    assert comparison.limit_rps(published, 1) == pytest.approx(1 / 12.6582 * 1000)


def test_the_rate_rises_step_by_step():
    schedule = stairs(step_s=20.0).arrivals(1)
    counts = np.histogram(schedule.times_s, bins=[0.5, 20.5, 40.5, 60.5])[0]
    assert counts / 20 == pytest.approx([200, 400, 800], rel=0.1)
    assert schedule.seconds == pytest.approx(60.5 + 0.8)
    assert np.array_equal(schedule.times_s, stairs(step_s=20.0).arrivals(1).times_s)
    assert schedule.digest != stairs(step_s=20.0).arrivals(2).digest


def test_a_faster_pace_keeps_every_step(monkeypatch):
    monkeypatch.setenv("BATCHLAB_PACE", "0.1")
    schedule = stairs().arrivals(1)
    assert schedule.times_s[-1] <= 0.35
    kept = schedule.clip(0.0, schedule.seconds * 0.1)
    assert len(kept) == len(schedule)
    table = stairs().steps(a_run(kept.times_s, lambda time_s: 5.0), SLO)
    assert table["requests"].sum() == (kept.times_s >= 0.05).sum()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"shares": (0.5, 0.4)}, "must be above 0 and rise"), ({"shares": ()}, "rise"), ({"step_s": 0.0}, "above 0")],
)
def test_stairs_that_lead_nowhere_are_refused(changes, words):
    with pytest.raises(ComparisonError, match=words):
        stairs(**changes)


def test_climbs_follow_each_other_with_a_rest_between():
    both = stairs().arrivals(1, 2)
    assert both.seconds == pytest.approx(2 * stairs().length_s)
    gap_s = both.times_s[len(stairs().arrivals(1))] - both.times_s[len(stairs().arrivals(1)) - 1]
    assert gap_s >= 0.8
    assert both.params["seeds"] == [1, 2]


def test_a_share_is_the_last_step_before_the_first_that_broke():
    times_s = stairs().arrivals(1).times_s
    slow_middle = a_run(times_s, lambda time_s: 150.0 if 1.5 <= time_s < 2.5 else 10.0)
    table = stairs().steps(slow_middle, SLO)
    assert table["held"].tolist() == [True, False, True]
    assert table["p99_ms"].tolist() == pytest.approx([10, 150, 10])
    assert stairs().share(slow_middle, SLO) == 0.2
    assert stairs().share(a_run(times_s, lambda time_s: 10.0), SLO) == 0.8
    assert stairs().share(a_run(times_s, lambda time_s: 150.0), SLO) == 0.0


def test_a_refused_request_is_a_miss():
    times_s = stairs().arrivals(1).times_s
    on_first_step = np.flatnonzero((times_s >= 0.5) & (times_s < 1.5))
    table = stairs().steps(a_run(times_s, lambda time_s: 10.0, failed=on_first_step[:20]), SLO)
    assert table["failures"].tolist() == [20, 0, 0]
    assert table["held"].tolist() == [False, True, True]
    assert table["p99_ms"][0] == pytest.approx(10)


def test_the_summary_averages_seeds_and_keeps_the_row_of_a_server_that_did_not_run():
    times_s = stairs().arrivals(1).times_s
    fine, poor = a_run(times_s, lambda time_s: 10.0), a_run(times_s, lambda time_s: 10.0 if time_s < 1.5 else 200.0)
    late = a_run(times_s, lambda time_s: 10.0, invalid=["The sender was late: P99 of its lateness is 90 ms."])
    table = comparison.summary({"A": [fine, poor], "B": [], "C": [late]}, stairs(), SLO)
    assert table.loc["A", "share"] == pytest.approx(0.5)
    assert table.loc["A", ["lowest", "highest", "seeds"]].tolist() == [0.2, 0.8, 2]
    assert table.loc["A", "rate_rps"] == pytest.approx(500)
    assert table.loc["A", "lateness_p99_ms"] == pytest.approx(1.0)
    assert np.isnan(table.loc["B", "share"])
    assert table["trusted"].tolist() == [True, False, False]


def test_a_server_is_climbed_and_asked_alone(home):
    with FakeServer(service_ms=5) as fake:
        server = HttpServer(protocol.named("mosec"), fake.url, tier="cpu")
        short = stairs(limit_rps=100.0, step_s=0.5, lead_s=0.2, rest_s=0.2)
        first, second = short.climb(server, "m", seeds=(1, 2))
        assert len(first.samples) == len(short.arrivals(1))
        assert (first.provenance.seed, second.provenance.seed) == (1, 2)
        for seed, run in ((1, first), (2, second)):
            meant_s = np.sort(run.samples["intended_s"].to_numpy())
            assert meant_s == pytest.approx(short.arrivals(seed).times_s, abs=1e-6)
            assert short.steps(run, SLO)["requests"].sum() == len(run.kept)
            assert run.latencies_ms.min() >= 5
        lone_ms = comparison.lone_ms(server, "m", requests=12)
        assert lone_ms.shape == (12,)
        assert lone_ms.min() >= 5
        assert len(fake.fetch("/arrivals")["arrivals"]) >= 13


def test_batches_come_from_whoever_counts_them():
    class Counts:
        def batches(self):
            return {1: 2}

    class Triton:
        def statistics(self, model):
            return type("Snapshot", (), {"batches": {8: 3}})()

    assert comparison.batches(Counts(), "m") == {1: 2}
    assert comparison.batches(Triton(), "m") == {8: 3}


def test_a_lone_request_that_fails_is_told():
    with FakeServer(fail_status=500) as fake, pytest.raises(ComparisonError, match="answered 500 to a lone request"):
        comparison.lone_ms(HttpServer(protocol.named("mosec"), fake.url, tier="cpu"), "m")
    with pytest.raises(ComparisonError, match="did not answer a lone request"):
        comparison.lone_ms(HttpServer(protocol.named("mosec"), fake.url, tier="cpu"), "m")
