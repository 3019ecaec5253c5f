"""Tables of points: one lab's questions, and all labs."""

from pathlib import Path

import pytest

from batchlab import course, grading, progress
from batchlab.course import LabInfo
from batchlab.grading import Lab
from batchlab.scoreboard import Table

LAB = "90_x"


@pytest.fixture(autouse=True)
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    info = LabInfo(LAB, "Try it", "beginner", 5, points={"q1": 1, "q2": 2.5}, manual={"essay": 3})
    (tmp_path / "course.json").write_text(course.render({LAB: info}))
    monkeypatch.setenv("BATCHLAB_COURSE", str(tmp_path / "course.json"))
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return Lab(LAB)


def mimes(table: Table) -> dict[str, str]:
    return table._repr_mimebundle_()


def test_the_summary_shows_every_question(check: Lab) -> None:
    assert "0 of 3.5 points" in str(check.summary())
    check.number("q1", 4, 5)
    check.number("q2", 5, 5)
    check.number("q2", 4, 5)
    data = mimes(check.summary())
    for text in data.values():
        assert "2.5 of 3.5 points" in text
        assert "free text, for a reader" in text
    assert "✗ wrong" in data["text/plain"]
    assert "✓ right" in data["text/plain"]


def test_the_dashboard_shows_the_course(check: Lab) -> None:
    empty = str(grading.dashboard())
    assert "No answer yet. Begin with lab 90, Try it (5 minutes)" in empty
    assert "not started" in empty
    assert "pause" not in empty, "a first visit has no time to explain"
    check.number("q1", 5, 5)
    begun = str(grading.dashboard())
    assert "in progress" in begun
    assert "go on with lab 90" in begun
    assert "30 minutes is a pause" in begun
    check.number("q2", 5, 5)
    data = mimes(grading.dashboard())
    assert "✓ done" in data["text/plain"]
    assert "3.5 of 3.5" in data["text/html"]
    assert "1 of 1 labs done" in data["text/html"]


def test_the_dashboard_without_a_course(tmp_path: Path) -> None:
    (tmp_path / "course.json").write_text("{}")
    assert "no labs yet" in str(grading.dashboard())
    (tmp_path / "course.json").write_text("{")
    assert "make labs" in str(grading.dashboard())


def test_unreadable_progress_is_told(check: Lab, tmp_path: Path) -> None:
    (tmp_path / "home" / progress.FILE_NAME).mkdir(parents=True)
    assert "cannot be read" in str(grading.dashboard())
    assert "cannot be read" in str(check.summary())
    assert check.prediction("q1", 80, 80).state == "right"


def test_points_worth_less_than_when_they_were_earned_are_capped(check: Lab, tmp_path: Path) -> None:
    check.number("q2", 5, 5)
    info = LabInfo(LAB, "Try it", "beginner", 5, points={"q1": 1, "q2": 2})
    (tmp_path / "course.json").write_text(course.render({LAB: info}))
    assert "2 of 3 points" in str(Lab(LAB).summary())


def test_the_dashboard_shows_the_time_spent(check: Lab) -> None:
    for minute, question in ((0, "q1"), (75, "q1"), (100, "q2")):
        time = f"2026-05-04T{12 + minute // 60}:{minute % 60:02d}:00+00:00"
        assert progress.record(progress.Entry(LAB, question, 1, 1, "right", "", time)) == ""
    shown = str(grading.dashboard())
    assert "2 of 3.5 points, 25 min" in shown, "75 minutes without an answer are a pause"
