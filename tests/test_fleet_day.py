"""A simulated day read out: totals, the hour that counts, and how much of the fleet was simulated."""

import json

import numpy as np
import pytest

from batchlab import twin
from batchlab.day import Day
from batchlab.fleet_day import FleetDay
from batchlab.histogram import Histogram
from batchlab.replicas import Fleet
from batchlab.service import ServiceTime
from batchlab.slo import Slo
from batchlab.tally import Tally


def hour(within: int, late: int = 0) -> Tally:
    return Tally(within + late, within, 10, Histogram.of(np.array([5.0] * within + [500.0] * late)))


def day_of(*hours: Tally, replicas: int = 10, sampled: int = 2) -> FleetDay:
    model = twin.model(ServiceTime(np.array([1]), np.array([5.0])), name="m")
    return FleetDay(Fleet(model, replicas), Day(1, 2, 240.0), Slo(p99_ms=100), hours, sampled, 7)


def test_each_hour_keeps_the_slo_for_itself() -> None:
    # Over the whole day 0.2 % missed, yet noon broke the promise.
    found = day_of(hour(9000), hour(1000, late=20), hour(0))
    assert found.total.keeps(found.slo)
    assert (found.broken_hours, found.kept, found.worst_hour, found.peak_hour) == ([1], False, 1, 0)
    assert day_of(hour(100), hour(0)).kept
    assert not day_of(hour(0)).kept


def test_a_sample_is_scaled_up_and_says_so() -> None:
    found = day_of(hour(100), hour(50))
    assert found.within == 150 * 5
    assert "2 of 10 replicas simulated" in found.sample_note()
    assert "5 times the sample's" in found.sample_note()
    assert found.table()["offered_rps"].tolist() == pytest.approx([100 * 5 / 120, 50 * 5 / 120])
    assert "all 10 replicas" in day_of(hour(1), sampled=10).sample_note()


def test_the_tier_and_the_sample_are_in_the_provenance() -> None:
    told = day_of(hour(1)).provenance
    assert (told.tier, told.seed, told.details["replicas simulated"]) == ("simulated", 7, "2")


def test_the_record_is_json_and_holds_every_hour() -> None:
    told = json.loads(json.dumps(day_of(hour(3), hour(4, late=1)).to_dict()))
    assert (told["tier"], told["replicas"], told["replicas_simulated"]) == ("simulated", 10, 2)
    assert [h["requests"] for h in told["hours"]] == [3, 5]


def test_an_hour_without_requests_has_no_numbers() -> None:
    table = day_of(hour(5), Tally()).table()
    assert np.isnan(table["p99_ms"][1])
    assert np.isnan(table["share_within"][1])
