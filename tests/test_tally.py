"""Counts of a stretch: what counts as a miss, and sums."""

import json
import math

import numpy as np
import pytest

from batchlab.histogram import Histogram
from batchlab.slo import Slo
from batchlab.tally import Tally


def tally(within: int, late: int = 0, failed: int = 0, batches: int = 10) -> Tally:
    latencies = np.concatenate([np.full(within, 5.0), np.full(late, 500.0)])
    return Tally(within + late + failed, within, batches, Histogram.of(latencies))


def test_late_and_failed_requests_both_miss() -> None:
    slo = Slo(p99_ms=100)
    assert tally(99, late=1).keeps(slo)
    assert tally(99, failed=1).keeps(slo)
    assert not tally(98, late=1, failed=1).keeps(slo)
    assert tally(90, late=4, failed=6).failed == 6
    assert tally(90, late=4, failed=6).share_within == 0.9


def test_a_sum_counts_everything_once() -> None:
    total = tally(99, late=1) + tally(50, failed=50, batches=5)
    assert (total.requests, total.within, total.answered, total.failed, total.batches) == (200, 149, 150, 50, 15)
    assert total.mean_batch == 10
    assert total.percentile_ms(50) == pytest.approx(5, rel=0.01)


def test_nothing_seen_says_so() -> None:
    nothing = Tally()
    assert math.isnan(nothing.share_within)
    assert math.isnan(nothing.mean_batch)
    assert math.isnan(nothing.percentile_ms(99))
    assert math.isnan(tally(0, failed=3).percentile_ms(99))


def test_a_record_comes_back() -> None:
    told = tally(99, late=1, failed=3)
    assert Tally.from_dict(json.loads(json.dumps(told.to_dict()))) == told
