"""A Jupyter server of this process: started, waited for, and ended with its owner, however that ends.

`batchlab.jupyterlab` gives it the labs, `batchlab.formgrader` a course folder.
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

FIRST_PORT = 8888
LOG_LINES = 15


class JupyterError(RuntimeError):
    """Jupyter is not installed or did not start; the message carries its own last lines."""


@dataclass(frozen=True)
class Session:
    """A running Jupyter server.

    Attributes:
        base_url: with a slash at the end, ``http://127.0.0.1:8888/``.
        token: what a browser must know.
        pid: process id of the server.
    """

    base_url: str
    token: str
    pid: int

    def page(self, path: str) -> str:
        """Return the address of a page of the server with the token in it."""
        return f"{self.base_url}{path}?token={self.token}"

    def url(self, lab: str = "") -> str:
        """Return the address that opens `lab` (a file name in the learner's folder) with the token in it."""
        return self.page(f"lab/tree/{lab}" if lab else "lab")

    @property
    def alive(self) -> bool:
        """Whether the server answers."""
        try:
            with urllib.request.urlopen(f"{self.base_url}api", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


def command(module: str, folder: Path, options: Mapping[str, object], *, browser: bool, ip: str) -> list[str]:
    """Return the command line of a server on `folder`.

    Args:
        module: the Python module that is run.
        folder: what it serves.
        options: further ones, by Jupyter's names.
        browser: let Jupyter open the user's browser.
        ip: address to listen on.
    """
    every = {
        "ServerApp.root_dir": str(folder.resolve()),
        "ServerApp.ip": ip,
        "ServerApp.port": FIRST_PORT,
        "ServerApp.port_retries": 50,
        "ServerApp.open_browser": browser,
        # Jupyter refuses root by default; in a container or a CI machine there is nobody else.
        "ServerApp.allow_root": hasattr(os, "geteuid") and os.geteuid() == 0,
        **options,
    }
    return [sys.executable, "-m", module, *(f"--{name}={value}" for name, value in every.items())]


def environment(inherited: Mapping[str, str], settings: Path) -> dict[str, str]:
    """Return the environment of a server: our settings before the user's, this environment's programs first."""
    values = dict(inherited)
    values["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [str(settings), inherited.get("JUPYTER_CONFIG_PATH")]))
    values["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return values


def keep(
    words: list[str],
    environment: Mapping[str, str],
    log_path: Path,
    *,
    folder: Path | None = None,
    timeout_s: float = 60.0,
    on_ready: Callable[[Session], None] = lambda session: None,
) -> int:
    """Run a server until it ends or this process is told to; return its exit status.

    Args:
        words: the command line.
        environment: the server's.
        log_path: where its log goes; overwritten.
        folder: where it runs; this process's folder where left out.
        timeout_s: how long it may take to answer.
        on_ready: called once, when it answers.

    Raises:
        JupyterError: not installed, or ended or silent before it answered.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            words,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
            # Ctrl-C goes to the whole foreground group. Jupyter without a terminal would fall over where it stands, and
            # leave its record behind; told by SIGTERM it ends its kernels and itself in order.
            start_new_session=True,
        )
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda *_: process.terminate()) for number in signals}
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


def running_on(folder: Path) -> Session | None:
    """Return the server that already serves `folder`, None where there is none."""
    from jupyter_core.paths import jupyter_runtime_dir

    for record in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        values = _read_record(record)
        if values and Path(values.get("root_dir", "")) == folder.resolve():
            session = _session(values)
            if session.alive:
                return session
    return None


def die_with_parent() -> None:
    """In the child, before exec: ask Linux for a SIGTERM when the parent is gone, however it went."""
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _wait_until_ready(process: subprocess.Popen[bytes], log_path: Path, timeout_s: float) -> Session:
    from jupyter_core.paths import jupyter_runtime_dir

    record = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise JupyterError(f"Jupyter ended before it answered. Its last lines:\n{_tail(log_path)}")
        values = _read_record(record)
        if values:
            session = _session(values)
            if session.alive:
                return session
        time.sleep(0.1)
    raise JupyterError(f"Jupyter did not answer within {timeout_s:.0f} s. Its last lines:\n{_tail(log_path)}")


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
