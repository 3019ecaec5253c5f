"""Sensitivity: laws that the cost must follow, one input at a time, and the order of the swings."""

import pytest

from batchlab.cost import CostError, Price
from batchlab.day import Day
from batchlab.scaling import Case
from batchlab.sensitivity import Swing, around, static_usd_per_1000, tornado

BIG = Case(Day.of_requests(1e9), Price.own(2.0), 50.0, headroom=0.2)


def by_name(swings: list[Swing]) -> dict[str, Swing]:
    return {swing.name: swing for swing in swings}


def test_price_moves_the_cost_in_proportion() -> None:
    swing = by_name(tornado(BIG))["usd_per_hour"]
    assert swing.at_low / swing.at_base == pytest.approx(0.8)
    assert swing.at_high / swing.at_base == pytest.approx(1.2)


def test_rate_moves_it_inversely_and_farther_than_price() -> None:
    swings = by_name(tornado(BIG))
    assert swings["rate_rps"].at_low / swings["rate_rps"].at_base == pytest.approx(1 / 0.8, rel=0.01)
    assert swings["rate_rps"].width > swings["usd_per_hour"].width


def test_requests_hardly_move_the_cost_of_one() -> None:
    assert by_name(tornado(BIG))["requests"].width < 0.01 * static_usd_per_1000(BIG)


def test_widest_first() -> None:
    widths = [swing.width for swing in tornado(BIG)]
    assert widths == sorted(widths, reverse=True)
    assert tornado(BIG)[0].name == "rate_rps"


def test_own_ranges_and_another_measure() -> None:
    (swing,) = tornado(BIG, {"spare": (0, 100)}, cost=lambda case: case.hourly().usd_per_day)
    assert swing.at_high - swing.at_low == pytest.approx(100 * 24 * 2)
    assert (swing.low, swing.base, swing.high) == (0, 1, 100)
    assert "spare" in swing.label


def test_a_swing_that_does_not_span_the_base_is_still_measured_from_it() -> None:
    assert Swing("x", 2, 1, 3, 20, 10, 30).width == 20
    assert Swing("x", 2, 1, 3, 20, 10, 30).label == "x"


def test_around_is_the_same_share_everywhere() -> None:
    for name, (low, high) in around(BIG, 0.1).items():
        assert low == pytest.approx(0.9 * BIG.value(name))
        assert high == pytest.approx(1.1 * BIG.value(name))


def test_bad_ranges() -> None:
    for call, words in (
        (lambda: tornado(BIG, {}), "at least one input"),
        (lambda: tornado(BIG, {"usd_per_hour": (3, 1)}), "give the lower value first"),
        (lambda: tornado(BIG, {"luck": (0, 1)}), "No input is called 'luck'"),
        (lambda: tornado(BIG, {"usd_per_hour": (-1, 1)}), "must be above 0"),
        (lambda: around(BIG, 1.0), "between 0 and 1"),
    ):
        with pytest.raises(CostError, match=words):
            call()
