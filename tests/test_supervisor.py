"""The keeper: whatever becomes of the owner, nothing of its server stays."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import remains
import small_models

from batchlab import supervisor
from batchlab.embedded import start_ticks

pytestmark = pytest.mark.server


def port(about: dict[str, Any]) -> int:
    return int(about["url"].rpartition(":")[2])


def left(about: dict[str, Any]) -> list[str]:
    return remains.wait_gone([about["pid"], about["supervisor"]], about["prefix"], port(about))


@pytest.fixture
def owners(home: Path, tmp_path: Path) -> Iterator[list[tuple[Any, dict[str, Any]]]]:
    """Two owners at once in one home, started side by side; the first also forked a child."""
    small_models.put_null(tmp_path / "repository")
    script = [sys.executable, str(Path(__file__).parent / "owner.py"), str(tmp_path / "repository")]
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen([*script, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for more in (["--forked"], [])
        ]
        stack.callback(lambda: [owner.kill() for owner in running])
        found = [(owner, json.loads(owner.stdout.readline())) for owner in running if owner.stdout]
        yield found
        for _, about in found:
            if about["child"] and start_ticks(about["child"]):
                os.kill(about["child"], signal.SIGKILL)


def test_a_dead_owner_leaves_nothing_and_others_go_on(owners: list[tuple[Any, dict[str, Any]]]) -> None:
    (first, about), (second, other) = owners
    assert about["url"] != other["url"]
    assert remains.group(about["pid"])[1:], "the model's stub is missing: the test would see nothing leave"
    assert list(Path("/dev/shm").glob(f"{about['prefix']}*")), "shared memory is missing"

    first.send_signal(signal.SIGKILL)
    first.wait()
    assert start_ticks(about["child"]), "the forked child ended: it would have closed the pipe"
    assert left(about) == []
    assert not Path(about["folder"]).exists()
    assert start_ticks(other["pid"]), "the other owner's server was ended too"

    second.stdin.close()
    assert second.wait(20) == 0
    assert left(other) == []
    assert not Path(other["folder"]).exists()


def keep(folder: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Run the supervisor on a stand-in for tritonserver; return it and the write end of its pipe."""
    folder.mkdir()
    spec = {"command": command, "environment": dict(os.environ), "prefix": f"batchlab-test-{os.getpid()}-"}
    (folder / "spec.json").write_text(json.dumps(spec))
    reader, writer = os.pipe()
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__, str(folder), str(reader), str(os.getpid())],
        pass_fds=[reader],
    )
    os.close(reader)
    return keeper, writer


def test_last_words_are_kept_until_the_owner_goes(tmp_path: Path) -> None:
    memory = Path(f"/dev/shm/batchlab-test-{os.getpid()}-x")
    memory.touch()
    keeper, writer = keep(tmp_path / "server", ["/bin/sh", "-c", "echo out of luck; exit 3"])
    words = tmp_path / "server" / "last_words.json"
    assert remains.until(words.exists)
    assert json.loads(words.read_text()) == {"returncode": 3, "log": "out of luck\n"}
    assert remains.until(lambda: not memory.exists())
    os.close(writer)
    assert keeper.wait(10) == 0
    assert not (tmp_path / "server").exists()


def test_a_server_that_ignores_sigterm_is_ended_with_its_children(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; sleep 300 & echo $! > child.pid; while true; do sleep 1; done"
    keeper, writer = keep(tmp_path / "server", ["/bin/sh", "-c", f"cd {tmp_path}; {stubborn}"])
    child = tmp_path / "child.pid"
    assert remains.until(lambda: child.exists() and child.read_text().strip() != "")
    os.close(writer)
    assert keeper.wait(10) == 0
    assert not start_ticks(int(child.read_text()))


def test_a_terminated_supervisor_ends_its_server(tmp_path: Path) -> None:
    keeper, writer = keep(tmp_path / "server", ["/bin/sleep", "300"])
    pid = tmp_path / "server" / "triton.pid"
    assert remains.until(pid.exists)
    server = int(pid.read_text())
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(10) == 0
    assert not start_ticks(server)
    os.close(writer)


def test_a_killed_supervisor_takes_its_server_along(tmp_path: Path) -> None:
    keeper, writer = keep(tmp_path / "server", ["/bin/sleep", "300"])
    pid = tmp_path / "server" / "triton.pid"
    assert remains.until(pid.exists)
    server = int(pid.read_text())
    keeper.send_signal(signal.SIGKILL)
    keeper.wait()
    assert remains.until(lambda: not start_ticks(server))
    os.close(writer)
