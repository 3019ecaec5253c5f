"""The sending processes of a run, seen from their owner: started, told when to begin, listened to, ended."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from batchlab.nursery import NurseryError, Sender, environment, nursery
from batchlab.plan import Plan

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 3.0
LEAD_S = 0.15
READ_BYTES = 65536
STDERR_LINES = 5


class FleetError(RuntimeError):
    """A sending process that did not start, or ended without a report."""


class Fleet:
    """One sending process per plan; use as a context manager, at whose end none is left.

    Each is in its own session, so that an interrupt of the notebook reaches only the owner, who then asks them to
    stop and keeps what they measured. They die with the owner (see `batchlab.sender`).
    """

    def __init__(self, plans: list[Plan]) -> None:
        self.start = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="batchlab-load-")
        self._processes: list[Sender | subprocess.Popen[bytes]] = []
        self._unread: list[bytes] = [b""] * len(plans)
        self._reporting = set(range(len(plans)))
        try:
            for index, plan in enumerate(plans):
                path = Path(self._folder.name) / f"plan-{index}.npz"
                plan.save(path)
                with path.with_suffix(".err").open("wb") as errors:
                    self._processes.append(_started(path, errors))
            self._selector = selectors.DefaultSelector()
            for index, process in enumerate(self._processes):
                assert process.stdout is not None
                self._selector.register(process.stdout, selectors.EVENT_READ, index)
        except NurseryError as error:
            self.close()
            raise FleetError(str(error)) from error
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Process ids of the senders."""
        return [process.pid for process in self._processes]

    def begin(self) -> float:
        """Wait until all senders are ready, start them together, and return the start on ``time.monotonic()``.

        Raises:
            FleetError: a sender did not come up.
        """
        ready, deadline = 0, time.monotonic() + READY_TIMEOUT_S
        while ready < len(self._processes):
            for _, message in self._read(max(0.0, deadline - time.monotonic())):
                ready += "ready" in message
            if time.monotonic() >= deadline:
                raise FleetError(f"The senders were not ready within {READY_TIMEOUT_S:g} s. Is the machine overloaded?")
        self.start = time.monotonic() + LEAD_S
        self._tell(f"start {self.start!r}")
        return self.start

    def stop(self) -> None:
        """Ask all senders to send nothing more."""
        self._tell("stop")

    def messages(self, tick_s: float = 0.25) -> Iterator[tuple[int, dict[str, Any]] | None]:
        """Yield (sender, message) until every sender has reported; None at least every `tick_s`.

        Raises:
            FleetError: a sender ended without a report.
        """
        while self._reporting:
            for index, message in self._read(tick_s):
                if "done" in message:
                    self._reporting.discard(index)
                yield index, message
            yield None

    def close(self) -> None:
        """End every sender and remove the plans."""
        for process in self._processes:
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            try:
                process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _tell(self, line: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            # A sender that is already gone is noticed where its report is missing.
            with contextlib.suppress(OSError):
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()

    def _read(self, timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, _ in self._selector.select(timeout_s):
            index = key.data
            data = os.read(key.fd, READ_BYTES)
            if not data:
                self._selector.unregister(key.fileobj)
                process = self._processes[index]
                process.wait()
                if process.returncode != 0:
                    raise FleetError(self._complaint(index))
            *lines, self._unread[index] = (self._unread[index] + data).split(b"\n")
            for line in lines:
                yield index, json.loads(line)

    def _complaint(self, index: int) -> str:
        text = (Path(self._folder.name) / f"plan-{index}.err").read_text(errors="replace").strip()
        last = "\n".join(text.splitlines()[-STDERR_LINES:])
        return f"Sender {index} ended with status {self._processes[index].returncode}:\n{last or '(no message)'}"


def _started(plan: Path, errors: IO[bytes]) -> Sender | subprocess.Popen[bytes]:
    if sys.platform == "linux":
        return nursery().sender(plan, errors.fileno())
    return subprocess.Popen(
        [sys.executable, "-m", "batchlab.sender", str(plan)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment(),
        start_new_session=True,
    )
