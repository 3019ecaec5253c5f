"""The course as data."""

from pathlib import Path

import pytest

from batchlab import course
from batchlab.course import CourseError, LabInfo

INFO = LabInfo(
    "01_x", "Try it", "beginner", 5, ["cpu"], ["00_y"], "One.", {"q2": 1, "q1": 2}, {"q1": "knee"}, {"q3": 3}
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHLAB_COURSE", str(tmp_path / "course.json"))
    return tmp_path / "course.json"


def test_a_course_comes_back_as_it_was_written(file: Path) -> None:
    file.write_text(course.render({"01_x": INFO, "00_y": LabInfo("00_y", "First", "beginner", 1)}))
    labs = course.load()
    assert list(labs) == ["00_y", "01_x"]
    assert labs["01_x"] == INFO
    assert list(labs["01_x"].points) == ["q2", "q1"]
    assert labs["01_x"].total == 3


def test_equal_courses_give_equal_bytes() -> None:
    other = LabInfo("00_y", "First", "beginner", 1)
    assert course.render({"01_x": INFO, "00_y": other}) == course.render({"00_y": other, "01_x": INFO})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"01_x": {}}', '{"01_x": {"colour": 1}}', '{"01_x": 3}'])
def test_a_damaged_course_says_what_to_run(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(CourseError, match="make labs"):
        course.load()


def test_a_missing_course_says_what_to_run(file: Path) -> None:
    with pytest.raises(CourseError, match="make labs"):
        course.load()


def test_without_a_variable_the_packages_own_course_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHLAB_COURSE", raising=False)
    assert course.path().parts[-3:] == ("batchlab", "data", "course.json")
    course.load()
