"""Options and their front: judged by a brute-force definition; blends by hand."""

import numpy as np
import pytest

from batchlab.capacity import CapacityCurve, CapacityError, CapacityPoint
from batchlab.cost import CostError, Price
from batchlab.frontier import Option, beats, blend, front, option, options, table
from batchlab.slo import Slo

PRICE, SLO = Price.own(3.6, "T4"), Slo(p99_ms=100)


def point(rate: float, tail: float, share: float = 1.0) -> CapacityPoint:
    return CapacityPoint(rate, rate * share, tail, share, 0.0, tail <= 100)


def curve(name: str, *points: CapacityPoint) -> CapacityCurve:
    return CapacityCurve(name, SLO, points)


def of(name: str, cost: float, tail: float, rate: float) -> Option:
    return Option(name, PRICE, rate, tail, cost, 1.0)


def test_an_option_counts_only_answers_in_time() -> None:
    made = option(curve("a", point(500, 50), point(1000, 90, 0.5), point(2000, 300)), PRICE)
    assert (made.rate_rps, made.tail_ms) == (1000, 90)
    assert made.usd_per_1000 == pytest.approx(0.002)


def test_options_are_cheapest_first_and_without_those_that_keep_it_nowhere() -> None:
    found = options([curve("slow", point(10, 50)), curve("never", point(10, 500)), curve("fast", point(99, 50))], PRICE)
    assert [each.name for each in found] == ["fast", "slow"]


def test_an_slo_that_nothing_meets_tells_the_nearest() -> None:
    with pytest.raises(CapacityError, match=r"No configuration of 2 keeps P99 <= 100 ms .* 140 ms at 20/s"):
        options([curve("a", point(10, 500)), curve("b", point(20, 140))], PRICE)
    with pytest.raises(CapacityError, match="no capacity curve"):
        options([], PRICE)


def test_the_front_by_its_definition() -> None:
    random = np.random.default_rng(7)
    found = [of(str(i), *random.integers(1, 6, 3)) for i in range(60)]
    kept = front(found)
    for each in found:
        beaten = any(
            other.usd_per_1000 <= each.usd_per_1000
            and other.tail_ms <= each.tail_ms
            and other.rate_rps >= each.rate_rps
            and (other.usd_per_1000, other.tail_ms, other.rate_rps) != (each.usd_per_1000, each.tail_ms, each.rate_rps)
            for other in found
        )
        assert (each in kept) is not beaten
    assert [each.usd_per_1000 for each in kept] == sorted(each.usd_per_1000 for each in kept)


def test_rate_alone_keeps_an_option_on_the_front() -> None:
    small, large = of("small", 1, 10, 100), of("large", 2, 20, 1000)
    assert front([small, large]) == [small, large]
    assert not beats(small, small)
    assert beats(small, of("worse", 1, 11, 100))
    with pytest.raises(CapacityError, match="at least one option"):
        front([])


def test_a_blend_by_hand() -> None:
    small, large = of("batch 8", 3.0, 100, 1), of("batch 32", 1.0, 450, 3)
    assert blend([(small, 0.4), (large, 0.6)]) == pytest.approx(0.6 * 3.0)
    for shares in ((0.4, 0.4), (1.5, -0.5)):
        with pytest.raises(CostError, match="add up to 1"):
            blend(list(zip((small, large), shares, strict=True)))


def test_the_table_marks_the_front() -> None:
    rows = table([of("a", 1, 10, 5), of("b", 2, 20, 4)])
    assert rows["on_front"].tolist() == [True, False]
    assert rows["gpu"].tolist() == ["T4", "T4"]
