"""A control group of the kernel's: counts all memory of a few processes, also what belongs to no process alone.

Memory files, shared memory and scratch space in memory are seen by nobody who adds up processes. Linux keeps the count
where this process may make a group: as root, or where one was delegated. Version 1 and 2 of the interface are spoken.
"""

import contextlib
import os
import time
import uuid
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
# Limit file and the lines of memory.stat that are not mere cache, by version.
V1 = ("memory.limit_in_bytes", ("total_rss", "total_shmem"))
V2 = ("memory.max", ("anon", "shmem", "kernel"))
# The hard limit lies above the one that the watch keeps, so that the watch can say why it ended something.
MARGIN = 1.25
LAST_S = 5.0


class Group:
    """A group below this process's own; use `add` in a new process, and `close` when all have ended."""

    def __init__(self, folder: Path, kinds: tuple[str, ...]) -> None:
        self._folder, self._kinds = folder, kinds
        # Opened beforehand: between fork and exec there is no time for more than a write.
        self._door = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def add(self) -> None:
        """Put the calling process into the group."""
        os.write(self._door, b"0")

    def used_mib(self) -> float:
        """Return the memory in use, caches of files left out."""
        lines = (line.split() for line in (self._folder / "memory.stat").read_text().splitlines())
        return sum(int(value) for name, value in lines if name in self._kinds) / 2**20

    def ended_any(self) -> bool:
        """Whether the kernel ended one of the processes at the hard limit, before anybody looked."""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                words = (self._folder / name).read_text().split()
                return int(words[words.index("oom_kill") + 1]) > 0 if "oom_kill" in words else False
        return False

    def close(self) -> None:
        """Remove the group once the last of its processes, which must have been told to end, is gone."""
        os.close(self._door)
        until = time.monotonic() + LAST_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                return
            time.sleep(0.01)


def make(limit_mib: float) -> Group | None:
    """Return a new group with a limit, None where this process may not make one."""
    for base, (limit, kinds) in _bases():
        _sweep(base)
        folder = base / f"batchlab-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(int(limit_mib * MARGIN * 2**20)))
            return Group(folder, kinds)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return None


def available() -> bool:
    """Whether this process may make a group."""
    group = make(64)
    if group is not None:
        group.close()
    return group is not None


def _sweep(base: Path) -> None:
    """Remove groups whose maker is gone: a grader that was killed had no time to."""
    for old in base.glob("batchlab-*"):
        maker = old.name.split("-")[1]
        if maker.isdigit() and not Path("/proc", maker).exists():
            with contextlib.suppress(OSError):
                old.rmdir()


def _bases() -> list[tuple[Path, tuple[str, tuple[str, ...]]]]:
    """Return the folders in which a group could be made, with the version's names."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[Path, tuple[str, tuple[str, ...]]]] = []
    for line in lines:
        number, controllers, own = line.split(":", 2)
        if "memory" in controllers.split(","):
            found += [(MOUNT / "memory" / own.lstrip("/"), V1), (MOUNT / "memory", V1)]
        elif number == "0":
            found += [(MOUNT / own.lstrip("/"), V2), (MOUNT, V2)]
    return found
