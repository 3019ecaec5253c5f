"""A learner's seat in JupyterHub: who may sit there, and the server that runs there as a user of its own.

JupyterHub's own local spawner asks for system accounts and enforces no limit. This one takes user ids from the room,
sets the limits that Linux keeps by itself (processes, priority, core files), and looks at memory every few seconds: a
learner who uses more than the share loses the largest process, which is a kernel, not the whole room its machine.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from jupyterhub.auth import Authenticator
from jupyterhub.spawner import LocalProcessSpawner
from traitlets import Instance

from batchlab.jupyterlab import SETTINGS
from batchlab.room import Account, Room

MOST_PROCESSES = 2048  # threads count: a lab with its server has some hundred
PRIORITY = 5  # the hub and its proxy come first
PR_SET_PDEATHSIG = 1


class RoomAuthenticator(Authenticator):
    """Admits the room's learners, each by a password of their own."""

    room = Instance(Room).tag(config=True)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """Return the learner's name, None when name or password is wrong."""
        name, password = data.get("username", ""), data.get("password", "")
        return name if self.room.admits(name, password) else None


class SeatSpawner(LocalProcessSpawner):
    """Starts each learner's Jupyter server as that learner's own user id, inside the room's limits."""

    room = Instance(Room).tag(config=True)

    @property
    def account(self) -> Account:
        """The account of the learner whose server this is."""
        account = self.room.account(self.user.name)
        if account is None:
            raise RuntimeError(f"{self.user.name} has no account in this room")
        return account

    def make_preexec_fn(self, name: str) -> Callable[[], None]:
        """Return what the new process does before it becomes the learner's server: it gives up root."""
        uid, home = self.account.uid, str(self.room.home(name))
        libc = ctypes.CDLL(None)

        def become_the_learner() -> None:
            os.nice(PRIORITY)
            resource.setrlimit(resource.RLIMIT_NPROC, (MOST_PROCESSES, MOST_PROCESSES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            # After the change of user, which clears it: a hub that is killed leaves no server behind.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            os.umask(0o077)
            os.chdir(home)

        return become_the_learner

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Add what a home of one's own needs."""
        home = self.room.home(self.user.name)
        return {
            **env,
            "USER": self.user.name,
            "LOGNAME": self.user.name,
            "HOME": str(home),
            "SHELL": "/bin/bash",
            "TMPDIR": str(home / "tmp"),
            "BATCHLAB_HOME": str(home / ".batchlab"),
            "BATCHLAB_DEVICES": str(home / "devices"),
            "JUPYTER_CONFIG_PATH": str(SETTINGS),
            "JUPYTER_PATH": str(home / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(home / "run"),
            "PATH": os.pathsep.join([str(Path(self.cmd[0]).parent), env.get("PATH", os.defpath)]),
        }

    async def poll(self) -> int | None:
        """Return whether the server runs, as JupyterHub asks; end the largest process of a learner over the share."""
        status = await super().poll()
        if status is None and self.mem_limit:
            ended = relieve(self.account.uid, self.pid, self.mem_limit)
            if ended:
                self.log.warning("%s used more memory than the room allows: %s ended", self.user.name, ended)
        return status


def holdings(uid: int) -> list[tuple[int, psutil.Process]]:
    """Return each process of a user with the bytes that it alone holds, shared pages not counted."""
    held = []
    for process in psutil.process_iter():
        try:
            if process.uids().real == uid:
                memory = process.memory_info()
                held.append((memory.rss - memory.shared, process))
        except psutil.Error:
            continue
    return held


def relieve(uid: int, server: int, limit: int) -> str:
    """End the largest process of a user over the limit; return its name and size, empty when all is well.

    Args:
        uid: the user.
        server: process id of the Jupyter server, which is spared.
        limit: bytes that all processes of the user may hold together, shared pages not counted.
    """
    held = holdings(uid)
    candidates = [pair for pair in held if pair[1].pid != server]
    if not candidates or sum(size for size, _ in held) <= limit:
        return ""
    size, largest = max(candidates, key=lambda pair: pair[0])
    try:
        name = largest.name()
        largest.kill()
    except psutil.Error:
        return ""
    return f"{name} ({size / 1024**2:.0f} MB)"
