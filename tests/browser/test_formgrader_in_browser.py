"""An instructor gives points by hand, in a real Chromium: formgrader, gradebook, table and feedback then agree."""

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from sample_lab import FIXTURES, NAME
from test_labs_in_browser import CHROMIUM_FLAGS, PICTURES, PROJECT, chromium
from typer.testing import CliRunner

from batchlab import classroom, cli, gradebook
from batchlab.classroom import Classroom

sys.path.insert(0, str(PROJECT / "tests" / "classroom"))
from handed_in import ALL, RIGHT, notebook

__all__ = ["chromium"]  # the fixture
ESSAY = """
There is **one device**, and `b < 8` fills it: $L$ stays.

<img src="x" onerror="window.acted = 1"> ![far](http://192.0.2.1/beacon.png) [here](javascript:window.acted=1)
"""
COMMENT = "Say who waits."


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classroom:
    """A course with two submissions, graded; the first one's essay holds what must not act."""
    for name, folder in {"BATCHLAB_HOME": "state", "JUPYTER_RUNTIME_DIR": "runtime", "HOME": "home"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    made = classroom.init(tmp_path / "course", sources=FIXTURES / "solutions", secret="of the tests")
    hand_in(made, "ada", {**RIGHT, "essay": ESSAY})
    hand_in(made, "bob", RIGHT)
    assert "2 graded now" in batchlab(made, "grade")
    return made


@pytest.fixture
def address(room: Classroom) -> Iterator[str]:
    """``batchlab class formgrader --no-browser`` as it runs in a terminal, and the address that it prints."""
    command = [sys.executable, "-m", "batchlab", "class", "formgrader", "--no-browser", "--course", str(room.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    said = process.stdout.readline() + process.stdout.readline()
    assert "token=" in said
    every = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    listening = {one.laddr for it in every for one in it.net_connections() if one.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    yield said.split()[-1]
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    # Nothing is left: no process, no open port, no record of a server.
    assert [one for one in every if one.is_running()] == []
    assert not listening & {one.laddr for one in psutil.net_connections() if one.status == psutil.CONN_LISTEN}
    assert list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("jpserver-*")) == []


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    """A new browser that notes each error, each failed request and each request to elsewhere: there must be none."""
    found: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        opened = browser.new_page(viewport={"width": 1280, "height": 1000})
        opened.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: found.append(str(error)))
        opened.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
        opened.on("response", lambda got: found.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
        opened.on("request", lambda request: found.append(request.url) if "//127.0.0.1:" not in request.url else None)
        yield opened
        opened.screenshot(path=PICTURES / "formgrader.png", full_page=True)
        browser.close()
    assert found == []


def batchlab(room: Classroom, *words: str) -> str:
    """Run a command of the course and return what it says."""
    told = CliRunner().invoke(cli.app, ["class", *words, "--course", str(room.root)])
    assert told.exit_code == 0, told.output
    return told.output


def hand_in(room: Classroom, learner: str, answers: dict[str, str]) -> None:
    place = room.submitted(learner, NAME)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{NAME}.ipynb").write_bytes(notebook(answers))


def rows(room: Classroom, target: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Return learner and question -> points and state, as `export` writes them."""
    batchlab(room, "export", str(target))
    with target.open(newline="") as file:
        return {(row["learner"], row["question"]): (row["points"], row["state"]) for row in csv.DictReader(file)}


@pytest.mark.browser
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@pytest.mark.timeout(180)
def test_points_given_by_hand_reach_the_table_and_the_learner(
    room: Classroom, address: str, page: Page, tmp_path: Path
) -> None:
    assert rows(room, tmp_path / "before.csv")["ada", "essay"] == ("", gradebook.BY_HAND)
    page.goto(address)
    page.get_by_role("link", name=NAME).click()
    page.get_by_role("link", name=NAME).last.click()
    expect(page.get_by_role("link", name="Submission #")).to_have_count(2)
    page.get_by_role("button", name="Show All Names").click()
    page.get_by_role("link", name="ada").click()

    answer = page.locator(".nbgrader_cell").filter(has=page.locator("#essay"))
    expect(answer).to_contain_text("There is one device, and b < 8 fills it")
    expect(answer.locator("img, script, a[href^=java]")).to_have_count(0)
    # The page asks for points and comments after it has loaded; what is typed before they come is lost.
    expect(page.locator("#essay")).to_have_class(re.compile("needs_manual_grade"))
    expect(page.locator("#essay-comment")).to_have_attribute("placeholder", re.compile("comments"))
    with page.expect_response(lambda response: "/api/grade/" in response.url):
        page.locator("#essay").fill("2.5")
        page.locator("#essay-comment").click()
    with page.expect_response(lambda response: "/api/comment/" in response.url):
        page.locator("#essay-comment").fill(COMMENT)
        page.locator("#essay").click()
    assert page.evaluate("window.acted") is None

    after = rows(room, tmp_path / "after.csv")
    assert after["ada", "essay"] == ("2.5", "by hand")
    assert after["ada", "total"] == (f"{sum(ALL.values()) + 2.5:g}", "complete")
    assert after["bob", "essay"] == ("", gradebook.BY_HAND)
    batchlab(room, "feedback")
    given = (room.root / "feedback" / "ada.html").read_text()
    assert "2.5 of 3" in given
    assert COMMENT in given

    # Handed in and graded again, with a wrong answer: the points by hand stay, in the open page too.
    hand_in(room, "ada", {**RIGHT, "essay": ESSAY, "per_item": "per_item_ms = 1"})
    assert "1 graded now" in batchlab(room, "grade")
    again = rows(room, tmp_path / "again.csv")
    assert again["ada", "essay"] == ("2.5", "by hand")
    assert again["ada", "per_item"] == ("0", "graded")
    page.reload()
    expect(page.locator("#essay")).to_have_value("2.5")
    expect(page.locator("#per_item_check")).to_have_attribute("placeholder", "0")
    # The order is that of nbgrader's random ids: the other learner's comes before or after.
    first = page.get_by_text("Submission 1 / 2").is_visible()
    page.get_by_role("link", name=re.compile("Next" if first else "Prev")).click()
    expect(page.get_by_text(f"Submission {2 if first else 1} / 2")).to_be_visible()
