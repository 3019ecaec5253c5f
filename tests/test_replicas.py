"""A fleet simulated in shards: the same bytes for any number of workers, the same law as the whole, resumable."""

import itertools
import json

import joblib
import numpy as np
import pytest

from batchlab import arrivals, twin
from batchlab.day import Day
from batchlab.replicas import Fleet, FleetError, Shard, caution, lead_s, play, shards, simulate_day
from batchlab.schedule import ArrivalsError
from batchlab.service import Overheads, ServiceTime
from batchlab.simulate import simulate
from batchlab.slo import Slo

SLO = Slo(p99_ms=60)
DAY = Day(60, 240, 240.0)


def model(**knobs) -> twin.Twin:
    service = ServiceTime.from_function(lambda b: 10 + b, range(1, 17))
    return twin.model(service, **{"max_batch_size": 16, "max_delay_ms": 2, **knobs})


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(model(), 3)


def text(day) -> str:
    return json.dumps(day.to_dict(), sort_keys=True)


def test_two_workers_give_the_bytes_of_one(fleet: Fleet) -> None:
    alone = simulate_day(fleet, DAY, SLO, workers=1)
    together = simulate_day(fleet, DAY, SLO, workers=2)
    assert text(alone) == text(together)
    assert alone.total.requests == pytest.approx(DAY.requests, rel=0.05)


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_another_engine_gives_the_same_bytes(fleet: Fleet, backend: str) -> None:
    # As on a cluster: the engine is named outside. "multiprocessing" hands over whole lists only, as Ray's does.
    with joblib.parallel_config(backend=backend, n_jobs=2):
        elsewhere = simulate_day(fleet, DAY, SLO)
    assert text(elsewhere) == text(simulate_day(fleet, DAY, SLO, workers=1))


def test_a_seed_decides(fleet: Fleet) -> None:
    one, other = simulate_day(fleet, DAY, SLO, seed=1), simulate_day(fleet, DAY, SLO, seed=2)
    assert text(one) != text(other)


def test_a_kill_loses_no_finished_shard(fleet: Fleet, tmp_path) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    def kill(done: int, of: int, tally) -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        simulate_day(fleet, DAY, SLO, workers=1, folder=tmp_path, on_shard=kill)
    seen = []
    resumed = simulate_day(fleet, DAY, SLO, folder=tmp_path, on_shard=lambda done, of, tally: seen.append((done, of)))
    assert seen == [(done, 24) for done in range(6, 25)]
    assert text(resumed) == text(simulate_day(fleet, DAY, SLO))
    seen.clear()
    assert text(simulate_day(fleet, DAY, SLO, folder=tmp_path, on_shard=lambda *_: seen.append(0))) == text(resumed)
    assert seen == []


def test_shards_cover_every_replica_and_moment_once(monkeypatch) -> None:
    monkeypatch.setattr("batchlab.replicas.REQUESTS_AT_ONCE", 200)
    monkeypatch.setattr("batchlab.replicas.REQUESTS_A_SHARD", 400)
    fleet, day = Fleet(model(), 7), Day(100, 700, 240.0)
    cut = shards(fleet, day, 7)
    assert max(len(shard.replicas) for shard in cut) > 1
    assert len({shard.start_s for shard in cut}) > 24
    for replica in range(7):
        mine = sorted((shard.start_s, shard.end_s) for shard in cut if replica in shard.replicas)
        assert mine[0][0] == 0
        assert mine[-1][1] == day.seconds
        assert all(one[1] == two[0] for one, two in itertools.pairwise(mine))
    assert all(shard.hour == int(24 * (shard.start_s + 1e-6) / day.seconds) for shard in cut)


def test_a_shard_is_as_the_twin_s_own_record(fleet: Fleet) -> None:
    # Oracle: the same traffic through `simulate`, counted from its samples.
    flat = Day(120, 120, 240.0)
    shard = Shard(0, 100.0, 140.0, (1,))
    tally = play(fleet, flat, shard, SLO.limit_ms, seed=4)
    words = np.random.SeedSequence([4, 1, 100_000]).generate_state(3)
    lead = lead_s(fleet, flat, 100.0)
    times = flat.part(3, "random", 100.0 - lead, 140.0, int(words[0]))
    run = simulate(fleet.twin, arrivals.Arrivals(times, 40.0 + lead), warmup_s=lead)
    assert tally.requests == len(run.kept)
    assert tally.within == int((run.latencies_ms <= SLO.limit_ms).sum())
    assert tally.latencies.mean_ms == pytest.approx(run.mean_latency_ms, abs=1e-5)
    assert tally.latencies.max_ms == pytest.approx(run.latencies_ms.max(), abs=1e-5)


@pytest.mark.parametrize(
    "knobs", [{}, {"overheads": Overheads(send_ms=1.0, dispatch_ms=0.5, answer_ms=1.0, jitter_ms=0.3)}]
)
def test_slices_with_a_lead_see_what_one_piece_sees(knobs: dict) -> None:
    # At 85 % of capacity a slice that began empty would see a much lower mean: one of 5 s, below half.
    fleet = Fleet(model(max_batch_size=4, max_delay_ms=0, **knobs), 1)
    rate = 0.85 * fleet.twin.capacity_rps()
    flat = Day(rate, rate, 6000.0)
    whole = play(fleet, flat, Shard(0, 0.0, 3000.0, (0,)), SLO.limit_ms, seed=0)
    cut = sum(
        (play(fleet, flat, Shard(0, s, s + 5.0, (0,)), SLO.limit_ms, seed=0) for s in np.arange(0, 1500, 5.0)),
        start=type(whole)(),
    )
    assert cut.latencies.mean_ms == pytest.approx(whole.latencies.mean_ms, rel=0.1)
    assert cut.mean_batch == pytest.approx(whole.mean_batch, rel=0.05)


def test_the_lead_grows_with_the_load_and_has_an_end(fleet: Fleet) -> None:
    capacity = 3 * fleet.twin.capacity_rps()
    leads = [lead_s(fleet, Day(share * capacity, share * capacity, 1e5), 0.0) for share in (0.1, 0.5, 0.9, 0.999)]
    assert leads == sorted(leads)
    assert leads[0] >= 0.02 * fleet.twin.service.latency_ms(16) * 0.99
    assert leads[-1] == 900


def test_too_near_to_capacity_is_said() -> None:
    capacity = 3 * model().capacity_rps()
    near, far = Day(1, 0.99 * capacity), Day(1, 0.8 * capacity)
    assert "99.0 % of capacity" in caution(Fleet(model(), 3), near)
    assert caution(Fleet(model(), 3), far) == ""
    assert caution(Fleet(model(max_queue_size=50), 3), near) == ""


def test_round_robin_waits_less_than_random() -> None:
    flat = Day(350, 350, 480.0)
    waits = {
        name: simulate_day(Fleet(model(max_batch_size=4, max_delay_ms=0), 2, name), flat, SLO).total.latencies.mean_ms
        for name in ("random", "round-robin")
    }
    assert waits["round-robin"] < waits["random"]


def test_a_sample_is_the_same_replicas_of_the_fleet(fleet: Fleet) -> None:
    one = simulate_day(fleet, DAY, SLO, sample=1)
    assert one.sampled == 1
    assert one.total.requests == pytest.approx(DAY.requests / 3, rel=0.1)
    alone = play(fleet, DAY, Shard(12, 120.0, 130.0, (0,)), SLO.limit_ms, 0)
    assert one.hours[12] == alone


def test_a_full_queue_turns_requests_away_and_they_count_as_misses() -> None:
    fleet = Fleet(model(max_queue_size=4), 1)
    over = 2 * fleet.twin.capacity_rps()
    day = simulate_day(fleet, Day(over, over, 24.0), SLO)
    assert day.total.failed > 0.3 * day.total.requests
    assert not day.kept


def test_more_than_can_be_carried_is_said_not_simulated(fleet: Fleet) -> None:
    over = 3.5 * fleet.twin.capacity_rps()
    with pytest.raises(FleetError, match=r"unstable.*at least 4 replicas"):
        simulate_day(fleet, Day(1, over), SLO)


@pytest.mark.parametrize("sample", [0, 4])
def test_a_sample_that_is_no_part_is_refused(fleet: Fleet, sample: int) -> None:
    with pytest.raises(FleetError, match="no part of a fleet of 3"):
        simulate_day(fleet, DAY, SLO, sample=sample)


def test_an_unknown_balancer_and_no_replica_are_refused() -> None:
    with pytest.raises(ArrivalsError, match="No balancer 'least-loaded'"):
        simulate_day(Fleet(model(), 2, "least-loaded"), DAY, SLO)
    with pytest.raises(ArrivalsError, match="at least 1 replica"):
        simulate_day(Fleet(model(), 0), DAY, SLO)
