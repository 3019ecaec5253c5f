"""Handing out: no solution and no hidden test goes out, and each learner has an own seed, key and name."""

import json
import zipfile
from pathlib import Path

import nbformat
import pytest
from sample_lab import NAME

from batchlab import authoring, release
from batchlab.classroom import Classroom, ClassroomError
from batchlab.submission import Part, personal

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


def test_what_a_learner_gets(room: Classroom, tmp_path: Path) -> None:
    ada, bob = release.hand_out(room, tmp_path / "out", learners=["ada", "bob"])
    assert sorted(path.name for path in ada.iterdir()) == [f"{NAME}.ipynb", "learner.json"]
    text = (ada / f"{NAME}.ipynb").read_text()
    assert "SOLUTION" not in text
    assert "160 / 32" not in text
    tickets = [json.loads((folder / "learner.json").read_text()) for folder in (ada, bob)]
    assert [ticket["learner"] for ticket in tickets] == ["ada", "bob"]
    assert tickets[0]["seed"] != tickets[1]["seed"]
    assert tickets[0]["key"] == room.key("ada") != tickets[1]["key"]
    assert room.secret not in json.dumps(tickets)
    # The learner's lab is the course's own, cell by cell.
    built = authoring.build_lab(room.source(NAME))
    assert [c.source for c in nbformat.reads(text, 4).cells] == [c.source for c in built.cells]


@pytest.fixture
def built(room: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare nbgrader's own release, which `test_what_a_learner_gets` goes through."""
    monkeypatch.setattr("batchlab.gradebook.release", lambda room, lab: authoring.build_lab(room.source(lab)))


@pytest.mark.usefixtures("built")
def test_zips_are_the_same_bytes_twice(room: Classroom, tmp_path: Path) -> None:
    (first,) = release.hand_out(room, tmp_path / "one", learners=["ada"], zipped=True)
    (second,) = release.hand_out(room, tmp_path / "two", learners=["ada"], zipped=True)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == [f"ada/{NAME}.ipynb", "ada/learner.json"]


@pytest.mark.usefixtures("built")
def test_one_copy_for_all_has_no_key(room: Classroom, tmp_path: Path) -> None:
    (folder,) = release.hand_out(room, tmp_path / "out")
    assert [path.name for path in folder.iterdir()] == [f"{NAME}.ipynb"]


def test_a_lab_that_asks_for_a_name_gets_it() -> None:
    cell = Part("", "", "c", True, 'import os\nLEARNER = "Ada"  # write your name\nx = 1')
    named = personal(cell, "bob")
    assert named.source == 'import os\nLEARNER = "bob"  # write your name\nx = 1'
    assert named.kind == "readonly"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a" * 65, "a..b", "a b"])
def test_an_id_that_is_no_folders_name(room: Classroom, tmp_path: Path, name: str) -> None:
    with pytest.raises(ClassroomError, match="learner's id"):
        release.hand_out(room, tmp_path / "out", learners=[name])
    assert not (tmp_path / "out").exists()


def test_ids_that_only_case_keeps_apart(room: Classroom, tmp_path: Path) -> None:
    with pytest.raises(ClassroomError, match="there twice"):
        release.hand_out(room, tmp_path / "out", learners=["ada", "Ada"])


def test_a_solution_never_goes_out(room: Classroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solved = authoring.build_solution(room.source(NAME), execute=False)
    monkeypatch.setattr("batchlab.gradebook.release", lambda *_: solved)
    with pytest.raises(ClassroomError, match="nothing was written"):
        release.hand_out(room, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_list_of_learners(tmp_path: Path) -> None:
    path = tmp_path / "room.txt"
    path.write_text("# the room\nada\n\nbob, Bob B.\n")
    assert release.roster(path) == ["ada", "bob"]
    path.write_text("\n")
    with pytest.raises(ClassroomError, match="names no learner"):
        release.roster(path)
