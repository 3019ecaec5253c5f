"""Where a learner stands in the course: points, time spent, the state of each lab, and the next step.

The time spent is read from the times of the answers, since nothing else is recorded. The rule: the time between an
answer and the one before it belongs to the lab of the later one, unless it is longer than `PAUSE_MINUTES`; then it was
a pause and counts nothing. What happens before the first answer of a sitting is not seen, so the sum is a lower bound.

The next step is the first of these that there is: the lab of the latest answer while it holds open questions; the
first lab in the course's order that holds open questions and whose needs are fulfilled; a lab with answers that are
not right yet. A need is fulfilled when `ENOUGH` of that lab's points are earned; a need that is no lab of the course is
the learner's own affair.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from batchlab import progress
from batchlab.course import LabInfo
from batchlab.progress import Entry

PAUSE_MINUTES = 30.0
ENOUGH = 0.5
PAUSE_RULE = (
    f"Time spent runs from answer to answer; a gap of more than {PAUSE_MINUTES:g} minutes is a pause, not counted."
)

State = Literal["not started", "in progress", "done"]


@dataclass(frozen=True)
class LabStanding:
    """One lab, as far as its learner got.

    Attributes:
        info: the lab as the course knows it.
        points: the best points of each question, added up; never more than `info.total`.
        answered: questions with an answer, right or wrong, in the lab's order.
        spent_s: seconds from answer to answer, pauses left out.
    """

    info: LabInfo
    points: float
    answered: tuple[str, ...]
    spent_s: float

    @property
    def state(self) -> State:
        """How far the lab is."""
        if not self.answered:
            return "not started"
        return "done" if self.points >= self.info.total else "in progress"

    @property
    def open_questions(self) -> tuple[str, ...]:
        """Checked questions that were never answered, in the lab's order."""
        return tuple(question for question in self.info.points if question not in self.answered)

    @property
    def enough(self) -> bool:
        """Whether labs that need this one may begin."""
        return self.points >= ENOUGH * self.info.total


@dataclass(frozen=True)
class Step:
    """What to do next.

    Attributes:
        kind: ``"begin"`` the course, ``"start"`` a lab, ``"go on"`` with one, ``"try again"`` what is not right yet,
            or ``"done"``: nothing is left.
        lab: id of the lab, empty when nothing is left.
        text: the same as one sentence.
    """

    kind: Literal["begin", "start", "go on", "try again", "done"]
    lab: str
    text: str


@dataclass(frozen=True)
class Standing:
    """The whole course, as far as its learner got.

    Attributes:
        labs: one entry a lab, in the course's order.
        latest: the lab of the latest answer, empty before the first.
    """

    labs: tuple[LabStanding, ...]
    latest: str

    @property
    def begun(self) -> bool:
        """Whether any question of the course was answered."""
        return any(lab.answered for lab in self.labs)

    @property
    def points(self) -> float:
        """Points earned in all labs."""
        return sum(lab.points for lab in self.labs)

    @property
    def total(self) -> float:
        """Points that the checks of all labs give."""
        return sum(lab.info.total for lab in self.labs)

    @property
    def spent_s(self) -> float:
        """Seconds spent on all labs, pauses left out."""
        return sum(lab.spent_s for lab in self.labs)

    def next_step(self) -> Step:
        """Return what to do next, by the rule of this module."""
        by_id = {lab.info.lab: lab for lab in self.labs}
        latest = by_id.get(self.latest)
        if latest is not None and latest.open_questions:
            return _go_on(latest)
        for lab in self.labs:
            if lab.open_questions and all(need not in by_id or by_id[need].enough for need in lab.info.needs):
                return _go_on(lab) if lab.answered else _start(lab, first=not self.begun)
        unfinished = [lab for lab in self.labs if lab.state == "in progress" and not lab.open_questions]
        if unfinished:
            lab = unfinished[0]
            missing = lab.info.total - lab.points
            return Step("try again", lab.info.lab, f"Next: win the last {_points(missing)} of {_name(lab)}.")
        return Step("done", "", "Every checked question of the course is right.")

    def to_json(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold; times in seconds."""
        labs = [
            {
                "lab": lab.info.lab,
                "title": lab.info.title,
                "level": lab.info.level,
                "state": lab.state,
                "points": lab.points,
                "total": lab.info.total,
                "spent_s": lab.spent_s,
                "open_questions": list(lab.open_questions),
            }
            for lab in self.labs
        ]
        sums = {"points": self.points, "total": self.total, "spent_s": self.spent_s}
        return {"labs": labs, **sums, "next": asdict(self.next_step()), "rule": PAUSE_RULE}


def stand(labs: Sequence[LabInfo], entries: Sequence[Entry]) -> Standing:
    """Return where the learner of `entries` stands in the course of `labs`."""
    spent = spent_s(entries)
    timed = _by_time(entries)
    known = {info.lab for info in labs}
    of_course = [entry.lab for _, entry in timed if entry.lab in known]
    return Standing(tuple(_one(info, entries, spent) for info in labs), of_course[-1] if of_course else "")


def spent_s(entries: Sequence[Entry]) -> dict[str, float]:
    """Return lab -> seconds from answer to answer, pauses left out; an entry without a readable time is left out."""
    timed = _by_time(entries)
    spent: dict[str, float] = {entry.lab: 0.0 for _, entry in timed}
    for (before, _), (now, entry) in itertools.pairwise(timed):
        gap_s = (now - before).total_seconds()
        if gap_s <= 60 * PAUSE_MINUTES:
            spent[entry.lab] += gap_s
    return spent


def earned(best: Mapping[str, Entry], question: str, maximum: float) -> float:
    """Return the points of a question; it may have become worth less since it was answered."""
    return min(best[question].points, maximum) if question in best else 0.0


def duration(seconds: float) -> str:
    """Return a length of time in words for a table: ``"-"``, ``"< 1 min"``, ``"35 min"`` or ``"2 h 05 min"``."""
    if seconds <= 0:
        return "-"
    minutes = math.floor(seconds / 60)
    if minutes < 1:
        return "< 1 min"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _one(info: LabInfo, entries: Sequence[Entry], spent: Mapping[str, float]) -> LabStanding:
    best = progress.best(entries, info.lab)
    points = sum(earned(best, question, maximum) for question, maximum in info.points.items())
    answered = tuple(question for question in info.points if question in best)
    return LabStanding(info, points, answered, spent.get(info.lab, 0.0))


def _by_time(entries: Sequence[Entry]) -> list[tuple[datetime, Entry]]:
    # Kernels write at once, and clocks are set back: the order of the file is not the order of time.
    timed = [(moment, entry) for entry in entries if (moment := _moment(entry.time)) is not None]
    return sorted(timed, key=lambda pair: pair[0])


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _go_on(lab: LabStanding) -> Step:
    count = len(lab.open_questions)
    left = "1 question is" if count == 1 else f"{count} questions are"
    return Step(
        "go on", lab.info.lab, f"Next: go on with {_name(lab)}; {left} open, the first is {lab.open_questions[0]}."
    )


def _start(lab: LabStanding, first: bool) -> Step:
    words = f"{_name(lab)} ({lab.info.minutes} minutes). {lab.info.summary}".rstrip()
    return (
        Step("begin", lab.info.lab, f"Begin with {words}") if first else Step("start", lab.info.lab, f"Next: {words}")
    )


def _name(lab: LabStanding) -> str:
    return f"lab {lab.info.lab[:2]}, {lab.info.title}"


def _points(number: float) -> str:
    return f"{number:g} point" if number == 1 else f"{number:g} points"
