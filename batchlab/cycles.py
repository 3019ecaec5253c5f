"""Batches as the clients' clocks show them: where one ends and the next, and what work that waited then saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from batchlab.measure import Run
from batchlab.service import COOLING_MS

LATE_CYCLES = 1.4
APART_CYCLES = 0.5
"""Answers of one batch come closer together than such a share of the shortest cycle."""
NOT_YET_MS = 2.0
"""A request sent that shortly before an end may not have been in the queue yet."""
MISSED_ROW = 4.0
"""A model that computes on the processor: over so many ends in a row, at which work waits, the batcher comes to miss
them as often as it does in the long run. Counted in 5,000 ends of the text model, batches of one, at 20 to 80 % load:
7 % of the first of a row are missed, 10 % of the second to fourth, 20 to 28 % of the later ones. The cause is not
known. An emulated accelerator, which leaves the processor alone, shows nothing of it."""
FEWEST_CYCLES = 20
FEWEST_PAUSES = 50
HICCUP = 2.0
"""A lone request that takes so many times the median says nothing of the pause before it."""


@dataclass(frozen=True)
class Cycles:
    """A run's batches on one instance, one after another.

    Attributes:
        batch_sizes: of each batch but the first, shape ``(n,)``.
        ms: from the end of the batch before to its own end, shape ``(n,)``.
        waited: whether work waited for sure at the end of the batch before, shape ``(n,)``.
        late: whether it came later than a batch of its size can, where work waits, shape ``(n,)``.
        row: how many ends in a row had found work waiting, by then, as it seems, shape ``(n,)``.
    """

    batch_sizes: np.ndarray
    ms: np.ndarray
    waited: np.ndarray
    late: np.ndarray
    row: np.ndarray


def of(run: Run, cycle_ms: Callable[[Any], Any]) -> Cycles:
    """Tell a run's batches apart by the moments at which their answers came.

    Args:
        run: of requests of one item, to one instance.
        cycle_ms: as `Calibration.cycle_ms`, for one size or an array of sizes.
    """
    done_ms, sent_ms = (np.sort(run.answered[name].to_numpy(float)) * 1e3 for name in ("done_s", "sent_s"))
    one_ms = cycle_ms(1)
    last = np.append(np.flatnonzero(np.diff(done_ms) > APART_CYCLES * one_ms), len(done_ms) - 1)
    ends_ms, sizes = done_ms[last], np.diff(last, prepend=-1)[1:]
    # Where more had been sent by the end of a batch than were answered by then, at least one was waiting.
    waited, likely = (np.searchsorted(sent_ms, ends_ms[:-1] - ms) > last[:-1] + 1 for ms in (NOT_YET_MS, 0.0))
    taken_ms = np.diff(ends_ms)
    places = np.arange(len(waited))
    row = places - np.maximum.accumulate(np.where(likely, -1, places))
    return Cycles(sizes, taken_ms, waited, taken_ms > cycle_ms(sizes) + (LATE_CYCLES - 1) * one_ms, row)


def missed(run: Run, cycle_ms: Callable[[Any], Any], *, lone: bool, row: float = 0.0) -> float:
    """Return how often work that waits at the end of a batch is not taken up at once: `Overheads.missed_wake`.

    A miss ends with the next request. Where that comes soon, the wait is overlooked; as many are added as Poisson
    traffic hides so.

    Args:
        run: Poisson traffic to one instance that waits for nothing and has nothing formed ahead.
        cycle_ms: as of `of`.
        lone: after batches of one request; else after all larger ones.
        row: `Overheads.missed_row`.
    """
    seen = of(run, cycle_ms)
    sent_s = run.answered["sent_s"]
    rate_per_ms = (len(sent_s) - 1) / (sent_s.max() - sent_s.min()) / 1e3
    overlooked = np.exp(rate_per_ms * (LATE_CYCLES - 1) * cycle_ms(1))
    before = np.concatenate([[1], seen.batch_sizes])[:-1]
    counted = seen.waited & ((before == 1) == lone)
    chance = 1 - np.exp(-seen.row / row) if row else np.ones(len(seen.row))
    return float(min(seen.late[counted].sum() * overlooked / max(chance[counted].sum(), 1), 1.0))


def variation(run: Run, cycle_ms: Callable[[Any], Any]) -> float:
    """Return the coefficient of variation of one batch's time, from batches that follow each other without a pause.

    The width of the middle 68 % stands for two standard deviations, so that a hiccup of the machine says nothing.

    Args:
        run: to a model whose batches are formed ahead, so that none is missed.
        cycle_ms: as of `of`.
    """
    seen = of(run, cycle_ms)
    times = (seen.ms / cycle_ms(seen.batch_sizes))[seen.waited]
    if len(times) < FEWEST_CYCLES:
        return 0.0
    low, middle, high = np.percentile(times, [16, 50, 84])
    return float((high - low) / 2 / middle)


def pauses_ms(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return how long the server had been idle before each request that found it so, and that request's latency."""
    rows = run.answered.sort_values("sent_s")
    sent_ms, done_ms = (rows[name].to_numpy(float) * 1e3 for name in ("sent_s", "done_s"))
    pause_ms = sent_ms[1:] - np.maximum.accumulate(done_ms)[:-1]
    idle = pause_ms > 0
    return pause_ms[idle], (done_ms - sent_ms)[1:][idle]


def cold(pause_ms: np.ndarray) -> np.ndarray:
    """Return how much of `Overheads.cold_ms` a batch pays after such pauses, from 0 to 1."""
    return np.asarray(1 - np.exp(-pause_ms / COOLING_MS))


def cold_ms(runs: Sequence[Run]) -> float:
    """Return what a batch takes longer after a long pause than after none, in runs with pauses of all lengths."""
    slopes, weights = [], []
    for run in runs:
        pause_ms, latency_ms = pauses_ms(run)
        good = latency_ms < HICCUP * np.median(latency_ms) if len(pause_ms) else np.zeros(0, bool)
        if good.sum() >= FEWEST_PAUSES:
            # A line within each run: between two runs the machine may have changed.
            share = cold(pause_ms[good])
            slopes.append(np.polyfit(share, latency_ms[good], 1)[0])
            weights.append(((share - share.mean()) ** 2).sum())
    return max(float(np.average(slopes, weights=weights)), 0.0) if slopes else 0.0
