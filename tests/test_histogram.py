"""Latencies counted by size: the stated error, sums of parts, and what is refused."""

import json

import numpy as np
import pytest

from batchlab.histogram import BUCKETS, LOWEST_MS, RELATIVE_ERROR, Histogram, HistogramError
from batchlab.measure import percentile


def drawn(count: int = 50_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(3, 1.5, count)


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 99.9])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e4])
def test_a_percentile_is_at_most_one_per_cent_too_high_and_never_too_low(percent: float, scale: float) -> None:
    values = np.maximum(drawn() * scale, LOWEST_MS)
    exact = percentile(values, percent).value
    told = Histogram.of(values).percentile_ms(percent)
    assert exact * (1 - 1e-9) <= told <= exact * (1 + RELATIVE_ERROR) * (1 + 1e-9)


def test_values_on_a_bucket_s_edge_stay_within_the_error() -> None:
    for place in range(0, BUCKETS - 2, 97):
        edge = LOWEST_MS * (1 + RELATIVE_ERROR) ** place
        # A larger one beside it, so that the exact maximum does not answer for the bucket.
        told = Histogram.of(np.array([edge, 1e9])).percentile_ms(50)
        assert edge * (1 - 1e-9) <= told <= edge * (1 + RELATIVE_ERROR) * (1 + 1e-9)


def test_parts_add_up_to_the_whole_in_any_order() -> None:
    values = drawn()
    parts = [Histogram.of(part) for part in np.array_split(values, 7)]
    whole = Histogram.of(values)
    forth, back = sum(parts, Histogram()), sum(parts[::-1], Histogram())
    assert forth == back == whole
    assert json.dumps(forth.to_dict()) == json.dumps(back.to_dict())
    assert forth.count == len(values)


def test_percentiles_of_parts_cannot_be_averaged_but_their_counts_can() -> None:
    calm, busy = np.full(900, 10.0), np.full(100, 500.0)
    parts = [Histogram.of(calm), Histogram.of(busy)]
    average = np.mean([part.percentile_ms(50) for part in parts])
    assert (parts[0] + parts[1]).percentile_ms(50) == pytest.approx(10, rel=RELATIVE_ERROR)
    assert average > 250


def test_mean_and_maximum_are_exact() -> None:
    values = np.array([0.5, 1.25, 1234.5])
    told = Histogram.of(values)
    assert told.mean_ms == pytest.approx(values.mean(), abs=1e-6)
    assert told.max_ms == 1234.5
    assert told.percentile_ms(99.9) == 1234.5


def test_what_lies_outside_the_buckets_is_still_counted() -> None:
    told = Histogram.of(np.array([0.0, 1e-9, 5e8]))
    assert told.count == 3
    assert told.percentile_ms(50) == LOWEST_MS
    assert told.percentile_ms(99) == 5e8


def test_a_record_comes_back_and_is_small() -> None:
    told = Histogram.of(drawn(200_000))
    text = json.dumps(told.to_dict())
    assert Histogram.from_dict(json.loads(text)) == told
    assert len(text) < 20_000
    assert Histogram.from_dict(Histogram().to_dict()) == Histogram()


def test_another_version_s_buckets_are_refused() -> None:
    with pytest.raises(HistogramError, match="other buckets"):
        Histogram.from_dict({**Histogram().to_dict(), "relative_error": 0.05})


@pytest.mark.parametrize("wrong", [[-1.0], [float("nan")], [1.0, float("inf")]])
def test_a_latency_that_is_none_is_refused(wrong: list[float]) -> None:
    with pytest.raises(HistogramError, match="0 or more"):
        Histogram.of(np.array(wrong))


def test_a_percentile_of_nothing_or_out_of_range_is_refused() -> None:
    with pytest.raises(HistogramError, match="no latencies"):
        Histogram().percentile_ms(99)
    with pytest.raises(HistogramError, match="between 0 and 100"):
        Histogram.of(np.array([1.0])).percentile_ms(100)
    assert np.isnan(Histogram().mean_ms)
