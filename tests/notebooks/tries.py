"""Wrong answers tried in a lab as it is handed out, without a trace in what follows.

A lab's experiments take a minute, and its answers a moment. So a lab runs once, unattempted, and its wrong answers are
tried on the way: each directly after the question's own, unattempted check, with what the lab has measured so far. Then
all names are put back, and the lab goes on unattempted.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nbformat import v4
from nbformat.notebooknode import NotebookNode

from batchlab.source import CHECK_SUFFIX
from batchlab.trusted import bound, free, parsed

# A name that only a wrong answer gives would hide from the cells below that nobody has answered.
KEEP = "_kept = dict(globals())"
PUT_BACK = """for _name in globals().keys() - _kept.keys():
    if not _name.startswith("_"):
        del globals()[_name]
globals().update(_kept)
del _kept, _name"""


@dataclass(frozen=True)
class Try:
    """A wrong answer: its question, a part of what the check must say, and the cell of that check."""

    question: str
    because: str
    check: NotebookNode


def insert(notebook: NotebookNode, sets: Sequence[dict[str, Any]]) -> list[Try]:
    """Try all wrong answers in a lab, in place, and return them in the order in which they will be checked.

    With each answer go the cells between it and its check that read it. Cells below the check that read it follow where
    the last of them stands: a lab must reach its end with a wrong answer, too.
    """
    handed_out, tries = list(notebook.cells), []
    after: dict[int, list[NotebookNode]] = {}
    for at, check in enumerate(handed_out):
        question = _gid(check).removesuffix(CHECK_SUFFIX)
        wrong = [answers[question] for chosen in sets if question in (answers := chosen["answers"])]
        if _gid(check) == question or not wrong:
            continue
        answer = next(i for i, cell in enumerate(handed_out) if _gid(cell) == question)
        readers = list(_readers(handed_out, answer))
        above, last = [i for i in readers if i < at], max([at, *readers])
        for given in wrong:
            first = [_code(given["code"]), *(_again(handed_out[i]) for i in above)]
            after.setdefault(at, []).extend(_apart([*first, checked := _again(check)]))
            tries.append(Try(question, given["because"], checked))
            if last > at:
                whole = [_code(given["code"]), *(_again(handed_out[i]) for i in readers)]
                after.setdefault(last, []).extend(_apart(whole))
    notebook.cells = [new for i, cell in enumerate(handed_out) for new in (cell, *after.get(i, ()))]
    return tries


def _readers(cells: Sequence[NotebookNode], answer: int) -> Iterator[int]:
    """Yield where the cells stand that read an answer, or a name that such a cell binds; checks and answers apart."""
    names = _bound(cells[answer])
    for at, cell in enumerate(cells[answer + 1 :], answer + 1):
        if cell.cell_type != "code" or _gid(cell):
            continue
        if any(names & free(statement) for statement in parsed(cell.source).body):
            names |= _bound(cell)
            yield at
        else:
            names -= _bound(cell)


def _bound(cell: NotebookNode) -> set[str]:
    return {name for statement in parsed(cell.source).body for name in bound(statement)}


def _apart(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    return [_code(KEEP), *cells, _code(PUT_BACK)]


def _code(source: str) -> NotebookNode:
    return v4.new_code_cell(source)


def _again(cell: NotebookNode) -> NotebookNode:
    """Return a cell once more, with an id of its own."""
    twin = copy.deepcopy(cell)
    twin.id = _code("").id
    return twin


def _gid(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
