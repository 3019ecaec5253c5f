"""A plan being carried out: its clock, its connections, its raw samples. Runs in the sender only."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.event import Event

from batchlab.pacer import Pacer
from batchlab.plan import Plan
from batchlab.wire import Answer, Wire, encode_request

YIELD_EVERY = 8
BACK_OFF_S = 0.05
GONE_FAILURES = 5
GONE_AFTER_S = 0.5
STOP_GRACE_S = 1.5


class Session:
    """One plan being carried out: its clock, its connections, its raw samples."""

    def __init__(
        self, plan: Plan, on_answer: Callable[[Answer, float], None] = lambda answer, latency_ms: None
    ) -> None:
        self.plan, self.on_answer = plan, on_answer
        self.wire = Wire(plan.url, timeout_s=plan.timeout_s, max_connections=plan.max_connections)
        self._requests = [encode_request(plan.url, plan.model, body) for body in plan.bodies]
        self.samples: list[list[Any]] = []
        self.started, self.finished = Event(), Event()
        self.start = 0.0
        self.reason = ""
        self.failed = ""
        self.capped = 0
        self._turn = 0
        self._outstanding = 0
        self._pacer = Pacer()
        self._driving = False
        self.clients = 0
        self._stopping = False
        self._failures = 0
        self._first_failure = 0.0

    def begin(self, moment: float) -> None:
        """Fix the start of the run, a moment of ``time.monotonic()`` common to all senders of the machine."""
        self.start = moment
        self.started.set()

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight has `STOP_GRACE_S` to be answered."""
        if not self._stopping:
            self.reason, self._stopping = reason, True
            gevent.spawn(self._end)

    def drive(self) -> None:
        """Send the whole schedule: one greenlet per arrival, at its intended time; a second call does nothing."""
        if self._driving:
            return
        self._driving = True
        self.started.wait()
        plan, start = self.plan, self.start
        rows = zip(plan.times_s.tolist(), plan.choice.tolist(), plan.waits_s.tolist(), strict=True)
        for number, (at, body, waits_s) in enumerate(rows):
            moment = start + at
            if moment > time.monotonic():
                self._pacer.wait_until(moment)
            elif number % YIELD_EVERY == 0:
                # Late already: without this the greenlets that read answers would never run.
                gevent.sleep(0)
            if self._stopping:
                break
            self._outstanding += 1
            gevent.spawn_raw(self._send, moment, body, waits_s)
        self._drain(float("inf"))
        self.finished.set()

    def ask(self) -> bool:
        """Send one client's next request of a closed loop; False when the run is over.

        Such a request is meant to be sent when its client is ready to send it.
        """
        self.started.wait()
        gevent.sleep(max(0.0, self.start - time.monotonic()))
        now = time.monotonic()
        if self._stopping or now >= self.start + self.plan.seconds:
            self.clients -= 1
            if self.clients <= 0:
                self.finished.set()
            return False
        body, self._turn = self._turn % len(self._requests), self._turn + 1
        self._outstanding += 1
        answer = self._send(None, body)
        if answer.unreachable:
            gevent.sleep(BACK_OFF_S)
        return True

    def _send(self, intended: float | None, body: int, waits_s: Sequence[float] = ()) -> Answer:
        """Send a request, again after each wait while the server refuses it; one sample, whatever the attempts.

        The sample's send time is the first attempt's and its end the last one's, so that latency holds the waits.
        """
        first = answer = self.wire.send(self._requests[body])
        attempts = 1
        for wait_s in waits_s:
            if not answer.refused or self._stopping:
                break
            gevent.sleep(wait_s)
            if self._stopping:
                break
            answer = self.wire.send(self._requests[body])
            attempts += 1
        self._outstanding -= 1
        start = self.start
        meant = first.sent if intended is None else intended
        times = [meant - start, first.sent - start, answer.done - start]
        size = self.plan.bodies[body].batch_size
        self.samples.append([*times, size, not answer.error, answer.error, body, attempts])
        self.capped += answer.capped
        self._watch(answer)
        self.on_answer(answer, (answer.done - meant) * 1000)
        return answer

    def _watch(self, answer: Answer) -> None:
        """End early when the server is gone, rather than hammer on a closed door."""
        if not answer.unreachable:
            self._failures = 0
            return
        self._failures += 1
        if self._failures == 1:
            self._first_failure = answer.done
        if self._failures >= GONE_FAILURES and answer.done - self._first_failure >= GONE_AFTER_S:
            self.stop(f"gone: {answer.error}")

    def _drain(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._outstanding and time.monotonic() < end:
            gevent.sleep(0.005)

    def _end(self) -> None:
        self._drain(STOP_GRACE_S)
        self.finished.set()
