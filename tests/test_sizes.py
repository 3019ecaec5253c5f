"""Request sizes: each distribution against its theory (five standard errors, fixed seed), and its complaints."""

import numpy as np
import pytest
from scipy import stats

from batchlab.sizes import Sizes, SizesError

SIGMAS = 5.0


def test_sizes_follow_their_distribution() -> None:
    rng = np.random.default_rng(0)
    assert set(Sizes.constant(7).draw(10, rng)) == {7}
    drawn = Sizes.choice([16, 64], [3, 1]).draw(40_000, rng)
    assert abs((drawn == 16).mean() - 0.75) < SIGMAS * np.sqrt(0.75 * 0.25 / 40_000)
    drawn = Sizes.lognormal(40, 0.8, 1, 512).draw(40_000, rng)
    # The share below the median is one half; rounding to whole sizes moves it by less than half a size's density.
    assert abs((drawn <= 40).mean() - 0.5) < SIGMAS * 0.5 / np.sqrt(40_000) + 0.5 * stats.lognorm.pdf(40, 0.8, scale=40)
    assert drawn.min() >= 1
    assert Sizes.lognormal(40, 2, 8, 64).draw(2000, rng).max() == 64
    assert Sizes.given([1, 2, 3]).draw(5, rng).tolist() == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Sizes.constant(0), "at least 1"),
        (lambda: Sizes.constant(1.5), "whole numbers"),  # type: ignore[arg-type]
        (lambda: Sizes.choice([]), "at least one"),
        (lambda: Sizes.choice([1, 2], [1]), "need 2 weights"),
        (lambda: Sizes.choice([1, 2], [0, 0]), "not all zero"),
        (lambda: Sizes.lognormal(-1, 1, 1, 2), "median > 0"),
        (lambda: Sizes.lognormal(10, 1, 5, 2), "low <= high"),
        (lambda: Sizes.given([1, float("nan")]), "whole numbers"),
        (lambda: Sizes("zipf", "size").draw(3, np.random.default_rng(0)), "unknown"),
    ],
)
def test_bad_sizes_are_refused(make, says: str) -> None:
    with pytest.raises(SizesError, match=says):
        make()
