"""Schedules: the theory of each maker, composition, records, complaints.

Where a random schedule is compared with theory, the bound is so wide that a right generator fails with a probability
below 1e-6 for a fresh seed (five standard errors of the named statistic, two-sided 6e-7, or a p value of 1e-6). The
seed is fixed, so that it never does.
"""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from batchlab import arrivals
from batchlab.arrivals import Arrivals, ArrivalsError, Sizes

SIGMAS = 5.0


def recipes() -> list[Arrivals]:
    poisson = arrivals.poisson(200, 5, seed=1)
    sized = poisson.with_sizes(Sizes.lognormal(20, 0.7, 1, 128, "seq_len"), seed=3)
    return [
        arrivals.constant(100, 10),
        poisson,
        arrivals.gamma(100, 10, 4, seed=1),
        arrivals.on_off(300, 20, 0.5, 1, 10, seed=1),
        arrivals.spike(100, 10, 5, 3, 1, seed=1),
        arrivals.ramp(0, 200, 10, seed=1),
        arrivals.diurnal(10, 200, 10, seed=1, days=2),
        sized,
        sized.thin(0.3, seed=9),
        sized.scale_rate(2.5),
        sized.clip(1, 3.5),
        sized.split(3)[1],
        arrivals.concat(poisson, arrivals.constant(10, 5)),
        arrivals.superpose(poisson, arrivals.constant(10, 7)),
        Arrivals(np.array([0.0, 0.25, 0.25]), 1.0),
    ]


ids = [recipe.name for recipe in recipes()]


# ---- theory


def test_constant_is_a_metronome() -> None:
    made = arrivals.constant(100, 10)
    assert len(made) == 1000
    assert np.allclose(made.gaps_s, 0.01, atol=1e-12)
    assert made.burstiness < 1e-20
    assert made.peak_rate_rps() == 100


def test_constant_with_a_rate_that_does_not_divide() -> None:
    assert len(arrivals.constant(3, 0.5)) == 2  # at 0 and 1/3 s
    assert len(arrivals.constant(0.1, 1)) == 1


def test_poisson_counts_and_gaps() -> None:
    made = arrivals.poisson(500, 200, seed=11)
    assert abs(len(made) - 100_000) < SIGMAS * np.sqrt(100_000)
    # Kolmogorov-Smirnov against the exponential: p below 1e-6 would be a false alarm once in a million seeds.
    assert stats.kstest(made.gaps_s, "expon", args=(0, 1 / 500)).pvalue > 1e-6
    # The sample variance of n Poisson counts of mean m has a relative standard error of sqrt(2 / (n - 1) + 1 / (n m)).
    assert abs(made.index_of_dispersion(0.1) - 1) < SIGMAS * np.sqrt(2 / 1999 + 1 / (2000 * 50))


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0, 16.0])
def test_gamma_gaps_have_the_chosen_burstiness(burstiness: float) -> None:
    made = arrivals.gamma(1000, 200, burstiness, seed=12)
    shape = 1 / burstiness
    law = stats.gamma(shape, scale=1 / (1000 * shape))
    # Gaps below a nanosecond drown in the rounding of the times; compare the law of the others.
    seen, drowned = made.gaps_s[made.gaps_s > 1e-9], law.cdf(1e-9)
    assert stats.kstest(seen, lambda gap: (law.cdf(gap) - drowned) / (1 - drowned)).pvalue > 1e-6
    # Delta method for s^2 / mean^2 of n gamma gaps of mean 1: (mu4 - c^2 - 4 c mu3 + 4 c^3) / n, where the gamma has
    # mu3 = 2 c^2 and mu4 = 3 c^2 + 6 c^3, makes (2 c^2 + 2 c^3) / n with c = burstiness.
    error = np.sqrt((2 * burstiness**2 + 2 * burstiness**3) / len(made))
    assert abs(made.burstiness - burstiness) < SIGMAS * error


def test_gamma_is_in_full_swing_from_the_start() -> None:
    """An ordinary renewal process would have (c - 1) / 2 = 7.5 requests more than rate x seconds."""
    counts = np.array([len(arrivals.gamma(50, 1, 16, seed=seed)) for seed in range(4000)])
    error = counts.std(ddof=1) / np.sqrt(len(counts))
    assert abs(counts.mean() - 50) < SIGMAS * error < 7.5


def test_on_off_matches_heffes_and_lucantoni() -> None:
    on, off, mean_on, mean_off, seconds, seeds = 300.0, 20.0, 0.5, 1.5, 100.0, 300
    made = [arrivals.on_off(on, off, mean_on, mean_off, seconds, seed=seed) for seed in range(seeds)]
    counts = np.array([len(one) for one in made])
    rate = (on * mean_on + off * mean_off) / (mean_on + mean_off)
    leave_on, leave_off = 1 / mean_on, 1 / mean_off
    total = leave_on + leave_off
    factor = 2 * leave_on * leave_off * (on - off) ** 2 / (total**2 * (on * leave_off + off * leave_on))
    dispersion = 1 + factor * (1 - (1 - np.exp(-total * seconds)) / (total * seconds))
    assert abs(counts.mean() / seconds - rate) < SIGMAS * np.sqrt(dispersion * rate / seconds / seeds)
    measured = counts.var(ddof=1) / counts.mean()
    # A nearly normal count: relative standard error of its variance sqrt(2 / (seeds - 1)).
    assert abs(measured / dispersion - 1) < SIGMAS * np.sqrt(2 / (seeds - 1))
    # Short windows hardly see the switching, long ones do.
    assert made[0].index_of_dispersion(0.01) < made[0].index_of_dispersion(1.0)


@pytest.mark.parametrize(
    ("made", "rate_at"),
    [
        (arrivals.spike(100, 100, 6, 30, 10, seed=5), lambda t: 600 if 30 <= t < 40 else 100),
        (arrivals.spike(100, 100, 0.25, 30, 10, seed=5), lambda t: 25 if 30 <= t < 40 else 100),
        (arrivals.ramp(0, 400, 100, seed=6), lambda t: 4 * t),
        (arrivals.ramp(400, 100, 100, seed=6), lambda t: 400 - 3 * t),
        (arrivals.diurnal(20, 300, 100, seed=7), lambda t: 160 - 140 * np.cos(2 * np.pi * t / 100)),
    ],
    ids=["spike", "dip", "ramp_up", "ramp_down", "diurnal"],
)
def test_changing_rates_follow_their_formula(made: Arrivals, rate_at) -> None:
    edges = np.linspace(0, 100, 21)
    counts = np.histogram(made.times_s, edges)[0]
    expected = np.array([integrate.quad(rate_at, a, b, limit=200)[0] for a, b in pairwise(edges)])
    # Counts are Poisson, so that the sum of (count - expected)^2 / expected is chi-squared with 20 degrees.
    assert ((counts - expected) ** 2 / expected).sum() < stats.chi2.isf(1e-6, 20)


def test_the_day_starts_at_midnight() -> None:
    made = arrivals.diurnal(10, 400, 100, seed=3)
    assert len(made.clip(0, 10)) < len(made.clip(45, 55)) / 10


# ---- properties of every schedule


@pytest.mark.parametrize("made", recipes(), ids=ids)
def test_every_schedule_is_sorted_inside_and_frozen(made: Arrivals) -> None:
    assert (np.diff(made.times_s) >= 0).all()
    assert len(made) > 1
    assert made.times_s[0] >= 0
    assert made.times_s[-1] <= made.seconds
    with pytest.raises(ValueError, match="read-only"):
        made.times_s[0] = 1.0


@pytest.mark.parametrize("made", recipes(), ids=ids)
def test_every_schedule_comes_back_from_its_recipe(made: Arrivals) -> None:
    again = Arrivals.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again.times_s.tobytes() == made.times_s.tobytes()
    assert (again.digest, again.seconds, again.name, again.seed) == (made.digest, made.seconds, made.name, made.seed)
    assert again.size_name == made.size_name
    assert again.to_dict() == made.to_dict()


@pytest.mark.parametrize("made", recipes(), ids=ids)
@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_split_gives_back_exactly_the_original(made: Arrivals, n: int) -> None:
    parts = made.split(n)
    merged = np.concatenate([part.times_s for part in parts])
    order = np.argsort(merged, kind="stable")
    assert merged[order].tobytes() == made.times_s.tobytes()
    assert max(len(part) for part in parts) - min(len(part) for part in parts) <= 1
    assert all(part.seconds == made.seconds for part in parts)
    if made.sizes is not None:
        back = np.empty_like(made.sizes)
        for i, part in enumerate(parts):
            back[i::n] = part.sizes
        assert (back == made.sizes).all()


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    a, b, c = (arrivals.gamma(100, 5, 2, seed=seed) for seed in (1, 1, 2))
    assert a.digest == b.digest != c.digest


# ---- composition


def test_concat_shifts_and_superpose_merges() -> None:
    a, b = Arrivals(np.array([0.0, 1.0]), 2.0), Arrivals(np.array([0.5, 1.0]), 3.0)
    joined, merged = arrivals.concat(a, b), arrivals.superpose(a, b)
    assert joined.times_s.tolist() == [0.0, 1.0, 2.5, 3.0]
    assert joined.seconds == 5.0
    assert merged.times_s.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert merged.seconds == 3.0


def test_superpose_carries_sizes_with_their_times() -> None:
    a = Arrivals(np.array([0.0, 1.0]), 2.0, sizes=np.array([1, 2]), size_name="batch")
    b = Arrivals(np.array([0.5, 1.0]), 2.0, sizes=np.array([3, 4]), size_name="batch")
    assert arrivals.superpose(a, b).sizes.tolist() == [1, 3, 2, 4]
    with pytest.raises(ArrivalsError, match="same sizes"):
        arrivals.superpose(a, Arrivals(np.array([0.5]), 2.0))


def test_superposed_poisson_streams_are_poisson() -> None:
    made = arrivals.superpose(*(arrivals.poisson(10, 200, seed=seed) for seed in range(20)))
    assert stats.kstest(made.gaps_s, "expon", args=(0, 1 / 200)).pvalue > 1e-6


# ---- complaints


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: arrivals.poisson(0, 10, seed=1), "rate_rps must be a finite number above 0, got 0"),
        (lambda: arrivals.poisson(-5, 10, seed=1), "rate_rps must"),
        (lambda: arrivals.poisson(5, 0, seed=1), "seconds must"),
        (lambda: arrivals.constant(float("nan"), 1), "rate_rps must"),
        (lambda: arrivals.constant(5, float("inf")), "seconds must"),
        (lambda: arrivals.poisson(1e9, 1e3, seed=1), "do not fit"),
        (lambda: arrivals.gamma(5, 5, 0, seed=1), "burstiness must"),
        (lambda: arrivals.on_off(10, 20, 1, 1, 5, seed=1), "off_rps lies between"),
        (lambda: arrivals.on_off(10, 5, 0, 1, 5, seed=1), "mean_on_s must"),
        (lambda: arrivals.spike(10, 10, 5, 11, 1, seed=1), "starts within"),
        (lambda: arrivals.ramp(-1, 5, 5, seed=1), "Rates are 0 or more"),
        (lambda: arrivals.ramp(0, 0, 5, seed=1), "highest_rps must"),
        (lambda: arrivals.diurnal(30, 20, 5, seed=1), "trough_rps lies between"),
        (lambda: arrivals.concat(), "at least one"),
    ],
)
def test_bad_input_gets_one_clear_error(make, says: str) -> None:
    with pytest.raises(ArrivalsError, match=says):
        make()


def test_a_recipe_that_gives_other_bytes_is_refused() -> None:
    record = arrivals.poisson(10, 5, seed=1).to_dict()
    with pytest.raises(ArrivalsError, match="its NumPy differs"):
        Arrivals.from_dict({**record, "seed": 2})
    with pytest.raises(ArrivalsError, match="No recipe 'lognormal'"):
        Arrivals.from_dict({**record, "name": "lognormal"})
