"""The order of tests shared by several workers."""

import itertools
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def dealt(items: Sequence[Item], long: Sequence[bool], workers: int) -> list[Item]:
    """Return `items` in an order in which each worker begins with its share of the long ones.

    pytest-xdist's ``worksteal`` cuts the order into consecutive parts, one per worker and of equal counts, and a worker
    that is done takes from the end of the longest part. So the long ones stand at the beginning of each part.
    """
    slow = [item for item, is_long in zip(items, long, strict=True) if is_long]
    quick = iter([item for item, is_long in zip(items, long, strict=True) if not is_long])
    order: list[Item] = []
    for worker in range(workers):
        size = (len(items) - len(order)) // (workers - worker)
        begun = slow[worker::workers]
        order += [*begun, *itertools.islice(quick, max(size - len(begun), 0))]
    return order
