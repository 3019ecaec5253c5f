"""What a calibration's ladder of waiting clients says: a service time, the times around it, and reasons for doubt."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from batchlab import cycles
from batchlab.measure import Run
from batchlab.service import Calibration, Overheads, ServiceTime

WIDE = 0.3
"""A service time that varies by more than this is no property of the model: something else runs on the machine."""
DRIFT = 0.15
FEWEST_BATCHES = 12


@dataclass(frozen=True)
class Rung:
    """What so many waiting clients showed.

    Attributes:
        clients: how many.
        mean_batch: items per executed batch.
        batch_ms: mean compute time of a batch, by Triton's statistics.
        cycle_ms: mean time from one batch to the next, by the clients' clocks.
    """

    clients: int
    mean_batch: float
    batch_ms: float
    cycle_ms: float


def read(
    model: str,
    runs: dict[int, Run],
    device: tuple[np.ndarray, np.ndarray] | None,
    *,
    profile: str = "",
    traffic: Run | None = None,
    singles: Run | None = None,
) -> Calibration:
    """Turn the runs of the ladder into a calibration.

    Args:
        runs: by number of clients; -1 is the lone client's second visit.
        device: an emulated device's own curve, which is known exactly; what is measured beyond it is the way there.
        traffic: Poisson traffic to a real model. Waiting clients all send again when a batch ends, and take its cores;
            traffic does not: where it shows a batch size often enough, its time is taken.
        singles: the same in batches of one, with pauses of all lengths, which tell what a batch costs after them.
    """
    rungs = [rung(clients, run) for clients, run in runs.items() if clients >= 2]
    counts: dict[int, int] = {}
    total: dict[int, float] = {}
    for run in runs.values():
        assert run.server is not None
        for size, count in run.server.batches.items():
            counts[size] = counts.get(size, 0) + count
            total[size] = total.get(size, 0.0) + count * run.server.batch_compute_ms[size]
    shown = [run for run in (traffic, singles) if run is not None]
    cold_ms = cycles.cold_ms(shown)
    for size, count, ms in in_traffic(shown, cold_ms):
        counts[size], total[size] = count, count * ms
    sizes = np.array(sorted(counts))
    seen = np.array([counts[size] for size in sizes], float)
    seen_ms = np.array([total[size] for size in sizes]) / seen
    curve_ms = scipy.optimize.isotonic_regression(seen_ms, weights=seen).x
    lost_ms = np.array([max(r.cycle_ms - r.batch_ms, 0.0) for r in rungs])
    batches = np.array([r.mean_batch for r in rungs])
    if device is None:
        service = ServiceTime(sizes, curve_ms, source="calibrated on a server")
        varies = cycles.variation(traffic, service.latency_ms) if traffic else 0.0
        service = dataclasses.replace(service, variation=varies)
        around_ms = lost_ms
    else:
        service = ServiceTime(*device, source=profile or "emulated device")
        around_ms = np.array([r.cycle_ms for r in rungs]) - service.latency_ms(batches)
    # What counts is a cycle's relative error: unweighted, the largest batch alone would draw the line.
    weight = 1 / np.array([r.cycle_ms for r in rungs])
    line = np.column_stack([np.ones(len(batches)), batches])
    fixed, per_item = scipy.optimize.nnls(line * weight[:, None], np.maximum(around_ms, 0.0) * weight)[0]
    lone = runs[1].latencies_ms
    lone_ms = float(service.latency_ms(1)) if device is not None else mean_batch_ms(runs[1])
    jitter = float(np.std(np.sort(lone)[: max(int(0.99 * len(lone)), 1)]))
    way = max(float(lone.mean()) - lone_ms - fixed - per_item - jitter, 0.0)
    overheads = Overheads(
        send_ms=way / 2,
        dispatch_ms=float(fixed),
        dispatch_item_ms=float(per_item),
        answer_ms=way / 2,
        jitter_ms=jitter,
        cold_ms=cold_ms,
    )
    return Calibration(
        model=model,
        service=service,
        overheads=overheads,
        profile=profile,
        shared_device=device is not None,
        warnings=tuple(doubts(runs, sizes, seen_ms, curve_ms, service)),
        details={
            "rungs": [dataclasses.asdict(r) for r in rungs],
            "batch_ms": {int(size): float(ms) for size, ms in zip(sizes, seen_ms, strict=True)},
        },
    )


def in_traffic(runs: Sequence[Run], cold_ms: float) -> list[tuple[int, int, float]]:
    """Return ``(batch size, batches, mean ms)`` of the sizes that these runs show often enough, pauses taken off."""
    counts: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for run in runs:
        assert run.server is not None
        for size, count in run.server.batches.items():
            counts[size] += count
            total[size] += count * run.server.batch_compute_ms[size]  # type: ignore[assignment]
        # A request that finds the server idle is taken at once, alone.
        total[1] -= cold_ms * cycles.cold(cycles.pauses_ms(run)[0]).sum()
    return [(size, count, total[size] / count) for size, count in counts.items() if count >= FEWEST_BATCHES]


def mean_batch_ms(run: Run) -> float:
    """Return the mean compute time of a run's batches."""
    assert run.server is not None
    return run.server.busy_ms / sum(run.server.batches.values())


def rung(clients: int, run: Run) -> Rung:
    """Return what one run of the ladder says about batches that follow each other without a pause."""
    assert run.server is not None
    done = np.sort(run.answered["done_s"].to_numpy(float))
    mean_batch = run.server.mean_batch
    batch_ms = mean_batch_ms(run)
    # From the end of the first batch seen to the end of the last: no part of a batch is counted.
    first = int(np.searchsorted(done, done[0] + batch_ms / 2 / 1e3))
    first = min(first, len(done) - 2) if len(done) > 1 else 0
    per_item_s = (done[-1] - done[first - 1 if first else 0]) / max(len(done) - max(first, 1), 1)
    return Rung(clients, mean_batch, batch_ms, float(per_item_s * 1e3 * mean_batch))


def doubts(
    runs: dict[int, Run], sizes: np.ndarray, seen_ms: np.ndarray, curve_ms: np.ndarray, service: ServiceTime
) -> list[str]:
    """Return the reasons not to trust a calibration, each with what to do."""
    found = [reason for run in runs.values() for reason in run.invalid]
    found += [f"{count} requests failed: {text}" for run in runs.values() for text, count in run.errors.items()]
    bent = float(np.abs(seen_ms / curve_ms - 1).max())
    if bent > DRIFT:
        found.append(f"Some batch took {bent:.0%} less than a smaller one. Close other programs and calibrate again.")
    if sizes[-1] < 0.9 * service.max_batch:
        found.append(f"The largest batch seen is {sizes[-1]} of {service.max_batch}: the clients could not fill it.")
    if service.variation > WIDE:
        found.append(
            f"The time of a batch varies by {service.variation:.0%}. Close other programs and calibrate again."
        )
    if -1 in runs:
        before, after = (float(np.median(runs[key].latencies_ms)) for key in (1, -1))
        if abs(after / before - 1) > DRIFT:
            found.append(
                f"A lone request took {before:.3g} ms at the start and {after:.3g} ms at the end: the machine changed "
                "meanwhile. Calibrate again."
            )
    return found
