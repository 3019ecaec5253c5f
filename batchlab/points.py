"""What a search measures: knobs, points measured with them, the log that keeps them, and what was found."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from batchlab.measure import Run
from batchlab.recording import not_the_servers_fault
from batchlab.slo import Slo, verdict


class PointError(ValueError):
    """A log of points that belongs to another search."""


@dataclass(frozen=True, order=True)
class Knobs:
    """One configuration of Triton's dynamic batcher.

    Attributes:
        max_batch_size: largest batch that Triton may form.
        max_delay_us: how long the oldest request may wait for company, in microseconds.
        instances: copies of the model.
        max_queue_size: requests that may wait before Triton answers 503; 0 means no limit.
        batching: False switches the dynamic batcher off; the other knobs of the queue then have no effect.
    """

    max_batch_size: int
    max_delay_us: int
    instances: int = 1
    max_queue_size: int = 0
    batching: bool = True

    def __str__(self) -> str:
        if not self.batching:
            return f"no batching, {self.instances} instance(s)"
        queue = f", queue {self.max_queue_size}" if self.max_queue_size else ""
        return f"batch {self.max_batch_size}, wait {self.max_delay_us / 1000:g} ms, {self.instances} instance(s){queue}"


@dataclass(frozen=True)
class Point:
    """One measurement of one configuration at one rate.

    Attributes:
        purpose: ``"screen"`` (short, decides the bisection) or ``"confirm"`` (long enough for a verdict).
        outcome: the verdict's outcome; a screening run is too short to earn one and says so.
        run_id: the saved run.
        valid: whether the run says anything about the server; not when its sender was out of processor time, or late
            by as much as the SLO was broken.
        reason: why it is not valid.
    """

    knobs: Knobs
    rate_rps: float
    seed: int
    purpose: str
    requests: int
    throughput_rps: float
    goodput_rps: float
    p50_ms: float
    p99_ms: float
    mean_batch: float
    within_slo: bool
    outcome: str
    run_id: str
    valid: bool = True
    reason: str = ""

    @classmethod
    def of(cls, run: Run, slo: Slo, knobs: Knobs, rate_rps: float, *, seed: int, purpose: str) -> "Point":
        """Return what a run says: its tail, whether that keeps the SLO, and whether it may be believed."""
        answered = len(run.latencies_ms) > 0
        tail_ms = run.percentile_ms(slo.percentile).value if answered else float("inf")
        failed = sum(run.errors.values()) / max(len(run.kept), 1)
        reason = not_the_servers_fault(run, excess_ms=tail_ms - slo.limit_ms if answered else 0.0)
        return cls(
            knobs=knobs,
            rate_rps=rate_rps,
            seed=seed,
            purpose=purpose,
            requests=len(run.kept),
            throughput_rps=run.throughput_rps,
            goodput_rps=run.goodput_rps(slo.limit_ms),
            p50_ms=run.percentile_ms(50).value if answered else float("inf"),
            p99_ms=tail_ms,
            mean_batch=run.server.mean_batch if run.server else float("nan"),
            within_slo=bool(run.valid and tail_ms <= slo.limit_ms and failed <= 1 - slo.percentile / 100),
            outcome=verdict(run, slo).outcome,
            run_id=run.run_id,
            valid=not reason,
            reason=reason,
        )

    def key(self) -> tuple[Any, ...]:
        """What makes this measurement the one that a resumed search looks for."""
        return (self.knobs, round(self.rate_rps, 6), self.seed, self.purpose)

    def to_dict(self) -> dict[str, Any]:
        """Return flat JSON-ready values, one column each."""
        values = asdict(self)
        return {**values.pop("knobs"), **values}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Point":
        """Rebuild from `to_dict`."""
        chosen = dict(values)
        knobs = Knobs(**{name: chosen.pop(name) for name in Knobs.__dataclass_fields__})
        return cls(knobs=knobs, **chosen)


@dataclass
class Search:
    """What a tuner found.

    Attributes:
        highest: per configuration the screening point of its highest rate within the SLO, None where none kept it.
        confirmed: the winner's confirming point with verdict PASS, None when nothing could be confirmed.
        sender_limited: configurations whose highest rate the sender set and not the server, with the measurement that
            could not be had; they may carry more.
        nearest: the point that came nearest to the limit, for the case that none kept it.
    """

    model: str
    slo: Slo
    points: list[Point] = field(default_factory=list)
    highest: dict[Knobs, Point | None] = field(default_factory=dict)
    confirmed: Point | None = None
    sender_limited: dict[Knobs, Point] = field(default_factory=dict)

    @property
    def nearest(self) -> Point | None:
        """The valid point with the lowest P99, whether or not it kept the SLO."""
        return min((point for point in self.points if point.valid), key=lambda point: point.p99_ms, default=None)

    @property
    def ranked(self) -> list[Point]:
        """The highest rate of each configuration that has one, best first."""
        return sorted((point for point in self.highest.values() if point), key=lambda p: p.rate_rps, reverse=True)

    def table(self) -> pd.DataFrame:
        """Return one row per configuration, best first: its highest rate within the SLO and what it looked like."""
        rows = []
        for knobs, point in self.highest.items():
            shown = point.to_dict() if point else {**asdict(knobs), "rate_rps": 0.0, "within_slo": False}
            rows.append(shown)
        frame = pd.DataFrame(rows).drop(columns=["seed", "purpose", "outcome", "valid", "reason"], errors="ignore")
        return frame.sort_values("rate_rps", ascending=False, ignore_index=True)

    def all_points(self) -> pd.DataFrame:
        """Return every measurement in the order in which it was made."""
        return pd.DataFrame([point.to_dict() for point in self.points])

    def pareto(self) -> pd.DataFrame:
        """Return the measurements that no other beats in both throughput and P99."""
        return pareto(self.all_points())

    def __str__(self) -> str:
        return f"{self.model}: {self._outcome()}{self._doubt()}"

    def _outcome(self) -> str:
        best, near = self.confirmed, self.nearest
        if best:
            return (
                f"{best.knobs} carries {best.rate_rps:.0f} requests/s at P99 {best.p99_ms:.0f} ms, "
                f"{best.outcome} over {best.requests} requests taken as independent; {len(self.points)} runs measured."
            )
        if near is None:
            return "nothing valid was measured." if self.points else "nothing was measured."
        if self.ranked:
            first = self.ranked[0]
            return (
                f"short runs found {first.rate_rps:.0f} requests/s for {first.knobs} (P99 {first.p99_ms:.0f} ms), but "
                f"no longer run confirmed {self.slo}. Measure again with longer runs, or accept a lower rate."
            )
        return (
            f"no configuration kept {self.slo}. Nearest: {near.knobs} at {near.rate_rps:.0f} requests/s "
            f"with P99 {near.p99_ms:.0f} ms. Relax the limit, lower the load, or speed up the model."
        )

    def _doubt(self) -> str:
        if not self.sender_limited:
            return ""
        knobs, point = next(iter(self.sender_limited.items()))
        return (
            f" In {len(self.sender_limited)} of {len(self.highest)} configurations the sender was the limit, not the "
            f"server: they may carry more. First: {knobs} at {point.rate_rps:.0f} requests/s. {point.reason}"
        )


def pareto(points: pd.DataFrame, value: str = "throughput_rps", latency: str = "p99_ms") -> pd.DataFrame:
    """Return the rows that no other row beats in both `value` (more is better) and `latency` (less is better)."""
    front, least = [], float("inf")
    for index, row in points.sort_values([value, latency], ascending=[False, True]).iterrows():
        if row[latency] < least:
            front.append(index)
            least = row[latency]
    return points.loc[front].sort_values(value, ignore_index=True)


class PointLog:
    """The measurements of one search, one JSON line each, safe to cut anywhere."""

    def __init__(self, folder: Path | None, search: dict[str, Any]) -> None:
        self._points: dict[tuple[Any, ...], Point] = {}
        self._path = folder / "points.jsonl" if folder else None
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        parsed = [value for value in map(_parsed, lines) if value is not None]
        if parsed and parsed[0] != search:
            raise PointError(
                f"{self._path} holds another search ({parsed[0]}), this one is {search}. Choose another folder."
            )
        for values in parsed[1:]:
            point = Point.from_dict(values)
            self._points[point.key()] = point
        # Written anew, so that a line that was cut by a kill does not swallow the next one.
        draft = self._path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(v) + "\n" for v in [search, *(p.to_dict() for p in self)]))
        draft.replace(self._path)

    def find(self, key: tuple[Any, ...]) -> Point | None:
        """Return the measurement with this key, None when it has not been made."""
        return self._points.get(key)

    def add(self, point: Point) -> None:
        """Keep a measurement, on disk first."""
        if self._path:
            with self._path.open("a") as file:
                file.write(json.dumps(point.to_dict()) + "\n")
        self._points[point.key()] = point

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points.values())


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
