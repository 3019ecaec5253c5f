"""What is left of an embedded server, or of a grader."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from batchlab.embedded import start_ticks


def remains(pids: list[int], prefix: str, port: int) -> list[str]:
    """Return what is left: living processes, processes of its group, shared memory, a listening port."""
    left = [f"process {pid}" for pid in pids if start_ticks(pid)]
    left += [f"process {pid} in the group" for pid in group(pids[0])]
    left += [str(path) for path in Path("/dev/shm").glob(f"{prefix}*")]
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            left.append(f"port {port}")
    return left


def group(leader: int) -> list[int]:
    """Return the living processes of a process group, as Triton's Python stubs are."""
    members = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == leader and start_ticks(int(path.name)):
                members.append(int(path.name))
        except ProcessLookupError:
            continue
    return members


def inmates(limit: str) -> list[int]:
    """Return the processes in and around those sandboxes whose limits, as JSON, hold the words `limit`."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "batchlab.inmate" in words and limit in words[-1]:
            found.append(process.pid)
    return found


def wait_gone(pids: list[int], prefix: str, port: int, seconds: float = 8.0) -> list[str]:
    """Wait until nothing is left, and return what still is after `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := remains(pids, prefix, port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def until(true: Callable[[], bool], seconds: float = 8.0) -> bool:
    """Wait until `true` answers True; False after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False
