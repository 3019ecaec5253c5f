"""A course folder with the sample lab as its one lab, and small limits for what runs in it."""

import os
import shutil
from pathlib import Path

import pytest
from sample_lab import FIXTURES

from batchlab import classroom
from batchlab.classroom import Classroom
from batchlab.walls import Limits


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classroom:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    return classroom.init(tmp_path / "course", sources=FIXTURES / "solutions", secret="of the tests")


@pytest.fixture
def walled() -> None:
    """Leave a test out where no sandbox can be made; in CI that is a failure."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is missing: scripts/install-system-packages")


@pytest.fixture
def small() -> Limits:
    return Limits(
        wall_s=40, cell_s=3, memory_mib=500, processes=48 + 8 * (os.cpu_count() or 1), disk_mib=16, output_kib=8
    )
