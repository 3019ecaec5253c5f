"""When enough requests have been seen: MLPerf LoadGen's early-stopping rule, and what it costs to bend it.

A run passes when it is so good that a server whose true miss rate is just not allowed would do as well with a
probability below ``1 - confidence``::

    P(Binomial(requests, 1 - percentile / 100) <= misses) < 1 - confidence

LoadGen takes a tolerance off the percentile first and sets that tolerance to 0, as here. Source: mlcommons/inference,
``loadgen/early_stopping.cc`` (`odds`, `find_min_passing`) and ``loadgen/results.cc`` (`EarlyStopping`, Server scenario;
it counts the requests in time, ``h``, and asks for ``h + t`` in all).

A run fails by the same rule turned round: a server that just keeps the objective would do as badly with a probability
below ``1 - confidence``. This half is ours; LoadGen only says that a run has not passed.

What the rule assumes:

* Independent requests. In a queue they are not: one burst makes a hundred misses, and a lucky run sees no burst. The
  plain rule, LoadGen's and our default, then passes far more often than it promises: on a simulated queue at 80 % load
  whose P99 just fails, a third of the runs and more, not one in a hundred (lab 02 and tests/test_slo.py show it).
  `clumping` says how many neighbours are worth one independent request; to discount for it mends the promise, and
  takes as many times the requests.
* One look, at a count chosen before. Looking until it passes passes too often: `false_pass_rate` says how often.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy
from scipy import special

ENDLESS = 10**9


class SloError(ValueError):
    """An objective, or a question about one, that makes no sense."""


def min_requests(misses: int, percentile: float = 99, confidence: float = 0.99) -> int:
    """Return the fewest requests with which `misses` misses still pass.

    For a P99 at 99 %: 459, 662, 838, 1307, 2010, 6898 for 0, 1, 2, 5, 10, 50 misses.

    Raises:
        SloError: a negative count, or a percentile or confidence out of range.
    """
    if misses < 0 or int(misses) != misses:
        raise SloError(f"Misses are counted, 0 or more, got {misses}.")
    if not 0 < percentile < 100 or not 0 < confidence < 1:
        raise SloError(f"Need 0 < percentile < 100 and 0 < confidence < 1, got {percentile} and {confidence}.")
    # P(Binomial(n, q) <= t) is the regularised incomplete beta function I(1 - q; n - t, t + 1).
    return int(misses) + _first(lambda fast: special.betainc(fast, misses + 1, percentile / 100) < 1 - confidence)


def allowed_misses(requests: int, share: float, confidence: float = 0.99) -> int:
    """Return the most misses with which so many requests pass; -1 where even none would not do.

    Args:
        requests: how many were sent.
        share: of them may miss, 0.01 for a P99.
        confidence: of the PASS.
    """
    # ppf is the smallest count whose cumulative probability reaches the error; one below stays under it.
    return int(scipy.stats.binom.ppf(1 - confidence, requests, share)) - 1 if requests else -1


def fails(requests: int, misses: int, share: float, confidence: float = 0.99) -> bool:
    """Return whether so many misses show a miss rate above `share`."""
    return requests > 0 and float(scipy.stats.binom.sf(misses - 1, requests, share)) < 1 - confidence


def more_until_pass(requests: int, miss_rate: float, share: float, confidence: float = 0.99) -> int | None:
    """Return how many more requests pass when they go on missing at this rate; None for never."""
    if miss_rate >= share:
        return None
    error = 1 - confidence
    total = _first(lambda n: special.betainc(n * (1 - miss_rate), n * miss_rate + 1, 1 - share) < error, requests + 1)
    return total - requests if total < ENDLESS else None


def more_until_fail(requests: int, miss_rate: float, share: float, confidence: float = 0.99) -> int | None:
    """Return how many more requests fail when they go on missing at this rate; None for never."""
    if miss_rate <= share:
        return None
    error = 1 - confidence
    total = _first(lambda n: special.betainc(n * miss_rate, n * (1 - miss_rate) + 1, share) < error, requests + 1)
    return total - requests if total < ENDLESS else None


def false_pass_rate(miss_rate: float, looks: Sequence[int], percentile: float = 99, confidence: float = 0.99) -> float:
    """Return the exact probability that a server of this true miss rate passes at one of several looks.

    Args:
        miss_rate: true share of misses, independent from request to request.
        looks: ascending request counts at which the rule is asked; the first PASS ends the test.
    """
    going, passed, seen = np.ones(1), 0.0, 0
    for count in looks:
        # Distribution of the misses so far among the streams that have not passed yet.
        going = np.convolve(going, scipy.stats.binom.pmf(np.arange(count - seen + 1), count - seen, miss_rate))
        allowed = allowed_misses(count, 1 - percentile / 100, confidence)
        passed += float(going[: allowed + 1].sum())
        going[: allowed + 1] = 0.0
        seen = count
    return passed


def clumping(latencies: np.ndarray) -> float:
    """Return the variance inflation of the count of slow requests, by batch means over blocks of sqrt(n) neighbours.

    Slow is slower than nine in ten of the same run, so that it can be told also where nothing missed.
    Source: G. S. Fishman, Discrete-Event Simulation, 2001, chapter 6 (batch means).
    """
    n = len(latencies)
    if n < 100:
        return float("nan")
    slow = latencies > np.quantile(latencies, 0.9)
    size = int(np.sqrt(n))
    means = slow[: n // size * size].reshape(-1, size).mean(axis=1)
    return float(size * means.var(ddof=1) / slow.var()) if slow.any() else 1.0


def _first(holds: Callable[[int], bool], start: int = 1) -> int:
    """Return the smallest whole number from `start` on for which a condition holds that never turns false again.

    Gives up at `ENDLESS`, and returns it.
    """
    low, high = start - 1, start
    while not holds(high):
        low, high = high, min(2 * high, ENDLESS)
        if low == ENDLESS:
            return ENDLESS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
