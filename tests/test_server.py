"""Starting, re-using, connecting to and losing a Triton; one in a Jupyter kernel."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import remains
import small_models

from batchlab import server, workspace
from batchlab.endpoint import Endpoint
from batchlab.server import ModelError, Server, ServerGone

pytestmark = pytest.mark.server

ONE = {"item": np.ones((1, 1), np.int32)}


@pytest.fixture
def repository(home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    small_models.put_null(folder)
    small_models.put_null(folder, "other")
    return folder


def traces(running: Server) -> tuple[list[int], str, int]:
    process = running._process
    assert process is not None
    assert running.pid is not None
    return [running.pid, process.supervisor], process.prefix, process.ports[0]


def wait_until_stopped(pid: int) -> None:
    """Wait for each thread of a process that was sent SIGSTOP: one on another core may answer a last request."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        if set(states) == {"T"}:
            return
        time.sleep(0.01)
    pytest.fail(f"The threads of {pid} did not stop: {states}")


def test_a_server_too_busy_to_answer_runs_all_the_same(repository: Path) -> None:
    # While models load on few cores, Triton may not answer for seconds: no reason to call it dead.
    with server.start(["null"], repository=repository, reuse=False) as busy:
        assert busy.running
        assert busy.pid is not None
        os.kill(busy.pid, signal.SIGSTOP)
        try:
            wait_until_stopped(busy.pid)
            assert not busy.alive
            assert busy.running
        finally:
            os.kill(busy.pid, signal.SIGCONT)
    assert not busy.running


def test_a_cell_run_again_finds_its_server_and_a_stopped_one_is_gone(repository: Path) -> None:
    first = server.start(["null"], repository=repository)
    again = server.start(["null", "other"], repository=repository)
    assert (again.url, again.pid) == (first.url, first.pid)
    assert again.loaded() == ["null", "other"]
    apart = server.start(["null"], repository=repository, extra_args=["--log-verbose=0"])
    assert apart.url != first.url
    with apart:
        assert apart.infer("null", ONE)["item"].tolist() == [[1]]

    left = traces(first)
    again.stop()
    first.stop()
    assert remains.wait_gone(*left, seconds=0.5) == []
    assert [path for path in workspace.servers_dir().iterdir() if path.name != ".lock"] == []
    with pytest.raises(ServerGone, match=r"It was stopped. Start a new one with batchlab.server.start\(\)"):
        first.infer("null", ONE)
    assert not first.alive


def test_a_killed_server_is_told_and_started_anew(repository: Path) -> None:
    lost = server.start(["null"], repository=repository)
    asking = threading.Event()
    seen: list[Exception] = []

    def ask() -> None:
        try:
            while True:
                lost.infer("null", ONE)
                asking.set()
        except Exception as error:
            seen.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    assert asking.wait(20)
    left = traces(lost)
    os.kill(left[0][0], signal.SIGKILL)
    asker.join(20)
    assert isinstance(seen[0], ServerGone)
    assert "was ended by signal 9 (SIGKILL)" in str(seen[0])
    assert "successfully loaded 'null'" in str(seen[0])

    with server.start(["null"], repository=repository) as fresh:
        assert fresh.infer("null", ONE)["item"].tolist() == [[1]]
        assert remains.wait_gone(*left) == []
        assert len([path for path in workspace.servers_dir().iterdir() if path.is_dir()]) == 1


def test_threads_that_start_at_once_share_one_server(repository: Path) -> None:
    found: list[Server] = []
    threads = [threading.Thread(target=lambda: found.append(server.start(repository=repository))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.pid for one in found}) == 1
    # Started by a thread that has ended, and alive.
    assert found[0].alive
    found[0].stop()


def test_a_model_that_fails_at_the_start_leaves_no_server(repository: Path) -> None:
    (repository / "typo").mkdir()
    (repository / "typo" / "config.pbtxt").write_text('name: "typo"\nbackend: "python"\nmax_batch_sise: 8\n')
    with pytest.raises(ModelError, match=r"(?s)'absent'.*'typo' did not load.*3:15.*max_batch_sise"):
        server.start(["null", "typo", "absent"], repository=repository)
    assert [path for path in workspace.servers_dir().iterdir() if path.is_dir()] == []


def test_connect_and_the_environment_reach_a_running_server(triton: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = server.connect(f"http://{triton.url}", triton.grpc_url, triton.metrics_url)
    assert not reached.embedded
    assert reached.pid is None
    assert reached.version == triton.version
    assert reached.log_tail() == ""
    reached.stop()
    assert triton.alive
    monkeypatch.setenv("BATCHLAB_URL", triton.url)
    named = server.start(["null"])
    assert named.url == triton.url
    assert "null" in named.loaded()
    with pytest.raises(ModelError, match="'nowhere'"):
        server.start(["nowhere"])
    named.stop()
    assert triton.alive


def test_connecting_to_nobody_is_told() -> None:
    with pytest.raises(ServerGone, match=r"No Triton answers at 127\.0\.0\.1:9 "):
        server.connect("127.0.0.1:9")


def test_a_kernel_owns_its_server(repository: Path) -> None:
    from jupyter_client.manager import KernelManager

    cell = f"""
import json, batchlab.server
server = batchlab.server.start(["null"], repository={str(repository)!r})
process = server._process
print(json.dumps([[server.pid, process.supervisor], process.prefix, process.ports[0]]))
"""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        first, second = (json.loads(printed(client, cell)) for _ in range(2))
        assert first == second
        manager.interrupt_kernel()
        assert printed(client, "print(server.alive)") == "True\n"
        url = f"127.0.0.1:{first[2]}"
        assert Endpoint(url).get("/v2/health/live") is None
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert remains.wait_gone(*first) == []


def printed(client: Any, code: str) -> str:
    """Run a cell and return what it printed."""
    texts: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        texts.append(content.get("text") or "\n".join(content.get("traceback", [])))

    client.execute_interactive(code, timeout=60, output_hook=hear)
    return "".join(texts)
