"""A file that is built once: whole or not there, and made anew when it or its recipe changed."""

import json
import signal
import subprocess
import sys

import pytest

from batchlab import keepsake
from batchlab.keepsake import KeepsakeError


def maker(calls):
    def make(path):
        calls.append(path)
        path.write_bytes(b"network %d" % len(calls))
        return {"made": len(calls)}

    return make


def test_it_is_made_once(tmp_path, capsys):
    calls, path = [], tmp_path / "1" / "model.onnx"
    assert keepsake.kept(path, 1) is None
    assert keepsake.keep(path, 1, maker(calls), "thing") == {"made": 1}
    assert "thing: built in" in capsys.readouterr().out
    assert keepsake.keep(path, 1, maker(calls), "thing") == {"made": 1}
    assert capsys.readouterr().out == ""
    assert len(calls) == 1
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model.built.json", "model.onnx"]
    assert json.loads(keepsake.record_path(path).read_text())["sha256"] == keepsake.sha256(path)


def test_damage_another_recipe_and_force_make_it_anew(tmp_path):
    calls, path = [], tmp_path / "model.onnx"
    keepsake.keep(path, 1, maker(calls), "thing")
    path.write_bytes(b"cut")
    assert keepsake.kept(path, 1) is None
    assert keepsake.keep(path, 1, maker(calls), "thing") == {"made": 2}
    assert keepsake.keep(path, 2, maker(calls), "thing") == {"made": 3}
    assert keepsake.keep(path, 2, maker(calls), "thing", force=True) == {"made": 4}
    keepsake.record_path(path).write_text("[]")
    assert keepsake.kept(path, 2) is None


def test_a_maker_that_fails_leaves_nothing(tmp_path):
    def fail(path):
        path.write_bytes(b"half")
        raise KeepsakeError("no good")

    with pytest.raises(KeepsakeError, match="no good"):
        keepsake.keep(tmp_path / "model.onnx", 1, fail, "thing")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KeepsakeError, match=r"Cannot build thing in .*file.*50 MB"):
        keepsake.keep(tmp_path / "file" / "model.onnx", 1, maker([]), "thing")


SLOW = """
import sys
from pathlib import Path
from batchlab import keepsake

def make(path):
    path.write_bytes(b"half")
    print("making", flush=True)
    sys.stdin.readline()
    path.write_bytes(b"whole")
    return {"made": "by the other"}

keepsake.keep(Path(sys.argv[1]), 1, make, "thing")
"""


@pytest.fixture
def other(tmp_path):
    """A process that makes the file, and goes on when it is written to."""
    command = [sys.executable, "-c", SLOW, str(tmp_path / "model.onnx")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("thing: training")
        assert process.stdout.readline() == "making\n"
        yield process
        process.kill()


def test_who_comes_second_waits_and_takes_what_the_first_made(tmp_path, other):
    path, calls = tmp_path / "model.onnx", []
    second = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert second.stdout.readline() == "thing: another process is at it; waiting ...\n"
    assert not path.exists()
    other.stdin.write("go\n")
    other.stdin.flush()
    assert second.communicate(timeout=30) == ("", None)
    assert second.returncode == 0
    assert path.read_bytes() == b"whole"
    assert keepsake.keep(path, 1, maker(calls), "thing") == {"made": "by the other"}
    assert calls == []


def test_a_kill_leaves_no_half_file_and_the_next_one_tidies_up(tmp_path, other):
    path, calls = tmp_path / "model.onnx", []
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not path.exists()
    assert [entry.name[:10] for entry in tmp_path.iterdir()] == [".building-"]
    assert keepsake.keep(path, 1, maker(calls), "thing") == {"made": 1}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.built.json", "model.onnx"]


def test_a_folder_is_writable_where_a_file_can_be_made(tmp_path):
    assert keepsake.writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").touch()
    assert not keepsake.writable(tmp_path / "file")
    assert not keepsake.writable(tmp_path / "file" / "below")
