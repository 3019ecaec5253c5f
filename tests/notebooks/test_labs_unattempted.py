"""Each lab runs from top to bottom as it is handed out, and every check says that nothing was attempted."""

from pathlib import Path

import pytest
from labs_under_test import LabUnderTest

from batchlab import execution, progress


@pytest.mark.notebook
@pytest.mark.timeout(600)
def test_the_lab_runs_unattempted(
    lab: LabUnderTest, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = lab.environment(tmp_path / "home")
    notebook = lab.notebook("labs", scratch)
    execution.run(notebook, lab.root(scratch) / "labs", environment)

    told = execution.verdicts(notebook)
    assert set(told) == set(lab.source().info().points)
    for question, (points, words) in told.items():
        assert (question, points) == (question, 0.0)
        assert "Not attempted" in words, f"{question}: {words}"
    # One output each: stderr beside the verdict would cost the points in nbgrader.
    checks = [c for c in notebook.cells if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get("grade")]
    assert all([output.output_type for output in cell.outputs] == ["execute_result"] for cell in checks)
    monkeypatch.setenv("BATCHLAB_HOME", environment["BATCHLAB_HOME"])
    assert progress.load() == []
