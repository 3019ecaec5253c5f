"""What a batch size costs and brings: the record of a sweep, its knee, its marginal gain, its cost fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import scipy

from batchlab import measure
from batchlab.measure import Run
from batchlab.provenance import Provenance


class SweepError(ValueError):
    """A sweep that cannot start, or a question that its record cannot answer."""


@dataclass(frozen=True)
class CostFit:
    """The cost of a batch as a fixed part and a part per item: ``t(b) = fixed_ms + per_item_ms * b``.

    `worst_rel` is the largest relative distance between the fit and a measured latency: above some 0.05 the two
    numbers describe the curve badly, and a statement that rests on them is worth little.
    """

    fixed_ms: float
    per_item_ms: float
    worst_rel: float


def fit_cost(batch_sizes: np.ndarray, latencies_ms: np.ndarray) -> CostFit:
    """Fit a fixed cost and a cost per item, neither below 0, least squares of the RELATIVE errors.

    Absolute errors would let the largest batch, a hundred times slower than the smallest, decide alone.

    Args:
        batch_sizes: shape ``(n,)``, n of 2 or more, not all the same.
        latencies_ms: latency of a batch in ms, shape ``(n,)``, above 0.

    Raises:
        SweepError: fewer than two different batch sizes.

    Source of the solver: C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, 1974 (scipy.optimize.nnls).
    """
    sizes, times = np.asarray(batch_sizes, dtype=float), np.asarray(latencies_ms, dtype=float)
    if len(np.unique(sizes)) < 2:
        raise SweepError("A fixed cost and a cost per item need at least two batch sizes.")
    weighted = np.column_stack([1 / times, sizes / times])
    (fixed, per_item), _ = scipy.optimize.nnls(weighted, np.ones(len(times)))
    worst = np.abs(weighted @ np.array([fixed, per_item]) - 1).max()
    return CostFit(float(fixed), float(per_item), float(worst))


@dataclass(frozen=True)
class Sweep:
    """The runs of one model by batch size, smallest first.

    Attributes:
        runs: batch size -> its run.
        provenance: where the numbers come from.
        partial: the sweep ended before its plan did; `problem` says why.
        problem: what went wrong in one sentence, empty when nothing did.
    """

    runs: dict[int, Run]
    provenance: Provenance
    partial: bool = False
    problem: str = ""

    @property
    def batch_sizes(self) -> np.ndarray:
        """The batch sizes measured, ascending, shape ``(n,)``."""
        return np.array(sorted(self.runs), dtype=int)

    def table(self) -> pd.DataFrame:
        """Return one row per batch size.

        Columns: ``batch_size``, ``requests`` (answered), ``mean_ms``, ``p50_ms``, ``p99_ms`` (per request),
        ``ms_per_inference`` (mean per request over batch size), ``throughput_ips`` (inferences answered per second)
        and ``p99_high_ms``, the upper end of the P99's 95 % interval: infinite where too few requests were sent for
        the P99 to mean more than the slowest one seen.
        """
        return pd.DataFrame([self._row(int(size)) for size in self.batch_sizes])

    def _row(self, size: int) -> dict[str, Any]:
        run = self.runs[size]
        tail = run.percentile_ms(99)
        return {
            "batch_size": size,
            "requests": len(run.answered),
            "mean_ms": run.mean_latency_ms,
            "p50_ms": run.percentile_ms(50).value,
            "p99_ms": tail.value,
            "ms_per_inference": run.mean_latency_ms / size,
            "throughput_ips": run.throughput_ips,
            "p99_high_ms": tail.high,
        }

    def knee(self, share: float = 0.9) -> int:
        """Return the knee: the smallest batch size that brings at least `share` of the sweep's best throughput.

        The definition is ours, chosen because it answers the question a user of the curve has (how small may a batch
        be before throughput is given away?), needs no smoothing, and does not change when the axis becomes
        logarithmic. Kneedle (V. Satopaa et al., Finding a "Kneedle" in a Haystack, ICDCS Workshops 2011) takes the
        point farthest from the chord instead, and its answer moves with the scale of the axes. `marginal_gain` serves
        a third definition: stop where the next doubling gains too little.

        Raises:
            SweepError: `share` is not above 0 and at most 1.
        """
        if not 0 < share <= 1:
            raise SweepError(f"share is a part of the best throughput, above 0 and at most 1, got {share}.")
        table = self.table()
        enough = table["throughput_ips"] >= share * table["throughput_ips"].max()
        return int(table.loc[enough, "batch_size"].min())

    def marginal_gain(self) -> pd.DataFrame:
        """Return what each step to the next batch size gains and what it costs, per doubling of the batch.

        Columns: ``from_batch``, ``to_batch``, ``throughput_gain`` and ``latency_growth`` (relative, per doubling:
        1.0 is twice as much, 0.0 the same) and ``latency_paid_ms`` (added to the mean of each request by the step).
        A step from a to b batches is log2(b / a) doublings; a ratio r over d doublings is r**(1/d) for each.
        """
        table = self.table()
        before, after = table.iloc[:-1].reset_index(drop=True), table.iloc[1:].reset_index(drop=True)
        doublings = np.log2(after["batch_size"] / before["batch_size"])
        return pd.DataFrame(
            {
                "from_batch": before["batch_size"],
                "to_batch": after["batch_size"],
                "throughput_gain": (after["throughput_ips"] / before["throughput_ips"]) ** (1 / doublings) - 1,
                "latency_growth": (after["mean_ms"] / before["mean_ms"]) ** (1 / doublings) - 1,
                "latency_paid_ms": after["mean_ms"] - before["mean_ms"],
            }
        )

    def cost_fit(self) -> CostFit:
        """Return the fixed cost and the cost per item behind the median latencies; see `fit_cost`."""
        table = self.table()
        return fit_cost(table["batch_size"].to_numpy(), table["p50_ms"].to_numpy())


def checked_sizes(batch_sizes: Sequence[int]) -> list[int]:
    """Return the batch sizes ascending, each once.

    Raises:
        SweepError: there are none, or one is no whole number from 1 on.
    """
    sizes = list(batch_sizes)
    if not sizes:
        raise SweepError("batch_sizes is empty. Name at least one, for example (1, 8, 32).")
    wrong = [size for size in sizes if isinstance(size, bool) or not isinstance(size, Integral) or size < 1]
    if wrong:
        raise SweepError(f"A batch size is a whole number from 1 on; got {', '.join(map(str, wrong))}.")
    return sorted({int(size) for size in sizes})


def from_profile(profile: Any, batch_sizes: Sequence[int] = (1, 8, 32, 128)) -> Sweep:
    """Return the sweep that a published latency curve predicts, without a server: tier ``simulated``.

    One request per batch size with exactly the profile's latency, sent one after another. A single request bounds no
    percentile, and the table says so.

    Args:
        profile: a `batchlab.profiles.Profile`.

    Raises:
        SweepError: a batch size that is no whole number from 1 on, or beyond the last published one.
    """
    details = {name: str(getattr(profile, name)) for name in ("gpu", "precision", "framework", "scope", "source")}
    provenance = Provenance("simulated", profile.model, server="", profile=profile.name, details=details)
    sizes = checked_sizes(batch_sizes)
    if sizes[-1] > profile.max_batch:
        raise SweepError(
            f"Profile {profile.name!r} is published up to batch {profile.max_batch}; "
            f"batch {sizes[-1]} would be made up."
        )
    runs = {}
    for size in sizes:
        done_s = float(profile.latency_ms(size)) / measure.MS_PER_S
        samples = pd.DataFrame([(0.0, 0.0, done_s, size, True, "")], columns=list(measure.COLUMNS))
        runs[size] = Run(samples, provenance, "simulated", settings={"batch_size": size})
    return Sweep(runs, provenance)
