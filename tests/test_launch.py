"""Starting an embedded Triton, and not starting one: one clear reason, nothing left."""

import socket
from pathlib import Path

import psutil
import pytest
import remains

from batchlab import embedded, launch, wheel, workspace
from batchlab.embedded import Embedded
from batchlab.launch import Options, StartError


def children() -> list[str]:
    """Return the command lines of the supervisors that run below this process."""
    return [line for child in psutil.Process().children() if "supervisor.py" in (line := command_line(child))]


def command_line(process: psutil.Process) -> str:
    """Return a process's command line; "" once it has ended: another test's child may end while we look."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie too
        return ""


def folders() -> list[Path]:
    return list(workspace.servers_dir().glob("batchlab-*"))


def test_picked_ports_are_free_and_differ() -> None:
    ports = launch.pick_ports((0, 0, 0))
    assert len(set(ports)) == 3
    for port in ports:
        with socket.socket() as taker:
            taker.bind(("127.0.0.1", port))


def test_a_taken_port_is_named(home: Path, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port}, wanted for grpc, cannot be had: Address already in use"):
            launch.start(Options(str(tmp_path), ports=(0, port, 0)), reuse=True, timeout_s=20)
    assert folders() == []


@pytest.mark.usefixtures("home")
def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="Port 70000"):
        launch.start(Options(str(tmp_path), ports=(70000, 0, 0)), reuse=True, timeout_s=20)


@pytest.mark.usefixtures("home")
def test_a_missing_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no model repository at .*/nowhere"):
        launch.start(Options(str(tmp_path / "nowhere")), reuse=True, timeout_s=20)


@pytest.mark.usefixtures("home")
def test_a_missing_wheel_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> dict[str, str]:
        raise wheel.WheelError("libpython is missing")

    monkeypatch.setattr(wheel, "assemble", refuse)
    with pytest.raises(StartError, match="libpython is missing"):
        launch.start(Options(str(tmp_path)), reuse=True, timeout_s=20)
    assert folders() == []


@pytest.mark.server
@pytest.mark.usefixtures("home")
def test_a_refused_argument_is_told_in_tritons_words(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"(?s)ended with exit code 1 while starting.*no-such-option"):
        launch.start(Options(str(tmp_path), extra_args=("--no-such-option",)), reuse=True, timeout_s=20)
    assert folders() == []


@pytest.mark.server
@pytest.mark.usefixtures("home")
def test_a_port_lost_between_picking_and_listening_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = launch.pick_ports
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        answers = [(holder.getsockname()[1], *real((0, 0, 0))[1:])]
        monkeypatch.setattr(launch, "pick_ports", lambda wanted: answers.pop() if answers else real(wanted))
        server = launch.start(Options(str(tmp_path)), reuse=True, timeout_s=20)
        assert server.ports[0] != holder.getsockname()[1]
    assert folders() == [server.folder]
    pids = [server.pid or 0, server.supervisor]
    server.stop()
    assert remains.remains(pids, server.prefix, server.ports[0]) == []
    assert folders() == []


@pytest.mark.server
@pytest.mark.usefixtures("home")
def test_a_server_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_command", lambda *_: ["/bin/sleep", "60"])
    with pytest.raises(StartError, match=r"not ready within 0.5 s and was ended"):
        launch.start(Options(str(tmp_path)), reuse=True, timeout_s=0.5)
    assert folders() == []
    assert list(embedded.mine()) == []
    assert not [path.name for path in Path("/proc").glob("[0-9]*") if str(tmp_path) in sleeping(path)]


def sleeping(process: Path) -> str:
    """Return the environment of a process that runs sleep, "" for any other."""
    try:
        return (process / "environ").read_text() if "/bin/sleep" in (process / "cmdline").read_text() else ""
    except OSError:
        return ""


@pytest.mark.usefixtures("home")
def test_a_full_disk_leaves_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Embedded) -> None:
        raise OSError(28, "No space left on device")

    before = children()  # the server that the whole session shares may run already
    monkeypatch.setattr(Embedded, "save", full)
    with pytest.raises(StartError, match=r"cannot be prepared in .*: No space left on device"):
        launch.start(Options(str(tmp_path)), reuse=True, timeout_s=20)
    assert folders() == []
    assert children() == before


def test_an_unsupported_machine_is_told_before_anything_is_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel.platform, "system", lambda: "Darwin")
    with pytest.raises(StartError, match=r"this is Darwin.*BATCHLAB_URL"):
        launch.start(Options(str(tmp_path)), reuse=True, timeout_s=20)
    assert not home.exists()
