"""What one model did between two looks at Triton's metrics: counters, and their difference per second.

Source of the metrics: ``server/docs/user_guide/metrics.md`` of Triton.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

US_PER_MS = 1000.0
REJECTED = "REJECTED"

Samples = dict[str, list[tuple[dict[str, str], float]]]


@dataclass(frozen=True)
class Counters:
    """One model's metrics at one moment, its versions added up; times in us, summed over requests."""

    requests: float = 0.0
    inferences: float = 0.0
    executions: float = 0.0
    rejected: float = 0.0
    failures: float = 0.0
    queue_us: float = 0.0
    compute_us: float = 0.0
    request_us: float = 0.0
    pending: float = 0.0
    p99_us: float = math.nan

    def went_backwards(self, earlier: "Counters") -> bool:
        """Whether any counter is below what it was: the server, or the model, began anew."""
        gauges = ("pending", "p99_us")
        names = [each.name for each in fields(self) if each.name not in gauges]
        return any(getattr(self, name) < getattr(earlier, name) for name in names)


METRICS = {
    "requests": "nv_inference_request_success",
    "inferences": "nv_inference_count",
    "executions": "nv_inference_exec_count",
    "queue_us": "nv_inference_queue_duration_us",
    "compute_us": "nv_inference_compute_infer_duration_us",
    "request_us": "nv_inference_request_duration_us",
    "pending": "nv_inference_pending_request_count",
}
FAILURES = "nv_inference_request_failure"
SUMMARY = "nv_inference_request_summary_us"  # only with --metrics-config summary_latencies=true


def counters(samples: Samples) -> dict[str, Counters]:
    """Return the counters of every model that the metrics mention."""
    found: dict[str, dict[str, float]] = {}

    def add(model: str, name: str, value: float) -> None:
        of_model = found.setdefault(model, {})
        of_model[name] = of_model.get(name, 0.0) + value

    for name, metric in METRICS.items():
        for labels, value in samples.get(metric, ()):
            add(labels.get("model", ""), name, value)
    for labels, value in samples.get(FAILURES, ()):
        add(labels.get("model", ""), "rejected" if labels.get("reason") == REJECTED else "failures", value)
    for labels, value in samples.get(SUMMARY, ()):
        # Percentiles of two versions cannot be added up: the slower one is told.
        if labels.get("quantile") == "0.99" and not math.isnan(value) and labels.get("model") in found:
            of_model = found[labels["model"]]
            of_model["p99_us"] = max(of_model.get("p99_us", 0.0), value)
    return {model: Counters(**values) for model, values in found.items() if model}


@dataclass(frozen=True)
class Reading:
    """What one model did between two looks. A mean of nothing is NaN.

    Attributes:
        requests_rps: requests answered per second.
        inferences_ips: items computed per second; a request of batch 8 counts 8.
        executions_per_s: batches run per second.
        mean_batch: inferences per execution.
        queue_ms, compute_ms: mean wait and mean compute of the requests answered.
        request_ms: their mean time inside Triton. The network and the client are not in it.
        p99_ms: Triton's own P99 of the last minute; NaN unless it was started with summary_latencies=true.
        pending: requests that wait now.
        rejected_rps: requests per second that waited longer than their queue's timeout. Requests refused by a full
            queue (HTTP 503) are in none of Triton's metrics: only the client sees them.
        failures_rps: requests per second that failed for any other reason.
    """

    model: str
    requests_rps: float
    inferences_ips: float
    executions_per_s: float
    mean_batch: float
    queue_ms: float
    compute_ms: float
    request_ms: float
    p99_ms: float
    pending: float
    rejected_rps: float
    failures_rps: float

    @classmethod
    def between(cls, model: str, before: Counters, after: Counters, elapsed_s: float) -> "Reading":
        """Return the difference of two looks that are `elapsed_s` seconds apart."""

        def rate(name: str) -> float:
            return float(getattr(after, name) - getattr(before, name)) / elapsed_s

        requests, executions = rate("requests"), rate("executions")

        def mean_ms(name: str) -> float:
            return rate(name) / requests / US_PER_MS if requests else math.nan

        return cls(
            model=model,
            requests_rps=requests,
            inferences_ips=rate("inferences"),
            executions_per_s=executions,
            mean_batch=rate("inferences") / executions if executions else math.nan,
            queue_ms=mean_ms("queue_us"),
            compute_ms=mean_ms("compute_us"),
            request_ms=mean_ms("request_us"),
            p99_ms=after.p99_us / US_PER_MS,
            pending=after.pending,
            rejected_rps=rate("rejected"),
            failures_rps=rate("failures"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; what is not known is None."""
        return {name: None if value != value else value for name, value in asdict(self).items()}
