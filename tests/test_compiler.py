"""The C++ compiler of torch.compile: found where it is, and what is missing named with its remedy."""

import sysconfig
from pathlib import Path

import pytest

from batchlab import compiler
from batchlab.doctor import kit


def test_the_environment_names_another_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    assert compiler.command() == "g++"
    monkeypatch.setenv("CXX", "clang++")
    assert compiler.command() == "clang++"


def test_a_missing_compiler_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler is missing" in compiler.problem()
    assert "apt-get install g++ python3." in compiler.problem()
    row = kit.compiler()
    assert (row.state, row.remedy) == ("note", compiler.remedy())
    assert "no-such-compiler" in row.finding


def test_a_missing_header_counts_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiler.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert compiler.lacking() == str(tmp_path / "Python.h")
    (tmp_path / "Python.h").touch()
    assert compiler.problem() == ""
    assert kit.compiler().state == "ok"
