"""The sending process: a Locust user that carries out a plan.

Two ways in, one user class:

* ``python -m batchlab.sender PLAN``: started by `batchlab.fleet`, Locust as a library. It answers in JSON lines on
  standard output (`{"ready": ...}`, `{"samples": [...]}`, `{"done": ...}`), takes ``start MOMENT`` and ``stop`` on
  standard input, and ends when that closes, that is when its owner dies.
* ``BATCHLAB_PLAN=PLAN locust -f batchlab/sender.py``: Locust's own command, web page, master and workers. With a
  master, start as many users as workers: each worker takes its share of the schedule.

Never import this module into a notebook: Locust patches the standard library for gevent, which stops a kernel.
"""

import ctypes
import gc
import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import gevent
from gevent.os import make_nonblocking, nb_read
from locust import User, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from batchlab.plan import PLAN_VARIABLE, Plan
from batchlab.session import Session
from batchlab.wire import Answer

FLUSH_EVERY_S = 0.1
WARM_CONNECTIONS = 32
PR_SET_PDEATHSIG = 1
LEAD_S = 1.0
SHARE_MESSAGE = "batchlab_share"


class BatchlabUser(User):
    """Locust's view of a plan: one user drives a whole schedule; in a closed loop each user is one client."""

    session: Session  # set once per process, before users start

    def on_start(self) -> None:
        """Count one more user."""
        self.session.clients += 1

    def wait_time(self) -> float:
        """Pause between an answer and the next request, in seconds."""
        return self.session.plan.think_s

    @task
    def send(self) -> None:
        """Send what the plan says."""
        try:
            if self.session.plan.kind == "open_loop":
                self.session.drive()
            elif self.session.ask():
                return
        except Exception:
            self.session.failed = traceback.format_exc()
            self.session.finished.set()
            raise
        raise StopUser


class Output:
    """Lines to the owner through a pipe that never blocks the sender: what does not fit waits in memory."""

    def __init__(self) -> None:
        self._file = sys.stdout.fileno()
        os.set_blocking(self._file, False)
        self._waiting = bytearray()

    def put(self, message: dict[str, Any]) -> None:
        """Queue one message, then write what the pipe takes."""
        self._waiting += json.dumps(message).encode() + b"\n"
        try:
            while self._waiting:
                del self._waiting[: os.write(self._file, self._waiting)]
        except BlockingIOError:
            return

    def put_samples(self, session: Session) -> None:
        """Queue the samples since the last call."""
        if session.samples:
            rows, session.samples = session.samples, []
            self.put({"samples": rows})

    def finish(self, message: dict[str, Any]) -> None:
        """Write everything, however long the owner takes to read it."""
        self.put(message)
        os.set_blocking(self._file, True)
        while self._waiting:
            del self._waiting[: os.write(self._file, self._waiting)]


def main(path: str) -> int:
    """Carry out the plan at `path` for the owner at the other end of the pipes; return the exit status."""
    _die_with_owner()
    logging.getLogger("locust").setLevel(logging.ERROR)
    environment = Environment(user_classes=[BatchlabUser])
    session = BatchlabUser.session = _session(environment, Plan.load(path))
    session.wire.warm(WARM_CONNECTIONS)
    output = Output()
    runner = environment.create_local_runner()
    users = 1 if session.plan.kind == "open_loop" else session.plan.clients
    runner.start(users, spawn_rate=users)
    while session.clients < users:
        gevent.sleep(0.01)
    gevent.spawn(_listen, session)
    # What the imports made never becomes garbage: collections during the run need not look at it.
    gc.collect()
    gc.freeze()
    output.put({"ready": os.getpid()})
    session.started.wait()
    session.finished.wait(max(0.0, session.start - time.monotonic() - FLUSH_EVERY_S))
    cpu, wall, waited = time.process_time(), time.monotonic(), _waited_s()
    while not session.finished.wait(FLUSH_EVERY_S):
        output.put_samples(session)
    cpu, wall, waited = time.process_time() - cpu, time.monotonic() - wall, _waited_s() - waited
    if session.failed:
        sys.stderr.write(session.failed)
        return 1
    output.put_samples(session)
    report = {
        "reason": session.reason,
        "cpu_share": cpu / wall,
        "waited_for_core_s": waited,
        "peak_in_flight": session.wire.peak,
        "max_connections": session.wire.max_connections,
        "capped": session.capped,
    }
    output.finish({"done": report})
    return 0


def _session(environment: Environment, plan: Plan) -> Session:
    """Return a session whose answers Locust counts too; the raw samples stay apart, because Locust rounds."""

    def tell(answer: Answer, latency_ms: float) -> None:
        environment.events.request.fire(
            request_type="POST",
            name=plan.model,
            response_time=latency_ms,
            response_length=answer.length,
            exception=RuntimeError(answer.error) if answer.error else None,
            context={},
        )

    return Session(plan, tell)


def _listen(session: Session) -> None:
    """Obey the owner's lines; its end is ours."""
    file, waiting = sys.stdin.fileno(), b""
    make_nonblocking(file)
    while data := nb_read(file, 4096):
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "start":
                session.begin(float(value))
            elif word == "stop":
                session.stop("stopped")
    os._exit(0)


def _die_with_owner() -> None:
    """Ask Linux to end this process when its owner ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _waited_s() -> float:
    """Seconds this process was ready to run but had no core (Linux), for the diagnosis of a late sender."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@events.init.add_listener
def _on_locust_init(environment: Environment, **_: Any) -> None:
    """Locust's own command started: read the plan, and deal shares to workers when there are any."""
    path = os.environ.get(PLAN_VARIABLE)
    if not path:
        raise SystemExit(f"Set {PLAN_VARIABLE} to a plan file; batchlab.load.write_plan makes one.")
    runner = environment.runner
    plan = Plan.load(path)
    if isinstance(runner, WorkerRunner):
        runner.register_message(SHARE_MESSAGE, lambda environment, msg, **_: _begin(environment, plan, **msg.data))
    elif isinstance(runner, MasterRunner):
        events.test_start.add_listener(lambda **_: _deal(runner))
    else:
        events.test_start.add_listener(lambda **_: _begin(environment, plan, 0, 1, time.monotonic() + LEAD_S))
        events.test_start.add_listener(lambda **_: gevent.spawn(_end_alone, environment))


def _deal(runner: MasterRunner) -> None:
    """Tell every worker its share and one common start: the monotonic clock is shared on one machine."""
    workers, start = list(runner.clients.ready), time.monotonic() + LEAD_S
    for index, worker in enumerate(workers):
        share = {"index": index, "parts": len(workers), "start": start}
        runner.send_message(SHARE_MESSAGE, share, client_id=worker.id)


def _begin(environment: Environment, plan: Plan, index: int, parts: int, start: float) -> None:
    BatchlabUser.session = _session(environment, plan.part(index, parts))
    BatchlabUser.session.begin(start)


def _end_alone(environment: Environment) -> None:
    """End the run when the plan is done: with Locust's web page stop the test, without it leave."""
    BatchlabUser.session.finished.wait()
    runner = environment.runner
    assert runner is not None
    if environment.web_ui:
        runner.stop()
    else:
        runner.quit()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
