"""Verdicts: MLPerf's counts, what a verdict says, and how often it is wrong."""

import numpy as np
import pandas as pd
import pytest
from queues import queue_latencies

from batchlab import slo
from batchlab.measure import Run
from batchlab.provenance import Provenance
from batchlab.slo import Slo, SloError, verdict

P99 = Slo(p99_ms=100)


def run_of(latencies_ms, ok=None, gap_s: float = 0.01, kind: str = "open_loop", **changes) -> Run:
    latencies_ms = np.asarray(latencies_ms, dtype=float)
    intended = np.arange(len(latencies_ms)) * gap_s
    rows = {"intended_s": intended, "sent_s": intended, "done_s": intended + latencies_ms / 1000, "batch_size": 1}
    frame = pd.DataFrame({**rows, "ok": True if ok is None else ok, "error": ""})
    return Run(frame, Provenance("simulated", "m", "s"), kind, **changes)


def with_misses(requests: int, misses: int) -> Run:
    latencies = np.full(requests, 50.0)
    latencies[np.linspace(0, requests - 1, misses).astype(int)] = 150.0
    return run_of(latencies)


# ---- the objective


def test_an_slo_has_a_long_and_a_short_name() -> None:
    assert Slo(p99_ms=100) == Slo(percentile=99, limit_ms=100) == Slo(99, 100)
    assert Slo(p99_9_ms=5).percentile == 99.9
    assert str(Slo(p99_9_ms=5)) == "P99.9 <= 5 ms"
    assert Slo(p99_ms=100).allowed_miss_rate == 0.01
    assert len({Slo(p99_ms=100), Slo(99, 100)}) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Slo(),
        lambda: Slo(p99_ms=0),
        lambda: Slo(p99_ms=float("nan")),
        lambda: Slo(p100_ms=5),
        lambda: Slo(q99_ms=5),
        lambda: Slo(p99=5),
        lambda: Slo(p99_ms=5, p50_ms=3),
        lambda: Slo(95, p99_ms=5),
        lambda: Slo(percentile=0, limit_ms=5),
    ],
)
def test_an_slo_that_makes_no_sense_is_refused(make) -> None:
    with pytest.raises(SloError):
        make()


def test_a_miss_is_late_or_failed_and_the_limit_itself_is_in_time() -> None:
    run = run_of([50, 100, 100.001, 50, 500], ok=[True, True, True, False, False])
    assert P99.misses(run).tolist() == [False, False, True, True, True]
    # What is no miss is goodput.
    assert run.goodput_rps(P99.limit_ms) * run.duration_s == pytest.approx((~P99.misses(run)).sum())


# ---- verdicts


@pytest.mark.parametrize(
    ("requests", "misses", "outcome"),
    [
        (0, 0, "NEED MORE DATA"),
        (458, 0, "NEED MORE DATA"),
        (459, 0, "PASS"),
        (661, 1, "NEED MORE DATA"),
        (662, 1, "PASS"),
        (6898, 50, "PASS"),
        (6898, 51, "NEED MORE DATA"),
        (1000, 10, "NEED MORE DATA"),
        (100, 6, "FAIL"),
        (4000, 87, "FAIL"),
        (10, 10, "FAIL"),
    ],
)
def test_outcomes(requests: int, misses: int, outcome: str) -> None:
    found = verdict(with_misses(requests, misses), P99)
    assert (found.outcome, found.requests, found.misses) == (outcome, requests, misses)
    assert found.passed == (outcome == "PASS")


def test_failures_are_misses() -> None:
    ok = np.ones(500, dtype=bool)
    ok[:30] = False
    assert verdict(run_of(np.full(500, 1.0), ok=ok), P99).outcome == "FAIL"


def test_the_warm_up_is_not_judged() -> None:
    latencies = np.full(1000, 50.0)
    latencies[:300] = 900.0
    run = run_of(latencies, warmup_s=3.0)
    assert verdict(run, P99).outcome == "PASS"
    assert verdict(run, P99).requests == 700


def test_how_many_more() -> None:
    """Going on at the present miss rate really decides it, and not much earlier."""
    assert verdict(with_misses(100, 0), P99).more_requests == 359
    good = verdict(with_misses(800, 5), P99)
    assert good.more_requests is not None
    total = 800 + good.more_requests
    assert verdict(with_misses(total, int(total * 5 / 800)), P99).outcome == "PASS"
    short = 800 + int(0.8 * good.more_requests)
    assert verdict(with_misses(short, int(short * 5 / 800)), P99).outcome == "NEED MORE DATA"
    bad = verdict(with_misses(100, 3), P99)
    assert bad.more_requests is None
    assert bad.more_to_fail is not None
    total = 100 + bad.more_to_fail
    assert verdict(with_misses(total, int(np.ceil(total * 0.03))), P99).outcome == "FAIL"
    even = verdict(with_misses(800, 8), P99)
    assert (even.more_requests, even.more_to_fail) == (None, None)
    assert "never passes" in str(even)


def test_a_run_that_must_not_be_judged() -> None:
    late = verdict(run_of(np.full(5000, 1.0), invalid=["The sender was late: <40 ms>."]), P99)
    assert late.outcome == "NOT VALID"
    assert not late.passed
    assert "The sender was late" in str(late)
    assert "&lt;40 ms&gt;" in late._repr_html_()
    cut = verdict(run_of(np.full(5000, 1.0), partial=True), P99)
    assert cut.outcome == "NOT VALID"
    assert "cut short" in str(cut)


def test_a_closed_loop_is_judged_with_a_warning() -> None:
    assert "closed loop" in str(verdict(run_of(np.full(800, 1.0), kind="closed_loop"), P99))


@pytest.mark.parametrize("arguments", [{"confidence": 1.0}, {"confidence": 0}, {"looks": 0}])
def test_verdicts_refuse_nonsense(arguments) -> None:
    with pytest.raises(SloError):
        verdict(with_misses(10, 0), P99, **arguments)


@pytest.mark.parametrize(("requests", "misses"), [(0, 0), (700, 1), (4000, 87), (700, 4), (700, 7)])
def test_a_verdict_reads_well_and_without_colour(requests: int, misses: int) -> None:
    found = verdict(with_misses(requests, misses), P99)
    text, page = str(found), found._repr_html_()
    assert text.startswith(found.outcome)
    for part in (f"{misses} of {requests} requests missed 100 ms", "99 % confidence", "P99"):
        assert part in text
    assert found.outcome in page
    assert "rgb" not in page
    assert "#" not in page.replace("&#1", "")
    assert pd.DataFrame([found.to_dict()]).loc[0, "outcome"] == found.outcome


def test_each_outcome_has_its_own_sign_and_border() -> None:
    assert len({sign for sign, _ in slo.SIGNS.values()}) == len({line for _, line in slo.SIGNS.values()}) == 4


def test_windows() -> None:
    latencies = np.full(3000, 50.0)
    latencies[1000:2000] = 150.0
    found = slo.verdicts_by_window(run_of(latencies), P99, 10.0)
    assert [one.outcome for one in found] == ["PASS", "FAIL", "PASS"]
    assert [one.span_s for one in found] == [(0, 10), (10, 20), (20, 30)]
    assert sum(one.requests for one in found) == 3000
    warm = slo.verdicts_by_window(run_of(latencies, warmup_s=5.0), P99, 10.0)
    assert warm[0].span_s == (5.0, 15.0)
    assert sum(one.requests for one in warm) == 2500
    with pytest.raises(SloError, match="above 0 s"):
        slo.verdicts_by_window(run_of(latencies), P99, 0)


# ---- how often it is wrong


def test_ten_thousand_streams_just_outside_hardly_ever_pass() -> None:
    """True miss rate 1.01 %, independent. At most 1 % of verdicts may be PASS, plus the noise of 10,000 streams.

    Fixed seed; for a fresh one the bound of four standard errors fails by chance once in 30,000 times.
    """
    rng = np.random.default_rng(20)
    bound = 0.01 + 4 * np.sqrt(0.01 * 0.99 / 10_000)
    for requests in (459, 2010, 6898):
        misses = rng.binomial(requests, 0.0101, size=10_000)
        outcomes = {count: verdict(with_misses(requests, count), P99).outcome for count in np.unique(misses)}
        passed = np.mean([outcomes[count] == "PASS" for count in misses])
        exact = slo.false_pass_rate(0.0101, [requests])
        assert passed <= bound
        assert exact <= 0.01
        assert passed == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000))


def test_planned_looks_keep_the_promise() -> None:
    looks = [500 * k for k in range(1, 11)]
    assert slo.false_pass_rate(0.0101, looks) > 0.02
    assert slo.false_pass_rate(0.0101, looks, confidence=1 - 0.01 / len(looks)) < 0.01
    # 662 requests with one miss pass when asked once, and not when they are one of ten looks.
    assert verdict(with_misses(662, 1), P99).outcome == "PASS"
    assert verdict(with_misses(662, 1), P99, looks=10).outcome == "NEED MORE DATA"
    assert verdict(with_misses(662, 1), P99, looks=10).confidence == 0.99


def test_in_a_queue_the_plain_rule_passes_far_too_often_and_the_discount_helps() -> None:
    """M/D/1 at 80 % load with a limit that 1.05 % of the requests miss: nothing of this is rare enough to fail."""
    latencies = queue_latencies(0.8, 12_000, 150, 25)
    limit = np.quantile(latencies, 1 - 0.0105)
    bad = Slo(percentile=99, limit_ms=float(limit))
    runs = [run_of(row, gap_s=1.25e-3) for row in latencies.T]
    plain = np.mean([verdict(run, bad).passed for run in runs])
    careful = np.mean([verdict(run, bad, correlated=True).passed for run in runs])
    assert plain > 0.2
    assert careful < 0.05
    # Where few requests miss, the careful verdict still comes to a PASS, given the data.
    good = Slo(percentile=99, limit_ms=float(latencies.max() * 1.01))
    found = verdict(runs[0], good, correlated=True)
    assert found.outcome in ("PASS", "NEED MORE DATA")
    assert found.clumping > 1
    assert "counted as" in str(found)
