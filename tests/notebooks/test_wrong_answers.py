"""Plausible wrong answers fail, each at its own check and for the expected reason."""

import copy
from pathlib import Path
from typing import Any

import pytest
from labs_under_test import LabUnderTest
from nbformat import v4
from nbformat.notebooknode import NotebookNode

from batchlab import authoring, execution
from batchlab.source import CHECK_SUFFIX


def test_every_question_has_a_wrong_answer(lab: LabUnderTest) -> None:
    assert lab.wrong_answers.is_file(), f"tests/wrong_answers/{lab.name}.toml is missing"
    answered = {question for chosen in lab.sets() for question in chosen["answers"]}
    assert answered == set(lab.source().info().points)


@pytest.mark.notebook
@pytest.mark.timeout(900)
def test_wrong_answers_fail_at_their_own_check(lab: LabUnderTest, tmp_path: Path) -> None:
    """One run a lab, for a run is dear: who answers a question wrong in several ways answers it several times."""
    follows = {question for chosen in lab.sets() for question in chosen.get("follows", ())}
    notebook = authoring.build_solution(lab.path, execute=False)
    expected = answered_wrong(notebook, lab.sets())
    execution.run(notebook, lab.path.parent, lab.environment(tmp_path / "home"))

    for question, because, check in expected:
        earned, words = execution.verdicts(v4.new_notebook(cells=[check]))[question]
        assert "Wrong" in words, f"{question}: {words}"
        assert because in words, f"{question}: {words}"
        assert earned == 0.0
    told = execution.verdicts(notebook)
    points = lab.source().info().points
    for question in set(points) - {question for question, _, _ in expected} - follows:
        assert told[question][0] == points[question], f"{question} was to stay right: {told[question][1]}"


def answered_wrong(notebook: NotebookNode, sets: list[dict[str, Any]]) -> list[tuple[str, str, NotebookNode]]:
    """Answer a solution wrong, in place; the answers of later sets come after those of earlier ones.

    For each answer to a question but the last, all cells from the answer to its check are there once more.

    Returns:
        question, what its check must say, and the cell of that check; for each wrong answer.
    """
    expected = []
    for chosen in sets:
        for question, answer in chosen["answers"].items():
            first, last = place(notebook, question), place(notebook, question + CHECK_SUFFIX)
            tried = [copy.deepcopy(cell) for cell in notebook.cells[first : last + 1]]
            tried[0].source = answer["code"]
            if any(question == known for known, _, _ in expected):
                for cell in tried:
                    cell.id = v4.new_code_cell().id
                notebook.cells[last + 1 : last + 1] = tried
            else:
                notebook.cells[first : last + 1] = tried
            expected.append((question, answer["because"], tried[-1]))
    return expected


def place(notebook: NotebookNode, grade_id: str) -> int:
    """Return where the last cell with a grade id stands."""
    cells = enumerate(notebook.cells)
    found = [at for at, cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
    assert found, f"no cell {grade_id}"
    return found[-1]
