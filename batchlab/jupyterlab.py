"""JupyterLab on the learner's copies: 127.0.0.1, a token, a free port, nothing fetched from outside.

The settings lie in ``batchlab/data/jupyter/`` and reach JupyterLab through ``JUPYTER_CONFIG_PATH``; the user's own
Jupyter files are neither read from there nor written. Open tabs are kept per Batchlab home, so that an interrupted
session comes back as it was.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchlab import workspace

SETTINGS = Path(__file__).parent / "data" / "jupyter"
FIRST_LAB = "00_start_here.ipynb"
FIRST_PORT = 8888
LOG_LINES = 15


class JupyterError(RuntimeError):
    """JupyterLab is not installed or did not start; the message carries its own last lines."""


@dataclass(frozen=True)
class Session:
    """A running JupyterLab.

    Attributes:
        base_url: with a slash at the end, ``http://127.0.0.1:8888/``.
        token: what a browser must know.
        pid: process id of the server.
    """

    base_url: str
    token: str
    pid: int

    def url(self, lab: str = "") -> str:
        """Return the address that opens `lab` (a file name in the learner's folder) with the token in it."""
        page = f"lab/tree/{lab}" if lab else "lab"
        return f"{self.base_url}{page}?token={self.token}"

    @property
    def alive(self) -> bool:
        """Whether the server answers."""
        try:
            with urllib.request.urlopen(f"{self.base_url}api", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


def first_lab(folder: Path) -> str:
    """Return the lab to open: lab 00, or the first there is, or none."""
    names = sorted(path.name for path in folder.glob("*.ipynb"))
    return FIRST_LAB if FIRST_LAB in names else next(iter(names), "")


def running_on(folder: Path) -> Session | None:
    """Return the JupyterLab that already serves `folder`, so that no second one edits the same files."""
    from jupyter_core.paths import jupyter_runtime_dir

    for record in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        values = _read_record(record)
        if values and Path(values.get("root_dir", "")) == folder.resolve():
            session = _session(values)
            if session.alive:
                return session
    return None


def run(
    folder: Path,
    *,
    browser: bool = True,
    ip: str = "127.0.0.1",
    timeout_s: float = 60.0,
    on_ready: Callable[[Session], None] = lambda session: None,
) -> int:
    """Run JupyterLab on `folder` until it ends or this process is told to; return its exit status.

    Args:
        folder: the learner's copies.
        browser: let Jupyter open the user's browser.
        ip: address to listen on; anything but the default opens the room's door, with only the token as its lock.
        timeout_s: how long it may take to answer.
        on_ready: called once, when it answers.

    Raises:
        JupyterError: not installed, or ended or silent before it answered.
    """
    log_path = workspace.home_dir() / "jupyter" / "jupyterlab.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command(folder, browser=browser, ip=ip),
            env=environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    # Ctrl-C goes to the whole foreground group: JupyterLab ends itself and its kernels, we wait for it.
    previous = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        on_ready(_wait_until_ready(process, log_path, timeout_s))
        status = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0 if status in (0, -signal.SIGINT, -signal.SIGTERM) else status


def command(folder: Path, *, browser: bool, ip: str = "127.0.0.1") -> list[str]:
    """Return the command line; what never changes lies in `SETTINGS`."""
    lab = first_lab(folder)
    options = {
        "ServerApp.root_dir": str(folder.resolve()),
        "ServerApp.ip": ip,
        "ServerApp.port": FIRST_PORT,
        "ServerApp.port_retries": 50,
        "ServerApp.open_browser": browser,
        # Jupyter refuses root by default; in a container or a CI machine there is nobody else.
        "ServerApp.allow_root": hasattr(os, "geteuid") and os.geteuid() == 0,
        "LabApp.default_url": f"/lab/tree/{lab}" if lab else "/lab",
    }
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of JupyterLab and its kernels."""
    values = dict(inherited)
    values["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [str(SETTINGS), inherited.get("JUPYTER_CONFIG_PATH")]))
    values["JUPYTERLAB_WORKSPACES_DIR"] = str(workspace.home_dir() / "jupyter" / "workspaces")
    # Kernels, and what they start, find this environment's programs first.
    values["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return values


def _wait_until_ready(process: subprocess.Popen[bytes], log_path: Path, timeout_s: float) -> Session:
    from jupyter_core.paths import jupyter_runtime_dir

    record = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise JupyterError(f"JupyterLab ended before it answered. Its last lines:\n{_tail(log_path)}")
        values = _read_record(record)
        if values:
            session = _session(values)
            if session.alive:
                return session
        time.sleep(0.1)
    raise JupyterError(f"JupyterLab did not answer within {timeout_s:.0f} s. Its last lines:\n{_tail(log_path)}")


def _session(values: dict[str, Any]) -> Session:
    # Listening on every address, Jupyter names the machine, which a browser outside a container cannot reach.
    host = "127.0.0.1" if values["hostname"] in ("", "0.0.0.0", "::") else values["hostname"]
    address = f"http://{host}:{values['port']}{values['base_url']}"
    return Session(base_url=address, token=values["token"], pid=int(values["pid"]))


def _read_record(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(values, dict) and {"hostname", "port", "base_url", "token", "pid"} <= values.keys():
            return values
    return None


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LOG_LINES:]) or "  (it said nothing)"


def die_with_parent() -> None:
    """In the child, before exec: ask Linux for a SIGTERM when the parent is gone, however it went."""
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
