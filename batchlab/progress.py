"""What a learner has answered, kept on disk: one line of JSON per verdict, never changed afterwards.

The file is only ever appended to, so two kernels can write at once and a kernel killed in mid-write loses no more than
its own last line. The best points of each question count, so trying again never costs anything.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchlab import workspace

FILE_NAME = "progress.jsonl"
ANSWER_LIMIT = 200


class ProgressError(RuntimeError):
    """The progress file cannot be read."""


@dataclass(frozen=True)
class Entry:
    """One verdict on one answer.

    Attributes:
        lab: id of the lab, such as ``"01_sweep_static_batches"``.
        question: id of the question in it, such as ``"q1"``.
        points: points earned.
        maximum: points to earn.
        state: the verdict's state, ``"right"`` or ``"wrong"``.
        answer: the answer as text, at most `ANSWER_LIMIT` characters.
        time: UTC, ISO 8601.
    """

    lab: str
    question: str
    points: float
    maximum: float
    state: str
    answer: str = ""
    time: str = ""


def path() -> Path:
    """Return the progress file's place; the file need not exist.

    Raises:
        WorkspaceError: the state folder cannot be created.
    """
    return workspace.home_dir() / FILE_NAME


def record(entry: Entry) -> str:
    """Append one verdict and return why that failed, empty when it is safely on disk.

    Nothing is written while nbgrader executes a notebook: an instructor who grades thirty submissions must not find
    them in their own progress.
    """
    if graded_by_nbgrader():
        return ""
    stamped = {**asdict(entry), "answer": entry.answer[:ANSWER_LIMIT]}
    stamped["time"] = entry.time or datetime.now(UTC).isoformat(timespec="seconds")
    # The newline in front keeps a line that an earlier writer left half written from swallowing this one.
    line = ("\n" + json.dumps(stamped) + "\n").encode()
    try:
        handle = os.open(path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(handle, line) != len(line):
                return "the disk took only a part of the line"
            os.fsync(handle)
        finally:
            os.close(handle)
    except workspace.WorkspaceError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def load() -> list[Entry]:
    """Return all verdicts, oldest first; lines that were cut or damaged are left out.

    Raises:
        ProgressError: the file is there and cannot be read; the message says what to do.
    """
    if graded_by_nbgrader():
        return []
    try:
        text = path().read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except (OSError, workspace.WorkspaceError) as error:
        raise ProgressError(
            f"Your progress cannot be read: {error}. Fix the file's permissions, or set BATCHLAB_HOME elsewhere."
        ) from error
    entries = (_entry(line) for line in text.splitlines())
    return [entry for entry in entries if entry is not None]


def best(entries: Iterable[Entry], lab: str) -> dict[str, Entry]:
    """Return each answered question's best entry in `lab`; of equals the earliest."""
    chosen: dict[str, Entry] = {}
    for entry in entries:
        if entry.lab == lab and (entry.question not in chosen or entry.points > chosen[entry.question].points):
            chosen[entry.question] = entry
    return chosen


def first(entries: Iterable[Entry], lab: str, question: str) -> Entry | None:
    """Return the first entry of a question: for a prediction, the guess that was committed before the measurement."""
    return next((entry for entry in entries if (entry.lab, entry.question) == (lab, question)), None)


def graded_by_nbgrader() -> bool:
    """Whether this kernel runs inside nbgrader's autograder or validator."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def _entry(line: str) -> Entry | None:
    try:
        values: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    try:
        entry = Entry(**{f.name: values[f.name] for f in fields(Entry)})
    except KeyError:
        return None
    # Points are added up and texts are shown, so that a line changed by hand must not bring NaN or a list into them.
    numbers = all(type(value) in (int, float) for value in (entry.points, entry.maximum))
    texts = all(isinstance(value, str) for value in (entry.lab, entry.question, entry.state, entry.answer))
    return entry if numbers and texts and 0 <= entry.points <= entry.maximum else None
