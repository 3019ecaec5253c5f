"""A load run while it happens: samples from the senders into the journal, live numbers, early ends, the judgement.

Kept apart from `batchlab.load`, which says what a run is; this module sees it through.
"""

import contextlib
import http.client
import importlib.metadata
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from batchlab.fleet import Fleet
from batchlab.journal import RunWriter
from batchlab.measure import MS_PER_S, Run, pace
from batchlab.plan import Plan
from batchlab.statistics import Activity, Snapshot

if TYPE_CHECKING:
    from batchlab.server import Server

MAX_CPU_SHARE = 0.9
TICK_S = 0.25
FLUSH_EVERY_S = 1.0
SHOW_EVERY_S = 0.5
STOP_TIMEOUT_S = 4.0
# How a reason begins that says nothing about the server's speed; every other one is a server beyond its capacity.
BLAMELESS = ("The sender", "The server was gone")
BAR = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s{postfix}"


class LoadError(ValueError):
    """A load that makes no sense, or that the server refuses from the first request on."""


def not_the_servers_fault(run: Run) -> str:
    """Return why a run cannot tell whether its server was fast enough; "" for one that can.

    A sender that was late or out of processor time says nothing about the server. A run in which nothing was answered,
    or all connections were in use, is not valid either, but it does show a server beyond its capacity.
    """
    return next((reason for reason in run.invalid if reason.startswith(BLAMELESS)), "")


def probe(plan: Plan) -> None:
    """Send one request of the plan and wait for its answer.

    Raises:
        LoadError: the server is not there, or says that the request is wrong; the message is the server's own.
    """
    body = plan.bodies[0]
    headers = {"Content-Type": "application/octet-stream"}
    if body.json_bytes is not None:
        headers["Inference-Header-Content-Length"] = str(body.json_bytes)
    connection = http.client.HTTPConnection(plan.url, timeout=plan.timeout_s)
    try:
        connection.request("POST", f"/v2/models/{plan.model}/infer", body.data, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError as error:
        raise LoadError(f"No answer from {plan.url}: {error}. Is the server running, and is the model quick "
                           f"enough to answer within {plan.timeout_s:g} s?") from error  # fmt: skip
    finally:
        connection.close()
    # A full queue (503) is part of what a load run measures; a wrong request is not.
    if 400 <= answer.status < 500:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["error"]
        raise LoadError(f"Model {plan.model!r} at {plan.url} refuses the request ({answer.status}): {text}")


class Recorder:
    """Records one run; `record` does it all."""

    def __init__(
        self,
        server: "Server",
        plan: Plan,
        *,
        workers: int,
        warmup_s: float,
        settings: dict[str, Any],
        max_lateness_ms: float,
        seed: int | None = None,
        body_sizes: np.ndarray | None = None,
        size_name: str = "size",
        progress: bool = True,
    ) -> None:
        self._server, self._plan, self._workers = server, plan, workers
        self._warmup_s, self._max_lateness_ms, self._seed = warmup_s, max_lateness_ms, seed
        self._settings, self._sizes, self._progress = settings, body_sizes, progress
        self._size_name = size_name
        self._latencies_ms: list[float] = []
        self._lateness_ms: list[float] = []
        self._samples, self._last_s, self._an_error = 0, 0.0, ""
        self._reports: list[dict[str, Any]] = []
        self._before: Snapshot | None = None
        self._ended = ""
        self._interrupts = 0

    def record(self) -> Run:
        """Send the plan, and return the run with its verdict on validity."""
        probe(self._plan)
        details = {"client": f"locust {importlib.metadata.version('locust')}, {self._workers} process(es)"}
        if pace() != 1:
            details["pace"] = f"{pace():g}"
        provenance = self._server.provenance(self._plan.model, seed=self._seed, **details)
        plans = [self._plan.part(index, self._workers) for index in range(self._workers)]
        self._before = self._server.statistics(self._plan.model)
        extra = () if self._sizes is None else (self._size_name,)
        writer = RunWriter(
            provenance, self._plan.kind, warmup_s=self._warmup_s, settings=self._settings, extra_columns=extra
        )
        with writer, Fleet(plans) as fleet, self._interruptible():
            start = fleet.begin()
            with self._bar() as bar:
                self._follow(fleet, start, writer, bar)
            activity = self._activity()
            return writer.finish(
                server=activity,
                partial=bool(self._ended),
                invalid=self._judge(),
                settings={"senders": self._reports},
            )

    def _follow(self, fleet: Fleet, start: float, writer: RunWriter, bar: Any) -> None:
        warm, stop_at = self._warmup_s <= 0, float("inf")
        flushed = shown = start
        for item in fleet.messages(TICK_S):
            now = time.monotonic()
            if item is not None:
                _, message = item
                for row in message.get("samples", ()):
                    self._add(writer, row)
                if report := message.get("done"):
                    self._reports.append(report)
                    if report["reason"].startswith("gone"):
                        self._ended = self._ended or f"server {report['reason']}"
                        fleet.stop()
                continue
            if not warm and now - start >= self._warmup_s:
                # The server's own account starts where the samples that count start.
                warm, self._before = True, self._server.statistics(self._plan.model)
            if now - flushed >= FLUSH_EVERY_S:
                writer.flush()
                flushed = now
            if now - shown >= SHOW_EVERY_S:
                self._show(bar, min(now - start, bar.total or 0.0))
                shown = now
            if self._interrupts and stop_at == float("inf"):
                self._ended = self._ended or "interrupted"
                fleet.stop()
                stop_at = now + STOP_TIMEOUT_S
            if now > stop_at:
                return
        self._show(bar, bar.total or 0.0)

    def _add(self, writer: RunWriter, row: list[Any]) -> None:
        *columns, body = row
        writer.add(*columns, *(() if self._sizes is None else (int(self._sizes[body]),)))
        intended, sent, done, _, ok, error = columns
        self._samples, self._last_s = self._samples + 1, max(self._last_s, done)
        if intended < self._warmup_s:
            return
        self._lateness_ms.append((sent - intended) * MS_PER_S)
        if ok:
            self._latencies_ms.append((done - intended) * MS_PER_S)
        else:
            self._an_error = error

    def _bar(self) -> Any:
        quiet = not self._progress or os.environ.get("BATCHLAB_PROGRESS") == "0"
        return tqdm(total=round(self._plan.end_s, 1), desc=self._plan.model, bar_format=BAR, disable=quiet, leave=False)

    def _show(self, bar: Any, elapsed_s: float) -> None:
        if bar.disable:
            return
        bar.n = max(elapsed_s, 0.0)
        if self._latencies_ms:
            middle, tail = np.percentile(self._latencies_ms, [50, 99], method="inverted_cdf")
            bar.set_postfix_str(
                f"{len(self._latencies_ms)} answers, P50 {middle:.1f} ms, P99 {tail:.1f} ms", refresh=False
            )
        bar.refresh()

    def _activity(self) -> Activity | None:
        try:
            return self._server.statistics(self._plan.model) - self._before if self._before else None
        except (OSError, RuntimeError, ValueError):
            # The server is gone, or the model was reloaded meanwhile: there is no account of this run.
            return None

    def _judge(self) -> list[str]:
        """Return why the numbers must not be used, each with its remedy; empty when they may."""
        reasons = []
        if self._ended.startswith("server gone"):
            why = self._ended.partition(": ")[2]
            reasons.append(
                f"The server was gone {self._last_s:.1f} s into the run of {self._plan.end_s:.1f} s ({why}). "
                "What was measured until then is kept. Start the server and run again."
            )
        if not self._latencies_ms:
            reasons.append(f"No request was answered after the warm-up: {self._an_error or 'none was sent'}.")
        late = self._lateness_ms if self._plan.kind == "open_loop" else []
        if late and (tail := float(np.percentile(late, 99))) > self._max_lateness_ms:
            waited = max((report["waited_for_core_s"] for report in self._reports), default=0.0)
            reasons.append(
                f"The sender was late: P99 of its lateness is {tail:.1f} ms, the bound {self._max_lateness_ms:g} ms "
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
        planned = len(self._plan.times_s)
        if self._plan.kind == "open_loop" and not self._ended and self._samples != planned:
            reasons.append(f"The senders reported {self._samples} of {planned} requests. Run again.")
        return reasons

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C into a request to stop, so that no sample on its way is lost; a second one raises."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(*_: Any) -> None:
            self._interrupts += 1
            if self._interrupts > 1:
                raise KeyboardInterrupt

        earlier = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, earlier)
