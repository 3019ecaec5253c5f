"""A sandbox for a learner's code: bubblewrap around one process without network, and a watch over what it uses.

Inside there are Python, the package and the model repository, read-only; scratch space of a stated size; nothing else
of this machine. No neighbour's process can be seen and none outside can be reached. There is no unsafe fallback: where
bubblewrap is missing or refused, nothing runs.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import psutil

from batchlab import cgroup, exchange, seccomp, walls
from batchlab.walls import COURSE, HOME, HOW, NOTHING, Limits, SandboxError

__all__ = ["COURSE", "HOME", "Limits", "Sandbox", "SandboxError"]

LOOK_EVERY_S = 0.1
FLOOR_MIB = 400


class Sandbox:
    """One learner's process behind walls; use as a context manager.

    Attributes:
        channel: the socket to the process.
        ended: why the watch ended it, in words; empty while it was not.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        files: Mapping[str, bytes] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            limits: what it may use.
            files: read-only files inside, by absolute path.
            environment: variables on top of the few that are set anyway; none of this process's own get in.

        Raises:
            SandboxError: bubblewrap is missing.
        """
        self.limits, self.ended = limits, ""
        self.started = time.monotonic()
        self._group = cgroup.make(limits.memory_mib)
        self.channel, theirs = socket.socketpair()
        with contextlib.ExitStack() as opened:
            opened.callback(theirs.close)
            given = {name: _memory_file(opened, content) for name, content in (files or {}).items()}
            program = seccomp.program()
            rules = _memory_file(opened, program) if program else None
            told = {**dataclasses.asdict(limits), "user": walls.own_user()}
            words = walls.command(limits, given, environment or {}, rules)
            words += [sys.executable, "-m", "batchlab.inmate", str(theirs.fileno()), json.dumps(told)]
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Small by nature: a pipe holds 64 KiB, and the program inside lets go of it before it runs a cell.
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno(), *given.values(), *([] if rules is None else [rules])],
                cwd="/",
                env={},
                preexec_fn=self._group.add if self._group else None,
            )
        self._watch = threading.Thread(target=self._look, name="batchlab-sandbox", daemon=True)
        self._watch.start()

    def why(self) -> str:
        """Return why it is over, in words; empty while it runs."""
        if self.ended:
            return self.ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        if self._process.poll() is None:
            return ""
        if self._group and self._group.ended_any():
            return f"it used more than {self.limits.memory_mib} MiB of memory"
        assert self._process.stderr is not None
        last = self._process.stderr.read(2**16).decode(errors="replace").strip().splitlines()[-1:]
        return f"it ended by itself{': ' + last[0][:200] if last else ''}"

    def close(self) -> None:
        """End everything inside."""
        self._end("")
        self._process.wait()
        self._watch.join()
        self.channel.close()
        if self._group:
            self._group.close()
        if self._process.stderr:
            self._process.stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _end(self, reason: str) -> None:
        if self._process.poll() is None:
            self.ended = self.ended or reason
            # The first process of the namespace dies with bubblewrap, and the kernel ends every other one with it.
            self._process.send_signal(signal.SIGKILL)

    def _used_mib(self) -> float:
        if self._group:
            return self._group.used_mib()
        return _memory_mib(self._process.pid, self.limits.memory_mib)

    def _look(self) -> None:
        most = self.limits.memory_mib
        while self._process.poll() is None:
            if time.monotonic() - self.started > self.limits.wall_s:
                self._end(f"it ran longer than {self.limits.wall_s:g} s")
            elif self._used_mib() > most:
                self._end(f"it used more than {most} MiB of memory")
            elif self._group is None and psutil.virtual_memory().available < FLOOR_MIB * 2**20:
                self._end("this machine ran out of memory while it ran")
            time.sleep(LOOK_EVERY_S)


def check() -> None:
    """Make a sandbox and let it answer.

    Raises:
        SandboxError: it cannot be made here; the message says why.
    """
    with Sandbox(Limits(wall_s=120)) as box:
        peer = exchange.Peer(box.channel)
        peer.deadline = box.started + box.limits.wall_s
        try:
            peer.ask("run", "pass")
        except exchange.ExchangeError as error:
            raise SandboxError(f"No sandbox holds here ({box.why() or error}), {NOTHING}. {HOW}") from error


def _memory_file(opened: contextlib.ExitStack, content: bytes) -> int:
    """Return a descriptor from which `content` can be read once, closed with `opened`."""
    descriptor = os.memfd_create("batchlab")
    opened.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _memory_mib(pid: int, most: int) -> float:
    """Return the memory of all processes below `pid`; pages they share count once where the sum is too much."""
    with contextlib.suppress(psutil.Error):
        inside = psutil.Process(pid).children(recursive=True)
        used = _sum(inside, "rss")
        return used if used <= most else min(used, _sum(inside, "pss") or used)
    return 0.0


def _sum(processes: list[psutil.Process], kind: str) -> float:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss if kind == "rss" else process.memory_full_info().pss
    return total / 2**20
