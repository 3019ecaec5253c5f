"""A day in real time and one replica's part of it: counts, gaps, and parts that add up."""

import numpy as np
import pytest
from scipy import integrate, stats

from batchlab.day import DAY_S, Day
from batchlab.schedule import ArrivalsError


def test_a_day_of_so_many_requests_expects_them() -> None:
    day = Day.of_requests(1e9, trough_share=0.25)
    assert day.requests == pytest.approx(1e9)
    assert day.trough_rps == pytest.approx(day.peak_rps / 4)
    assert (day.rate_rps(0), day.rate_rps(DAY_S / 2)) == pytest.approx((day.trough_rps, day.peak_rps))
    assert day.rate_rps(-3600) == pytest.approx(day.rate_rps(DAY_S - 3600))


def test_the_closed_form_is_the_integral_of_the_rate() -> None:
    day = Day(10, 90)
    for until in (3_600.0, 30_000.0, DAY_S):
        area = integrate.quad(day.rate_rps, 0, until)[0]
        assert day.expected(until) == pytest.approx(area, rel=1e-9)
    assert day.expected(DAY_S) == pytest.approx(day.requests)


@pytest.mark.parametrize("balancer", ["random", "round-robin"])
def test_a_part_has_its_share_of_the_requests(balancer: str) -> None:
    day, replicas, start_s, end_s = Day(200, 2000, 1000), 10, 300.0, 700.0
    times = day.part(replicas, balancer, start_s, end_s, seed=3)
    expected = float(day.expected(end_s) - day.expected(start_s)) / replicas
    # Five standard deviations of a Poisson count; round robin varies less.
    assert abs(len(times) - expected) < 5 * np.sqrt(expected)
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    assert times[-1] <= end_s - start_s
    # And its share of each quarter: the rate follows the day.
    for low in np.arange(0, 400, 100):
        here = float(day.expected(start_s + low + 100) - day.expected(start_s + low)) / replicas
        assert abs(((times >= low) & (times < low + 100)).sum() - here) < 5 * np.sqrt(here)


def test_random_parts_are_poisson_and_round_robin_parts_far_more_regular() -> None:
    day, replicas = Day(1000, 1000, 1000), 10
    gaps = np.diff(day.part(replicas, "random", 0, 500, seed=5))
    # Kolmogorov-Smirnov against the exponential of rate 100/s; a wrong law of 50000 gaps gives p near 0.
    assert stats.kstest(gaps, "expon", args=(0, 0.01)).pvalue > 1e-4
    gaps = np.diff(day.part(replicas, "round-robin", 0, 500, seed=5))
    assert stats.kstest(gaps, "gamma", args=(replicas, 0, 0.001)).pvalue > 1e-4
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(1 / replicas, rel=0.1)


def test_round_robin_parts_are_those_of_dealing_out_the_whole() -> None:
    # The oracle: one Poisson process, every tenth of it.
    whole = Day(1000, 1000, 1000).part(1, "random", 0, 500, seed=9)
    dealt = np.diff(whole[4::10])
    drawn = np.diff(Day(1000, 1000, 1000).part(10, "round-robin", 0, 500, seed=10))
    assert stats.ks_2samp(dealt, drawn).pvalue > 1e-4


def test_a_seed_decides_and_another_differs() -> None:
    day = Day(10, 100, 100)
    one, same, other = (day.part(3, "random", 10, 50, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert len(one) != len(other) or not np.array_equal(one, other)


def test_a_night_without_traffic_is_empty_not_an_error() -> None:
    assert len(Day(0, 1e-9, 100).part(5, "random", 0, 1, seed=0)) == 0
    assert len(Day(5, 5, 100).part(5, "random", 10, 10, seed=0)) == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Day(5, 4), "trough_rps lies between 0 and peak_rps"),
        (lambda: Day(0, 0), "peak_rps must be a finite number above 0"),
        (lambda: Day.of_requests(0), "requests must be"),
        (lambda: Day.of_requests(10, 1.5), "share of the peak"),
        (lambda: Day(1, 2).part(0, "random", 0, 1, 0), "at least 1 replica"),
        (lambda: Day(1, 2).part(2, "least-loaded", 0, 1, 0), "ties all replicas together"),
    ],
)
def test_bad_input_says_what_is_wrong(make, words: str) -> None:
    with pytest.raises(ArrivalsError, match=words):
        make()
