"""Capacity curves: from the twin against queueing theory, from runs and searches; what cannot be priced says so."""

import numpy as np
import pytest
from pictures import provenance, run_of
from priced import SLO, curve_of

from batchlab import arrivals, capacity, twin
from batchlab.capacity import CapacityCurve, CapacityError, CapacityPoint
from batchlab.points import Knobs, Point, Search
from batchlab.service import ServiceTime
from batchlab.slo import Slo

KNOBS = Knobs(8, 0)


def point(rate: float, tail: float, kept: bool, share: float = 0.995) -> CapacityPoint:
    return CapacityPoint(rate, rate * share, tail, share, 0.0, kept)


def measured(rate: float, tail: float, *, purpose: str = "screen", outcome: str = "NEED MORE DATA", **more) -> Point:
    values = {"within_slo": tail <= 100, "throughput_rps": rate, "goodput_rps": 0.99 * rate, **more}
    return Point(
        knobs=values.pop("knobs", KNOBS), rate_rps=rate, seed=0, purpose=purpose, requests=1000, p50_ms=5.0,
        p99_ms=tail, mean_batch=2.0, outcome=outcome, run_id="", **values,
    )  # fmt: skip


def test_the_highest_kept_rate_is_the_capacity() -> None:
    curve = CapacityCurve("c", SLO, (point(30, 120, False), point(10, 20, True), point(20, 90, True)))
    assert [each.rate_rps for each in curve.points] == [10, 20, 30]
    assert curve.rate_rps == 20
    assert curve.doubt == ""
    assert curve.table()["tail_ms"].tolist() == [20, 90, 120]


def test_a_break_below_the_highest_kept_rate_is_told() -> None:
    curve = CapacityCurve("c", SLO, (point(10, 120, False), point(20, 90, True)))
    assert curve.rate_rps == 20
    assert "10/s broke the SLO, and the higher 20/s kept it" in curve.doubt


def test_a_share_is_never_too_high() -> None:
    points = (point(10, 20, True, 1.0), point(20, 90, True, 0.99), point(30, 200, False, 0.5))
    curve = CapacityCurve("c", SLO, points)
    assert curve.share_at(10) == 1.0
    assert curve.share_at(10.1) == 0.99
    with pytest.raises(CapacityError, match="up to 20/s, asked for 25/s"):
        curve.share_at(25)


def test_an_empty_curve_and_an_slo_that_nothing_meets() -> None:
    with pytest.raises(CapacityError, match="is empty"):
        CapacityCurve("c", SLO, ())
    with pytest.raises(CapacityError, match=r"at none of its 2 rates; nearest is 120 ms at 10/s"):
        _ = CapacityCurve("c", SLO, (point(10, 120, False), point(20, 300, False))).highest
    with pytest.raises(CapacityError, match="A rate is above 0"):
        point(-1, 5, True)
    with pytest.raises(CapacityError, match="give at least one rate"):
        capacity.of_twin(twin.model(ServiceTime(np.array([1]), np.array([5.0]))), SLO, rates_rps=[])
    with pytest.raises(CapacityError, match="at least one valid run"):
        capacity.of_runs([], SLO)


def test_the_twin_finds_the_rate_that_theory_gives() -> None:
    """M/M/1: the time in the system is exponential, so P99 = ln(100) / (mu - lambda), which gives lambda at once."""
    service = ServiceTime(np.array([1]), np.array([10.0]), 1.0, law="exponential")
    alone = twin.model(service, name="mm1", max_batch_size=1, batching=False)
    exact = 100 - np.log(100) / 0.2
    curve = capacity.of_twin(alone, Slo(p99_ms=200), requests=200_000, seed=3)
    assert curve.rate_rps == pytest.approx(exact, rel=0.03)
    assert curve.highest.share_within >= 0.99
    assert curve.provenance is not None
    assert curve.provenance.tier == "simulated"


def test_the_twins_bisection_closes_in() -> None:
    curve = curve_of(8, 40_000)
    above = [each.rate_rps for each in curve.points if each.rate_rps > curve.rate_rps]
    assert above[0] - curve.rate_rps < 0.01 * 8 / 18e-3
    assert curve.doubt == ""
    assert curve_of(8, 40_000).points == curve.points
    assert curve.rate_rps < curve_of(32).rate_rps


def test_no_rate_is_judged_by_a_run_that_is_too_short_for_it() -> None:
    """With a loose limit the SLO is no bound; 10 ms a request and 2000 of them tell of loads up to 95 %."""
    toy = twin.model(ServiceTime(np.array([1]), np.array([10.0])), max_batch_size=1)
    curve = capacity.of_twin(toy, Slo(p99_ms=10_000), requests=2000)
    assert curve.rate_rps == pytest.approx(100 * (1 - np.sqrt(5 / 2000)))
    assert "2,000 requests tell no more" in curve.doubt
    longer = capacity.of_twin(toy, Slo(p99_ms=10_000), requests=20_000)
    assert curve.rate_rps < longer.rate_rps < 100


def test_where_even_a_lone_request_is_late_nothing_is_bisected() -> None:
    slow = twin.model(ServiceTime(np.array([1]), np.array([150.0])), max_batch_size=1)
    curve = capacity.of_twin(slow, SLO, requests=200)
    assert all(not point.kept for point in curve.points)
    with pytest.raises(CapacityError, match="nearest is"):
        _ = curve.rate_rps


def test_bursts_carry_less_than_poisson_traffic() -> None:
    toy = twin.model(ServiceTime(np.array([1]), np.array([10.0])), max_batch_size=1)

    def clumps(rate: float, seconds: float, seed: int) -> arrivals.Arrivals:
        return arrivals.gamma(rate, seconds, burstiness=3, seed=seed)

    plain, rough = (capacity.of_twin(toy, SLO, requests=20_000, traffic=each) for each in (None, clumps))
    assert rough.rate_rps < 0.8 * plain.rate_rps


def test_a_run_counts_failures_as_misses() -> None:
    run = run_of(np.full(200, 10.0), gaps_s=np.full(200, 0.1))
    run.samples.loc[:9, "ok"] = False
    made = CapacityPoint.of_run(run, SLO)
    assert made.share_within == pytest.approx(0.95)
    assert made.rejected == pytest.approx(0.05)
    assert not made.kept
    assert made.rate_rps == pytest.approx(10)
    assert CapacityPoint.of_run(run, Slo(percentile=90, limit_ms=100)).kept


def test_invalid_and_unstable_runs() -> None:
    good = run_of(np.full(200, 10.0), gaps_s=np.full(200, 0.1))
    bad = run_of(np.full(200, 10.0), gaps_s=np.full(200, 0.01), invalid=["the sender was late"])
    growing = run_of(np.full(200, 10.0), gaps_s=np.full(200, 0.05), settings={"unstable": "unstable: ..."})
    curve = capacity.of_runs([good, bad, growing], SLO)
    assert [(round(each.rate_rps), each.kept) for each in curve.points] == [(10, True), (20, False)]
    assert curve.name == "resnet50_t4"
    with pytest.raises(CapacityError, match="no request after its warm-up"):
        CapacityPoint.of_run(run_of([10.0, 10.0], warmup_s=100), SLO)


def test_a_search_gives_a_curve_per_configuration() -> None:
    other = Knobs(32, 5000)
    points = [measured(100, 20), measured(200, 300), measured(150, 50, knobs=other), measured(900, 1, valid=False)]
    found = capacity.of_search(Search("m", SLO, points), provenance())
    assert [curve.name for curve in found] == [str(KNOBS), str(other)]
    assert [curve.rate_rps for curve in found] == [100, 150]
    assert found[0].highest.share_within == pytest.approx(0.99)
    with pytest.raises(CapacityError, match="no valid measurement in search of m"):
        capacity.of_search(Search("m", SLO, [measured(9, 9, valid=False)]))


def test_what_was_proven_beats_what_was_screened() -> None:
    points = [
        measured(200, 90),
        measured(200, 130, purpose="confirm", outcome="FAIL"),
        measured(180, 80, purpose="confirm", outcome="PASS"),
    ]
    (curve,) = capacity.of_search(Search("m", SLO, points))
    assert curve.rate_rps == 180
    # Nothing was proven: screening is all there is, and a confirmation that did not pass keeps nothing.
    (curve,) = capacity.of_search(Search("m", SLO, [measured(200, 90), measured(210, 95, purpose="confirm")]))
    assert curve.rate_rps == 200
