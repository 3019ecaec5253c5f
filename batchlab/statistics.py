"""Triton's own account of a model: two snapshots, and their difference.

Triton's counters only grow. What happened *during* a run is the difference of a snapshot taken before it and one
taken after it: how many batches of each size ran, how long requests queued, how long the model computed.

Source of the fields: the statistics extension of the KServe protocol, ``server/docs/protocol/extension_statistics.md``.
"""

from dataclasses import dataclass, field
from typing import Any

NS_PER_MS = 1e6


class StatisticsError(ValueError):
    """Two snapshots that cannot be subtracted: another model, or a reload reset the counters in between."""


@dataclass(frozen=True)
class Snapshot:
    """Cumulative counters of one model at one moment, times in ms summed over requests (or batches)."""

    model: str
    inferences: int = 0
    executions: int = 0
    requests: int = 0
    failures: int = 0
    queue_ms: float = 0.0
    compute_input_ms: float = 0.0
    compute_infer_ms: float = 0.0
    compute_output_ms: float = 0.0
    batches: dict[int, int] = field(default_factory=dict)
    batch_compute_ms: dict[int, float] = field(default_factory=dict)

    @classmethod
    def from_triton(cls, model: str, answer: dict[str, Any]) -> "Snapshot":
        """Read the JSON of ``GET /v2/models/<model>/stats``, adding up the model's versions.

        Raises:
            StatisticsError: the answer holds no statistics of `model`.
        """
        rows = [row for row in answer.get("model_stats", []) if row.get("name") == model]
        if not rows:
            raise StatisticsError(f"The server's statistics do not mention model {model!r}. Is it loaded?")
        counts: dict[int, int] = {}
        compute: dict[int, float] = {}
        for row in rows:
            for entry in row.get("batch_stats", []):
                size = int(entry["batch_size"])
                counts[size] = counts.get(size, 0) + int(entry["compute_infer"]["count"])
                compute[size] = compute.get(size, 0.0) + float(entry["compute_infer"]["ns"]) / NS_PER_MS
        return cls(
            model=model,
            inferences=sum(int(row["inference_count"]) for row in rows),
            executions=sum(int(row["execution_count"]) for row in rows),
            requests=_count(rows, "success"),
            failures=_count(rows, "fail"),
            queue_ms=_total_ms(rows, "queue"),
            compute_input_ms=_total_ms(rows, "compute_input"),
            compute_infer_ms=_total_ms(rows, "compute_infer"),
            compute_output_ms=_total_ms(rows, "compute_output"),
            batches=counts,
            batch_compute_ms=compute,
        )

    def _counters(self) -> tuple[float, ...]:
        times = (self.queue_ms, self.compute_input_ms, self.compute_infer_ms, self.compute_output_ms)
        return (self.inferences, self.executions, self.requests, self.failures, *times)

    def __sub__(self, earlier: "Snapshot") -> "Activity":
        """Return what happened between `earlier` and this snapshot.

        Raises:
            StatisticsError: the models differ, or a counter went backwards.
        """
        if earlier.model != self.model:
            raise StatisticsError(f"Snapshots of two models: {earlier.model!r} and {self.model!r}.")
        # Any counter may give a reload away: soon after it the small ones have overtaken their old value already.
        if any(now < then for now, then in zip(self._counters(), earlier._counters(), strict=True)) or any(
            self.batches.get(size, 0) < count for size, count in earlier.batches.items()
        ):
            raise StatisticsError(
                f"The counters of {self.model!r} went backwards: the model was reloaded between the two "
                "snapshots. Take the first one after the reload."
            )
        sizes = sorted(set(self.batches) | set(earlier.batches))
        batches = {size: self.batches.get(size, 0) - earlier.batches.get(size, 0) for size in sizes}
        compute = {
            size: self.batch_compute_ms.get(size, 0.0) - earlier.batch_compute_ms.get(size, 0.0) for size in sizes
        }
        requests = self.requests - earlier.requests
        per_request = requests or 1
        return Activity(
            model=self.model,
            requests=requests,
            failures=self.failures - earlier.failures,
            inferences=self.inferences - earlier.inferences,
            executions=self.executions - earlier.executions,
            queue_ms=(self.queue_ms - earlier.queue_ms) / per_request,
            compute_input_ms=(self.compute_input_ms - earlier.compute_input_ms) / per_request,
            compute_infer_ms=(self.compute_infer_ms - earlier.compute_infer_ms) / per_request,
            compute_output_ms=(self.compute_output_ms - earlier.compute_output_ms) / per_request,
            batches={size: count for size, count in batches.items() if count},
            batch_compute_ms={size: compute[size] / count for size, count in batches.items() if count},
        )


@dataclass(frozen=True)
class Activity:
    """What a model did between two snapshots.

    Attributes:
        requests, failures: answered and failed requests.
        inferences: items computed (a request of batch 8 counts 8).
        executions: batches run.
        queue_ms, compute_input_ms, compute_infer_ms, compute_output_ms: mean per request.
        batches: executed batches by batch size.
        batch_compute_ms: mean compute time of a batch by batch size.
    """

    model: str
    requests: int
    failures: int
    inferences: int
    executions: int
    queue_ms: float
    compute_input_ms: float
    compute_infer_ms: float
    compute_output_ms: float
    batches: dict[int, int]
    batch_compute_ms: dict[int, float]

    @property
    def mean_batch(self) -> float:
        """Inferences per execution; NaN when nothing ran."""
        return self.inferences / self.executions if self.executions else float("nan")

    @property
    def busy_ms(self) -> float:
        """Computing time of all batches together."""
        return sum(count * self.batch_compute_ms[size] for size, count in self.batches.items())

    @property
    def server_ms(self) -> float:
        """Mean time of a request inside Triton: queue, input, compute, output."""
        return self.queue_ms + self.compute_input_ms + self.compute_infer_ms + self.compute_output_ms

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values; batch sizes become text keys."""
        values = dict(self.__dict__)
        values["batches"] = {str(size): count for size, count in self.batches.items()}
        values["batch_compute_ms"] = {str(size): ms for size, ms in self.batch_compute_ms.items()}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Activity":
        """Rebuild from `to_dict`."""
        chosen = dict(values)
        chosen["batches"] = {int(size): int(count) for size, count in chosen["batches"].items()}
        chosen["batch_compute_ms"] = {int(size): float(ms) for size, ms in chosen["batch_compute_ms"].items()}
        return cls(**chosen)


def _count(rows: list[dict[str, Any]], part: str) -> int:
    return sum(int(row["inference_stats"][part]["count"]) for row in rows)


def _total_ms(rows: list[dict[str, Any]], part: str) -> float:
    return sum(float(row["inference_stats"][part]["ns"]) for row in rows) / NS_PER_MS
