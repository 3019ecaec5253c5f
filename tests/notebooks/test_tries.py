"""Wrong answers are tried with what reads them, and leave nothing behind."""

from typing import Any

import pytest
import tries
from nbformat import v4
from nbformat.notebooknode import NotebookNode


def cell(source: str, gid: str = "") -> NotebookNode:
    return v4.new_code_cell(source, metadata={"nbgrader": {"grade_id": gid}} if gid else {})


@pytest.fixture
def notebook() -> NotebookNode:
    """A lab whose answer is read above its check and below, by way of another name."""
    return v4.new_notebook(
        cells=[
            cell("ran, told = [], []"),
            cell("answer = ...", "q"),
            cell("ran.append('measured')"),
            cell("doubled = 2 * answer if answer is not ... else None"),
            cell("told.append(answer)", "q_check"),
            cell("later = doubled"),
            cell("ran.append(later)"),
            cell("doubled = 'anew'"),
            cell("ran.append(doubled)"),
            cell("ran.append('slip' in globals())"),
        ]
    )


def played(notebook: NotebookNode) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for each in notebook.cells:
        exec(each.source, names)
    return names


def test_the_lab_goes_on_unattempted_and_measures_once(notebook: NotebookNode) -> None:
    handed_out = list(notebook.cells)
    sets = [{"answers": {"q": {"code": "slip = answer = 7", "because": "odd"}}}]
    tried = tries.insert(notebook, sets)

    assert [(wrong.question, wrong.because) for wrong in tried] == [("q", "odd")]
    names = played(notebook)
    assert names["told"] == [..., 7]
    # What reads the answer below runs with it too, after it ran unattempted; what binds a name anew does not.
    assert names["ran"] == ["measured", None, 14, "anew", False]
    assert "slip" not in names
    assert names["answer"] is ...
    # The lab itself is there as it was, each inserted cell with an id of its own.
    assert [each for each in notebook.cells if any(each is old for old in handed_out)] == handed_out
    assert len({each.id for each in notebook.cells}) == len(notebook.cells)


def test_a_question_is_answered_wrong_in_several_ways_one_after_another(notebook: NotebookNode) -> None:
    sets = [
        {"answers": {"q": {"code": "answer = 1", "because": "one"}}},
        {"answers": {"other": {"code": "", "because": ""}}},
        {"answers": {"q": {"code": "answer = 2", "because": "two"}}},
    ]
    assert [wrong.because for wrong in tries.insert(notebook, sets)] == ["one", "two"]
    assert played(notebook)["told"] == [..., 1, 2]
