"""``batchlab drill``: right and wrong told, what was missed comes back, an interview with its sheet."""

import json

import pytest
from typer.testing import CliRunner

from batchlab.cli import app
from batchlab.drill import bank, mock


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str, answers: str = ""):
    return CliRunner().invoke(app, ["drill", *arguments], input=answers)


def test_the_command_tells_right_from_wrong_and_then_the_solution() -> None:
    (name,) = bank.choose(1, 5, kind="numeric", topic="tails")
    asked = bank.question(name, 5)
    options = ("--kind", "numeric", "--topic", "tails", "--count", "1", "--seed", "5")
    told = run(*options, answers=f"{asked.wrong}\n")
    assert told.exit_code == 0, told.output
    assert "Wrong: " in told.output
    assert asked.solution in told.output
    told = run(*options, "--due", answers=f"{asked.answer}\n")
    assert "1 of 1 right" in told.output
    assert "Nothing is due" in run(*options, "--due").output


def test_the_command_lists_refuses_and_runs_an_interview(tmp_path) -> None:
    assert len(run("--list").output.splitlines()) == len(bank.ids())
    bad = run("--topic", "cooking")
    assert (bad.exit_code, "No topic 'cooking'" in bad.output) == (2, True)
    sheet = tmp_path / "score.md"
    drawn = tmp_path / "drawn"
    done = run("--mock", "engineer", "--sheet", str(sheet), "--pictures", str(drawn), answers="1\n" * 20)
    assert done.exit_code == 0, done.output
    assert sorted(path.stem for path in drawn.iterdir()) == ["sick_large_batch", "sick_test"]
    assert sheet.read_text().startswith("# Mock interview: engineer")
    assert all(json.loads(line) for line in mock.path("engineer", 0).read_text().split("\n") if line)


def test_the_command_draws_the_sick_services_and_names_the_files(tmp_path) -> None:
    options = ("--kind", "diagnosis", "--topic", "tails", "--count", "1")
    told = run(*options, answers="\n")
    assert "Picture: --pictures FOLDER draws one." in told.output
    folder = tmp_path / "new" / "sick"
    told = run(*options, "--pictures", str(folder), answers="\n")
    assert told.exit_code == 0, told.output
    assert f"Picture: {folder / 'sick_bursts.png'}" in told.output
    assert (folder / "sick_bursts.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_stops_the_command_before_the_first_question(tmp_path) -> None:
    (tmp_path / "file").touch()
    told = run("--kind", "diagnosis", "--pictures", str(tmp_path / "file"))
    assert told.exit_code == 2
    (line,) = told.output.splitlines()
    assert line.startswith(
        f"Error: Pictures cannot be written to {tmp_path / 'file'}: File exists. Name another folder"
    )
