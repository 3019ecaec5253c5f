"""Marking a room: results survive a kill, a changed submission is judged again, and points given by hand stay."""

import csv
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from handed_in import ALL, NAME, RIGHT, notebook, result
from nbgrader.api import Gradebook
from remains import group, inmates, until

from batchlab import feedback, gradebook, marking
from batchlab.classroom import Classroom
from batchlab.walls import Limits

pytestmark = [
    pytest.mark.usefixtures("walled"),
    pytest.mark.notebook,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
]
OWN = '"wall_s": 41.0'  # by which this test's sandboxes are known
SLOW = "import time\ntime.sleep(2.5)"
GRADE = """
import sys
from pathlib import Path
from batchlab import classroom, marking
from batchlab.walls import Limits
room = classroom.open_(Path(sys.argv[1]))
marking.mark(room, workers=1, limits=Limits(*map(float, sys.argv[2:4])))
"""


def hand_in(room: Classroom, learner: str, content: bytes) -> None:
    place = room.submitted(learner, NAME)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{NAME}.ipynb").write_bytes(content)


def test_results_survive_a_kill(room: Classroom, small: Limits) -> None:
    for learner in ("a", "b", "c"):
        hand_in(room, learner, notebook(RIGHT, SLOW))
    words = [sys.executable, "-c", GRADE, str(room.root), "41", "10"]
    grader = subprocess.Popen(words, env=dict(os.environ), start_new_session=True)
    first = room.result("a", NAME)
    until(first.exists, seconds=60)
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    assert first.exists()
    # Neither a judge nor anything in a sandbox outlives the grader. Judges first: one of them may open a sandbox yet.
    until(lambda: not group(grader.pid) + inmates(OWN), seconds=20)
    assert group(grader.pid) + inmates(OWN) == []
    unmarked = [learner for learner in ("a", "b", "c") if not room.result(learner, NAME).exists()]
    assert "c" in unmarked

    marked = marking.mark(room, limits=Limits(41, 10))
    assert marked.fresh == len(unmarked)
    assert {learner: result["points"] for (learner, _), result in marked.results.items()} == dict.fromkeys("abc", 4.5)

    # Handed in again: judged again, and nobody else.
    hand_in(room, "b", notebook({**RIGHT, "per_item": "per_item_ms = 1"}))
    marked = marking.mark(room, limits=Limits(41, 10))
    assert (marked.fresh, marked.results["b", NAME]["points"]) == (1, 3.5)


def test_points_by_hand_stay_and_the_table_says_what_waits(room: Classroom) -> None:
    gradebook.release(room, NAME)
    pair = ("ada", NAME)
    gradebook.enter(room, {pair: result(room, rate=0.0), ("=bob", NAME): result(room)})
    rows = {
        (row["learner"], row["question"]): row
        for row in csv.DictReader(io.StringIO(gradebook.table(gradebook.grades(room))))
    }
    assert rows["ada", "rate"]["points"] == "0"
    assert rows["ada", "essay"] == {
        "learner": "ada", "lab": NAME, "question": "essay", "points": "", "maximum": "3", "state": gradebook.BY_HAND,
    }  # fmt: skip
    assert "'=bob" in {learner for learner, _ in rows}

    # A person gives points, as the formgrader does; grading again leaves them alone.
    with Gradebook(f"sqlite:///{room.root / 'gradebook.db'}") as book:
        grade = book.find_grade("essay", NAME, NAME, "ada")
        grade.manual_score, grade.needs_manual_grade = 2.0, False
        book.find_comment("essay", NAME, NAME, "ada").manual_comment = "Well <i>said</i>."
        book.db.commit()
    gradebook.enter(room, {pair: result(room)})
    grades = {one.question: one for one in gradebook.grades(room) if one.learner == "ada"}
    assert {name: one.points for name, one in grades.items()} == {**ALL, "essay": 2.0}
    assert grades["essay"].comment == "Well <i>said</i>."


def test_extra_credit_and_a_comment_below_code_reach_the_learner(room: Classroom) -> None:
    gradebook.release(room, NAME)
    gradebook.enter(room, {("ada", NAME): result(room)})
    with Gradebook(f"sqlite:///{room.root / 'gradebook.db'}") as book:
        book.find_grade("rate_check", NAME, NAME, "ada").extra_credit = 0.5
        book.find_grade("essay", NAME, NAME, "ada").extra_credit = 1.0
        book.find_comment("rate", NAME, NAME, "ada").manual_comment = "Neat."
        book.db.commit()
    grades = {one.question: one for one in gradebook.grades(room)}
    assert (grades["rate"].points, grades["rate"].state, grades["rate"].comment) == (2.5, "by hand", "Neat.")
    assert grades["essay"].points is None  # extra credit alone is no grade
    assert grades["per_item"].state == "graded"


def test_doubts_go_to_a_person(room: Classroom) -> None:
    gradebook.release(room, NAME)
    gradebook.enter(room, {("ada", NAME): {**result(room, sleep=0.0), "by_hand": ["sleep"]}})
    with Gradebook(f"sqlite:///{room.root / 'gradebook.db'}") as book:
        assert book.find_grade("sleep_check", NAME, NAME, "ada").needs_manual_grade
        assert not book.find_grade("rate_check", NAME, NAME, "ada").needs_manual_grade


def test_nothing_of_a_submission_is_shown_as_html(room: Classroom) -> None:
    gradebook.release(room, NAME)
    results = {("ada", NAME): result(room, rate=0.0)}
    gradebook.enter(room, results)
    shown = (room.root / "autograded" / "ada" / NAME / f"{NAME}.ipynb").read_text()
    assert "<img" not in shown
    assert "javascript:" not in shown
    assert '"text/html"' not in shown
    (page,) = feedback.give(room, gradebook.grades(room), results)
    text = page.read_text()
    assert page == room.root / "feedback" / "ada.html"
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "2.5 of 7.5 points; 1 to be graded by hand" in text
    assert "&lt;b&gt;hint&lt;/b&gt;" in text


def test_a_failure_of_the_grader_is_no_grade(room: Classroom, small: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("disk on fire")

    hand_in(room, "a", notebook(RIGHT))
    monkeypatch.setattr("batchlab.judgement.judge", broken)
    marked = marking.mark(room, limits=small)
    assert (marked.failed, marked.results) == ([("a", NAME)], {})
    assert not room.result("a", NAME).exists()


def test_a_link_in_place_of_a_notebook_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "secret")
    assert marking.content(tmp_path / "link.ipynb") == b""
