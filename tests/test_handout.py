"""Handing out never overwrites work, whatever happened before."""

import errno
import json
from pathlib import Path

import pytest

from batchlab import handout
from batchlab.handout import HandoutError, hand_out


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "labs"
    folder.mkdir()
    (folder / "00_start_here.ipynb").write_text('{"cells": ["first edition"]}')
    (folder / "01_sweep.ipynb").write_text('{"cells": ["sweep"]}')
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "my_labs"


def outcomes(course: Path, mine: Path) -> list[str]:
    return [copy.outcome for copy in hand_out(course, mine)]


def test_the_first_time_every_lab_is_copied(course: Path, mine: Path) -> None:
    assert outcomes(course, mine) == ["new", "new"]
    for lab in course.iterdir():
        assert (mine / lab.name).read_bytes() == lab.read_bytes()


def test_the_second_time_nothing_is_written(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    before = {path.name: path.stat().st_mtime_ns for path in mine.iterdir()}
    assert outcomes(course, mine) == ["same", "same"]
    assert {path.name: path.stat().st_mtime_ns for path in mine.iterdir()} == before


def test_work_is_kept_while_the_course_stands_still(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (mine / "00_start_here.ipynb").write_text("my answers")
    assert outcomes(course, mine) == ["same", "same"]
    assert (mine / "00_start_here.ipynb").read_text() == "my answers"


def test_an_untouched_copy_follows_a_new_edition(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (course / "00_start_here.ipynb").write_text("second edition")
    assert outcomes(course, mine) == ["refreshed", "same"]
    assert (mine / "00_start_here.ipynb").read_text() == "second edition"
    (course / "00_start_here.ipynb").write_text("third edition")
    assert outcomes(course, mine) == ["refreshed", "same"]


def test_a_touched_copy_survives_a_new_edition_and_says_so(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (mine / "00_start_here.ipynb").write_text("my answers")
    (course / "00_start_here.ipynb").write_text("second edition")
    for _ in range(2):
        first = hand_out(course, mine)[0]
        assert first.outcome == "yours"
        assert str(first) == (
            "00_start_here.ipynb: yours is kept. The course has a new edition; rename your file to receive it as well."
        )
    assert (mine / "00_start_here.ipynb").read_text() == "my answers"


def test_a_renamed_copy_makes_room_for_the_new_edition(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (mine / "00_start_here.ipynb").rename(mine / "00_mine.ipynb")
    assert outcomes(course, mine) == ["new", "same"]
    assert (mine / "00_mine.ipynb").exists()


def test_a_new_lab_joins(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    (course / "02_tail.ipynb").write_text("tail")
    assert outcomes(course, mine) == ["same", "same", "new"]


@pytest.mark.parametrize("ledger", [None, "", "not json", "[]"])
def test_without_a_ledger_every_copy_counts_as_work(course: Path, mine: Path, ledger: str | None) -> None:
    hand_out(course, mine)
    path = mine / handout.LEDGER
    path.unlink() if ledger is None else path.write_text(ledger)
    (course / "00_start_here.ipynb").write_text("second edition")
    assert outcomes(course, mine) == ["yours", "same"]


def test_a_crash_between_copy_and_ledger_leaves_the_copy_untouched_in_its_sense(course: Path, mine: Path) -> None:
    hand_out(course, mine)
    old_ledger = (mine / handout.LEDGER).read_text()
    (course / "00_start_here.ipynb").write_text("second edition")
    hand_out(course, mine)
    (mine / handout.LEDGER).write_text(old_ledger)
    assert outcomes(course, mine) == ["same", "same"]
    (course / "00_start_here.ipynb").write_text("third edition")
    assert outcomes(course, mine) == ["refreshed", "same"]


def test_a_full_disk_is_one_error_and_leaves_no_draft(
    course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_out(course, mine)
    (mine / "01_sweep.ipynb").unlink()
    (mine / "00_start_here.ipynb").write_text("my answers")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handout.os, "fsync", full)
    with pytest.raises(HandoutError, match=r"No space left on device.*your work is as it was"):
        hand_out(course, mine)
    assert (mine / "00_start_here.ipynb").read_text() == "my answers"
    assert sorted(path.name for path in mine.iterdir()) == [handout.LEDGER, "00_start_here.ipynb"]


def test_a_file_that_appears_meanwhile_is_not_replaced(
    course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = handout._draft

    def slow_draft(content: bytes, beside: Path) -> Path:
        made = draft(content, beside)
        if beside.suffix == ".ipynb":
            beside.write_text("my answers")
        return made

    monkeypatch.setattr(handout, "_draft", slow_draft)
    assert outcomes(course, mine) == ["yours", "yours"]
    assert (mine / "01_sweep.ipynb").read_text() == "my answers"
    assert not list(mine.glob(".*.draft"))


def test_a_file_system_without_links_is_served_too(course: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(handout.os, "link", no_links)
    assert outcomes(course, mine) == ["new", "new"]
    assert json.loads((mine / handout.LEDGER).read_text()).keys() == {"00_start_here.ipynb", "01_sweep.ipynb"}


def test_no_labs_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(HandoutError, match=r"No labs in .*nowhere"):
        hand_out(tmp_path / "nowhere", tmp_path / "mine")
