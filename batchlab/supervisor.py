"""The keeper of one embedded tritonserver: starts it, and ends it when its owner ends, however that happens.

Run as a file of its own (standard library only), never imported by the server's owner. The owner holds the write end
of a pipe; this process holds the read end. When the owner dies, even by SIGKILL, the kernel closes the pipe. A child
that the owner forked could still hold it open, so the parent's id is watched as well.

Files in the server's folder: ``spec.json`` (read), ``triton.pid`` and ``last_words.json`` (written).
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

TICK_S = 0.2
GRACE_S = 0.5
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TAIL_BYTES = 20_000


def main(folder: Path, pipe: int, owner: int) -> int:
    """Keep the server of `folder` until the owner goes; return the exit code."""
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    # What the server leaves behind becomes this process's child, so that it can be waited for.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    spec = json.loads((folder / "spec.json").read_text())
    if spec.get("cores"):
        os.sched_setaffinity(0, spec["cores"])  # the server's processes and threads inherit it
    with (folder / "triton.log").open("ab") as log:
        server = subprocess.Popen(
            spec["command"],
            env=spec["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    _write(folder / "triton.pid", str(server.pid))
    mourned = False
    while not stopping and os.getppid() == owner:
        # The pipe never carries data: readable means closed.
        if select.select([pipe], [], [], TICK_S)[0]:
            break
        if not mourned and server.poll() is not None:
            mourned = True
            _write(folder / "last_words.json", json.dumps({"returncode": server.returncode, "log": _tail(folder)}))
            end_group(server.pid)
            sweep_shared_memory(spec["prefix"])
    end(server)
    sweep_shared_memory(spec["prefix"])
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def end(server: subprocess.Popen[bytes]) -> None:
    """End the server and everything it started: politely, then by force."""
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(GRACE_S)
    end_group(server.pid)
    server.wait()


def end_group(group: int) -> None:
    """SIGKILL a process group and wait until it is empty, at most two seconds."""
    for _ in range(100):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.02)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass


def sweep_shared_memory(prefix: str) -> None:
    """Unlink the shared memory files of a server that can no longer do it itself."""
    for path in Path("/dev/shm").glob(f"{prefix}*"):
        path.unlink(missing_ok=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _tail(folder: Path) -> str:
    with (folder / "triton.log").open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - TAIL_BYTES))
        return log.read().decode(errors="replace")


def _write(path: Path, text: str) -> None:
    # Readers must see all of it or nothing.
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
