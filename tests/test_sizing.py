"""The fewest replicas: found, one fewer breaks the SLO, impossible promises refused."""

import pytest

from batchlab import sizing, twin
from batchlab.day import Day
from batchlab.replicas import Fleet, FleetError
from batchlab.service import ServiceTime
from batchlab.slo import Slo

SERVICE = ServiceTime.from_function(lambda b: 10 + b, range(1, 9))
DAY = Day(500, 2000, 480.0)


def model(**knobs) -> twin.Twin:
    return twin.model(SERVICE, **{"max_batch_size": 8, **knobs})


@pytest.mark.parametrize("limit_ms", [40, 150])
def test_the_fewest_keep_the_slo_at_the_peak_and_one_fewer_does_not(limit_ms: float) -> None:
    slo = Slo(p99_ms=limit_ms)
    found = sizing.plan_fleet(model(), DAY, slo, sample_share=0.5)
    assert found.day.kept
    assert found.peak.keeps(slo)
    assert 0 < found.peak_load < 1
    tried = dict(found.trials)
    least = min(count for count, kept in tried.items() if kept)
    assert not tried.get(least - 1, False)
    # More only where a whole day showed that the first was lucky.
    assert found.fleet.replicas == least if found.days == 1 else found.fleet.replicas > least


def test_a_tighter_promise_needs_more_replicas() -> None:
    counts = [sizing.plan_fleet(model(), DAY, Slo(p99_ms=ms), sample_share=0.1).fleet.replicas for ms in (30, 60, 200)]
    assert counts[0] > counts[1] >= counts[2]
    assert counts[2] > 2000 / model().capacity_rps()


def test_a_broken_hour_adds_replicas(monkeypatch) -> None:
    # The bisection looks at one replica; the day then finds an hour that breaks, and the plan grows.
    slo, whole, seen = Slo(p99_ms=60), sizing.simulate_day, []

    def strict(fleet: Fleet, *args, **options):
        seen.append(fleet.replicas)
        limit = Slo(p99_ms=1) if len(seen) == 1 else slo
        return whole(fleet, DAY, limit, sample=1)

    monkeypatch.setattr(sizing, "simulate_day", strict)
    found = sizing.plan_fleet(model(), DAY, slo)
    assert found.days == 2
    assert seen[1] == seen[0] + 1 == found.fleet.replicas


def test_a_promise_that_no_number_keeps_is_refused_in_words() -> None:
    with pytest.raises(FleetError, match=r"No number of replicas keeps P99 <= 5 ms.*batch of 1 takes 11 ms"):
        sizing.plan_fleet(model(), DAY, Slo(p99_ms=5))
    with pytest.raises(FleetError, match=r"waits up to 50 ms"):
        sizing.plan_fleet(model(max_delay_ms=50), DAY, Slo(p99_ms=40))


def test_the_peak_hour_has_the_peak_s_rate() -> None:
    tally = sizing.peak_hour(Fleet(model(), 4), Day(0, 1000, 2400.0), Slo(p99_ms=100))
    assert tally.requests == pytest.approx(1000 / 4 * 100, rel=0.03)


@pytest.mark.parametrize(("replicas", "share", "expected"), [(300, 0.01, 3), (301, 0.01, 4), (5, 0.01, 1), (5, 1, 5)])
def test_a_share_is_at_least_one_replica(replicas: int, share: float, expected: int) -> None:
    assert sizing.sample_of(replicas, share) == expected


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_no_share_is_refused(share: float) -> None:
    with pytest.raises(FleetError, match="above 0 and up to 1"):
        sizing.plan_fleet(model(), DAY, Slo(p99_ms=60), sample_share=share)
