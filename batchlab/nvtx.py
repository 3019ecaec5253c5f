"""NVTX ranges: names that a program gives to stretches of its time, for Nsight Systems to show above the GPU's kernels.

    with nvtx.marked("tokenise"):
        ...

Where no GPU is used the block just runs. ``nsys profile --trace=cuda,nvtx,osrt -o report python program.py`` records,
``nsys stats --report nvtx_sum report.nsys-rep`` adds the ranges up, and ``nsys export --type sqlite report.nsys-rep``
writes them as tables. Source: NVIDIA, Nsight Systems User Guide.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def marked(name: str) -> Iterator[None]:
    """Name what the block does; a range is closed however the block ends."""
    ranges = _ranges()
    if ranges is None:
        yield
        return
    ranges.range_push(name)
    try:
        yield
    finally:
        ranges.range_pop()


def active() -> bool:
    """Whether ranges are recorded by anybody: torch is in use here, and it has a GPU."""
    return _ranges() is not None


def _ranges() -> Any:
    # Whoever has not imported torch has no kernels of it to name; importing it here would cost seconds.
    torch = sys.modules.get("torch")
    return torch.cuda.nvtx if torch is not None and torch.cuda.is_available() else None
