"""A workshop's room: accounts of one's own, folders closed to others, and clear words where it cannot be opened."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchlab import room
from batchlab.room import Account, Room, RoomError


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(room, "proxy", lambda: "proxy")
    # Short, as a room's path must be; pytest's own folders are deep, and closed to others.
    with tempfile.TemporaryDirectory(prefix="room-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "r"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setattr(room, "check_readable", lambda paths: None)
    monkeypatch.setattr(room, "check_python", lambda uid, python: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: owners.update({Path(path).name: uid}))
    owners: dict[str, int] = {}
    made = room.prepare(folder, 2)
    assert owners == {account.name: account.uid for account in made.accounts}
    return made


def test_each_learner_has_an_id_a_password_and_a_home_that_is_closed(opened: Room) -> None:
    first, second = opened.accounts
    assert (first.name, second.name) == ("learner1", "learner2")
    assert first.uid != second.uid
    assert first.password != second.password
    assert mode(opened.home("learner1")) == 0o700
    assert mode(opened.folder / "accounts.csv") == 0o600
    assert mode(opened.folder / "homes") == 0o711


def test_a_second_preparation_keeps_what_is_there_and_adds_what_is_missing(opened: Room) -> None:
    (opened.home("learner1") / "work").write_text("mine")
    again = room.prepare(opened.folder, 3)
    assert again.accounts[:2] == opened.accounts
    assert again.accounts[2].name == "learner3"
    assert (opened.home("learner1") / "work").read_text() == "mine"
    assert room.load(opened.folder) == again


def test_only_one_s_own_password_opens(opened: Room) -> None:
    first, second = opened.accounts
    assert opened.admits(first.name, first.password)
    assert not opened.admits(first.name, second.password)
    assert not opened.admits(first.name, "")
    assert not opened.admits("nobody", first.password)


def test_limits_follow_memory_and_cores(opened: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened.most_starts >= 1
    crowd = Room(opened.folder, tuple(Account(f"l{n}", 2000 + n, "x" * 12) for n in range(500)))
    small = type("Memory", (), {"total": 2 * room.MEMORY_PER_LEARNER + room.MEMORY_KEPT_BACK})
    monkeypatch.setattr("psutil.virtual_memory", lambda: small)
    assert crowd.most_servers == 2
    assert opened.most_servers == 2
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 0}))
    assert crowd.most_servers == 1


@pytest.mark.parametrize(
    "lines",
    [
        ["../root,61001,long enough"],
        ["a,0,long enough"],
        ["a,61001,short"],
        ["a,61001,long enough", "b,61001,long enough"],
        ["a,61001,long enough", "a,61002,long enough"],
        ["a,many,long enough"],
    ],
)
def test_accounts_changed_by_hand_are_checked(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "accounts.csv").write_text("\n".join(["name,uid,password", *lines]) + "\n")
    with pytest.raises(RoomError, match=r"accounts\.csv"):
        room.load(tmp_path)


def test_only_root_can_keep_learners_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RoomError, match="sudo"):
        room.prepare(folder, 2)
    assert not folder.exists()


def test_a_room_without_learners_or_with_too_deep_a_folder_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(RoomError, match="at least one"):
        room.prepare(folder, 0)
    with pytest.raises(RoomError, match="too deep"):
        room.prepare(folder / ("x" * 60), 2)


def test_a_folder_closed_to_others_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "course").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(RoomError, match=r"closed to others.*chmod o\+x .*closed"):
        room.check_readable([closed / "course"])


def test_a_missing_proxy_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RoomError, match="scripts/install-system-packages"):
        room.proxy()
