"""The learner's side of the sandbox: takes its limits upon itself, then runs cells and hands out values when asked.

Started by `batchlab.sandbox` inside the walls, as ``python -m batchlab.inmate CHANNEL LIMITS``. Whatever is said here
may be the learner's code speaking: the other side believes values only, never verdicts.
"""

import contextlib
import hashlib
import io
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class CellTimeoutError(BaseException):
    """A cell ran longer than a cell may; no ``except Exception`` of the cell's own catches it."""


class Purse(io.TextIOBase):
    """A text stream that keeps the first characters and counts the rest."""

    def __init__(self, limit: int) -> None:
        self.parts: list[str] = []
        self.left, self.dropped = limit, 0

    def write(self, text: str) -> int:
        kept = text[: self.left]
        if kept:
            self.parts.append(kept)
        self.left -= len(kept)
        self.dropped += len(text) - len(kept)
        return len(text)

    def writable(self) -> bool:
        return True


def take_limits(limits: dict[str, Any]) -> None:
    """Set this process's resource limits, then become the user that the limits name, for good."""
    data, disk = limits["memory_mib"] * 2**20, limits["disk_mib"] * 2**20
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, disk),
        (resource.RLIMIT_NOFILE, 4096),
        # Private memory, counted as asked for, not as used: twice the limit; the watch outside counts what is used.
        (resource.RLIMIT_DATA, 2 * data),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NPROC, limits["processes"]),
    ):
        resource.setrlimit(kind, (most, most))
    user = limits.get("user")
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


class Inmate:
    """A notebook's namespace, and what the other side may ask of it."""

    def __init__(self, limits: dict[str, Any]) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        self._cell_s, self._output = float(limits["cell_s"]), int(limits["output_kib"]) * 1024
        shell: Any = InteractiveShell.instance()
        self.shell = shell
        shell.colors = "nocolor"
        shell.history_manager.enabled = False
        shell.showtraceback = lambda *_, **__: None

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell; return its text output, how much of it was dropped, and its error in words."""
        purse = Purse(self._output)
        error: BaseException | None
        with contextlib.redirect_stdout(purse), contextlib.redirect_stderr(purse):
            try:
                with _alarm(self._cell_s):
                    result = self.shell.run_cell(code)
                error = result.error_before_exec or result.error_in_exec
            except BaseException as raised:
                error = raised
        told = f"{type(error).__name__}: {error}"[:500] if error is not None else ""
        return {"output": "".join(purse.parts), "dropped": purse.dropped, "error": told}

    def fetch(self, names: list[str]) -> dict[str, Any]:
        """Return the values of those names that exist."""
        return {name: self.shell.user_ns[name] for name in names if name in self.shell.user_ns}

    def call(self, function: Any, args: list[Any], named: dict[str, Any]) -> Any:
        """Call a function of the notebook's within the time that a cell has; what it prints is dropped."""
        with contextlib.redirect_stdout(Purse(0)), contextlib.redirect_stderr(Purse(0)), _alarm(self._cell_s):
            try:
                return function(*args, **named)
            except Exception:
                raise
            except BaseException as error:
                raise RuntimeError(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise CellTimeoutError(f"longer than {seconds:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def lend_compiled(package: Path, cache: Path) -> None:
    """Copy what Numba compiled of the package, read-only here, to where it looks and may write.

    Source of the folder's name: numba.core.caching, `get_suitable_cache_subpath`. Should another version of Numba look
    elsewhere, it compiles again.
    """
    place = cache / f"{package.name}_{hashlib.sha1(str(package).encode()).hexdigest()}"
    place.mkdir(parents=True, exist_ok=True)
    for compiled in package.glob("__pycache__/*.nb[ic]"):
        shutil.copy(compiled, place)


def gone(channel: socket.socket) -> bool:
    """Return whether the other side has ended: killed, maybe, before bubblewrap could ask to die with it."""
    look = select.poll()
    look.register(channel, select.POLLRDHUP)
    return bool(look.poll(0))


def main() -> None:
    """Serve the channel until the other side closes it."""
    channel, limits = socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2])
    channel.set_inheritable(False)
    if gone(channel):
        return
    take_limits(limits)
    sys.argv[1:] = []
    with contextlib.suppress(OSError, KeyError):
        lend_compiled(Path(__file__).resolve().parent, Path(os.environ["NUMBA_CACHE_DIR"]))
    sys.path[:] = [place for place in sys.path if place]
    from batchlab import exchange

    inmate = Inmate(limits)
    peer = exchange.Peer(channel, limit_bytes=int(limits["message_mib"]) * 2**20)
    peer.handlers |= {
        "run": inmate.run,
        "fetch": inmate.fetch,
        "call": lambda number, args, named: inmate.call(peer.kept(number), args, named),
        "get": lambda number, name: getattr(peer.kept(number), name),
        "item": lambda number, key: peer.kept(number)[key],
        "length": lambda number: len(peer.kept(number)),
    }
    # From here on the learner's code speaks; what it writes past Python's own streams goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(exchange.ExchangeError):
        peer.serve()
    # Threads and servers that the notebook left behind end with the sandbox, not at their leisure.
    os._exit(0)


if __name__ == "__main__":
    main()
