"""A learner's notebook as it was handed in, read with suspicion, and joined with the lab as it was handed out.

Nothing here executes anything. The lab's own cells are taken from the lab; of the learner's notebook only the answers
and the learner's additional cells are used.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

NOTEBOOK_MIB = 64
CELL_KIB = 256
CELLS = 2000
# A lab that gives each learner other numbers names its learner so.
NAMED = re.compile(r'^LEARNER = "[^"\n]*"', re.MULTILINE)


class SubmissionError(ValueError):
    """What was handed in is no notebook that can be graded; the message says why."""


@dataclass(frozen=True)
class Part:
    """One cell.

    Attributes:
        kind: ``"answer"``, ``"test"``, ``"manual"``, ``"readonly"``; empty for a cell of the lab without points;
            ``"extra"`` for a cell of the learner's own.
        gid: nbgrader's id of the cell, else empty.
        cell_id: the notebook format's id.
        code: whether it is code; else Markdown.
        source: its text.
        points: what a test or a manual cell is worth.
        tags: the cell's tags.
    """

    kind: str
    gid: str
    cell_id: str
    code: bool
    source: str
    points: float = 0.0
    tags: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """The question that a test belongs to."""
        return self.gid.removesuffix("_check")


def read(content: bytes) -> list[Part]:
    """Return the cells of a notebook; outputs are never looked at.

    Raises:
        SubmissionError: too large, no JSON, or no notebook of format 4.
    """
    if len(content) > NOTEBOOK_MIB * 2**20:
        raise SubmissionError(f"the notebook has {len(content) / 2**20:.0f} MiB, more than {NOTEBOOK_MIB}")
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"the notebook is broken JSON ({str(error)[:80]})") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or len(cells) > CELLS:
        raise SubmissionError("that is no Jupyter notebook of format 4")
    return [part for part in map(_part, cells) if part is not None]


def personal(part: Part, learner: str) -> Part:
    """Return a cell with the learner's name in it where it asks for one; that cell is then locked."""
    if not (part.code and not part.kind and NAMED.search(part.source)):
        return part
    return replace(part, kind="readonly", source=NAMED.sub(f'LEARNER = "{learner}"', part.source, count=1))


def _part(cell: Any) -> Part | None:
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown"):
        return None
    source = cell.get("source", "")
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if len(source) > CELL_KIB * 1024:
        raise SubmissionError(f"one cell has {len(source) // 1024} KiB of text, more than {CELL_KIB}")
    metadata = _object(cell.get("metadata"))
    known = _object(metadata.get("nbgrader"))
    kind = {(False, True): "answer", (True, False): "test", (True, True): "manual"}.get(
        (bool(known.get("grade")), bool(known.get("solution"))), "readonly" if known else ""
    )
    points = known.get("points", 0)
    tags = metadata.get("tags", ())
    return Part(
        kind=kind,
        gid=str(known.get("grade_id", "")),
        cell_id=str(cell.get("id", "")),
        code=cell["cell_type"] == "code",
        source=source,
        points=float(points) if isinstance(points, int | float) else 0.0,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def join(lab: Sequence[Part], handed_in: Sequence[Part]) -> tuple[list[Part], list[str]]:
    """Return the cells to run, and what a person should look at.

    Answers are the learner's. Locked cells are the lab's, whatever the learner made of them. A cell without points that
    the learner changed is run as changed, and told. Cells of the learner's own follow the cell they stood behind.
    """
    remarks: list[str] = []
    ids, sources = {part.cell_id for part in lab if part.cell_id}, {part.source for part in lab}
    by_gid: dict[str, Part] = {}
    by_id: dict[str, Part] = {}
    behind: dict[str, list[Part]] = {"": []}
    anchor = ""
    known = {part.gid for part in lab if part.gid}
    for part in handed_in:
        if part.gid in known:
            if part.gid in by_gid:
                remarks.append(f"The cell {part.gid} is there twice; the first one counts.")
            by_gid.setdefault(part.gid, part)
            anchor = part.gid
        elif part.cell_id in ids:
            by_id.setdefault(part.cell_id, part)
            anchor = part.cell_id
        elif part.code and part.source.strip() and part.source not in sources:
            behind.setdefault(anchor, []).append(Part("extra", "", part.cell_id, True, part.source))
    joined = list(behind[""])
    for number, part in enumerate(lab, 1):
        theirs = by_gid.get(part.gid) if part.gid else by_id.get(part.cell_id)
        joined.append(_chosen(part, theirs, number, remarks))
        joined += behind.get(part.gid or part.cell_id, [])
    return joined, remarks


def _chosen(part: Part, theirs: Part | None, number: int, remarks: list[str]) -> Part:
    changed = theirs is not None and theirs.source.strip() != part.source.strip()
    if part.kind in ("answer", "manual"):
        if theirs is None:
            remarks.append(f"The answer cell {part.gid} is missing.")
            return part
        return Part(part.kind, part.gid, part.cell_id, part.code, theirs.source, part.points, part.tags)
    if not (changed and part.code):
        return part
    assert theirs is not None
    if part.kind:
        remarks.append(f"The locked cell {part.gid} was changed; the lab's own was used.")
        return part
    remarks.append(f"Cell {number} of the lab was changed, and was run as changed: {_first(theirs.source)}")
    return Part("", "", part.cell_id, True, theirs.source, 0.0, part.tags)


def _first(source: str) -> str:
    lines = source.strip().splitlines()
    return lines[0][:60] if lines else "(empty)"
