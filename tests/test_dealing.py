"""The order of tests shared by several workers: nothing lost, the long ones in front of each worker's part."""

import pytest
from dealing import dealt


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_each_part_begins_with_its_share_of_the_long_ones(count: int, every: int, workers: int) -> None:
    items = list(range(count))
    is_long = [item % every == every - 1 for item in items]
    order = dealt(items, is_long, workers)
    assert sorted(order) == items
    shares, left = [], order
    for worker in range(workers):
        part, left = left[: len(left) // (workers - worker)], left[len(left) // (workers - worker) :]
        long_here = [is_long[item] for item in part]
        assert long_here == sorted(long_here, reverse=True), "a long one behind a quick one"
        shares.append(sum(long_here))
    assert max(shares) - min(shares) <= 1


def test_the_order_within_a_part_stays() -> None:
    assert dealt("aBcDeFgH", [letter.isupper() for letter in "aBcDeFgH"], 2) == list("BFacDHeg")
