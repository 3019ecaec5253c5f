"""The judgement of one submission: the learner's code runs in a sandbox, the checks run here.

Each test cell of the lab, and the instructor's hidden ones, are executed in this process with a `check` of its own. The
answers come out of the sandbox as plain values, so neither a printed verdict nor a changed `batchlab.grading` inside
reaches a score. A hidden test never enters the sandbox.
"""

import ast
import contextlib
import io
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batchlab import exchange, execution, sandbox, submission
from batchlab.sandbox import Limits
from batchlab.submission import Part
from batchlab.trusted import Trusted, free, parsed
from batchlab.verdict import Verdict

GRACE_S = 5.0


@dataclass(frozen=True)
class Paper:
    """A lab as the grader knows it.

    Attributes:
        lab: its id.
        cells: its cells as handed out.
        course: text of the course file.
        hidden: question -> source of a further test cell, which the answer must pass as well.
        files: further read-only files inside the sandbox, by path.
    """

    lab: str
    cells: tuple[Part, ...]
    course: str
    hidden: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def of(self, learner: str) -> "Paper":
        """Return the lab as this learner got it."""
        if not learner:
            return self
        return replace(self, cells=tuple(submission.personal(part, learner) for part in self.cells))

    def points(self) -> dict[str, float]:
        """Return question -> points, for those that are checked."""
        return {part.question: part.points for part in self.cells if part.kind == "test"}


@dataclass
class Judgement:
    """What became of one submission; `to_dict` is what is kept on disk."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    ended: str = ""
    wall_s: float = 0.0

    @property
    def points(self) -> float:
        """Points of all checks."""
        return sum(verdict.points for verdict in self.verdicts.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "points": self.points,
            "ended": self.ended,
            "wall_s": round(self.wall_s, 2),
            "remarks": self.remarks,
            "verdicts": {name: vars(verdict) for name, verdict in self.verdicts.items()},
            "cells": self.cells,
        }


def judge(
    paper: Paper, handed_in: bytes, limits: Limits | None = None, environment: Mapping[str, str] | None = None
) -> Judgement:
    """Run a submission in a sandbox and judge it; whatever the submission does, a judgement comes back.

    Raises:
        SandboxError: no sandbox can be made here.
    """
    limits, began = limits or Limits(), time.monotonic()
    found = Judgement()
    try:
        parts, found.remarks = submission.join(paper.cells, submission.read(handed_in))
    except submission.SubmissionError as error:
        found.ended = f"{error}."
        _rest(paper, found)
        return found
    if float((environment or {}).get("BATCHLAB_PACE", 1)) < 1:
        # At a shorter pace there are too few samples for what these cells assert.
        parts = [part for part in parts if execution.MEASURED_TAG not in part.tags]
    files = {sandbox.COURSE: paper.course.encode(), **paper.files}
    variables = {"BATCHLAB_COURSE": sandbox.COURSE, **(environment or {})}
    with sandbox.Sandbox(limits, files=files, environment=variables) as box:
        peer = exchange.Peer(box.channel, limit_bytes=limits.message_mib * 2**20)
        peer.deadline = began + limits.wall_s + GRACE_S
        court = _Court(paper, peer, found)
        try:
            for part in parts:
                court.hear(part)
        except (exchange.ExchangeError, RecursionError) as error:
            found.ended = f"{box.why() or error}."
            found.remarks.append(f"The sandbox was closed early: {found.ended}")
    _rest(paper, found)
    found.wall_s = time.monotonic() - began
    return found


def _rest(paper: Paper, found: Judgement) -> None:
    for name, maximum in paper.points().items():
        if name not in found.verdicts:
            reason = f"It was not reached. {found.ended[:1].upper()}{found.ended[1:]}"
            found.verdicts[name] = Verdict(name, "wrong", 0.0, maximum, reason)


class _Court:
    """The hearing of one submission, cell by cell."""

    def __init__(self, paper: Paper, peer: exchange.Peer, found: Judgement) -> None:
        self._paper, self._peer, self._found = paper, peer, found
        self._trusted = Trusted(paper.cells)
        self._variables = {name for part in paper.cells if part.kind == "answer" for name in _made(part.source)}
        self._failed: dict[str, str] = {}

    def hear(self, part: Part) -> None:
        shown: dict[str, Any] = {"kind": part.kind, "gid": part.gid, "id": part.cell_id, "source": part.source}
        shown["code"] = part.code
        if part.code and part.source.strip():
            told = self._peer.ask("run", part.source)
            told = told if isinstance(told, dict) else {}
            shown["output"], shown["error"] = str(told.get("output", ""))[:100_000], str(told.get("error", ""))[:500]
            if told.get("dropped"):
                shown["output"] += f"\n[{told['dropped']} further characters were dropped]"
            if shown["error"] and part.kind == "answer":
                self._failed[part.gid] = shown["error"]
        if part.kind == "test":
            self._found.verdicts[part.question] = self._verdict(part)
        self._found.cells.append(shown)

    def _verdict(self, part: Part) -> Verdict:
        open_one = self._heard(part, part.source)
        hidden = self._paper.hidden.get(part.question)
        if hidden is None or open_one.state != "right":
            return open_one
        further = self._heard(part, hidden)
        if further.state == "right":
            return open_one
        # The learner reads the verdict, and must not read the hidden test in it; the instructor reads the remarks.
        self._found.remarks.append(f"{part.question}: the hidden test says: {further.because}")
        reason = "The answer passes the check in the notebook and fails a further one."
        return Verdict(part.question, "wrong", 0.0, part.points, reason)

    def _heard(self, part: Part, source: str) -> Verdict:
        """Execute one test cell here and return its verdict."""
        tree = parsed(source)
        names = free(tree) - {"check"}
        try:
            given = self._peer.ask("fetch", sorted(name for name in names if not self._trusted.has(name)))
            namespace = {name: self._trusted.get(name) for name in names if self._trusted.has(name)}
        except exchange.RemoteError as error:
            return Verdict(part.question, "wrong", 0.0, part.points, f"The answer cannot be handed over: {error}")
        given = given if isinstance(given, dict) else {}
        # What a failed cell left unbound counts as not attempted, with the failure told.
        unbound = dict.fromkeys(self._variables & names, ...)
        namespace = {**unbound, **{name: given[name] for name in names if name in given}, **namespace}
        verdict = _ruled(part, tree, namespace, self._paper.lab)
        failed = self._failed.get(part.question)
        if failed and verdict.state != "right":
            return Verdict(**{**vars(verdict), "note": f"The answer's cell failed: {failed}"})
        return verdict


def _ruled(part: Part, tree: ast.Module, namespace: dict[str, Any], lab: str) -> Verdict:
    from batchlab.grading import Lab

    namespace |= {"check": Lab(lab), "__name__": "__main__"}
    quiet = io.StringIO()
    reason = "The test cell gives no verdict"
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            *before, last = tree.body
            exec(compile(ast.Module(before, []), "<check>", "exec"), namespace)
            value = eval(compile(ast.Expression(last.value), "<check>", "eval"), namespace)  # type: ignore[attr-defined]
        if isinstance(value, Verdict) and value.question == part.question:
            share = value.points / value.maximum if value.maximum else 0.0
            return Verdict(**{**vars(value), "points": share * part.points, "maximum": part.points})
    except exchange.ExchangeError:
        raise
    except Exception as error:
        reason = f"The check could not be carried out ({type(error).__name__}: {str(error)[:200]})"
    return Verdict(part.question, "wrong", 0.0, part.points, f"{reason}. Look at it by hand.")


def _made(source: str) -> set[str]:
    from batchlab.trusted import bound

    return {name for statement in parsed(source).body for name in bound(statement)}


def prepare(course_file: os.PathLike[str] | str) -> None:
    """Make this process a judge: the course it knows, and no trace in anybody's progress."""
    os.environ["BATCHLAB_COURSE"] = os.fspath(course_file)
    os.environ["NBGRADER_EXECUTION"] = "autograde"


def hidden_tests(cells: Sequence[Part]) -> dict[str, str]:
    """Return the hidden tests in the cells of a private notebook: question -> source."""
    return {part.question: part.source for part in cells if part.kind == "test"}
