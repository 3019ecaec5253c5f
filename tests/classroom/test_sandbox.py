"""The sandbox itself: what is inside, what is not, and that every limit ends what goes beyond it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from batchlab import cgroup, exchange, inmate, sandbox, walls, workspace
from batchlab.exchange import ExchangeError
from batchlab.sandbox import Sandbox
from batchlab.walls import Limits, SandboxError

pytestmark = pytest.mark.usefixtures("walled")


def asked(limits: Limits, code: str, name: str = "x", files: dict[str, bytes] | None = None) -> Any:
    """Run code inside and return what it leaves in a variable."""
    with Sandbox(limits, files=files) as box:
        peer = exchange.Peer(box.channel)
        peer.deadline = time.monotonic() + limits.wall_s + 5
        told = peer.ask("run", code)
        assert told["error"] == "", told
        return peer.ask("fetch", [name])[name]


def ended(limits: Limits, code: str) -> str:
    """Run code that does not come to its end, and return why."""
    with Sandbox(limits) as box:
        peer = exchange.Peer(box.channel)
        peer.deadline = time.monotonic() + limits.wall_s + 5
        with pytest.raises(ExchangeError):
            peer.ask("run", code)
        return box.why()


INVENTORY = """
import os, socket, subprocess
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
x = {
    "user": os.getuid(),
    "processes": len([p for p in os.listdir("/proc") if p.isdigit()]),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "capabilities": int(status["CapEff"], 16),
    "no new privileges": int(status["NoNewPrivs"]),
    "environment": sorted(os.environ),
    "project": sorted(os.listdir(os.environ["BATCHLAB_PROJECT"])),
    "shared": sorted(os.listdir(os.environ["BATCHLAB_PROJECT"] + "/.batchlab")),
    "given": open("/given/file").read(),
    "new namespace": subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode,
    "host name": socket.gethostname(),
}
"""


INTERPRETER = [".venv"] if Path(sys.prefix) == workspace.project_dir() / ".venv" else []
PROJECT_INSIDE = sorted([*INTERPRETER, ".batchlab", "batchlab", "triton_repo"])
"""Of the project: what runs, and the models. No labs, no solutions, no tests."""


def test_what_is_inside(small: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "of the grader")
    for name in ("editions", "runs"):
        (workspace.shared_dir() / name).mkdir(parents=True, exist_ok=True)
    found = asked(small, INVENTORY, files={"/given/file": b"content"})
    assert found["user"] != 0 or os.geteuid() != 0
    assert found["processes"] <= 4
    assert found["interfaces"] == ["lo"]
    assert found["capabilities"] == 0
    assert found["no new privileges"] == 1
    assert "A_SECRET" not in found["environment"]
    assert found["project"] == PROJECT_INSIDE
    # Beside the networks lie the grader's own runs.
    assert found["shared"] == ["editions"]
    assert found["given"] == "content"
    assert found["new namespace"] != 0
    assert found["host name"] == "sandbox"


def test_a_loop_that_nothing_interrupts_ends_at_the_wall(small: Limits) -> None:
    code = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException: pass"
    began = time.monotonic()
    assert ended(Limits(**{**vars(small), "wall_s": 6}), code) == "it ran longer than 6 s"
    assert time.monotonic() - began < 30


def test_memory_of_all_processes_together_counts(small: Limits) -> None:
    code = """
import subprocess, sys, time
hog = "x = bytearray(b'x') * 120_000_000; import time; time.sleep(60)"
them = [subprocess.Popen([sys.executable, "-S", "-c", hog]) for _ in range(5)]
time.sleep(60)
"""
    assert "memory" in ended(Limits(**{**vars(small), "cell_s": 60}), code)


def test_memory_that_belongs_to_no_process_counts_where_the_kernel_counts_it(small: Limits) -> None:
    # Each file is small enough; together they are 800 MB.
    code = """
import os
for x in range(100):
    made = os.memfd_create("x")
    for _ in range(8):
        os.write(made, bytes(2**20))
"""
    if cgroup.available():
        assert "memory" in ended(small, code)
    else:
        assert asked(small, code) == 99


def test_a_cell_out_of_time_is_not_the_end(small: Limits) -> None:
    with Sandbox(small) as box:
        peer = exchange.Peer(box.channel)
        told = peer.ask("run", "while True: pass")
        assert told["error"] == "CellTimeoutError: longer than 3 s"
        assert peer.ask("run", "print('on')")["output"] == "on\n"


def test_much_output_is_cut(small: Limits) -> None:
    with Sandbox(small) as box:
        told = exchange.Peer(box.channel).ask("run", "for _ in range(50): print('x' * 2**20)")
    assert len(told["output"]) == 8 * 1024
    assert told["dropped"] == 50 * (2**20 + 1) - 8 * 1024


def test_scratch_space_is_small_and_goes(small: Limits) -> None:
    code = """
x = 0
for place in ("/tmp", "/dev/shm"):
    try:
        for number in range(100):
            with open(f"{place}/{number}", "wb") as file:
                file.write(bytes(2**20))
            x += 1
    except OSError:
        pass
"""
    assert 20 <= asked(small, code) <= 32
    assert not Path("/tmp/0").exists()


def test_without_bubblewrap_nothing_runs(small: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="no bubblewrap"):
        Sandbox(small)


def test_where_bubblewrap_is_refused_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match=r"No permissions to create new namespace.*nothing is graded"):
        sandbox.check()


def test_an_environment_that_is_a_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(sys.prefix)
    code = """
import time
from batchlab import exchange, sandbox
with sandbox.Sandbox(sandbox.Limits(wall_s=60)) as box:
    peer = exchange.Peer(box.channel)
    peer.deadline = time.monotonic() + 60
    peer.ask("run", "import numpy, sys; x = sys.prefix")
    print(peer.ask("fetch", ["x"])["x"])
"""
    command = [tmp_path / "linked" / "bin" / "python", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.stdout.strip() == str(tmp_path / "linked"), done.stderr


def test_it_holds_as_an_ordinary_user_too(small: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    # The walls of a grader who is not root: a namespace in place of another user.
    monkeypatch.setattr(walls, "own_user", lambda: None)
    found = asked(small, INVENTORY, files={"/given/file": b"content"})
    assert (found["capabilities"], found["interfaces"], found["project"]) == (0, ["lo"], PROJECT_INSIDE)
    assert found["new namespace"] != 0


def test_who_lost_the_grader_ends_before_it_imports_anything() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"a request that came before the grader was killed")
        assert not inmate.gone(theirs)
        ours.close()
        assert inmate.gone(theirs)
