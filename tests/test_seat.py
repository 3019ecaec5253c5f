"""A learner's seat: who may sit there, what their server is told, and what happens over the share of memory."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from batchlab.room import Account, Room
from batchlab.seat import RoomAuthenticator, SeatSpawner, relieve

HOLDER = "block = bytearray({size}); print('held', flush=True); import time; time.sleep(60)"
MEGABYTE = 1024**2
HOLDER_UID = 62_000 + os.getpid() % 1000  # tests that run at the same time do not count each other


@pytest.fixture
def place(tmp_path: Path) -> Room:
    return Room(tmp_path, (Account("learner1", 61_001, "first-secret"), Account("learner2", 61_002, "second-secret")))


@pytest.fixture
def spawner(place: Room) -> SeatSpawner:
    made = SeatSpawner(room=place)
    made.user = SimpleNamespace(name="learner1")
    return made


def enter(place: Room, name: str, password: str) -> str | None:
    authenticator = RoomAuthenticator(room=place)
    return asyncio.run(authenticator.authenticate(None, {"username": name, "password": password}))


def test_only_one_s_own_password_is_admitted(place: Room) -> None:
    assert enter(place, "learner1", "first-secret") == "learner1"
    assert enter(place, "learner1", "second-secret") is None
    assert enter(place, "root", "first-secret") is None
    assert asyncio.run(RoomAuthenticator(room=place).authenticate(None, {})) is None


def test_a_server_s_environment_points_into_its_own_home(spawner: SeatSpawner, place: Room) -> None:
    values = spawner.user_env({"PATH": "/bin", "LANG": "C"})
    home = str(place.home("learner1"))
    assert values["HOME"] == home
    mine = ("TMPDIR", "BATCHLAB_HOME", "BATCHLAB_DEVICES", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR")
    assert all(values[name].startswith(f"{home}/") for name in mine)
    assert values["LANG"] == "C"
    assert values["PATH"].endswith(":/bin")


def test_a_learner_without_an_account_gets_no_server(spawner: SeatSpawner) -> None:
    spawner.user = SimpleNamespace(name="stranger")
    with pytest.raises(RuntimeError, match="stranger has no account"):
        spawner.make_preexec_fn("stranger")


@pytest.fixture
def holders() -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str]]]:
    """Two processes of one user: one that holds 20 MB, one that holds 120."""
    if os.geteuid() != 0:
        pytest.skip("only root starts processes of another user")
    # The Python of these tests may lie where another user cannot read it; any will do.
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    started = [
        subprocess.Popen(
            [python, "-S", "-c", HOLDER.format(size=size * MEGABYTE)],
            stdout=subprocess.PIPE, text=True, user=HOLDER_UID, group=HOLDER_UID, extra_groups=[], cwd="/",
        )
        for size in (20, 120)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
    yield started[0], started[1]
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_within_the_share_nothing_ends(holders: tuple[subprocess.Popen[str], subprocess.Popen[str]]) -> None:
    assert relieve(HOLDER_UID, 0, 4096 * MEGABYTE) == ""
    assert [process.poll() for process in holders] == [None, None]


def test_over_the_share_the_largest_process_ends_and_the_server_is_spared(
    holders: tuple[subprocess.Popen[str], subprocess.Popen[str]],
) -> None:
    small, large = holders
    assert "MB" in relieve(HOLDER_UID, small.pid, 60 * MEGABYTE)
    assert large.wait(timeout=10) == -9
    assert small.poll() is None
    assert relieve(HOLDER_UID, small.pid, MEGABYTE) == "", "the server itself is never ended"
    assert psutil.pid_exists(small.pid)
