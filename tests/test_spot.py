"""Spot machines: shares of time by hand and by a simulation of their lives; capacity averaged over all states."""

import numpy as np
import pytest

from batchlab.cost import CostError
from batchlab.spot import Spot


def test_the_share_away_by_hand() -> None:
    assert Spot(interruptions_per_hour=1, replace_minutes=60).away == pytest.approx(0.5)
    assert Spot(interruptions_per_hour=0.05, replace_minutes=10).away == pytest.approx(0.05 / 6 / (1 + 0.05 / 6))
    assert Spot(interruptions_per_hour=0).away == 0
    assert Spot(pool_losses_per_day=24, replace_minutes=60).pool_away == pytest.approx(0.5)


def test_the_share_away_of_simulated_lives() -> None:
    spot, random = Spot(interruptions_per_hour=0.5, replace_minutes=20), np.random.default_rng(1)
    up = random.exponential(1 / spot.interruptions_per_hour, 200_000).sum()
    down = 200_000 * spot.replace_minutes / 60
    assert down / (up + down) == pytest.approx(spot.away, rel=0.02)


def test_capacity_averaged_by_hand() -> None:
    spot = Spot(interruptions_per_hour=1, replace_minutes=60)  # each half of the time away
    served, up = spot.expected(np.array([30.0, 5.0]), replicas=3, firm=1, spots=2, per_machine=1, rate_rps=10)
    assert up == pytest.approx(2)
    # 0, 1 or 2 of the two machines up with 1/4, 1/2, 1/4: they carry 10, 20 or 30.
    assert served == pytest.approx([20, 5])


def test_machines_of_several_gpus_carry_no_more_than_the_replicas() -> None:
    spot = Spot(interruptions_per_hour=0)
    served, up = spot.expected(np.array([1000.0]), replicas=10, firm=1, spots=1, per_machine=8, rate_rps=10)
    assert served == pytest.approx([100])
    assert up == 2


def test_all_at_once_is_worse_than_one_by_one() -> None:
    rates = np.array([100.0])
    alone = Spot(interruptions_per_hour=1 / 24, replace_minutes=60)
    together = Spot(interruptions_per_hour=0, replace_minutes=60, pool_losses_per_day=1)
    apart, up_apart = alone.expected(rates, 13, 1, 12, 1, 10)
    pool, up_pool = together.expected(rates, 13, 1, 12, 1, 10)
    assert up_apart == pytest.approx(up_pool)  # as many machines on average
    assert 100 - pool[0] > 3 * (100 - apart[0])


def test_the_assumption_says_every_number() -> None:
    words = str(Spot(0.7, 0.1, 15, 2))
    for part in ("assumed", "70 % off", "0.1 times an hour", "independently", "all at once 2 times a day", "15 min"):
        assert part in words
    assert "all at once" not in str(Spot())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"discount": 1}, "below 1"),
        ({"discount": -0.1}, "below 1"),
        ({"interruptions_per_hour": -1}, "interruptions_per_hour is 0 or more"),
        ({"replace_minutes": float("nan")}, "replace_minutes is 0 or more"),
        ({"pool_losses_per_day": -1}, "pool_losses_per_day is 0 or more"),
    ],
)
def test_what_no_provider_does(values: dict[str, float], words: str) -> None:
    with pytest.raises(CostError, match=words):
        Spot(**values)
