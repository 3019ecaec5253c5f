"""A notebook read with suspicion, and joined with the lab as it was handed out."""

import json
from typing import Any

import pytest

from batchlab import submission
from batchlab.submission import Part, SubmissionError


def cell(source: Any = "", gid: str = "", cell_id: str = "", kind: str = "code", **known: Any) -> dict[str, Any]:
    made = {"cell_type": kind, "source": source, "id": cell_id, "metadata": {}}
    if gid:
        made["metadata"] = {"nbgrader": {"grade_id": gid, **known}}
    return made


def content(*cells: Any) -> bytes:
    return json.dumps({"cells": list(cells)}).encode()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "broken JSON"),
        (b"{", "broken JSON"),
        (b"\xff\xfe", "broken JSON"),
        (b"[" * 200_000, "broken JSON"),
        (b"[]", "no Jupyter notebook"),
        (b'{"cells": {}}', "no Jupyter notebook"),
        (content(cell("x" * 300_000)), "one cell"),
        (b" " * (65 * 2**20), "65 MiB"),
    ],
)
def test_what_is_no_notebook_is_told_in_a_line(raw: bytes, says: str) -> None:
    with pytest.raises(SubmissionError, match=says) as caught:
        submission.read(raw)
    assert "\n" not in str(caught.value)


def test_strange_cells_do_no_harm() -> None:
    strange: list[Any] = [
        7,
        None,
        {"cell_type": "raw"},
        {"cell_type": "code", "source": 5, "metadata": [], "outputs": 3},
    ]
    assert [part.source for part in submission.read(content(*strange, cell(["a\n", "b"])))] == ["5", "a\nb"]


LAB = [
    Part("", "", "c1", True, "import math"),
    Part("answer", "q", "c2", True, "x = ..."),
    Part("test", "q_check", "c3", True, "check.number('q', x, 5)", 2.0),
    Part("manual", "essay", "c4", False, "*Here.*", 3.0),
]


def joined(*cells: Any) -> tuple[list[str], list[str]]:
    parts, remarks = submission.join(LAB, submission.read(content(*cells)))
    return [part.source for part in parts], remarks


def test_answers_are_the_learners_and_locked_cells_the_labs() -> None:
    sources, remarks = joined(
        cell("import math", cell_id="c1"),
        cell("x = 5", "q", "c2", solution=True),
        cell("print('all right')", "q_check", "c3", grade=True),
        cell("Because.", "essay", "c4", kind="markdown", grade=True, solution=True),
    )
    assert sources == ["import math", "x = 5", "check.number('q', x, 5)", "Because."]
    assert remarks == ["The locked cell q_check was changed; the lab's own was used."]


def test_own_cells_follow_what_they_stood_behind() -> None:
    sources, _ = joined(cell("top"), cell("x = f()", "q", solution=True), cell("y = 1"), cell("", cell_id="z"))
    assert sources == ["top", "import math", "x = f()", "y = 1", "check.number('q', x, 5)", "*Here.*"]


def test_missing_changed_and_doubled_cells_are_told() -> None:
    sources, remarks = joined(
        cell("import numpy", cell_id="c1"), cell("x = 1", "q", solution=True), cell("x = 5", "q", solution=True)
    )
    assert sources[:2] == ["import numpy", "x = 1"]
    assert [remark.split(":")[0] for remark in remarks] == [
        "The cell q is there twice; the first one counts.",
        "Cell 1 of the lab was changed, and was run as changed",
        "The answer cell essay is missing.",
    ]


def test_a_notebook_without_ids_runs_once() -> None:
    sources, remarks = joined(
        cell("import math"), cell("x = 5", "q", solution=True), cell("", "essay", kind="markdown")
    )
    assert sources.count("import math") == 1
    assert remarks == []
