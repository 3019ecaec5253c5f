"""The record of a run: what was sent, when, what came back, and the numbers that may be said about it.

A simulated run, an emulated one and a real one are the same record, so every later module serves all of them.

Names of rates, kept apart everywhere:

* *offered* rate: requests that were meant to be sent, per second.
* *throughput*: requests answered, per second (``_rps``); inferences answered, per second (``_ips``), where a request
  of batch 8 counts 8.
* *goodput*: requests answered within the SLO, per second.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy

from batchlab.provenance import Provenance
from batchlab.statistics import Activity

COLUMNS = ("intended_s", "sent_s", "done_s", "batch_size", "ok", "error")
MS_PER_S = 1000.0


class MeasureError(ValueError):
    """A record that cannot answer the question put to it, for example a percentile of no samples."""


def pace() -> float:
    """Return the factor on every measuring duration: the environment's ``BATCHLAB_PACE``, 1 where unset.

    Tests run the labs faster with it; a run made at another pace than 1 says so in its provenance.

    Raises:
        MeasureError: it is set to something else than a number above 0.
    """
    text = os.environ.get("BATCHLAB_PACE", "1")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise MeasureError(f"BATCHLAB_PACE is {text!r}; set it to a number above 0, such as 0.2, or unset it.")
    return value


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval; an end that the samples cannot bound is infinite."""

    value: float
    low: float
    high: float
    confidence: float
    samples: int

    def __str__(self) -> str:
        high = "?" if np.isinf(self.high) else f"{self.high:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {high}]"


def percentile(values_ms: np.ndarray, percent: float, confidence: float = 0.95) -> Estimate:
    """Return a percentile with a distribution-free confidence interval.

    The value is the smallest sample with at least `percent` of all samples at or below it (the inverted empirical
    distribution; no interpolation invents a latency that nobody saw). The interval is the pair of order statistics
    whose ranks bound a binomial count: W. J. Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2.
    Where too few samples lie beyond the percentile the upper end is infinite: the data cannot bound it. Where too few
    lie below, the lower end is 0, under which no latency lies.

    Args:
        values_ms: samples, shape ``(n,)``, any unit, none below 0.
        percent: between 0 and 100, exclusive.
        confidence: two-sided, between 0 and 1, exclusive.

    Raises:
        MeasureError: no samples, a sample that is not a number, or an argument out of range.
    """
    if not 0 < percent < 100:
        raise MeasureError(f"A percentile lies between 0 and 100, got {percent}.")
    if not 0 < confidence < 1:
        raise MeasureError(f"A confidence lies between 0 and 1, got {confidence}.")
    ordered = np.sort(np.asarray(values_ms, dtype=float))
    n = len(ordered)
    if n == 0:
        raise MeasureError("A percentile of no samples does not exist: no request was answered after the warm-up.")
    if np.isnan(ordered[-1]):
        raise MeasureError("A percentile of samples that are not numbers does not exist: NaN is among them.")
    share = percent / 100
    value = ordered[max(int(np.ceil(share * n - 1e-9)), 1) - 1]
    low_rank = int(scipy.stats.binom.ppf((1 - confidence) / 2, n, share))
    high_rank = int(scipy.stats.binom.ppf((1 + confidence) / 2, n, share)) + 1
    low = ordered[low_rank - 1] if low_rank >= 1 else 0.0
    high = ordered[high_rank - 1] if high_rank <= n else float("inf")
    return Estimate(float(value), float(low), float(high), confidence, n)


@dataclass
class Run:
    """One measured or simulated run.

    Attributes:
        samples: one row per request, columns `COLUMNS`; times in seconds from the start of the run, ``done_s`` is
            the time of the answer or of the failure. More columns (such as ``priority``) may follow.
        provenance: where the numbers come from.
        kind: ``"closed_loop"``, ``"open_loop"``, ``"sequential"`` or ``"simulated"``.
        warmup_s: requests meant to be sent earlier than this are left out of every statistic.
        server: Triton's own account of the run, where one was taken.
        partial: the run ended before its plan did (interrupt, server gone).
        invalid: reasons why the numbers must not be used, empty when they may.
        settings: the plan: rate, clients, batch sizes, configuration.
        run_id: name of the saved file, empty while not saved.
    """

    samples: pd.DataFrame
    provenance: Provenance
    kind: str
    warmup_s: float = 0.0
    server: Activity | None = None
    partial: bool = False
    invalid: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""

    def __post_init__(self) -> None:
        missing = [column for column in COLUMNS if column not in self.samples.columns]
        if missing:
            raise MeasureError(f"A run's samples lack the columns {', '.join(missing)}.")

    @property
    def valid(self) -> bool:
        """Whether the numbers may be used."""
        return not self.invalid

    @property
    def kept(self) -> pd.DataFrame:
        """The samples after the warm-up, failures included."""
        intended_s = self.samples["intended_s"].to_numpy(float)
        if not len(intended_s) or intended_s.min() >= self.warmup_s:
            return self.samples  # A filter that keeps all is not free.
        return self.samples[intended_s >= self.warmup_s]

    @property
    def answered(self) -> pd.DataFrame:
        """The samples after the warm-up that were answered without error."""
        kept = self.kept
        ok = kept["ok"].to_numpy(bool)
        return kept if ok.all() else kept[ok]

    @property
    def latencies_ms(self) -> np.ndarray:
        """Latencies of the answered requests, from the INTENDED send time, shape ``(n,)``."""
        rows = self.answered
        return ((rows["done_s"] - rows["intended_s"]) * MS_PER_S).to_numpy(dtype=float)

    @property
    def lateness_ms(self) -> np.ndarray:
        """How late the sender was for each request after the warm-up, shape ``(n,)``."""
        rows = self.kept
        return ((rows["sent_s"] - rows["intended_s"]) * MS_PER_S).to_numpy(dtype=float)

    def percentile_ms(self, percent: float, confidence: float = 0.95) -> Estimate:
        """Return a latency percentile in ms with its confidence interval; see `percentile`."""
        return percentile(self.latencies_ms, percent, confidence)

    @property
    def mean_latency_ms(self) -> float:
        """Mean latency of the answered requests; NaN when there are none."""
        latencies = self.latencies_ms
        return float(latencies.mean()) if len(latencies) else float("nan")

    @property
    def duration_s(self) -> float:
        """From the first intended send after the warm-up to the last answer or failure."""
        rows = self.kept
        if rows.empty:
            return 0.0
        return float(rows["done_s"].max() - rows["intended_s"].min())

    @property
    def offered_rps(self) -> float:
        """Requests meant to be sent per second, over the span of intended times; NaN below two requests."""
        times = self.kept["intended_s"]
        span = float(times.max() - times.min()) if len(times) else 0.0
        return (len(times) - 1) / span if span > 0 else float("nan")

    @property
    def throughput_rps(self) -> float:
        """Requests answered per second."""
        return _per_second(len(self.answered), self.duration_s)

    @property
    def throughput_ips(self) -> float:
        """Inferences (items) answered per second."""
        return _per_second(float(self.answered["batch_size"].sum()), self.duration_s)

    def goodput_rps(self, limit_ms: float) -> float:
        """Requests answered within `limit_ms`, an SLO's limit, per second."""
        return _per_second(int((self.latencies_ms <= limit_ms).sum()), self.duration_s)

    @property
    def errors(self) -> dict[str, int]:
        """Failed requests after the warm-up, counted by message."""
        rows = self.kept
        failed = rows[~rows["ok"].astype(bool)]
        return {str(text): int(count) for text, count in failed["error"].value_counts().items()}

    @property
    def mean_in_flight(self) -> float:
        """Time average of the number of requests in the system, L of Little's law.

        Counted from the samples themselves (the integral of the number in flight over the run's duration), not from
        rate times latency, so that the law can be checked against it.
        """
        rows = self.kept
        if rows.empty or self.duration_s <= 0:
            return float("nan")
        # A request occupies the system from its intended time to its answer; the integral of the count is the
        # area under a step function built from arrival and departure events.
        edges = np.concatenate([rows["intended_s"].to_numpy(float), rows["done_s"].to_numpy(float)])
        steps = np.concatenate([np.ones(len(rows)), -np.ones(len(rows))])
        order = np.argsort(edges, kind="stable")
        edges, level = edges[order], np.cumsum(steps[order])
        return float(np.sum(level[:-1] * np.diff(edges)) / (edges[-1] - edges[0]))

    def describe(self) -> Mapping[str, Any]:
        """Return the run's headline numbers by name, units in the names, ready for a table or JSON."""
        latencies = self.latencies_ms
        numbers = {
            f"p{percent}_ms": self.percentile_ms(percent).value if len(latencies) else float("nan")
            for percent in (50, 95, 99)
        }
        return {
            "model": self.provenance.model,
            "tier": self.provenance.tier,
            "kind": self.kind,
            "requests": len(self.kept),
            "errors": sum(self.errors.values()),
            "offered_rps": self.offered_rps,
            "throughput_rps": self.throughput_rps,
            "throughput_ips": self.throughput_ips,
            "mean_ms": self.mean_latency_ms,
            **numbers,
            "mean_batch": self.server.mean_batch if self.server else float("nan"),
            "valid": self.valid,
            "partial": self.partial,
        }

    def summary(self) -> pd.DataFrame:
        """Return `describe` as a one-row table, so that a notebook shows it well and runs can be stacked."""
        return pd.DataFrame([dict(self.describe())]).set_index("model")


def _per_second(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else float("nan")
