"""Prices with source and date, and the bill of a day worked out by hand."""

import re
from datetime import date

import numpy as np
import pytest

from batchlab import twin
from batchlab.cost import UNDATED, CostError, FleetCost, Price, cheapest, fleet_cost, load_prices, unit
from batchlab.day import Day
from batchlab.fleet_day import FleetDay
from batchlab.histogram import Histogram
from batchlab.profiles import load_profiles
from batchlab.replicas import Fleet
from batchlab.service import ServiceTime
from batchlab.slo import Slo
from batchlab.tally import Tally


def price(usd: float = 2.0, gpus: int = 1, as_of: str = "2026-01-01") -> Price:
    return Price("p", "i", "T4", gpus, "", usd, as_of, "s")


def test_every_shipped_price_has_a_source_and_says_its_date() -> None:
    prices = load_prices()
    assert len(prices) > 20
    for each in prices:
        assert each.source.startswith("https://")
        assert each.as_of == UNDATED or date.fromisoformat(each.as_of)
        assert 0.1 < each.usd_per_gpu_hour < 20


def test_the_profiles_gpus_have_prices_where_there_are_any() -> None:
    priced = set()
    for profile in load_profiles().values():
        try:
            found = cheapest(profile.gpu)
        except CostError:
            continue
        priced.add(profile.gpu)
        assert found.gpu == profile.gpu or found.gpu.startswith(profile.gpu + "-")
    assert {"T4", "L4", "A100-40GB", "A100-80GB", "A10", "V100-16GB"} <= priced


def test_the_cheapest_per_gpu_is_taken_a_dated_one_first() -> None:
    best = cheapest("A100-80GB")
    dated = [p for p in load_prices() if p.gpu == "A100-80GB" and p.as_of != UNDATED]
    assert best.usd_per_gpu_hour == min(p.usd_per_gpu_hour for p in dated)
    # The undated T4 is cheaper by a little, and is not taken.
    assert cheapest("T4").as_of != UNDATED
    assert cheapest("L4").as_of == UNDATED


def test_an_unknown_gpu_names_the_known_ones() -> None:
    with pytest.raises(CostError, match=re.escape("No price of 'K80'") + ".*T4"):
        cheapest("K80")
    with pytest.raises(CostError, match="No price"):
        cheapest("A1")


def test_the_bill_by_hand() -> None:
    bill = FleetCost(price(2.0), replicas=10, within=4_800_000)
    assert bill.usd_per_day == 480
    assert bill.usd_per_1000 == pytest.approx(0.1)
    whole = FleetCost(price(8.0, gpus=8), replicas=10, within=1000)
    assert (whole.machines, whole.usd_per_day) == (2, 384)
    assert FleetCost(price(), 1, 0).usd_per_1000 == float("inf")
    assert "2026-01-01" in str(bill)


def day_of(seconds: float) -> FleetDay:
    model = twin.model(ServiceTime(np.array([1]), np.array([5.0])))
    hours = (Tally(100, 90, 10, Histogram.of(np.full(95, 5.0))),)
    return FleetDay(Fleet(model, 10), Day(1, 2, seconds), Slo(p99_ms=100), hours, 2, 0)


def test_only_answers_within_the_slo_count() -> None:
    bill = fleet_cost(day_of(86_400), price())
    assert (bill.replicas, bill.within) == (10, 90 * 5)


def test_a_short_day_has_no_daily_cost() -> None:
    with pytest.raises(CostError, match="24 hours"):
        fleet_cost(day_of(240), price())


@pytest.mark.parametrize("usd", [0, -1, float("nan")])
def test_a_price_that_is_none_is_refused(usd: float) -> None:
    with pytest.raises(CostError, match="above 0"):
        Price.own(usd)


def test_small_costs_are_told_by_the_million() -> None:
    assert unit(0.00007) == (1000.0, "million")
    assert unit(0.05) == (1.0, "1000")


def test_a_price_says_its_day_or_that_it_has_none() -> None:
    assert price().dated == "of 2026-01-01"
    assert price(as_of=UNDATED).dated == "undated"
