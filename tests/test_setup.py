"""scripts/setup where it cannot go on: one sentence that says why and what to do, and nothing called installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
NOBODY = "http://127.0.0.1:9/simple"  # the discard port: no index listens there


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the script reads of a clone."""
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/setup", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def set_up(clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script there, with a package index that nobody reaches."""
    # Whatever this machine has for pip would be asked too.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": NOBODY, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    words = [str(clone / "scripts" / "setup")]
    return subprocess.run(words, env=kept | pip | variables, capture_output=True, text=True, check=False)


def test_no_network_is_told_in_one_sentence(clone: Path) -> None:
    told = set_up(clone)
    assert told.returncode == 1
    assert told.stderr.strip().startswith("No network: pip cannot reach its package index.")
    assert len(told.stderr.strip().splitlines()) == 1
    # Nothing of pip's own in front of it, and the next call begins where this one stopped.
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["Creating", "Installing"]
    assert (clone / ".venv" / "batchlab-installing").exists()
    assert not (clone / ".venv" / "batchlab-installed").exists()


def test_a_python_that_does_not_do_is_named(clone: Path) -> None:
    told = set_up(clone, PYTHON="false")
    assert told.returncode == 1
    assert told.stderr.strip().startswith("No Python 3.11 or 3.12 with its venv module found (PYTHON=false).")
    assert not (clone / ".venv").exists()
