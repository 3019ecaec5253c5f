"""Fleets over a day: bills by hand, requests that add up, and bounds that no way to scale can break."""

import math

import numpy as np
import pytest

from batchlab.capacity import CapacityCurve, CapacityPoint
from batchlab.cost import CostError, Price
from batchlab.day import Day
from batchlab.scaling import INPUTS, WAYS, Case
from batchlab.slo import Slo
from batchlab.spot import Spot

FLAT = Day(100.0, 100.0)
WAVE = Day(250.0, 1000.0)


def price(usd: float = 2.0, gpus: int = 1) -> Price:
    return Price("p", "i", "T4", gpus, "", usd, "2026-01-01", "s")


def case(day: Day = WAVE, **more: object) -> Case:
    values = {"rate_rps": 50.0, "share_within": 1.0, "headroom": 0.0, "spare": 0, "start_minutes": 0.0, **more}
    return Case(day, values.pop("price", price()), **values)  # type: ignore[arg-type]


def test_a_flat_day_by_hand() -> None:
    bill = case(FLAT).static()
    assert bill.hours["replicas"].tolist() == [2] * 24
    assert bill.usd_per_day == 2 * 24 * 2
    assert bill.offered == pytest.approx(8_640_000)
    assert bill.utilisation == pytest.approx(1)
    assert bill.rejected_share == 0
    assert bill.turned_away == "0 %"
    assert bill.usd_per_1000 == pytest.approx(96 / 8640)
    # Late answers cost as much and count nothing.
    assert case(FLAT, share_within=0.5).static().usd_per_1000 == pytest.approx(2 * 96 / 8640)
    # A flat day leaves nothing to scale.
    assert case(FLAT).hourly().usd_per_day == 96


def test_replicas_with_headroom_and_spare() -> None:
    assert case().replicas(1000) == 20
    assert case().replicas(1001) == 21
    assert case(headroom=0.2).replicas(1000) == 25
    assert case(headroom=0.2, spare=2).replicas(1000) == 27


def test_static_use_is_mean_over_peak() -> None:
    bill = case().static()
    assert bill.utilisation == pytest.approx(625 / 1000, rel=1e-3)
    assert case(headroom=0.5).static().utilisation == pytest.approx(625 / 2000, rel=1e-3)


def test_hourly_by_its_own_hours() -> None:
    chosen = case()
    bill = chosen.hourly()
    for hour, count in enumerate(bill.hours["replicas"]):
        highest = max(WAVE.rate_rps(s) for s in np.linspace(hour * 3600, (hour + 1) * 3600, 601))
        assert count == math.ceil(highest / 50)
    assert bill.usd_per_day == 2.0 * bill.hours["replicas"].sum()
    assert bill.rejected_share == 0
    assert bill.usd_per_day < chosen.static().usd_per_day
    assert bill.utilisation > chosen.static().utilisation


def test_a_new_machine_is_paid_before_it_answers() -> None:
    slow, quick = case(start_minutes=30.0).hourly(), case().hourly()
    counts = quick.hours["replicas"].to_numpy()
    fresh = np.maximum(counts - np.roll(counts, 1), 0).sum()
    assert slow.usd_per_day - quick.usd_per_day == pytest.approx(fresh * 0.5 * 2)


def test_a_fleet_that_is_late_turns_requests_away_in_the_morning() -> None:
    bill = case().hourly(lag_hours=1)
    assert bill.rejected_share > 0.01
    turned_away = bill.hours["rejected"].to_numpy()
    assert turned_away[:12].sum() > 0
    assert turned_away[13:].sum() == 0  # in the afternoon it is too large instead
    assert bill.name == "hourly, 1 h late"
    assert case(headroom=0.4).hourly(lag_hours=1).rejected_share < bill.rejected_share


def test_spot_without_interruptions_or_discount_is_hourly() -> None:
    chosen = case(start_minutes=5.0, spot=Spot(0.0, 0.0, 10.0))
    spot, hourly = chosen.on_spot(), chosen.hourly()
    assert spot.usd_per_day == pytest.approx(hourly.usd_per_day)
    assert spot.within == pytest.approx(hourly.within)
    assert spot.utilisation == pytest.approx(hourly.utilisation)


def test_spot_pays_the_discount_on_what_comes_and_goes() -> None:
    chosen = case(spot=Spot(0.75, 0.0, 10.0))
    counts = chosen.hourly().hours["replicas"]
    least = int(counts.min())
    assert chosen.on_spot().usd_per_day == pytest.approx(2 * (24 * least + 0.25 * (counts - least).sum()))


def test_interruptions_cost_answers_and_headroom_buys_them_back() -> None:
    lossy = Spot(0.6, 0.5, 20.0)
    bare, padded = case(spot=lossy).on_spot(), case(spot=lossy, headroom=0.3).on_spot()
    assert bare.rejected_share > 0.01
    assert padded.rejected_share < bare.rejected_share / 20
    assert padded.usd_per_day > bare.usd_per_day
    assert bare.turned_away.endswith(" %")
    assert case(spot=Spot(0.6, 0.05, 10), headroom=0.2).on_spot().turned_away == "below 0.001 %"
    assert str(lossy) in bare.assumption


def test_machines_are_rented_whole() -> None:
    bill = case(FLAT, price=price(16.0, gpus=8)).static()
    assert bill.hours["machines"].tolist() == [1] * 24
    assert bill.usd_per_day == 16 * 24


@pytest.mark.parametrize("way", WAYS)
def test_every_request_is_answered_or_turned_away(way: str) -> None:
    bill = WAYS[way](case(headroom=0.1, spot=Spot(0.6, 0.3, 20.0, 1.0)))
    hours = bill.hours
    assert (hours["within"] + hours["rejected"]).to_numpy() == pytest.approx(hours["offered"].to_numpy())
    assert bill.offered == pytest.approx(WAVE.requests, rel=1e-4)
    assert 0 < bill.utilisation <= 1
    assert bill.describe()["fleet"] == bill.name == way


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_changes_alone(name: str) -> None:
    before = case(headroom=0.2, spare=1, share_within=0.9)
    value = before.value(name) + 1 if name == "spare" else before.value(name) * 1.1
    after = before.changed(name, value)
    assert after.value(name) == pytest.approx(value)
    for other in set(INPUTS) - {name}:
        assert after.value(other) == pytest.approx(before.value(other))


def test_a_case_of_a_curve_takes_the_share_at_its_busiest() -> None:
    points = tuple(
        CapacityPoint(r, r * s, 10, s, 0.0, s >= 0.99) for r, s in ((40, 1.0), (45, 0.995), (50, 0.99), (60, 0.5))
    )
    curve = CapacityCurve("c", Slo(p99_ms=100), points)
    assert Case.of(curve, WAVE, price(), headroom=0.2).share_within == 1.0
    assert Case.of(curve, WAVE, price(), headroom=0.15).share_within == 0.995
    assert Case.of(curve, WAVE, price(), headroom=0.0, spare=3).share_within == 0.99
    assert Case.of(curve, WAVE, price()).rate_rps == 50


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"day": Day(1, 2, 3600)}, "24 hours"),
        ({"rate_rps": 0.0}, "does it keep the SLO at all"),
        ({"rate_rps": float("inf")}, "rate above 0"),
        ({"share_within": 0.0}, "share_within lies"),
        ({"headroom": 1.0}, "headroom from 0 to below 1"),
        ({"spare": -1}, "whole number from 0"),
        ({"spare": 1.5}, "whole number from 0"),
        ({"start_minutes": 90}, "0 to 60"),
    ],
)
def test_what_is_no_case(values: dict[str, object], words: str) -> None:
    with pytest.raises(CostError, match=words):
        case(**values)  # type: ignore[arg-type]


def test_a_negative_price_a_lag_and_an_unknown_input() -> None:
    with pytest.raises(CostError, match="above 0"):
        case().changed("usd_per_hour", -1)
    with pytest.raises(CostError, match="0 or more whole hours"):
        case().hourly(-1)
    with pytest.raises(CostError, match="No input is called 'luck'"):
        case().value("luck")
