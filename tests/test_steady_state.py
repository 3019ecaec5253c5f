"""A queue in the steady state: percentiles from tails, and numbers that are refused."""

import math

import pytest

from batchlab.steady_state import QueueingError, SteadyState, little_in_flight, stable


def exponential(mean_ms: float = 10.0) -> SteadyState:
    return SteadyState(
        *("test", "exact", 50.0, 0.5, mean_ms / 2, mean_ms),
        wait_tail=lambda ms: 0.5 * math.exp(-ms / mean_ms),
        latency_tail=lambda ms: math.exp(-ms / mean_ms),
    )


@pytest.mark.parametrize("percentile", [1, 50, 99, 99.9, 99.9999])
def test_percentiles_invert_the_tail(percentile: float) -> None:
    expected_ms = -10 * math.log1p(-percentile / 100)
    assert exponential().latency_percentile_ms(percentile) == pytest.approx(expected_ms, rel=1e-6)


def test_percentile_of_a_wait_is_zero_while_enough_do_not_wait() -> None:
    assert exponential().wait_percentile_ms(50) == 0
    assert exponential().wait_percentile_ms(75) == pytest.approx(10 * math.log(2))


@pytest.mark.parametrize("percentile", [0, 100, -1, math.nan])
def test_percentile_refuses_what_lies_outside(percentile: float) -> None:
    with pytest.raises(QueueingError, match="between 0 and 100"):
        exponential().latency_percentile_ms(percentile)


def test_percentile_of_a_mean_alone_is_refused() -> None:
    with pytest.raises(QueueingError, match="mean only"):
        SteadyState("M/G/1", "exact", 50, 0.5, 5, 15).latency_percentile_ms(99)


def test_little_counts_what_is_in_flight() -> None:
    assert little_in_flight(200, 50) == 10
    assert exponential().in_flight == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_little_refuses_what_is_no_number_above_zero(bad: float) -> None:
    with pytest.raises(QueueingError, match="rate_rps must be a number above 0"):
        little_in_flight(bad, 10)
    with pytest.raises(QueueingError, match="latency_ms must be a number above 0"):
        little_in_flight(10, bad)


def test_unstable_says_what_is_offered_what_fits_and_what_to_do() -> None:
    stable(99.9, 100, "one server")
    with pytest.raises(QueueingError, match="offered 100 requests/s, capacity 100 requests/s; lower the rate"):
        stable(100, 100, "one server")
