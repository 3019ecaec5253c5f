"""A real JupyterHub with its proxy: two learners at work, each blind to the other, nothing open to the outside.

Needs root, as a workshop does; CI has it.
"""

import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from batchlab import room, workshop
from batchlab.learner import Kernel, Learner, LearnerError
from batchlab.room import Room, RoomError
from batchlab.workshop import Workshop

# One room with one set of user ids serves all of these tests: two workers must not open it twice.
pytestmark = [pytest.mark.timeout(280), pytest.mark.alone]
PROJECT = Path(__file__).resolve().parent.parent
CONFIG = PROJECT / "deploy" / "workshop" / "jupyterhub_config.py"


@dataclass
class Class:
    """A room for two, with three accounts and two learners at work."""

    place: Room
    hub: Workshop
    a: Learner
    b: Learner
    kernel_a: Kernel
    kernel_b: Kernel
    python: str


@contextlib.contextmanager
def open_course(folder: Path) -> Iterator[str]:
    """Let every account read the course, and give a Python that every account may run.

    A checkout often lies in a folder that is closed to others, and so does the Python of these tests. Then the project
    is seen at a second place below `folder`, and its packages are lent to the system's Python.
    """
    course, lent = PROJECT, [path for path in sys.path if path.endswith("site-packages")]
    with contextlib.ExitStack() as undo, pytest.MonkeyPatch.context() as patch:
        if not open_to_all(PROJECT):
            course = folder / "course"
            course.mkdir()
            subprocess.run(["mount", "--bind", PROJECT, course], check=True)
            undo.callback(subprocess.run, ["umount", "--lazy", course], check=True)
            lent = [path.replace(f"{PROJECT}/", f"{course}/") for path in lent]
        patch.setenv("PYTHONPATH", str(course))
        patch.setenv("BATCHLAB_PROJECT", str(course))
        if (
            course == PROJECT
            and open_to_all(Path(sys.executable).parent)
            and open_to_all(Path(sys.executable).resolve())
        ):
            yield sys.executable
            return
        system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
        subprocess.run([system, "-m", "venv", "--without-pip", folder / "python"], check=True)
        packages = next((folder / "python" / "lib").glob("python*/site-packages"))
        (packages / "lent.pth").write_text("\n".join(lent) + "\n")
        yield str(folder / "python" / "bin" / "python")


def open_to_all(path: Path) -> bool:
    """Whether any account may reach this place."""
    try:
        room.check_readable([path])
    except RoomError:
        return False
    return True


@pytest.fixture(scope="module")
def lesson() -> Iterator[Class]:
    if os.geteuid() != 0:
        pytest.skip("only root opens a room: sudo")
    with tempfile.TemporaryDirectory(prefix="room-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with open_course(folder) as python:
            yield from taught(folder, python)


def taught(folder: Path, python: str) -> Iterator[Class]:
    """Open a room for two and seat two learners; close it, and look that nothing stays."""
    place = room.prepare(folder / "r", 3, python)
    config = folder / "config.py"
    config.write_text(f"exec(open({str(CONFIG)!r}).read())\nc.JupyterHub.active_server_limit = 2\n")
    with Workshop(place, config=config, python=python) as hub:
        a, b = (Learner(hub.url, account.name, account.password) for account in place.accounts[:2])
        for learner in (a, b):
            learner.start_server()
        yield Class(place, hub, a, b, a.kernel(), b.kernel(), python)
    assert leftovers(place) == [], "hub, proxy, servers and kernels end together"


def leftovers(place: Room, within_s: float = 30) -> list[str]:
    uids = {account.uid for account in place.accounts}
    deadline = time.monotonic() + within_s
    while True:
        left = []
        for process in psutil.process_iter():
            try:
                if process.uids().real in uids:
                    left.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.3)


def test_each_learner_runs_a_cell_as_a_user_of_their_own_in_their_own_home(lesson: Class) -> None:
    for kernel, account in ((lesson.kernel_a, lesson.place.accounts[0]), (lesson.kernel_b, lesson.place.accounts[1])):
        ran = kernel.run("import os, batchlab; print(os.getuid(), os.environ['HOME'], 6 * 7)")
        assert (ran.error, ran.text) == ("", f"{account.uid} {lesson.place.home(account.name)} 42\n")
    listed = lesson.a.call("GET", "/user/learner1/api/contents").json()["content"]
    assert "00_start_here.ipynb" in {item["name"] for item in listed}


def test_a_learner_cannot_read_another_s_files(lesson: Class) -> None:
    home = lesson.place.home("learner2")
    assert lesson.kernel_b.run("open('secret.txt', 'w').write('mine')").error == ""
    for attempt in (
        f"open('{home}/my_labs/secret.txt').read()",
        f"__import__('os').listdir('{home}')",
        f"open('{lesson.place.folder}/accounts.csv').read()",
        f"open('{lesson.place.folder}/hub.sqlite', 'rb').read()",
        f"open('{lesson.place.folder}/cookie_secret').read()",
        f"open('{lesson.place.log}').read()",
        "open('/etc/shadow').read()",
    ):
        assert lesson.kernel_a.run(attempt).error.startswith("PermissionError"), attempt


def test_a_learner_cannot_touch_another_s_processes(lesson: Class) -> None:
    pid = int(lesson.kernel_b.run("import os; print(os.getpid())").text)
    server = int(lesson.kernel_b.run("print(os.getppid())").text)
    for attempt in (
        f"__import__('os').kill({pid}, 2)",
        f"open('/proc/{pid}/environ').read()",
        f"open('/proc/{server}/environ').read()",
        f"__import__('os').listdir('/proc/{pid}/fd')",
        f"__import__('os').kill({lesson.hub.pid}, 15)",
    ):
        assert lesson.kernel_a.run(attempt).error.startswith("PermissionError"), attempt
    assert lesson.kernel_b.run("print('alive')").text == "alive\n"


def test_a_learner_cannot_reach_another_s_server_or_kernels(lesson: Class) -> None:
    for path in ("api/contents", "api/kernels", f"api/kernels/{lesson.kernel_b.kernel_id}", "files/secret.txt", "lab"):
        refused = lesson.a.call("GET", f"/user/learner2/{path}", allow_redirects=False)
        assert refused.status_code in (302, 403, 404), path
        assert "mine" not in refused.text
        with_cookies = lesson.a.session.get(f"{lesson.hub.url}/user/learner2/{path}", timeout=30)
        assert with_cookies.status_code in (403, 404), path
    assert lesson.a.call("GET", "/hub/api/users/learner2").status_code in (403, 404)
    assert lesson.a.call("DELETE", "/hub/api/users/learner2/server").status_code in (403, 404)
    assert lesson.a.call("GET", "/hub/api/users").status_code == 403, "nobody is an administrator"
    assert lesson.b.call("GET", "/user/learner2/api/contents").status_code == 200


def test_a_learner_s_own_triton_answers_and_a_neighbour_cannot_reach_it(lesson: Class) -> None:
    """An embedded Triton asks nobody for a password: it must not be reachable at all."""
    started = lesson.kernel_b.run(
        "import numpy as np\nfrom batchlab import server\ntriton = server.start(['null'])\n"
        "assert triton.infer('null', {'item': np.ones((2, 1), np.int32)})['item'].shape == (2, 1)\nprint(triton.url)",
        within_s=120,
    )
    assert started.error == ""
    port = int(started.text.strip().rpartition(":")[2])
    knock = f"__import__('socket').create_connection(('127.0.0.1', {port}), timeout=5)"
    assert lesson.kernel_b.run(knock).error == ""
    if room.networks_apart(lesson.place.accounts[0].uid, lesson.python):
        assert "Refused" in lesson.kernel_a.run(knock).error
        with pytest.raises(ConnectionRefusedError):
            http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
    else:
        assert lesson.kernel_a.run(knock).error == "", "then make workshop says so in a note"


def test_nothing_listens_outside_127_0_0_1(lesson: Class) -> None:
    tree = [psutil.Process(lesson.hub.pid), *psutil.Process(lesson.hub.pid).children(recursive=True)]
    addresses = [c.laddr for process in tree for c in process.net_connections("inet") if c.status == "LISTEN"]
    assert len(addresses) >= 5, "door, proxy's and hub's interface, two servers"
    assert {address.ip for address in addresses} == {"127.0.0.1"}


def test_no_secret_is_in_a_log_or_on_a_command_line(lesson: Class) -> None:
    log = lesson.place.log.read_text(encoding="utf-8", errors="replace")
    assert "learner1" in log, "the log is the right one"
    secrets = [lesson.a.token, lesson.b.token, *(account.password for account in lesson.place.accounts)]
    tree = psutil.Process(lesson.hub.pid).children(recursive=True)
    for process in tree:
        environment = process.environ()
        secrets += [
            environment[key] for key in ("JUPYTERHUB_API_TOKEN", "CONFIGPROXY_AUTH_TOKEN") if key in environment
        ]
    assert len(set(secrets)) >= 7, "two tokens, two passwords, two servers' tokens, the proxy's"
    lines = "\n".join(" ".join(process.cmdline()) for process in tree)
    assert [secret for secret in secrets if secret in log or secret in lines] == []
    assert not re.search(r"token=(?!\[secret\])\w", log)


def test_a_wrong_password_and_a_neighbour_s_are_refused(lesson: Class) -> None:
    first, second, _ = lesson.place.accounts
    for password in ("", "wrong", second.password):
        with pytest.raises(LearnerError, match="not let in"):
            Learner(lesson.hub.url, first.name, password)
    assert requests.get(f"{lesson.hub.url}/user/learner1/api/contents", timeout=30).status_code == 403


def test_a_full_room_says_so(lesson: Class) -> None:
    third = lesson.place.accounts[2]
    with pytest.raises(LearnerError, match=r"refused to start a server: status 429"):
        Learner(lesson.hub.url, third.name, third.password).start_server(within_s=5)


def test_a_hub_that_does_not_start_shows_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('the door is stuck')\n")
    with pytest.raises(RoomError, match=r"ended before it answered(.|\n)*the door is stuck"):
        Workshop(Room(tmp_path, ()), config=tmp_path / "broken.py")


def test_what_is_in_the_way_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert workshop.main(["--learners", "2"]) == 1
    assert capsys.readouterr().err.startswith("Error: A workshop gives each learner")
