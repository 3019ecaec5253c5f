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
    done = run("--mock", "engineer", "--sheet", str(sheet), answers="1\n" * 20)
    assert done.exit_code == 0, done.output
    assert sheet.read_text().startswith("# Mock interview: engineer")
    assert all(json.loads(line) for line in mock.path("engineer", 0).read_text().split("\n") if line)
