"""The nursery: a process that has imported Locust already, and from which each sender is forked.

Importing Locust costs most of a second of processor time. A lab makes dozens of runs, so it is paid once for each
owner. The nursery itself sends nothing; it forks, and says how its children ended. It ends with its owner, for then
its socket closes. Its children have pipes to the owner of their own (see `batchlab.sender`).

Linux only: elsewhere a fork of a process that has imported so much is not safe, and `batchlab.fleet` starts each anew.
"""

import atexit
import contextlib
import functools
import gc
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from batchlab.plan import PLAN_VARIABLE

MESSAGE_BYTES = 4096
ASK_AGAIN_S = 0.005
STDERR_LINES = 5
ALIVE = "alive"
KILLED = -9


class NurseryError(RuntimeError):
    """A nursery that did not come up, or is gone; the message is its own last words."""


class Sender:
    """One sending process, with the part of `subprocess.Popen` that its owner needs.

    Attributes:
        pid: its process id.
        stdin: what it reads.
        stdout: what it writes.
        returncode: as in `subprocess`; None while it lives.
    """

    def __init__(self, nursery: "Nursery", pid: int, to_sender: int, from_sender: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self.stdin, self.stdout = os.fdopen(to_sender, "wb"), os.fdopen(from_sender, "rb", 0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once the process has ended.

        Raises:
            subprocess.TimeoutExpired: it lives on.
        """
        ends = float("inf") if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            self.returncode = self._nursery.buried(self.pid)
            if self.returncode is None:
                if time.monotonic() > ends:
                    raise subprocess.TimeoutExpired(f"sender {self.pid}", timeout or 0.0)
                time.sleep(ASK_AGAIN_S)
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)


class Nursery:
    """An owner's nursery: `sender` asks for one more sending process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control, self._lock = ours, threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the nursery)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "batchlab.nursery", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the nursery itself."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it can still be asked."""
        return self._control.fileno() >= 0 and self._process.poll() is None

    def sender(self, plan: Path, errors: int) -> Sender:
        """Fork a process that carries out the plan at `plan`, its standard error the open file `errors`.

        Raises:
            NurseryError: no nursery.
        """
        for_sender, to_sender = os.pipe()
        from_sender, of_sender = os.pipe()
        try:
            answer = self._ask(f"sender {plan}", [for_sender, of_sender, errors])
            if not answer:
                raise NurseryError(self._complaint())
        except BaseException:
            os.close(to_sender)
            os.close(from_sender)
            raise
        finally:
            os.close(for_sender)
            os.close(of_sender)
        return Sender(self, int(answer), to_sender, from_sender)

    def buried(self, pid: int) -> int | None:
        """Return how a sender ended; None where it lives. Those of a nursery that is gone were killed with it."""
        told = self._ask(f"bury {pid}")
        return None if told == ALIVE else int(told or KILLED)

    def close(self) -> None:
        """End it, and with it the senders that are left."""
        self._control.close()
        self._process.wait()
        self._errors.close()

    def _ask(self, request: str, files: list[int] | None = None) -> str:
        """Return the answer; "" where there is none, because the nursery is gone."""
        with self._lock:
            try:
                socket.send_fds(self._control, [request.encode()], files or [])
                return self._control.recv(MESSAGE_BYTES).decode()
            except OSError:
                return ""
            except BaseException:
                # Interrupted between question and answer: the answer would be taken for that of the next question.
                self._control.close()
                raise

    def _complaint(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()[-STDERR_LINES:]
        said = "\n".join(words) or "(no message)"
        return f"The process that starts the senders ended with status {status}:\n{said}"


def nursery() -> Nursery:
    """Return this process's nursery; a new one where there is none, or where it was killed."""
    found = _started(os.getpid())
    if not found.lives:
        _started.cache_clear()
        found = _started(os.getpid())
    return found


@functools.cache
def _started(owner: int) -> Nursery:
    """Return the nursery of one owner; a forked copy of it is another, and gets its own."""
    found = Nursery()
    atexit.register(found.close)
    return found


def main(control: int) -> int:
    """Fork a sender for each request on the socket `control`, until its other end closes."""
    from gevent import monkey
    from gevent.os import fork_gevent

    from batchlab import sender

    # Locust has patched the standard library: the patched calls would wait for gevent's hub, which never runs here.
    asked = monkey.get_original("socket", "socket")(fileno=control)
    waitpid, close = (monkey.get_original("os", name) for name in ("waitpid", "close"))
    # What the imports made never becomes garbage, here and in the children, who share these pages.
    gc.collect()
    gc.freeze()
    while True:
        request, files, _, _ = socket.recv_fds(asked, MESSAGE_BYTES, 3)
        word, _, value = request.decode().partition(" ")
        if word == "bury":
            ended, status = waitpid(int(value), os.WNOHANG)
            asked.send(str(os.waitstatus_to_exitcode(status) if ended else ALIVE).encode())
        elif word == "sender":
            pid = fork_gevent()
            if pid == 0:
                asked.close()
                for standard, file in enumerate(files):
                    os.dup2(file, standard)
            for file in files:
                close(file)
            if pid == 0:
                os._exit(_live(sender.main, value))
            asked.send(str(pid).encode())
        else:
            return 0


def _live(send: Callable[[str], int], plan: str) -> int:
    """Be a sender, in a session of its own; return the exit status."""
    try:
        os.setsid()
        return send(plan)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        return 1


def environment() -> dict[str, str]:
    """Return variables under which a child finds this very batchlab, however the owner found it, and no plan."""
    environment = {name: value for name, value in os.environ.items() if name != PLAN_VARIABLE}
    paths = [str(Path(__file__).resolve().parent.parent), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(paths)}


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
