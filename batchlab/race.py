"""A race: several ways to compute the same, timed in turns, so that a slow minute of the machine is slow for all.

    found = race({"plain": plain, "fast": fast}, seconds=2)
    found.table()
    found.speedup("plain")

Each round runs everyone once, in an order drawn anew. Times of one round belong together, so a speed-up is the median
of the ratios within rounds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import pandas as pd

from batchlab.measure import pace

MS_PER_S = 1000.0
FEWEST_ROUNDS = 3
MOST_ROUNDS = 400


class RaceError(ValueError):
    """A race without runners, or a question about one that did not run."""


@dataclass(frozen=True, eq=False)
class Race:
    """What a race gave.

    Attributes:
        times_ms: runner -> its time in each round, each of shape ``(rounds,)``.
    """

    times_ms: dict[str, np.ndarray]

    @property
    def rounds(self) -> int:
        """How often everyone ran, warm-up left out."""
        return len(next(iter(self.times_ms.values())))

    def median_ms(self, name: str) -> float:
        """Return the median time of a runner.

        Raises:
            RaceError: nobody of that name ran.
        """
        return float(np.median(self._of(name)))

    def table(self) -> pd.DataFrame:
        """Return a row per runner: ``median_ms``, the quartiles ``low_ms`` and ``high_ms``, and ``rounds``."""
        rows = {}
        for name, times in self.times_ms.items():
            low, middle, high = np.percentile(times, [25, 50, 75])
            rows[name] = {"median_ms": middle, "low_ms": low, "high_ms": high, "rounds": len(times)}
        return pd.DataFrame.from_dict(rows, orient="index")

    def speedup(self, base: str) -> pd.DataFrame:
        """Return how many times as fast as `base` each is: ``speedup`` (median), ``low`` and ``high`` (quartiles).

        Raises:
            RaceError: nobody of that name ran.
        """
        against = self._of(base)
        rows = {}
        for name, times in self.times_ms.items():
            low, middle, high = np.percentile(against / times, [25, 50, 75])
            rows[name] = {"speedup": middle, "low": low, "high": high}
        return pd.DataFrame.from_dict(rows, orient="index")

    def _of(self, name: str) -> np.ndarray:
        if name not in self.times_ms:
            raise RaceError(f"{name!r} did not run. There were: {', '.join(self.times_ms)}.")
        return self.times_ms[name]


def race(
    runners: Mapping[str, Callable[[], object]], *, seconds: float = 2.0, warmup_rounds: int = 1, seed: int = 0
) -> Race:
    """Let everyone run in turns for a while; ``BATCHLAB_PACE`` shortens it.

    Args:
        runners: name -> what to run.
        seconds: for all of them together, after the warm-up; at least three rounds are run.
        warmup_rounds: rounds that do not count: the first run of a network allocates its memory.
        seed: of the order within each round.

    Raises:
        RaceError: no runners, or no time.
    """
    if not runners or not seconds > 0 or warmup_rounds < 0:
        raise RaceError(f"A race needs runners and a time above 0 s, got {len(runners)} runners and {seconds} s.")
    names, order = list(runners), np.random.default_rng(seed)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(warmup_rounds):
        for run in runners.values():
            run()
    ends, rounds = perf_counter() + seconds * pace(), 0
    while rounds < FEWEST_ROUNDS or (perf_counter() < ends and rounds < MOST_ROUNDS):
        for place in order.permutation(len(names)):
            name = names[place]
            began = perf_counter()
            runners[name]()
            times[name].append((perf_counter() - began) * MS_PER_S)
        rounds += 1
    return Race({name: np.array(found) for name, found in times.items()})
