"""A kernel's own network: its loopback works, and the machine's own is out of reach."""

import socket
import subprocess
import sys

import pytest

from batchlab import kernel_apart

INSIDE = """
import os, socket, sys
from batchlab import kernel_apart
before = (os.geteuid(), os.getegid())
kernel_apart.enter()
assert (os.geteuid(), os.getegid()) == before, "files keep their owner"
with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()
    with socket.create_connection(server.getsockname(), timeout=5):
        print("own loopback works")
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
except OSError:
    print("the machine's is out of reach")
"""


def test_what_listens_inside_is_reached_inside_and_nothing_else_is() -> None:
    with socket.socket() as outside:
        outside.bind(("127.0.0.1", 0))
        outside.listen()
        done = subprocess.run(
            [sys.executable, "-c", INSIDE, str(outside.getsockname()[1])], capture_output=True, text=True, timeout=60
        )
    if "user namespaces are switched off" in done.stderr:
        assert "PermissionError" in done.stderr or "OSError" in done.stderr, "refused with words, never half done"
        return
    assert done.stdout.splitlines() == ["own loopback works", "the machine's is out of reach"], done.stderr


def test_a_system_without_user_namespaces_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def unshare(self, flags: int) -> int:
            return -1

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Refusing())
    with pytest.raises(SystemExit, match="Tell the instructor"):
        kernel_apart.main()
