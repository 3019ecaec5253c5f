"""What a learning platform downloads is taken in or refused, file by file, and nothing lands outside."""

import json
import stat
import zipfile
from pathlib import Path

import pytest
from sample_lab import FIXTURES, NAME

from batchlab import classroom, intake
from batchlab.classroom import Classroom

NOTEBOOK = json.dumps({"cells": [], "nbformat": 4}).encode()


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    return classroom.init(tmp_path / "course", sources=FIXTURES / "solutions")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def refused(room: Classroom, inbox: Path) -> str:
    (one,) = intake.collect(room, inbox)
    assert str(one).count("\n") == 0
    assert not list((room.root / "submitted").rglob("*.ipynb"))
    return one.refused


@pytest.mark.parametrize(
    "name",
    [
        f"ada/{NAME}.ipynb",
        f"ada.{NAME}.ipynb",
        f"ada_{NAME}.ipynb",
        f"ada/{NAME}/{NAME} (1).ipynb",
        f"ada_12345_assignsubmission_file_{NAME}.ipynb",
        f"ada_12345_assignsubmission_file/{NAME}.ipynb",
    ],
)
def test_the_learner_is_in_the_name(room: Classroom, inbox: Path, name: str) -> None:
    (inbox / name).parent.mkdir(parents=True, exist_ok=True)
    (inbox / name).write_bytes(NOTEBOOK)
    assert [(one.learner, one.lab, one.refused) for one in intake.collect(room, inbox)] == [("ada", NAME, "")]
    assert (room.submitted("ada", NAME) / f"{NAME}.ipynb").read_bytes() == NOTEBOOK
    assert room.submissions() == [("ada", NAME)]


@pytest.mark.parametrize("name", ["ada.zip", f"ada.{NAME}.zip", "ada/handed in.zip"])
def test_a_zip_brings_notebook_and_evidence(room: Classroom, inbox: Path, name: str) -> None:
    (inbox / name).parent.mkdir(exist_ok=True)
    inner = {
        f"{NAME}.ipynb": NOTEBOOK,
        "record.json": b"{}",
        "runs/a.jsonl": b"1",
        "runs/x/b.jsonl": b"2",
        "evil.py": b"3",
    }
    zipped(inbox / name, {f"{NAME}/{path}": content for path, content in inner.items()})
    assert [(one.learner, one.lab) for one in intake.collect(room, inbox)] == [("ada", NAME)]
    place = room.submitted("ada", NAME)
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()) == [
        f"{NAME}.ipynb",
        "record.json",
        "runs/a.jsonl",
    ]


@pytest.mark.parametrize("name", ["../../evil.ipynb", f"a/../../{NAME}.ipynb", "..\\evil.ipynb"])
def test_a_path_that_leads_out(room: Classroom, inbox: Path, name: str) -> None:
    zipped(inbox / "ada.zip", {name: NOTEBOOK, f"{NAME}.ipynb": NOTEBOOK})
    assert "leads out" in refused(room, inbox)


@pytest.mark.parametrize("name", ["/etc/evil.ipynb", "C:\\evil.ipynb"])
def test_an_absolute_path(room: Classroom, inbox: Path, name: str) -> None:
    zipped(inbox / "ada.zip", {name: NOTEBOOK, f"{NAME}.ipynb": NOTEBOOK})
    assert "absolute path" in refused(room, inbox)


def test_a_symbolic_link_in_a_zip(room: Classroom, inbox: Path) -> None:
    with zipfile.ZipFile(inbox / "ada.zip", "w") as archive:
        link = zipfile.ZipInfo(f"{NAME}.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refused(room, inbox)


def test_a_symbolic_link_in_the_folder(room: Classroom, inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(NOTEBOOK)
    (inbox / f"ada.{NAME}.ipynb").symlink_to(tmp_path / "secret")
    assert "symbolic link" in refused(room, inbox)


def test_a_zip_bomb(room: Classroom, inbox: Path) -> None:
    zipped(inbox / "ada.zip", {f"{NAME}.ipynb": bytes(300 * 2**20)})
    assert "zip bomb" in refused(room, inbox)


def test_too_many_files(room: Classroom, inbox: Path) -> None:
    zipped(inbox / "ada.zip", {f"{number}.txt": b"" for number in range(501)})
    assert "501 files" in refused(room, inbox)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(50)])
def test_a_broken_zip(room: Classroom, inbox: Path, content: bytes) -> None:
    (inbox / "ada.zip").write_bytes(content)
    assert "cannot be read" in refused(room, inbox)


@pytest.mark.parametrize(
    ("name", "says"),
    [("ada/another.ipynb", "none of the labs"), (f"{NAME}.ipynb", "no learner"), (f"-a b-{NAME}.ipynb", "no learner")],
)
def test_a_name_that_does_not_say_whose_or_what(room: Classroom, inbox: Path, name: str, says: str) -> None:
    (inbox / name).parent.mkdir(exist_ok=True)
    (inbox / name).write_bytes(NOTEBOOK)
    assert says in refused(room, inbox)


def test_one_refusal_stops_nobody_else(room: Classroom, inbox: Path) -> None:
    zipped(inbox / "bob.zip", {"../x.ipynb": NOTEBOOK})
    for learner in ("ada", "cy"):
        (inbox / f"{learner}.{NAME}.ipynb").write_bytes(NOTEBOOK)
    taken = intake.collect(room, inbox)
    assert [one.learner for one in taken if not one.refused] == ["ada", "cy"]
    assert [one.name for one in taken if one.refused] == ["bob.zip"]


def test_no_folder(room: Classroom, tmp_path: Path) -> None:
    with pytest.raises(intake.IntakeError, match="no folder"):
        intake.collect(room, tmp_path / "absent")
