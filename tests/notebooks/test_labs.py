"""Each lab as it is handed out: it runs from top to bottom unattempted, and calls plausible wrong answers wrong."""

from pathlib import Path

import pytest
import tries
from labs_under_test import LabUnderTest
from nbformat import v4
from nbformat.notebooknode import NotebookNode

from batchlab import execution, progress


def test_every_question_has_a_wrong_answer(lab: LabUnderTest) -> None:
    assert lab.wrong_answers.is_file(), f"tests/wrong_answers/{lab.name}.toml is missing"
    answered = {question for chosen in lab.sets() for question in chosen["answers"]}
    assert answered == set(lab.source().info().points)


@pytest.mark.notebook
@pytest.mark.timeout(900)
def test_the_lab_runs_unattempted_and_wrong_answers_fail_at_their_own_check(
    lab: LabUnderTest, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run a lab for both, for a run is dear."""
    environment = lab.environment(tmp_path / "home")
    notebook = lab.notebook("labs", scratch)
    handed_out = list(notebook.cells)
    tried = tries.insert(notebook, lab.sets())
    execution.run(notebook, lab.root(scratch) / "labs", environment)

    assert_unattempted(lab, v4.new_notebook(cells=handed_out))
    for wrong in tried:
        earned, words = execution.verdicts(v4.new_notebook(cells=[wrong.check]))[wrong.question]
        assert "Wrong" in words, f"{wrong.question}: {words}"
        assert wrong.because in words, f"{wrong.question}: {words}"
        assert earned == 0.0
    # An unattempted check records nothing, so these are all.
    monkeypatch.setenv("BATCHLAB_HOME", environment["BATCHLAB_HOME"])
    recorded = [(entry.question, entry.state) for entry in progress.load()]
    assert recorded == [(wrong.question, "wrong") for wrong in tried]


def assert_unattempted(lab: LabUnderTest, ran: NotebookNode) -> None:
    """Every check of a lab that ran says that nothing was attempted, and nothing besides."""
    told = execution.verdicts(ran)
    assert set(told) == set(lab.source().info().points)
    for question, (points, words) in told.items():
        assert (question, points) == (question, 0.0)
        assert "Not attempted" in words, f"{question}: {words}"
    # One output each: stderr beside the verdict would cost the points in nbgrader.
    checks = [c for c in ran.cells if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get("grade")]
    assert all([output.output_type for output in cell.outputs] == ["execute_result"] for cell in checks)
