"""The source of a lab: `solutions/NN_verb_noun.py`, read into cells with their meaning.

A source is a jupytext py:percent file. Its YAML header has a block `batchlab:` (title, level, minutes, tiers, needs,
summary). Cells that carry points say so in their header line::

    # %% gid="q1" kind="answer"
    # %% gid="q1_check" kind="test" points=2
    # %% [markdown] gid="q7" kind="manual" points=3

Between `### BEGIN SOLUTION` and `### END SOLUTION` (in Markdown `<!-- BEGIN SOLUTION -->`) stands what learners do not
see.
"""

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.notebooknode import NotebookNode

from batchlab.course import LEVELS, LabInfo
from batchlab.provenance import TIERS

NAME = re.compile(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*")
GID = re.compile(r"[a-z][a-z0-9_]*")
CHECK_SUFFIX = "_check"
HEADER_KEYS = {"title": str, "level": str, "minutes": int, "tiers": list, "needs": list, "summary": str}
CELL_KEYS = ("gid", "kind", "points", "tags")
# Jupytext's own notes on blank lines.
JUPYTEXT_KEYS = ("lines_to_next_cell", "lines_to_end_of_cell_marker")

# What each kind means to nbgrader (schema version 3).
KINDS: dict[str, dict[str, bool]] = {
    "answer": {"grade": False, "solution": True, "locked": False},
    "test": {"grade": True, "solution": False, "locked": True},
    "manual": {"grade": True, "solution": True, "locked": False},
    "readonly": {"grade": False, "solution": False, "locked": True},
}


class AuthoringError(ValueError):
    """A source that cannot become a lab; the message lists every place and what to do there."""


@dataclass(frozen=True)
class Cell:
    """One cell of a source: its text, its meaning, and where it stands."""

    number: int
    line: int
    cell_type: str
    text: str
    gid: str
    kind: str
    points: float | None
    tags: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def question(self) -> str:
        """The question a cell belongs to: its gid without the suffix of a test."""
        return self.gid.removesuffix(CHECK_SUFFIX)

    def parsed(self) -> ast.Module | None:
        """Return the syntax tree of a code cell, IPython's magics translated; None where it is no Python."""
        try:
            return ast.parse(TransformerManager().transform_cell(self.text))
        except SyntaxError:
            return None


@dataclass(frozen=True)
class Source:
    """A lab's source file: its id, header, and cells."""

    path: Path
    header: dict[str, Any]
    cells: tuple[Cell, ...]

    @property
    def lab(self) -> str:
        """The lab's id, which is the file's name."""
        return self.path.stem

    def where(self, cell: Cell | None = None) -> str:
        """Name a place for an author."""
        if cell is None:
            return f"solutions/{self.path.name}"
        line = f":{cell.line}" if cell.line else ""
        return f"solutions/{self.path.name}{line} (cell {cell.number}{f', {cell.gid}' if cell.gid else ''})"

    def info(self) -> LabInfo:
        """Return the lab's entry in the course file: header, points, and the variables that hold the answers."""
        tests = [cell for cell in self.cells if cell.kind == "test"]
        return LabInfo(
            lab=self.lab,
            **self.header,
            points={cell.question: cell.points or 0 for cell in tests},
            variables={cell.question: ", ".join(names) for cell in tests if (names := answer_names(cell))},
            manual={cell.gid: cell.points or 0 for cell in self.cells if cell.kind == "manual"},
        )

    def cell_ids(self) -> list[str]:
        """Return one stable id per cell: by gid, else by text, so that an insertion leaves the other ids alone."""
        seen: dict[str, int] = {}
        ids = []
        for cell in self.cells:
            key = f"{self.lab}\n{cell.gid or cell.cell_type + cell.text}"
            seen[key] = seen.get(key, 0) + 1
            ids.append(hashlib.sha256(f"{key}\n{seen[key]}".encode()).hexdigest()[:12])
        return ids

    def notebook(self) -> NotebookNode:
        """Return the source as a notebook with nbgrader's metadata, solutions in, not executed.

        Raises:
            AuthoringError: a cell that is neither code nor Markdown.
        """
        notebook = nbformat.v4.new_notebook(metadata=self.notebook_metadata())
        makers = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
        for cell, cell_id in zip(self.cells, self.cell_ids(), strict=True):
            if cell.cell_type not in makers:
                raise AuthoringError(f"{self.where(cell)}: a {cell.cell_type} cell; use code or [markdown].")
            node = makers[cell.cell_type](cell.text, id=cell_id)
            if cell.tags:
                node.metadata["tags"] = list(cell.tags)
            if cell.kind:
                node.metadata["nbgrader"] = {**KINDS[cell.kind], "task": False, "schema_version": 3}
                node.metadata["nbgrader"]["grade_id"] = cell.gid
                if cell.points is not None:
                    node.metadata["nbgrader"]["points"] = cell.points
            notebook.cells.append(node)
        return notebook

    def notebook_metadata(self) -> NotebookNode:
        """Return the metadata of the lab's notebooks, free of anything that a machine or a run would change."""
        return nbformat.from_dict(
            {
                "batchlab": {"lab": self.lab, **self.header},
                "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            }
        )


def read(path: Path) -> Source:
    """Read a source file.

    Raises:
        AuthoringError: no such file, not UTF-8, a name that is no lab id, or a header that does not say what it must.
    """
    place = f"solutions/{path.name}"
    if not NAME.fullmatch(path.stem):
        raise AuthoringError(f"{place}: call a lab NN_verb_noun.py, such as 01_sweep_static_batches.py.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuthoringError(f"{place}: cannot be read ({error}).") from error
    try:
        notebook = jupytext.reads(text, fmt="py:percent")
    except Exception as error:
        raise AuthoringError(f"{place}: jupytext cannot read it ({error}).") from error
    header = _header(place, notebook)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"# %%(\s|$)", line)]
    # Positions are a courtesy of error messages: without one marker per cell they are left out.
    positions = lines if len(lines) == len(notebook.cells) else [0] * len(notebook.cells)
    cells = tuple(_cell(i, line, node) for i, (line, node) in enumerate(zip(positions, notebook.cells, strict=True), 1))
    return Source(path, header, cells)


def answer_names(cell: Cell) -> list[str]:
    """Return the names that a test cell's check takes its answer from; none where the answer is computed there."""
    call = check_call(cell)
    if call is None or len(call.args) < 2:
        return []
    answer = call.args[1]
    parts = answer.values if isinstance(answer, ast.Dict) else getattr(answer, "elts", [answer])
    return [part.id for part in parts if isinstance(part, ast.Name)]


def check_call(cell: Cell) -> ast.Call | None:
    """Return the call ``check.<method>(...)`` whose value is a test cell's last line."""
    tree = cell.parsed()
    last = tree.body[-1] if tree and tree.body else None
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return None
    method = last.value.func
    owned = isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name) and method.value.id == "check"
    # A semicolon at the end keeps the value, and so the points, from being shown.
    return last.value if owned and not cell.text.rstrip().endswith(";") else None


def _header(place: str, notebook: NotebookNode) -> dict[str, Any]:
    """Take the block `batchlab:` out of the YAML header, from inside `jupyter:` or beside it."""
    block = notebook.metadata.get("batchlab")
    first = notebook.cells[0] if notebook.cells else None
    if block is None and first is not None and first.cell_type == "raw" and first.source.startswith("---"):
        try:
            outer = yaml.safe_load("\n".join(first.source.strip().splitlines()[1:-1]))
        except yaml.YAMLError as error:
            raise AuthoringError(f"{place}: the YAML header does not parse ({error}).") from error
        block = outer.get("batchlab") if isinstance(outer, dict) else None
        notebook.cells.pop(0)
    if not isinstance(block, dict):
        raise AuthoringError(f"{place}: the YAML header has no block 'batchlab:' with {', '.join(HEADER_KEYS)}.")
    problems = [f"unknown key {key!r}" for key in block if key not in HEADER_KEYS]
    for key, kind in HEADER_KEYS.items():
        if key not in block:
            problems.append(f"{key} is missing")
        elif type(block[key]) is not kind:
            problems.append(f"{key} must be of type {kind.__name__}, not {type(block[key]).__name__}")
    if not problems:
        if block["level"] not in LEVELS:
            problems.append(f"level {block['level']!r} is none of {', '.join(LEVELS)}")
        strange = [str(tier) for tier in block["tiers"] if tier not in TIERS]
        if strange or not block["tiers"]:
            problems.append(f"tiers {', '.join(strange) or 'are empty and'} must be among {', '.join(TIERS)}")
        if block["minutes"] <= 0:
            problems.append("minutes must be positive")
    if problems:
        raise AuthoringError(f"{place}: in the header's block 'batchlab:', {'; '.join(problems)}.")
    return {key: block[key] for key in HEADER_KEYS}


def _cell(number: int, line: int, node: NotebookNode) -> Cell:
    meta = node.metadata
    return Cell(
        number=number,
        line=line,
        cell_type=node.cell_type,
        text=node.source,
        gid=str(meta.get("gid", "")),
        kind=str(meta.get("kind", "")),
        points=meta.get("points"),
        tags=tuple(meta.get("tags", ())),
        extra=tuple(key for key in meta if key not in CELL_KEYS + JUPYTEXT_KEYS),
    )
