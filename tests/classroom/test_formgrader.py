"""The formgrader on a course folder: what it serves, what it shows of a submission, and one real start and end."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from handed_in import NAME, result
from typer.testing import CliRunner

from batchlab import cli, formgrader, gradebook, jupyter_session
from batchlab.classroom import Classroom
from batchlab.formgrader_pages import Fence, FormgraderError, SubmissionExporter, fence

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


def passes(method: str, path: str) -> bool:
    return Fence().match(SimpleNamespace(method=method, path=path)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/login"),
        ("GET", "/api"),
        ("GET", "/formgrader/gradebook"),
        ("GET", f"/formgrader/gradebook/{NAME}/{NAME}"),
        ("GET", "/formgrader/submissions/0a1b/next"),
        ("GET", "/formgrader/static/js/utils.js"),
        ("GET", "/formgrader/api/grades"),
        ("PUT", "/formgrader/api/grade/0a1b"),
        ("PUT", "/formgrader/api/comment/0a1b"),
        ("POST", "/formgrader/api/submitted_notebook/0a1b/flag"),
    ],
)
def test_what_marking_needs_may_pass(method: str, path: str) -> None:
    assert passes(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/formgrader"),  # takes another course folder as ?path=
        ("GET", "/formgrader/manage_assignments"),
        ("GET", f"/formgrader/manage_submissions/{NAME}"),
        ("POST", f"/formgrader/api/submission/{NAME}/ada/autograde"),
        ("POST", f"/formgrader/api/assignment/{NAME}/assign"),
        ("PUT", f"/formgrader/api/assignment/{NAME}"),
        ("PUT", "/formgrader/api/student/ada"),
        ("POST", "/formgrader/api/grade/0a1b"),
        ("GET", "/api/kernels/0a1b/channels"),
        ("POST", "/api/kernels"),
        ("POST", "/api/sessions"),
        ("GET", "/terminals/websocket/1"),
        ("GET", "/api/contents/class.json"),
        ("GET", "/files/class.json"),
        ("GET", "/notebooks/a.ipynb"),
        ("DELETE", "/formgrader/api/grade/0a1b"),
        ("GET", "/api/../files/class.json"),
    ],
)
def test_everything_else_meets_the_fence(method: str, path: str) -> None:
    assert not passes(method, path)


def test_without_a_token_nothing_is_served() -> None:
    with pytest.raises(FormgraderError, match="token"):
        fence(SimpleNamespace(identity_provider=SimpleNamespace(auth_enabled=False)))  # type: ignore[arg-type]


def shown(source: str, learners: bool = True) -> str:
    """Return how the page shows a Markdown cell."""
    cell = nbformat.v4.new_markdown_cell(source)
    cell.metadata["nbgrader"] = {"solution": learners}
    return SubmissionExporter().markdown2html({"cell": cell}, source)


def test_markdown_keeps_its_form() -> None:
    text = shown("## Two\n\nOne **device**, `a &lt; b`, $x_1$.\n\n| a |\n|---|\n| 1 |\n\n[site](https://example.org)")
    assert "<h2" in text
    assert "<strong>device</strong>" in text
    assert "<code>a &lt; b</code>" in text
    assert "$x_1$" in text
    assert "<td>1</td>" in text
    assert '<a href="https://example.org">' in text


@pytest.mark.parametrize(
    "source",
    [
        "<img src=x onerror=alert(1)>",
        "![far](http://192.0.2.1/beacon.png)",
        "<script>alert(1)</script>",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](javascript:alert(1))",
        "[x](javajavascript:script:alert(1))",
        "[x](JAVA&Tab;SCRIPT:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<b onclick=alert(1) style='position:fixed'>x</b>",
        "<svg onload=alert(1)><math><mtext><img src=x onerror=alert(1)></mtext></math>",
        "$\\href{javascript:alert(1)}{x}$ $$\\text{<img src=x onerror=alert(1)>}$$",
        "\ue0000\ue001 ```\n<script>alert(1)</script>\n```",
    ],
)
def test_nothing_of_a_learners_markdown_acts(source: str) -> None:
    from bs4 import BeautifulSoup

    for element in BeautifulSoup(shown(source), "html.parser").find_all(True):
        assert element.name not in ("script", "img", "svg", "math", "iframe", "style")
        assert set(element.attrs) <= {"href", "title", "class", "id"}
        assert element.get("href", "https:").startswith(("http:", "https:", "mailto:", "#"))


def test_the_labs_own_formulas_are_drawn() -> None:
    text = shown("The load is $\\rho$.\n\n$$ W = \\frac{a}{1 - b} $$", learners=False)
    assert text.count("<math") == 2
    assert "<mfrac>" in text
    assert "$" not in text


def test_a_folder_that_is_no_course_and_a_course_without_grades_are_one_line(room: Classroom, tmp_path: Path) -> None:
    for folder, says in ((tmp_path, "is no course folder"), (room.root, "Nothing is graded in")):
        told = CliRunner().invoke(cli.app, ["class", "formgrader", "--course", str(folder)])
        assert told.exit_code == 2
        assert says in " ".join(told.output.split())
        assert "Traceback" not in told.output


@pytest.fixture
def graded(room: Classroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classroom:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    gradebook.release(room, NAME)
    gradebook.enter(room, {("ada", NAME): result(room)})
    return room


def answer(base_url: str, path: str, method: str = "GET", token: str = "") -> int:
    """Return the status of a request; a redirection is not followed."""
    connection = http.client.HTTPConnection(base_url.removeprefix("http://").rstrip("/"), timeout=10)
    connection.request(method, f"/{path}", headers={"Authorization": f"token {token}"} if token else {})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.fixture
def running(graded: Classroom) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command as it runs in a terminal, the server's address, and the token."""
    command = [sys.executable, "-m", "batchlab", "class", "formgrader", "--no-browser", "--course", str(graded.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        base_url, _, token = process.stdout.readline().strip().partition("formgrader/gradebook?token=")
        yield process, base_url, token
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_it_serves_the_course_behind_a_token_and_dies_with_the_command(
    running: tuple[subprocess.Popen[str], str, str], ending: signal.Signals
) -> None:
    process, base_url, token = running
    (server,) = psutil.Process(process.pid).children()
    assert base_url.startswith("http://127.0.0.1:")
    assert {one.laddr.ip for one in server.net_connections() if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert answer(base_url, "formgrader/api/assignments") == 302  # to the login
    assert answer(base_url, "formgrader/api/assignments", token=token) == 200
    for closed in ("api/kernels", "api/sessions", f"formgrader/api/submission/{NAME}/ada/autograde"):
        assert answer(base_url, closed, "POST", token) == 404
    assert answer(base_url, "files/class.json", token=token) == 404

    process.send_signal(ending)
    assert process.wait(timeout=30) == (0 if ending == signal.SIGTERM else -ending)
    psutil.wait_procs([server], timeout=20)
    assert not server.is_running()
    assert list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("jpserver-*")) == []


def test_without_its_token_it_does_not_start(
    graded: Classroom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The user's own settings switch the token off.
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "jupyter_server_config.json").write_text(json.dumps({"IdentityProvider": {"token": ""}}))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "own"))
    with pytest.raises(jupyter_session.JupyterError, match="switch its token off"):
        formgrader.run(graded, browser=False)
