"""A running server as its file describes it: found again, swept, ended."""

import os
from pathlib import Path

import pytest

from batchlab import embedded, workspace
from batchlab.embedded import Embedded


def record(pid: int = 0, **changes: object) -> Embedded:
    """A server's record in a folder of its own, kept by the process `pid`; not running."""
    folder = workspace.servers_dir() / "batchlab-0123"
    folder.mkdir()
    values = {
        "folder": folder,
        "options": {"repository": "/r"},
        "ports": (1, 2, 3),
        "prefix": "batchlab-0123-",
        "owner": os.getpid(),
        "owner_ticks": embedded.start_ticks(os.getpid()),
        "supervisor": pid,
        "supervisor_ticks": embedded.start_ticks(pid) or 1,
        "pipe": -1,
    }
    made = Embedded(**{**values, **changes})  # type: ignore[arg-type]
    made.save()
    return made


@pytest.mark.usefixtures("home")
def test_a_record_is_read_back_as_it_was() -> None:
    made = record()
    assert Embedded.load(made.folder) == made
    assert list(embedded.mine()) == [made]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", ["", "{", "{}", '{"folder": 3}', "[]"])
def test_a_damaged_record_is_none(text: str) -> None:
    folder = record().folder
    (folder / "server.json").write_text(text)
    assert Embedded.load(folder) is None


@pytest.mark.usefixtures("home")
def test_a_later_process_of_the_same_number_is_not_the_owner() -> None:
    made = record(owner_ticks=embedded.start_ticks(os.getpid()) - 1)
    assert not made.mine
    made.stop()
    assert (made.folder / "server.json").exists()


@pytest.mark.usefixtures("home")
def test_what_died_with_its_supervisor_is_swept_and_what_lives_is_not() -> None:
    dead = record(supervisor=1, supervisor_ticks=-1)
    memory = Path("/dev/shm/batchlab-0123-x")
    memory.touch()
    embedded.sweep()
    assert not dead.folder.exists()
    assert not memory.exists()
    living = record(os.getpid())
    embedded.sweep()
    assert living.folder.exists()


@pytest.mark.usefixtures("home")
def test_a_half_made_folder_is_swept() -> None:
    folder = workspace.servers_dir() / "batchlab-half"
    (folder / "backends").mkdir(parents=True)
    embedded.sweep()
    assert not folder.exists()


@pytest.mark.usefixtures("home")
def test_the_obituary_tells_how_it_ended() -> None:
    made = record()
    assert "ended with its supervisor" in made.obituary()
    (made.folder / "last_words.json").write_text('{"returncode": -9, "log": "noise about NVML\\nthe reason"}')
    assert made.obituary().endswith("Its last words:\nthe reason")
    assert "was ended by signal 9 (SIGKILL)" in made.obituary()
    made.stop()
    assert "It was stopped" in made.obituary()
    assert not made.folder.exists()


def test_exit_codes_in_words() -> None:
    assert embedded.ending(1) == "ended with exit code 1"
    assert embedded.ending(-15) == "was ended by signal 15 (SIGTERM)"


def test_start_ticks_tell_a_process_from_none() -> None:
    assert embedded.start_ticks(os.getpid()) > 0
    assert embedded.start_ticks(2**22 + 1) == 0
