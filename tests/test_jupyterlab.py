"""JupyterLab on the learner's folder: the command line, the settings, and one real start and end."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from batchlab import jupyterlab
from batchlab.jupyterlab import Session

LAUNCHER = """
import sys
from pathlib import Path
from batchlab import jupyterlab
def say(session):
    print(session.base_url, session.token, session.pid, flush=True)
sys.exit(jupyterlab.run(Path(sys.argv[1]), browser=False, on_ready=say))
"""
START_S = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    labs = tmp_path / "my_labs"
    labs.mkdir()
    (labs / "01_second.ipynb").write_text("{}")
    return labs


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[Any, Session]]:
    """A JupyterLab started by a process of its own, as the command line does."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    base_url, token, pid = process.stdout.readline().split()
    yield process, Session(base_url, token, int(pid))
    if process.poll() is None:
        process.terminate()
    process.wait(timeout=START_S)
    process.stdout.close()


def gone(pid: int, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def answer(url: str, token: str = "") -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_lab_00_is_opened_or_the_first_there_is(tmp_path: Path) -> None:
    assert jupyterlab.first_lab(tmp_path) == ""
    (tmp_path / "04_tune.ipynb").touch()
    (tmp_path / "02_tail.ipynb").touch()
    assert jupyterlab.first_lab(tmp_path) == "02_tail.ipynb"
    (tmp_path / "00_start_here.ipynb").touch()
    assert jupyterlab.first_lab(tmp_path) == "00_start_here.ipynb"


def test_the_command_line_keeps_to_this_machine(folder: Path) -> None:
    line = jupyterlab.command(folder, browser=False)
    assert "--ServerApp.ip=127.0.0.1" in line
    assert f"--ServerApp.root_dir={folder}" in line
    assert "--ServerApp.open_browser=False" in line
    assert "--LabApp.default_url=/lab/tree/01_second.ipynb" in line
    assert not any("token" in part for part in line)


def test_the_environment_finds_our_settings_and_this_python_first(folder: Path) -> None:
    values = jupyterlab.environment({"PATH": "/bin", "JUPYTER_CONFIG_PATH": "/etc/some"})
    assert values["JUPYTER_CONFIG_PATH"] == f"{jupyterlab.SETTINGS}{os.pathsep}/etc/some"
    assert values["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/bin"
    assert values["JUPYTERLAB_WORKSPACES_DIR"].startswith(os.environ["BATCHLAB_HOME"])


def test_the_shipped_settings_fetch_nothing() -> None:
    server = json.loads((jupyterlab.SETTINGS / "jupyter_server_config.json").read_text())
    assert server["LabApp"]["news_url"] is None
    assert server["LabApp"]["check_for_updates_class"] == "jupyterlab.NeverCheckForUpdate"
    page = json.loads((jupyterlab.SETTINGS / "labconfig" / "page_config.json").read_text())
    assert page["disabledExtensions"]["@jupyterlab/apputils-extension:announcements"]
    assert page["disabledExtensions"]["@jupyterlab/extensionmanager-extension"]


def test_a_real_start_listens_here_behind_a_token_and_a_second_finds_it(
    running: tuple[Any, Session], folder: Path
) -> None:
    _, session = running
    assert session.base_url.startswith("http://127.0.0.1:")
    assert session.alive
    with pytest.raises(urllib.error.HTTPError, match="403"):
        answer(f"{session.base_url}api/contents")
    names = [item["name"] for item in answer(f"{session.base_url}api/contents", session.token)["content"]]
    assert names == ["01_second.ipynb"]
    listening = {c.laddr.ip for c in psutil.Process(session.pid).net_connections() if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    settings = answer(f"{session.base_url}lab/api/settings/@jupyterlab/apputils-extension:notification", session.token)
    assert settings["schema"]["properties"]["fetchNews"]["default"] == "false"
    assert jupyterlab.running_on(folder) == session
    assert jupyterlab.running_on(folder.parent) is None


def test_ctrl_c_ends_it_and_its_kernels(running: tuple[Any, Session]) -> None:
    process, session = running
    host = session.base_url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("POST", "/api/kernels", headers={"Authorization": f"token {session.token}"})
    assert connection.getresponse().status == 201
    connection.close()
    kernels = psutil.Process(session.pid).children(recursive=True)
    assert kernels
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert gone(session.pid)
    assert all(gone(kernel.pid) for kernel in kernels)


def test_it_dies_with_its_launcher_however_that_went(running: tuple[Any, Session]) -> None:
    process, session = running
    process.kill()
    process.wait(timeout=10)
    assert gone(session.pid)


def test_a_start_that_fails_shows_its_last_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('the port is on fire')"]
    monkeypatch.setattr(jupyterlab, "command", lambda *_, **__: failing)
    with pytest.raises(jupyterlab.JupyterError, match=r"ended before it answered(.|\n)*the port is on fire"):
        jupyterlab.run(folder, browser=False)


def test_a_silent_start_is_ended_and_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(jupyterlab, "command", lambda *_, **__: silent)
    began = time.monotonic()
    with pytest.raises(jupyterlab.JupyterError, match=r"did not answer within 1 s(.|\n)*it said nothing"):
        jupyterlab.run(folder, browser=False, timeout_s=1)
    assert time.monotonic() - began < 30
