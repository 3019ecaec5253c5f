"""The schedule as a value: statistics, cutting and thinning, complaints. Its makers are in test_arrivals."""

import numpy as np
import pytest

from batchlab import arrivals
from batchlab.schedule import Arrivals, ArrivalsError

SIGMAS = 5.0


def test_index_of_dispersion_counts_whole_windows_only() -> None:
    made = Arrivals(np.array([0.1, 0.2, 1.5, 2.9]), 2.95)
    assert made.index_of_dispersion(1.0) == pytest.approx(np.var([2, 1], ddof=1) / 1.5)


def test_peak_rate_finds_the_worst_window_wherever_it_starts() -> None:
    made = Arrivals(np.array([0.9, 0.95, 1.05, 1.1, 3.0]), 4.0)
    assert made.peak_rate_rps(0.5) == 8.0
    assert Arrivals(np.array([]), 1.0).peak_rate_rps() == 0.0


def test_statistics_of_too_little() -> None:
    assert np.isnan(Arrivals(np.array([0.5]), 1.0).burstiness)
    with pytest.raises(ArrivalsError, match="fewer than two windows"):
        arrivals.constant(10, 1).index_of_dispersion(0.7)
    with pytest.raises(ArrivalsError, match="No arrivals"):
        Arrivals(np.array([]), 1.0).index_of_dispersion(0.1)


def test_thin_keeps_a_share_of_the_very_same_requests() -> None:
    whole = arrivals.poisson(1000, 50, seed=4)
    kept = whole.thin(0.2, seed=5)
    assert np.isin(kept.times_s, whole.times_s).all()
    assert abs(len(kept) - 0.2 * len(whole)) < SIGMAS * np.sqrt(len(whole) * 0.2 * 0.8)


def test_scale_rate_keeps_the_pattern() -> None:
    whole = arrivals.gamma(100, 10, 4, seed=4)
    faster = whole.scale_rate(2)
    assert faster.rate_rps == pytest.approx(2 * whole.rate_rps)
    assert faster.burstiness == pytest.approx(whole.burstiness)


def test_clip_cuts_half_open_and_restarts_the_clock() -> None:
    made = Arrivals(np.array([0.0, 1.0, 2.0, 3.0]), 4.0).clip(1.0, 3.0)
    assert made.times_s.tolist() == [0.0, 1.0]
    assert made.seconds == 2.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Arrivals(np.array([-0.1]), 1), "start at 0"),
        (lambda: Arrivals(np.array([0.2, 0.1]), 1), "number 2 lies before number 1"),
        (lambda: Arrivals(np.array([0.2, np.nan]), 1), "finite"),
        (lambda: Arrivals(np.array([0.2, 1.1]), 1), "beyond"),
        (lambda: Arrivals(np.array([0.2]), 1, sizes=np.array([1, 2])), "as many sizes"),
        (lambda: arrivals.constant(5, 5).split(0), "at least one sender"),
        (lambda: arrivals.constant(5, 5).thin(0, seed=1), "share above 0"),
        (lambda: arrivals.constant(5, 5).scale_rate(0), "factor must"),
        (lambda: arrivals.constant(5, 5).clip(3, 2), "Clip within"),
        (lambda: arrivals.constant(5, 5).peak_rate_rps(0), "window_s must"),
    ],
)
def test_bad_input_gets_one_clear_error(make, says: str) -> None:
    with pytest.raises(ArrivalsError, match=says):
        make()


def test_a_schedule_describes_itself() -> None:
    assert str(arrivals.constant(10, 2)).startswith("constant: 20 requests in 2 s, 10/s")
