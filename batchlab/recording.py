"""The record of a load run while it happens: samples into the journal, live numbers, the judgement at the end.

A recorder belongs to one model; `batchlab.conductor` drives one, or several that share a start.
"""

import importlib.metadata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from batchlab.gauge import Gauge
from batchlab.journal import RunWriter
from batchlab.measure import MS_PER_S, Run, pace
from batchlab.plan import TIMED_OUT, Plan
from batchlab.statistics import Activity, Snapshot

if TYPE_CHECKING:
    from batchlab.http_server import HttpServer
    from batchlab.server import Server

MAX_CPU_SHARE = 0.9
FLUSH_EVERY_S = 1.0
GONE = "server gone"
# How a reason begins that says nothing about the server's speed; every other one is a server beyond its capacity.
SERVER_GONE = "The server was gone"
SENDER_LATE = "The sender was late"
BLAMELESS = ("The sender", SERVER_GONE)


class LoadError(ValueError):
    """A load that makes no sense, or that the server refuses from the first request on."""


def not_the_servers_fault(run: Run, excess_ms: float = 0.0) -> str:
    """Return why a run cannot tell whether its server was fast enough; "" for one that can.

    A tail beyond its limit by more (`excess_ms`) than anyone was late breaks the SLO whoever was late: requests sent in
    time are never answered later than the same ones sent late, and a late one by no more than it was late.

    A sender that was late or out of processor time says nothing about the server. A run in which nothing was answered,
    or all connections were in use, is not valid either, but it does show a server beyond its capacity.
    """
    late_ms = float(run.lateness_ms.max()) if len(run.kept) else 0.0
    blameless = [reason for reason in run.invalid if reason.startswith(BLAMELESS)]
    return next((reason for reason in blameless if excess_ms <= late_ms or not reason.startswith(SENDER_LATE)), "")


def server_gone(run: Run) -> str:
    """Return when and why the server went away in mid-run; "" where it did not."""
    return next((reason for reason in run.invalid if reason.startswith(SERVER_GONE)), "")


class Recorder:
    """Records one run of one model: `prepare`, then `take` and `tick` while it lasts, then `finish`.

    Attributes:
        plan: the whole plan.
        parts: what each sender does of it.
    """

    def __init__(
        self,
        server: "Server | HttpServer",
        plan: Plan,
        *,
        workers: int,
        warmup_s: float,
        settings: dict[str, Any],
        max_lateness_ms: float,
        seed: int | None = None,
        columns: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Hold what to record.

        Args:
            server, plan, settings, seed: see `batchlab.load`.
            workers: senders that share the plan.
            warmup_s: requests meant to be sent earlier do not count.
            max_lateness_ms: bound on the P99 of the senders' lateness.
            columns: further columns of the samples: for each body of the plan what it stands for, a whole number.
        """
        self.plan, self._server, self._workers = plan, server, workers
        self.parts = [plan.part(index, workers) for index in range(workers)]
        self._warmup_s, self._max_lateness_ms, self._seed = warmup_s, max_lateness_ms, seed
        self._settings = settings
        self._columns = {name: [int(value) for value in values] for name, values in (columns or {}).items()}
        self._retried = plan.waits_s.shape[1] > 0
        self._latencies_ms: list[float] = []
        self._lateness_ms: list[float] = []
        self._samples, self._last_s, self._an_error = 0, 0.0, ""
        self._answered, self._given_up = 0, 0
        self._reports: list[dict[str, Any]] = []
        self._before: Snapshot | None = None
        self._writer: RunWriter | None = None
        self._gauge: Gauge | None = None
        self._warm, self._flushed_s = warmup_s <= 0, 0.0

    def prepare(self) -> RunWriter:
        """Note where the numbers will come from, and open the record, which the caller closes."""
        details = {"client": f"locust {importlib.metadata.version('locust')}, {self._workers} process(es)"}
        if pace() != 1:
            details["pace"] = f"{pace():g}"
        provenance = self._server.provenance(self.plan.model, seed=self._seed, **details)
        self._before = self._server.statistics(self.plan.model)
        if provenance.tier == "gpu":
            self._gauge = self._server.gauge()
        self._writer = RunWriter(
            provenance,
            self.plan.kind,
            warmup_s=self._warmup_s,
            settings=self._settings,
            extra_columns=(*self._columns, *(("attempts",) if self._retried else ())),
        )
        return self._writer

    def take(self, message: dict[str, Any]) -> str:
        """Record what a sender says; return why the server is gone, where the sender says so, else nothing."""
        assert self._writer is not None
        for row in message.get("samples", ()):
            self._add(self._writer, row)
        if report := message.get("done"):
            self._reports.append(report)
            if report["reason"].startswith("gone"):
                return f"server {report['reason']}"
        return ""

    def tick(self, elapsed_s: float) -> None:
        """Do what is due so long after the start."""
        assert self._writer is not None
        if not self._warm and elapsed_s >= self._warmup_s:
            # The server's own account starts where the samples that count start.
            self._warm, self._before = True, self._server.statistics(self.plan.model)
        if elapsed_s - self._flushed_s >= FLUSH_EVERY_S:
            self._writer.flush()
            self._flushed_s = elapsed_s
            if self._gauge and self._warm:
                self._gauge.take()

    def finish(self, ended: str = "") -> Run:
        """Close the record and return the run, with its verdict on validity.

        Args:
            ended: why the run ended before its plan did; empty where it did not.
        """
        assert self._writer is not None
        late: dict[str, Any] = {"senders": self._reports}
        if self._gauge and (readings := self._gauge.summary()):
            late["gpu"] = readings
        return self._writer.finish(
            server=self._activity(), partial=bool(ended), invalid=self.judge(ended), settings=late
        )

    def backlog_s(self) -> float:
        """Return how long, with room, the server may still need for requests that were given up.

        It is 0 where there are none, and where the server answered nothing, and so showed no speed.
        """
        if not (self._given_up and self._answered):
            return 0.0
        return 2 * self._given_up * self._last_s / self._answered

    def live(self) -> str:
        """Return the numbers so far in a few words, empty before the first answer."""
        if not self._latencies_ms:
            return ""
        middle, tail = np.percentile(self._latencies_ms, [50, 99], method="inverted_cdf")
        return f"{len(self._latencies_ms)} answers, P50 {middle:.1f} ms, P99 {tail:.1f} ms"

    def _add(self, writer: RunWriter, row: list[Any]) -> None:
        *columns, body, attempts = row
        further = [values[body] for values in self._columns.values()]
        writer.add(*columns, *further, *((attempts,) if self._retried else ()))
        intended, sent, done, _, ok, error = columns
        self._samples, self._last_s = self._samples + 1, max(self._last_s, done)
        self._answered, self._given_up = self._answered + bool(ok), self._given_up + error.startswith(TIMED_OUT)
        if intended < self._warmup_s:
            return
        self._lateness_ms.append((sent - intended) * MS_PER_S)
        if ok:
            self._latencies_ms.append((done - intended) * MS_PER_S)
        else:
            self._an_error = error

    def _activity(self) -> Activity | None:
        try:
            now = self._server.statistics(self.plan.model)
            return now - self._before if now and self._before else None
        except (OSError, RuntimeError, ValueError):
            # The server is gone, or the model was reloaded meanwhile: there is no account of this run.
            return None

    def judge(self, ended: str = "") -> list[str]:
        """Return why the numbers must not be used, each with its remedy; empty when they may."""
        reasons = []
        if ended.startswith(GONE):
            why = ended.partition(": ")[2]
            reasons.append(
                f"{SERVER_GONE} {self._last_s:.1f} s into the run of {self.plan.end_s:.1f} s ({why}). "
                "What was measured until then is kept. Start the server and run again."
            )
        if not self._latencies_ms:
            reasons.append(f"No request was answered after the warm-up: {self._an_error or 'none was sent'}.")
        late = self._lateness_ms if self.plan.kind == "open_loop" else []
        if late and (tail := float(np.percentile(late, 99))) > self._max_lateness_ms:
            waited = max((report["waited_for_core_s"] for report in self._reports), default=0.0)
            reasons.append(
                f"{SENDER_LATE}: P99 of its lateness is {tail:.1f} ms, the bound {self._max_lateness_ms:g} ms "
                f"(it waited {waited:.1f} s for a free core). Lower the rate, use more workers, or quiet the machine."
            )
        share = max((report["cpu_share"] for report in self._reports), default=0.0)
        if share > MAX_CPU_SHARE:
            reasons.append(
                f"The sender was out of processor time: it used {share:.2f} of its core, the bound {MAX_CPU_SHARE:g}. "
                "Lower the rate or use more workers."
            )
        if capped := sum(report["capped"] for report in self._reports):
            cap = max(report["max_connections"] for report in self._reports)
            reasons.append(
                f"{capped} requests were not sent because {cap} were in flight already: the server is far beyond its "
                "capacity. Lower the rate, or raise max_connections."
            )
        planned = len(self.plan.times_s)
        if self.plan.kind == "open_loop" and not ended and self._samples != planned:
            reasons.append(f"The senders reported {self._samples} of {planned} requests. Run again.")
        return reasons
