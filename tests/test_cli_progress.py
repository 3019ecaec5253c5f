"""``batchlab progress``: the dashboard of lab 00 in a terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from batchlab import course, progress
from batchlab.cli import app
from batchlab.course import LabInfo
from batchlab.progress import Entry


@pytest.fixture(autouse=True)
def _course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs = [LabInfo("00_a", "Start", "beginner", 40, summary="Words.", points={"q1": 1, "q2": 1})]
    (tmp_path / "course.json").write_text(course.render({info.lab: info for info in labs}))
    monkeypatch.setenv("BATCHLAB_COURSE", str(tmp_path / "course.json"))
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["progress", *words])


def test_the_first_visit_says_where_to_begin() -> None:
    done = run()
    assert done.exit_code == 0
    assert "No answer yet. Begin with lab 00, Start" in done.stdout
    assert "not started" in done.stdout


def test_points_time_and_the_next_step_are_shown() -> None:
    progress.record(Entry("00_a", "q1", 0, 1, "wrong", "7", "2026-05-04T12:00:00+00:00"))
    progress.record(Entry("00_a", "q1", 1, 1, "right", "8", "2026-05-04T12:12:00+00:00"))
    done = run()
    assert "1 of 2 points, 12 min" in done.stdout
    assert "go on with lab 00" in done.stdout
    assert "30 minutes is a pause" in done.stdout
    plain = json.loads(run("--json").stdout)
    assert plain["spent_s"] == 720
    assert plain["next"]["lab"] == "00_a"


def test_progress_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "home" / progress.FILE_NAME).mkdir(parents=True)
    done = run()
    assert done.exit_code == 1
    assert "BATCHLAB_HOME" in done.stderr
    assert "Traceback" not in done.stderr
