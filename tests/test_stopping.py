"""The rule of early stopping: MLPerf's counts, how often it is wrong, and what queues do to it."""

import numpy as np
import pytest
from queues import queue_latencies
from scipy import stats

from batchlab import stopping
from batchlab.stopping import SloError, false_pass_rate, min_requests


@pytest.mark.parametrize(("misses", "requests"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010), (50, 6898)])
def test_min_requests_are_mlperfs(misses: int, requests: int) -> None:
    assert min_requests(misses) == requests
    assert min_requests(misses, percentile=99, confidence=0.99) == requests
    # The definition, from the other side: one request fewer would not do.
    assert stats.binom.cdf(misses, requests, 0.01) < 0.01 <= stats.binom.cdf(misses, requests - 1, 0.01)


@pytest.mark.parametrize("percentile", [50, 90, 97, 99, 99.9])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_min_requests_and_allowed_misses_are_each_others_inverse(percentile: float, confidence: float) -> None:
    share = round(1 - percentile / 100, 12)
    for misses in (0, 1, 3, 17):
        fewest = min_requests(misses, percentile, confidence)
        assert stopping.allowed_misses(fewest, share, confidence) == misses
        assert stopping.allowed_misses(fewest - 1, share, confidence) == misses - 1


@pytest.mark.parametrize("arguments", [(-1,), (0.5,), (0, 100), (0, 99, 1.0), (0, 0)])
def test_min_requests_refuses_nonsense(arguments) -> None:
    with pytest.raises(SloError):
        min_requests(*arguments)


def test_streams_just_inside_hardly_ever_fail() -> None:
    rng = np.random.default_rng(21)
    for requests in (200, 2010, 6898):
        misses = rng.binomial(requests, 0.0099, size=10_000)
        fails = {count: stopping.fails(requests, count, 0.01) for count in np.unique(misses)}
        failed = np.mean([fails[count] for count in misses])
        assert failed <= 0.01 + 4 * np.sqrt(0.01 * 0.99 / 10_000)


def test_looking_again_and_again_passes_too_often() -> None:
    every = list(range(459, 3001))
    exact = false_pass_rate(0.0101, every)
    assert exact > 0.04  # four times what the rule promises
    # The same by simulation: 2,000 streams of 3,000 requests, judged after each one.
    misses = np.cumsum(np.random.default_rng(22).random((2000, 3000)) < 0.0101, axis=1)
    allowed = np.array([stopping.allowed_misses(count, 0.01) for count in every])
    passed = (misses[:, 458:] <= allowed).any(axis=1).mean()
    assert passed == pytest.approx(exact, abs=4 * np.sqrt(exact / 2000))


def test_clumping_of_independent_and_of_queued_requests() -> None:
    rng = np.random.default_rng(23)
    independent = [stopping.clumping(rng.exponential(1, 5000)) for _ in range(100)]
    # Batch means over 70 blocks: relative standard error sqrt(2 / 69), of the mean of 100 a tenth.
    assert np.mean(independent) == pytest.approx(1, abs=5 * np.sqrt(2 / 69) / 10)
    assert np.median([stopping.clumping(row) for row in queue_latencies(0.8, 5000, 50, 24).T]) > 10
    assert np.isnan(stopping.clumping(np.ones(99)))
    assert stopping.clumping(np.ones(100)) == 1
