"""A timed mock interview: eight questions, a clock, a score sheet. What was answered survives a new kernel.

Two are ready: `INTERVIEWS`. The state is a file of JSON lines in the workspace: the first says when it began and with
which seed, each further one holds an answer. Design answers are graded by the candidate, 0, 1 or 2, with the rubric.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchlab import workspace
from batchlab.drill import bank
from batchlab.drill.question import DrillError, Question

INTERVIEWS: dict[str, tuple[int, tuple[str, ...]]] = {
    "engineer": (30, ("little_in_flight", "largest_batch", "lone_request", "sick_large_batch", "queue_from_counters",
                      "sick_test", "requests_for_a_percentile", "p99_is_missed")),
    "staff": (45, ("wait_in_bursts", "neighbours_batch", "sick_neighbour", "price_of_goodput", "compiled_model",
                   "sick_dashboard", "critical_and_background", "a_trade_off_you_made")),
}  # fmt: skip
GRADE_MOST = 2


@dataclass
class Mock:
    """An interview under way.

    Attributes:
        name: a key of `INTERVIEWS`.
        seed: of the questions' numbers.
        began_s: when it began, by `clock`.
        clock: seconds since the epoch.
        given: answer and points (0 to 1) by question, in the order of the answers.
        problem: why the last answer is not on disk, empty where it is.
    """

    name: str
    seed: int
    began_s: float
    clock: Callable[[], float] = time.time
    given: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    problem: str = ""

    @property
    def minutes(self) -> int:
        """The time allowed."""
        return INTERVIEWS[self.name][0]

    @property
    def left_s(self) -> float:
        """Seconds left, 0 once the time is up."""
        return max(self.began_s + 60 * self.minutes - self.clock(), 0.0)

    @property
    def questions(self) -> tuple[str, ...]:
        """The ids of its questions."""
        return INTERVIEWS[self.name][1]

    def next(self) -> Question | None:
        """Return the next question without an answer; None when all are answered or the time is up."""
        rest = [name for name in self.questions if name not in self.given]
        return bank.question(rest[0], self.seed) if rest and self.left_s > 0 else None

    def answer(self, name: str, value: Any, grade: int | None = None) -> str:
        """Take an answer and return what is to be said about it.

        Args:
            name: the question's id; each is answered once.
            value: the answer.
            grade: of a design question: 0 weak, 1 fair, 2 strong.

        Raises:
            DrillError: the time is up, the question is not of this interview or was answered, or a grade is missing.
        """
        if name not in self.questions or name in self.given:
            raise DrillError(f"{name!r} is answered already, or not part of the interview {self.name!r}.")
        if self.left_s <= 0:
            raise DrillError(f"The {self.minutes} minutes are over. See sheet() for your score.")
        asked = bank.question(name, self.seed)
        if asked.kind == "design":
            if grade is None or not 0 <= grade <= GRADE_MOST:
                raise DrillError(f"{name} needs a grade by its rubric: 0 weak, 1 fair, 2 strong.")
            points, told = grade / GRADE_MOST, f"graded {grade} of {GRADE_MOST} by the candidate"
        else:
            reason = asked.judge(value)
            points, told = (0.0, reason) if reason else (1.0, "right")
        self.given[name] = (str(value), points, told)
        _append(self, {"question": name, "answer": str(value), "points": points, "told": told})
        return told

    def sheet(self) -> str:
        """Return the score sheet as Markdown."""
        total = sum(points for _, points, _ in self.given.values())
        lines = [f"# Mock interview: {self.name}", "",
                 f"{total:g} of {len(self.questions)} points; {self.left_s / 60:.0f} of {self.minutes} min left.", "",
                 "| question | topic | points | remark | read again |", "|---|---|---|---|---|"]  # fmt: skip
        for name in self.questions:
            asked = bank.question(name, self.seed)
            _, points, told = self.given.get(name, ("", 0.0, "not answered"))
            remark = " ".join(told.split()).replace("|", "/")
            lines.append(f"| {name} | {asked.topic} | {points:g} | {remark} | {asked.lab if points < 1 else ''} |")
        return "\n".join(lines) + "\n"


def path(name: str, seed: int) -> Path:
    """Return where an interview is kept."""
    return workspace.home_dir() / f"mock-{name}-{seed}.jsonl"


def begin(name: str, seed: int = 0, *, clock: Callable[[], float] = time.time, anew: bool = False) -> Mock:
    """Begin an interview, or go on with the one that was begun; `anew` forgets that one.

    Raises:
        DrillError: no such interview, or a file that cannot be read.
    """
    if name not in INTERVIEWS:
        raise DrillError(f"No interview {name!r}. There are: {', '.join(INTERVIEWS)}.")
    kept = path(name, seed)
    try:
        if anew:
            kept.unlink(missing_ok=True)
        lines = kept.read_text(encoding="utf-8", errors="replace").splitlines() if kept.exists() else []
    except OSError as error:
        raise DrillError(f"{kept} cannot be read: {error.strerror}. Fix its permissions.") from error
    rows = [row for line in lines if (row := _row(line))]
    started = next((row["began_s"] for row in rows if isinstance(row.get("began_s"), (int, float))), None)
    mock = Mock(name, seed, clock() if started is None else float(started), clock)
    if started is None:
        _append(mock, {"began_s": mock.began_s})
    for row in rows:
        if row.get("question") in mock.questions and isinstance(row.get("points"), (int, float)):
            mock.given[row["question"]] = (str(row.get("answer", "")), float(row["points"]), str(row.get("told", "")))
    return mock


def _append(mock: Mock, row: dict[str, Any]) -> None:
    try:
        with path(mock.name, mock.seed).open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        mock.problem = ""
    except OSError as error:
        mock.problem = f"Not kept on disk: {error.strerror}. It lasts as long as this kernel."


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
