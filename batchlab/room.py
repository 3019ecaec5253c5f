"""A workshop's room on one machine: its folder, its accounts, its limits, and whether the room can be opened here.

The folder belongs to root. In it: ``accounts.csv`` (name, user id, password; root alone reads it), the hub's database,
secrets and log, and ``homes/NAME``, mode 0700, each owned by a user id of its own. The ids need no entry in the
system's list of users, so that a trial leaves none behind.
"""

import csv
import hmac
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from batchlab import workspace

DEFAULT_FOLDER = Path("/var/lib/batchlab-workshop")
FIRST_UID = 61_000  # above what systems give to people, below what they give to services started by systemd
NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")
MEMORY_PER_LEARNER = 5 * 1024**3 // 2  # lab 01 was seen to hold 1.4 GiB
MEMORY_KEPT_BACK = 1024**3
LONGEST_HOME = 50  # a kernel's sockets lie below it, and a socket's path has at most 107 characters


class RoomError(RuntimeError):
    """The room cannot be opened; the message says what is in the way and what to do."""


@dataclass(frozen=True)
class Account:
    """One learner: a name, the user id that everything of theirs runs as, and a password of their own."""

    name: str
    uid: int
    password: str


@dataclass(frozen=True)
class Room:
    """A room that is ready to be opened.

    Attributes:
        folder: belongs to root; everything of the workshop lies in it.
        accounts: the learners.
    """

    folder: Path
    accounts: tuple[Account, ...]

    @property
    def log(self) -> Path:
        """Path of the log of hub, proxy and servers."""
        return self.folder / "hub.log"

    def home(self, name: str) -> Path:
        """Return a learner's home."""
        return self.folder / "homes" / name

    def account(self, name: str) -> Account | None:
        """Return a learner's account, None when there is none of that name."""
        return next((account for account in self.accounts if account.name == name), None)

    def admits(self, name: str, password: str) -> bool:
        """Whether the password is this learner's own; takes as long for a wrong name as for a wrong password."""
        account = self.account(name)
        expected = account.password if account else secrets.token_urlsafe(12)
        return hmac.compare_digest(expected.encode(), password.encode()) and account is not None

    @property
    def most_servers(self) -> int:
        """Learners whose labs run at once: what the memory holds, at `MEMORY_PER_LEARNER` bytes each."""
        room_for = (psutil.virtual_memory().total - MEMORY_KEPT_BACK) // MEMORY_PER_LEARNER
        return max(1, min(len(self.accounts), int(room_for)))

    @property
    def most_starts(self) -> int:
        """Servers that may start at once: one a core, since a start keeps a core busy for seconds."""
        return max(1, psutil.cpu_count() or 1)


def prepare(folder: Path, learners: int, python: str = sys.executable) -> Room:
    """Make the room's folder, accounts and homes; what is there is kept, missing accounts are added.

    Args:
        folder: the room's own.
        learners: accounts to have.
        python: the Python that learners run, with the course's packages.

    Raises:
        RoomError: not root, a program is missing, or the learners' accounts could not read the course.
    """
    if os.geteuid() != 0:
        raise RoomError(
            "A workshop gives each learner a user id of their own, which only root can do. Run it with sudo: "
            "everything of the learners runs without root's rights."
        )
    if learners < 1:
        raise RoomError(f"A room needs at least one learner, not {learners}.")
    folder = folder.resolve()
    if len(str(folder / "homes" / "learner99")) > LONGEST_HOME:
        raise RoomError(f"{folder} is too deep for the kernels' sockets. Choose a folder with a shorter path.")
    proxy()
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.chmod(0o711)
    check_readable([folder, workspace.project_dir(), Path(python).parent, Path(python).resolve()])
    check_python(FIRST_UID, python)
    (folder / "homes").mkdir(mode=0o711, exist_ok=True)
    (folder / "homes").chmod(0o711)
    accounts = list(load(folder).accounts) if (folder / "accounts.csv").exists() else []
    for number in range(len(accounts) + 1, learners + 1):
        accounts.append(Account(f"learner{number}", FIRST_UID + number, secrets.token_urlsafe(9)))
    _save(folder, accounts)
    for account in accounts:
        home = folder / "homes" / account.name
        if not home.exists():
            home.mkdir(mode=0o700)
            os.chown(home, account.uid, account.uid)
    return Room(folder, tuple(accounts))


def load(folder: Path) -> Room:
    """Return the room as its accounts file describes it.

    Raises:
        RoomError: no such file, or a line that is no account.
    """
    place = folder / "accounts.csv"
    try:
        with place.open(newline="", encoding="utf-8") as file:
            accounts = [Account(row["name"], int(row["uid"]), row["password"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise RoomError(f"{place} cannot be read ({error}). Delete the folder to begin anew.") from error
    for account in accounts:
        # The name becomes a folder, the id is what the learner runs as: neither may be chosen freely.
        if not NAME.fullmatch(account.name) or account.uid < 1000 or len(account.password) < 8:
            raise RoomError(
                f"{place}: {account.name!r} needs a plain name, an id from 1000 and 8 characters of password."
            )
    if len({account.uid for account in accounts}) < len(accounts) or len({a.name for a in accounts}) < len(accounts):
        raise RoomError(f"{place}: two learners share a name or an id. Give each their own.")
    return Room(folder, tuple(accounts))


def proxy() -> str:
    """Return the path of JupyterHub's proxy.

    Raises:
        RoomError: it is not installed.
    """
    found = shutil.which("configurable-http-proxy")
    if found is None:
        raise RoomError(
            "configurable-http-proxy, the hub's front door, is not installed. Run scripts/install-system-packages, "
            "or with Node.js: npm install -g configurable-http-proxy."
        )
    return found


def check_readable(paths: list[Path]) -> None:
    """Make sure that any account may read these folders.

    Raises:
        RoomError: a folder on the way is closed to others.
    """
    for path in paths:
        for folder in [path, *path.parents]:
            if not folder.stat().st_mode & 0o001:
                raise RoomError(
                    f"The learners' accounts cannot reach {path}: {folder} is closed to others. "
                    "Install course and Python where everybody may read, for example below /srv, "
                    f"name another Python with --python, or: chmod o+x {folder}"
                )


def check_python(uid: int, python: str) -> None:
    """Make sure that this account can run the course with this Python.

    Raises:
        RoomError: it cannot; with Python's last line.
    """
    done = _as_learner(uid, python, "import batchlab, jupyterhub, ipykernel")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RoomError(f"A learner's account cannot run the course with {python}: {last[0]}")


def networks_apart(uid: int, python: str = sys.executable) -> bool:
    """Whether kernels of this account can have a network of their own: user namespaces may be switched off."""
    return _as_learner(uid, python, "from batchlab import kernel_apart; kernel_apart.enter()").returncode == 0


def _as_learner(uid: int, python: str, code: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "BATCHLAB_PROJECT")}
    command = [python, "-c", code]
    rights: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": [], "env": environment, "cwd": "/"}
    try:
        return subprocess.run(command, **rights, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(command, 126, "", str(error))


def _save(folder: Path, accounts: list[Account]) -> None:
    draft = folder / "accounts.draft"
    with open(draft, "w", newline="", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        writer = csv.writer(file)
        writer.writerow(["name", "uid", "password"])
        writer.writerows((account.name, account.uid, account.password) for account in accounts)
    draft.replace(folder / "accounts.csv")
