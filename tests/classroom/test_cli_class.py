"""The commands in the order of a course, and one clear line for what cannot be."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sample_lab import FIXTURES, NAME
from typer.testing import CliRunner

from batchlab import classroom, cli

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


def run(*words: object) -> Any:
    return CliRunner().invoke(cli.app, ["class", *map(str, words)])


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    made = run("init", tmp_path / "course", "--sources", FIXTURES / "solutions")
    assert made.exit_code == 0, made.output
    return tmp_path / "course"


def test_from_handing_out_to_collecting(course: Path, tmp_path: Path) -> None:
    (tmp_path / "room.txt").write_text("ada\nbob\n")
    told = run("release", tmp_path / "out", "--course", course, "--learners", tmp_path / "room.txt", "--lab", "90")
    assert told.exit_code == 0, told.output
    (tmp_path / "in").mkdir()
    packed = run("pack", tmp_path / "out" / "ada" / f"{NAME}.ipynb", "--to", tmp_path / "in")
    assert packed.exit_code == 0, packed.output
    shutil.copy(tmp_path / "out" / "bob" / f"{NAME}.ipynb", tmp_path / "in" / f"bob_{NAME}.ipynb")
    (tmp_path / "in" / "eve.zip").write_text("no zip")
    told = run("collect", tmp_path / "in", "--course", course)
    assert told.exit_code == 0, told.output
    assert "2 notebooks taken, 1 files refused." in told.output
    room = classroom.open_(course)
    assert room.submissions() == [("ada", NAME), ("bob", NAME)]
    record = json.loads((room.submitted("ada", NAME) / "record.json").read_text())
    assert record["learner"] == "ada"
    assert list(record["files"]) == [f"{NAME}.ipynb"]


def test_init_twice_keeps_the_secret_and_the_folder_to_oneself(course: Path) -> None:
    before = classroom.open_(course)
    assert run("init", course, "--sources", FIXTURES / "solutions").exit_code == 0
    assert classroom.open_(course) == before
    assert (course / "class.json").stat().st_mode & 0o077 == 0
    assert course.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("grade", "--course", "nowhere"), "is no course folder. Make one: batchlab class init"),
        (("grade", "--course", "{course}", "--lab", "17"), "No lab of this course begins with '17'"),
        (("init", "{course}", "--sources", "{course}"), "No lab begins with"),
        (("collect", "absent", "--course", "{course}"), "is no folder"),
        (("release", "out", "--course", "{course}", "--learners", "absent"), "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(course: Path, words: tuple[str, ...], says: str) -> None:
    told = run(*(word.format(course=course) for word in words))
    assert told.exit_code == 2, told.output
    assert says in " ".join(told.output.split())
    assert "Traceback" not in told.output


def test_a_damaged_course_file_is_told(course: Path) -> None:
    (course / "class.json").write_text("{}")
    assert "damaged" in run("export", "--course", course).output
