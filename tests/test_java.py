"""The Java of TorchServe: found where it is, its version read, and what is missing named with its remedy."""

from pathlib import Path

import pytest

from batchlab import java, rival_adapters
from batchlab.doctor import Check, kit

SEVENTEEN = """openjdk version "17.0.15" 2025-04-15
OpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)
OpenJDK 64-Bit Server VM (build 17.0.15+6-Debian-1deb12u1, mixed mode, sharing)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that puts a Java into JAVA_HOME which says something on stderr, and ends with a status."""

    def install(said: str, status: int = 0) -> str:
        program = tmp_path / "bin" / "java"
        program.parent.mkdir(exist_ok=True)
        (tmp_path / "said").write_text(said)
        program.write_text(f"#!/bin/sh\ncat {tmp_path / 'said'} >&2\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        return str(program)

    return install


def test_java_home_comes_before_the_path(installed, monkeypatch: pytest.MonkeyPatch) -> None:
    there = installed(SEVENTEEN)
    assert java.command() == there
    monkeypatch.delenv("JAVA_HOME")
    assert java.wanted() == "java"
    monkeypatch.setenv("PATH", str(Path(there).parent))
    assert java.command() == there


@pytest.mark.parametrize("said", [SEVENTEEN, f"Picked up JAVA_TOOL_OPTIONS: -Xmx1g\n{SEVENTEEN}"])
def test_a_java_that_fits_is_named_with_its_version(installed, said: str) -> None:
    there = installed(said)
    assert java.lacking() == ""
    assert kit.java() == Check("Java", "ok", f"17.0.15 at {there}")


@pytest.mark.parametrize(
    ("version", "fits"),
    [("21", True), ("17-ea", True), ("17.0.2", True), ("11.0.20", False), ("1.8.0_392", False), ("unknown", False)],
)
def test_versions_are_compared_by_their_number(installed, version: str, fits: bool) -> None:
    installed(f'openjdk version "{version}" 2023-09-19\n')
    assert java.version() == version
    assert (java.lacking() == "") == fits


@pytest.mark.parametrize(("said", "status"), [("Error: could not find libjava.so\n", 1), (SEVENTEEN, 2), ("", 0)])
def test_a_java_that_does_not_start_is_a_note(installed, said: str, status: int) -> None:
    there = installed(said, status)
    row = kit.java()
    assert (row.state, row.remedy) == ("note", java.remedy())
    assert f"{there} does not start; TorchServe, in lab 10, needs 17" in row.finding


def test_no_java_at_all_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    row = kit.java()
    assert row.state == "note"
    assert row.finding.startswith(f"no {tmp_path / 'none' / 'bin' / 'java'}; TorchServe")
    assert "sudo apt-get install openjdk-17-jre-headless" in row.remedy
    assert java.version() == ""
    assert row.remedy in rival_adapters.named("torchserve").missing()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kit.java().finding.startswith("no java; ")
