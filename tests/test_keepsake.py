"""A file that is built once: whole or not there, and made anew when it or its recipe changed."""

import json

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
