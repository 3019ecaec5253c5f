"""The rule of the root conftest.py: inside CI only a missing GPU excuses a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"
SUITE = """
import pytest

def test_passes(): pass

@pytest.mark.skip(reason="no browser here")
def test_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False

@pytest.mark.gpu
@pytest.mark.skip(reason="no GPU here")
def test_on_gpu(): pass
"""
MODULE = 'import pytest\npytest.importorskip("a_package_that_is_not_there")\n'


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_some.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs one\n")
    return tmp_path


def run(suite: Path, ci: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CI": ci}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    return subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, timeout=120)


def test_a_skip_fails_in_ci_and_names_its_reason(suite: Path) -> None:
    done = run(suite, "true")
    assert done.returncode == 1
    assert "1 passed, 1 skipped, 1 xfailed, 1 error" in done.stdout
    assert "In CI a skip is a failure. Skipped: no browser here" in done.stdout


def test_a_skip_is_a_skip_outside_ci(suite: Path) -> None:
    done = run(suite, "")
    assert done.returncode == 0
    assert "1 passed, 2 skipped, 1 xfailed" in done.stdout


def test_a_skipped_module_fails_in_ci(suite: Path) -> None:
    (suite / "test_some.py").write_text(MODULE)
    done = run(suite, "true")
    assert done.returncode != 0
    assert "In CI a skip is a failure" in done.stdout
