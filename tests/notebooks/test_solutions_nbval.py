"""Each committed solution runs again and gives the outputs that are committed, measurements apart (nbval)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from labs_under_test import LabUnderTest


@pytest.mark.notebook
@pytest.mark.timeout(900)
def test_the_solution_gives_its_committed_outputs(lab: LabUnderTest, scratch: Path, tmp_path: Path) -> None:
    # At full pace: what a solution asserts about a measurement must hold for the measurement that learners make.
    environment = {**os.environ, **lab.environment(tmp_path / "home"), "BATCHLAB_PACE": "1"}
    notebook = lab.root(scratch) / "solutions" / f"{lab.name}.ipynb"
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-q"]
    result = subprocess.run(
        [*command, "-o", "timeout=600", "--tb=short", notebook.name],
        cwd=notebook.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
