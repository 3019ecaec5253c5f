"""A running embedded Triton, as the ``server.json`` in its folder describes it.

Nothing is remembered in this module. A cell that is run again finds the server it started before by that file, and the
next start finds, and sweeps, what a machine that lost power left behind.
"""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchlab import supervisor, triton_log, workspace

STOP_S = 10.0


@dataclass(frozen=True)
class Embedded:
    """One embedded server.

    Attributes:
        folder: its own folder: backends, log, state.
        options: what it was started with; equal options share a server.
        ports: HTTP, gRPC and metrics port.
        prefix: how the names of its files in ``/dev/shm`` begin.
        owner, owner_ticks: process id of the owner and its start time, which tells it from a later namesake.
        supervisor, supervisor_ticks: the same of the keeper, a child of the owner.
        pipe: the owner's file descriptor whose closing ends the server.
    """

    folder: Path
    options: dict[str, Any]
    ports: tuple[int, int, int]
    prefix: str
    owner: int
    owner_ticks: int
    supervisor: int
    supervisor_ticks: int
    pipe: int

    def save(self) -> None:
        """Write ``server.json``."""
        draft = self.folder / "server.draft"
        draft.write_text(json.dumps(asdict(self), default=str))
        draft.replace(self.folder / "server.json")

    @classmethod
    def load(cls, folder: Path) -> "Embedded | None":
        """Read ``server.json``; None when there is none that can be read."""
        try:
            values = json.loads((folder / "server.json").read_text())
            return cls(**{**values, "folder": Path(values["folder"]), "ports": tuple(values["ports"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @property
    def log(self) -> Path:
        """Path of Triton's log."""
        return self.folder / "triton.log"

    @property
    def pid(self) -> int | None:
        """Process id of tritonserver, None while it is not started."""
        try:
            return int((self.folder / "triton.pid").read_text())
        except (OSError, ValueError):
            return None

    @property
    def mine(self) -> bool:
        """Whether this process owns it."""
        return self.owner == os.getpid() and self.owner_ticks == start_ticks(self.owner)

    @property
    def kept(self) -> bool:
        """Whether its supervisor lives. Without one the server is dead: the kernel saw to that."""
        return self.supervisor_ticks == start_ticks(self.supervisor)

    @property
    def running(self) -> bool:
        """Whether tritonserver itself lives."""
        pid = self.pid
        return self.kept and pid is not None and start_ticks(pid) > 0

    def last_words(self, wait_s: float = 0.0) -> dict[str, Any] | None:
        """Return ``returncode`` and ``log`` of a server that ended by itself, None while it lives."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                words: dict[str, Any] = json.loads((self.folder / "last_words.json").read_text())
                return words
            except OSError:
                if time.monotonic() >= deadline:
                    return None
            time.sleep(0.05)

    def obituary(self) -> str:
        """Tell how the server ended; empty while it lives."""
        if not (self.folder / "server.json").is_file():
            return "It was stopped. Start a new one with batchlab.server.start()."
        words = self.last_words(wait_s=2.0 if self.kept and not self.running else 0.0)
        if words is None:
            return "" if self.kept else "It ended with its supervisor. Start a new one with batchlab.server.start()."
        lines = "\n".join(triton_log.clean(words["log"])[-5:])
        return (
            f"The server {ending(words['returncode'])}. Start a new one with batchlab.server.start(). "
            f"Its last words:\n{lines}"
        )

    def stop(self) -> None:
        """End the server and wait until nothing of it is left. Only its owner can; others are ignored."""
        if not self.mine:
            return
        try:
            # Whoever renames the file first does the work: the descriptor must not be closed twice.
            (self.folder / "server.json").rename(self.folder / "stopping.json")
        except OSError:
            return
        with contextlib.suppress(OSError):
            os.close(self.pipe)
        reap(self.supervisor)
        clear(self.folder)


def ending(returncode: int) -> str:
    """Tell an exit code in words."""
    if returncode < 0:
        return f"was ended by signal {-returncode} ({signal.Signals(-returncode).name})"
    return f"ended with exit code {returncode}"


def mine() -> Iterator[Embedded]:
    """Yield this process's servers, dead ones that are not yet cleared away included."""
    for folder in workspace.servers_dir().glob("batchlab-*"):
        found = Embedded.load(folder)
        if found is not None and found.mine:
            yield found


def running() -> list[Embedded]:
    """Return this user's servers that run now, whichever process owns them."""
    found = (Embedded.load(folder) for folder in sorted(workspace.servers_dir().glob("batchlab-*")))
    return [each for each in found if each is not None and each.running]


def sweep() -> None:
    """Clear away what died together with its supervisor, as in a power cut. Call it with the start lock held."""
    for folder in workspace.servers_dir().glob("batchlab-*"):
        found = Embedded.load(folder)
        if (found is None and not (folder / "stopping.json").exists()) or (found is not None and not found.kept):
            clear(folder)


def clear(folder: Path) -> None:
    """Remove a dead server's folder and its shared memory."""
    supervisor.sweep_shared_memory(prefix_of(folder))
    shutil.rmtree(folder, ignore_errors=True)


def prefix_of(folder: Path) -> str:
    """Return how the names of the server's files in ``/dev/shm`` begin."""
    return f"{folder.name}-"


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 when it is gone or waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The second field, the command in brackets, may hold blanks: count from its end. Source: proc(5), fields 3 and 22.
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def reap(pid: int) -> None:
    """Wait until a supervisor of ours, told to stop, has ended; by force if it takes too long."""
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            return
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
