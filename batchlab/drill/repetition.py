"""Spaced repetition: what was missed comes back soon, what was known later. Kept as one line of JSON per answer.

Leitner's boxes: a right answer moves a question one box up, a wrong one back to the first; a box is asked again after
`DAYS`. Source: S. Leitner, So lernt man lernen, 1972. The boxes are not stored: they follow from the answers, and
a line that a kill cut short costs that answer alone.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batchlab import workspace
from batchlab.drill.question import DrillError

FILE_NAME = "drill.jsonl"
DAYS = (0, 1, 3, 7, 21)


@dataclass(frozen=True)
class Reply:
    """One answer: which question, the seed of its numbers, whether it was right, and when (UTC, ISO 8601)."""

    question: str
    seed: int
    right: bool
    time: str


def path() -> Path:
    """Return the file's place; it need not exist."""
    return workspace.home_dir() / FILE_NAME


def record(question: str, seed: int, right: bool, now: datetime | None = None) -> Reply:
    """Append one answer.

    Raises:
        DrillError: the disk refused; the answer is lost, the earlier ones are not.
    """
    reply = Reply(question, seed, right, (now or datetime.now(UTC)).isoformat(timespec="seconds"))
    # The newline in front keeps a line that a kill left half written from swallowing this one.
    line = ("\n" + json.dumps(asdict(reply)) + "\n").encode()
    try:
        handle = os.open(path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            whole = os.write(handle, line) == len(line)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise DrillError(f"The answer could not be kept in {path()}: {error.strerror}. Free some space.") from error
    if not whole:
        raise DrillError(f"The disk took only a part of the answer in {path()}. Free some space.")
    return reply


def replies() -> list[Reply]:
    """Return all answers, oldest first; lines that were cut or damaged are left out.

    Raises:
        DrillError: the file is there and cannot be read.
    """
    try:
        text = path().read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DrillError(f"{path()} cannot be read: {error.strerror}. Fix its permissions.") from error
    return [reply for line in text.splitlines() if (reply := _reply(line)) is not None]


def box(answers: Iterable[Reply]) -> int:
    """Return the box of a question after these answers to it, from 0 to ``len(DAYS) - 1``."""
    place = 0
    for answer in answers:
        place = min(place + 1, len(DAYS) - 1) if answer.right else 0
    return place


def due(known: Sequence[str], now: datetime | None = None) -> list[str]:
    """Return the questions of `known` that should be asked again: missed ones first, then the longest overdue.

    A question that was never asked is not due.
    """
    moment = now or datetime.now(UTC)
    by_name: dict[str, list[Reply]] = {}
    for reply in replies():
        if reply.question in known:
            by_name.setdefault(reply.question, []).append(reply)
    waiting = []
    for name, given in by_name.items():
        place = box(given)
        ready = datetime.fromisoformat(given[-1].time) + timedelta(days=DAYS[place])
        if ready <= moment:
            waiting.append((place, ready, name))
    return [name for *_, name in sorted(waiting)]


def _reply(line: str) -> Reply | None:
    try:
        values: Any = json.loads(line)
        reply = Reply(values["question"], values["seed"], values["right"], values["time"])
        moment = datetime.fromisoformat(reply.time)
    except (ValueError, KeyError, TypeError):
        return None
    fine = isinstance(reply.question, str) and type(reply.seed) is int and type(reply.right) is bool
    return reply if fine and moment.tzinfo is not None else None
