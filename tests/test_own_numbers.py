"""A learner's own numbers: the usual ones for nobody, others for each id, and every lesson true for 200 of them."""

import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from batchlab import arrivals, capacity, cost, explorer, frontier, profiles, simulate, twin
from batchlab.day import Day
from batchlab.own_numbers import (
    CHOICES,
    CapacityNumbers,
    CurveNumbers,
    OwnNumbers,
    OwnNumbersError,
    QueueNumbers,
    ServerNumbers,
    ShapeNumbers,
    TailNumbers,
    TuningNumbers,
)
from batchlab.scaling import Case
from batchlab.sensitivity import around, tornado
from batchlab.service import Overheads
from batchlab.slo import Slo, min_requests
from batchlab.spot import Spot

IDS = [f"learner{number:03}" for number in range(200)]
LABS = [CurveNumbers, TailNumbers, QueueNumbers, TuningNumbers, ShapeNumbers, CapacityNumbers, ServerNumbers]
PROFILES = profiles.load_profiles()
BERT = "bertbase128-fp16-t4"
# What a calibration of an emulated device finds on two cores, and half as much again.
OVERHEADS = Overheads(dispatch_ms=1.0, dispatch_item_ms=0.05, jitter_ms=0.6)
SLOW = Overheads(dispatch_ms=1.5, dispatch_item_ms=0.075, jitter_ms=0.9)


def drawn(numbers: type[OwnNumbers]) -> list[OwnNumbers]:
    """Return every set of numbers that one of the ids draws, once."""
    return list(dict.fromkeys(numbers.of(learner) for learner in IDS))


def copied(numbers: type[OwnNumbers], right: Callable[[OwnNumbers, OwnNumbers], bool]) -> float:
    """Return for which share of 200 pairs the right answer of the one is right for the other."""
    mine = [numbers.of(learner) for learner in IDS]
    return float(np.mean([right(one, other) for one, other in zip(mine, mine[1:] + mine[:1], strict=True)]))


def test_nobody_gets_the_usual_numbers() -> None:
    for blank in ("", "  "):
        assert CurveNumbers.of(blank) == CurveNumbers(asked=("rn50-fp16-a100", 32))
        assert QueueNumbers.of(blank) == QueueNumbers(("rn50-amp-t4-eager", 500), 3, 21, slo_ms=100, burstiness=8.0)
        assert CapacityNumbers.of(blank) == CapacityNumbers(0.25, 0.2, people_share=0.4)
        assert TailNumbers.of(blank) == TailNumbers(99, 0.99)
        assert TuningNumbers.of(blank) == TuningNumbers((900, 60), misses=2)
        assert ShapeNumbers.of(blank) == ShapeNumbers((70, 20, 10))
        assert ServerNumbers.of(blank) == ServerNumbers(wait_ms=5, queue=(16, 6), window_ms=5)


def test_an_id_always_gets_the_same_numbers() -> None:
    # Written down here: a grader of next year must draw what the learner was asked this year.
    assert CurveNumbers.of("ada") == CurveNumbers(("rn50-fp16-a30", 64))
    assert QueueNumbers.of("ada") == QueueNumbers(("bertlarge384-fp16-t4", 50), 4, 44, slo_ms=80, burstiness=16.0)
    assert CapacityNumbers.of("ada") == CapacityNumbers(0.3, 0.1, people_share=0.65)
    assert TailNumbers.of("ada") == TailNumbers(99, 0.95)
    assert TuningNumbers.of("ada") == TuningNumbers((400, 70), misses=7)
    assert ShapeNumbers.of("ada") == ShapeNumbers((90, 5, 5))
    assert ServerNumbers.of("ada") == ServerNumbers(wait_ms=3, queue=(4, 11), window_ms=10)
    for numbers in LABS:
        assert numbers.of(" ADA") == numbers.of("ada")


@pytest.mark.parametrize("numbers", LABS)
def test_every_choice_is_drawn_by_somebody(numbers: type[OwnNumbers]) -> None:
    mine = [numbers.of(learner) for learner in IDS]
    for field in dataclasses.fields(numbers):
        choices = field.metadata[CHOICES]
        assert len(set(choices)) == len(choices)
        seen = {getattr(one, field.name) for one in mine}
        assert len(seen) > 0.9 * len(choices)


def test_a_number_that_nobody_can_draw_is_refused() -> None:
    with pytest.raises(OwnNumbersError, match=r"CapacityNumbers.people_share is one of \(0.4, .*got 0.5"):
        CapacityNumbers(people_share=0.5)


# Lab 01.


def interpolated_ms(asked: CurveNumbers) -> float:
    name, batch = asked.asked
    t1, t128 = (float(PROFILES[name].latency_ms(size)) for size in (1, 128))
    return t1 + (t128 - t1) / 127 * (batch - 1)


def published_ms(asked: CurveNumbers) -> float:
    name, batch = asked.asked
    return float(PROFILES[name].latency_ms(batch))


def test_the_line_meets_each_curve_within_five_percent() -> None:
    for asked in drawn(CurveNumbers):
        assert interpolated_ms(asked) == pytest.approx(published_ms(asked), rel=0.04)
        assert PROFILES[asked.asked[0]].model.startswith("ResNet-50")
        # The line is no answer by itself: a batch costs far less than its items one by one.
        assert published_ms(asked) < 0.5 * asked.asked[1] * PROFILES[asked.asked[0]].latency_ms(1)


def test_a_copied_interpolation_is_mostly_wrong() -> None:
    def right(one: CurveNumbers, other: CurveNumbers) -> bool:
        return abs(interpolated_ms(one) / published_ms(other) - 1) <= 0.05

    assert copied(CurveNumbers, right) < 0.15


# Lab 02.


def test_each_promise_has_a_number_and_its_mistakes_are_wrong() -> None:
    for asked in drawn(TailNumbers):
        miss = 1 - asked.percentile / 100
        by_hand = int(np.ceil(np.log(1 - asked.confidence) / np.log(asked.percentile / 100)))
        assert min_requests(0, asked.percentile, asked.confidence) == by_hand
        assert round(1 / miss) != by_hand


def test_a_copied_rule_is_mostly_wrong() -> None:
    def right(one: TailNumbers, other: TailNumbers) -> bool:
        asked = [min_requests(0, numbers.percentile, numbers.confidence) for numbers in (one, other)]
        return asked[0] == asked[1]

    assert copied(TailNumbers, right) < 0.1


# Lab 03.


@functools.cache
def exam_p50_ms(asked: QueueNumbers, overheads: Overheads = OVERHEADS) -> float:
    profile, rate_rps = asked.exam
    model = twin.model(PROFILES[profile], max_batch_size=32, overheads=overheads)
    traffic = arrivals.gamma(rate_rps, 6, burstiness=asked.exam_burstiness, seed=asked.exam_seed)
    return simulate.simulate(model, traffic, warmup_s=0.5).percentile_ms(50).value


def test_each_exam_is_stable_and_can_be_predicted() -> None:
    for asked in drawn(QueueNumbers):
        profile, rate_rps = asked.exam
        model = twin.model(PROFILES[profile], max_batch_size=32, overheads=OVERHEADS)
        assert rate_rps < 0.75 * model.capacity_rps()
        # A calibration that is wrong by half stays within the 30 % that the check allows.
        assert exam_p50_ms(asked, SLOW) == pytest.approx(exam_p50_ms(asked), rel=0.25)


def test_a_copied_exam_is_mostly_wrong() -> None:
    def right(one: QueueNumbers, other: QueueNumbers) -> bool:
        return abs(exam_p50_ms(one) / exam_p50_ms(other) - 1) <= 0.3

    assert copied(QueueNumbers, right) < 0.5


@functools.cache
def tail_ms(burstiness: float, rate_rps: int) -> float:
    """Return what the explorer shows, without its picture."""
    seconds = explorer.REQUESTS / rate_rps
    model = twin.model(PROFILES[BERT], max_batch_size=32)
    traffic = arrivals.gamma(rate_rps, seconds, burstiness, 0)
    return simulate.simulate(model, traffic, seed=0, warmup_s=explorer.WARM_UP * seconds).percentile_ms(99).value


@functools.cache
def highest_rps(burstiness: float, slo_ms: int) -> int:
    """Return what lab 03's solution finds."""
    return max(rate for rate in range(300, 1000, 20) if tail_ms(burstiness, rate) <= slo_ms)


def kept_and_tight(rate_rps: int, asked: QueueNumbers) -> bool:
    """Say what lab 03's check says."""
    at, above = (tail_ms(asked.burstiness, round(rate)) for rate in (rate_rps, 1.1 * rate_rps))
    return at <= asked.slo_ms < above


def test_each_search_has_an_answer_within_its_range() -> None:
    limits = {(asked.burstiness, asked.slo_ms): asked for asked in drawn(QueueNumbers)}
    for (burstiness, slo_ms), asked in limits.items():
        found = highest_rps(burstiness, slo_ms)
        assert 300 < found < 960
        assert kept_and_tight(found, asked)


def test_the_search_sees_what_the_explorer_shows() -> None:
    shown = explorer.explore(BERT, 80, burstiness=4.0, max_batch=32, rate_rps=500)
    assert shown.run.percentile_ms(99).value == tail_ms(4.0, 500)


def test_a_copied_search_is_mostly_wrong() -> None:
    def right(one: QueueNumbers, other: QueueNumbers) -> bool:
        return kept_and_tight(highest_rps(one.burstiness, one.slo_ms), other)

    assert copied(QueueNumbers, right) < 0.4


# Lab 04.


def may_wait(asked: TuningNumbers) -> float:
    rate_rps, within_ms = asked.carried
    return rate_rps * within_ms / 1000


def test_a_copied_tuning_is_mostly_wrong() -> None:
    def limit(one: TuningNumbers, other: TuningNumbers) -> bool:
        return abs(may_wait(one) / may_wait(other) - 1) <= 0.05

    assert copied(TuningNumbers, limit) < 0.15
    assert copied(TuningNumbers, lambda one, other: one.misses == other.misses) < 0.15


# Lab 05.


def padding(asked: ShapeNumbers, power: int = 2) -> float:
    sides, shares = np.array([224, 320, 448]), np.array(asked.shares) / 100
    return float(1 - (shares * sides**power).sum() / 448**power)


def test_each_mix_of_photographs_is_whole_and_wastes_something() -> None:
    for asked in drawn(ShapeNumbers):
        assert sum(asked.shares) == 100
        assert 0.3 < padding(asked) < 0.75
        assert abs(padding(asked, power=1) / padding(asked) - 1) > 0.1


def test_a_copied_share_is_mostly_wrong() -> None:
    assert copied(ShapeNumbers, lambda one, other: abs(padding(one) / padding(other) - 1) <= 0.02) < 0.15


# Lab 09.


@functools.cache
def option(max_batch: int, slo_ms: int) -> frontier.Option:
    """Return an option of lab 09: BERT on a T4 within a limit."""
    return frontier.option(curve(max_batch, slo_ms), cost.cheapest("T4"))


@functools.cache
def curve(max_batch: int, slo_ms: int) -> capacity.CapacityCurve:
    return capacity.of_twin(twin.model(PROFILES[BERT], max_batch_size=max_batch), Slo(p99_ms=slo_ms), requests=30_000)


def in_use(asked: CapacityNumbers) -> float:
    return (1 + asked.trough_share) / 2 * (1 - asked.headroom)


def blended_usd(people_share: float) -> float:
    return frontier.blend([(option(8, 20), people_share), (option(32, 500), 1 - people_share)])


def test_each_day_teaches_the_same() -> None:
    for trough_share, headroom in {(asked.trough_share, asked.headroom) for asked in drawn(CapacityNumbers)}:
        day = Day.of_requests(1e9, trough_share=trough_share)
        case = Case.of(curve(8, 50), day, cost.cheapest("T4"), headroom=headroom, spare=1, spot=Spot(discount=0.6))
        saved = 1 - case.hourly().usd_per_day / case.static().usd_per_day
        assert saved == pytest.approx(0.9 * (1 - trough_share) / 2, rel=0.2)
        assert case.on_spot().usd_per_day < case.hourly().usd_per_day
        assert tornado(case, around(case, 0.3))[0].name == "rate_rps"
        apart = Spot(0.6, interruptions_per_hour=1 / 24, replace_minutes=20)
        pool = Spot(0.6, interruptions_per_hour=0, replace_minutes=20, pool_losses_per_day=1)
        lost_apart, lost_together = (
            dataclasses.replace(case, spot=spot).on_spot().rejected_share for spot in (apart, pool)
        )
        assert lost_together > 10 * lost_apart


def test_no_mistake_of_lab_09_is_right_for_anybody() -> None:
    for asked in drawn(CapacityNumbers):
        for wrong in ((1 + asked.trough_share) / 2, 1 - asked.headroom):
            assert abs(wrong / in_use(asked) - 1) > 0.05
        share = asked.people_share
        for wrong in (1 - share, 0.5):
            assert abs(blended_usd(wrong) / blended_usd(share) - 1) > 0.01


def test_a_copied_price_is_mostly_wrong() -> None:
    def right(one: CapacityNumbers, other: CapacityNumbers) -> bool:
        blend = abs(blended_usd(one.people_share) / blended_usd(other.people_share) - 1) <= 0.005
        return blend and abs(in_use(one) / in_use(other) - 1) <= 0.02

    assert copied(CapacityNumbers, right) < 0.1


# Lab 10.


def test_no_mistake_of_lab_10_is_right_for_anybody() -> None:
    for asked in drawn(ServerNumbers):
        # A knob told in another server's unit, batches or riders taken for requests.
        assert len({asked.wait_ms, asked.wait_ms * 1000, asked.wait_ms / 1000}) == 3
        assert asked.queue[0] * asked.queue[1] not in asked.queue


def test_a_copied_knob_is_mostly_wrong() -> None:
    for field in dataclasses.fields(ServerNumbers):
        same = copied(ServerNumbers, lambda one, other, name=field.name: getattr(one, name) == getattr(other, name))
        assert same < 0.2


def test_labs_draw_apart() -> None:
    """Who shares a number of one lab with a neighbour does not for that reason share those of the next."""
    pairs = [(QueueNumbers.of(one).slo_ms, CapacityNumbers.of(one).headroom) for one in IDS]
    slos, headrooms = ({pair[place] for pair in pairs} for place in (0, 1))
    assert set(pairs) == set(itertools.product(slos, headrooms))
