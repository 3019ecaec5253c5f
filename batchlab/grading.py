"""Checks of a learner's answers: not attempted, wrong because ..., or right.

`check = Lab("01_sweep_static_batches")`, then one check per question as the last line of its test cell. The same cell
is nbgrader's test: its value's plain text is the points earned. No check raises into the notebook or writes to stderr,
whatever the answer is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batchlab import answers, course, judges, progress, scoreboard
from batchlab.course import LabInfo
from batchlab.progress import Entry
from batchlab.scoreboard import Table, dashboard
from batchlab.verdict import State, Verdict

__all__ = ["Lab", "dashboard"]


class Lab:
    """The checks of one lab; question ids and points are those of the course file.

    Every check takes the question's id and the learner's value first and returns a `Verdict`. An `expected` or
    `measured` may be a function without arguments: it is called only when there is an answer to compare.
    """

    def __init__(self, lab: str) -> None:
        self.lab = lab
        self._unsaved: list[Entry] = []
        self._note = ""
        try:
            labs = course.load()
        except course.CourseError as error:
            labs, self._note = {}, str(error)
        self.info = labs.get(lab) or LabInfo(lab=lab, title=lab, level="beginner", minutes=0)
        if lab not in labs and not self._note:
            self._note = f"Lab {lab!r} is not part of the course; known are: {', '.join(labs) or 'none'}."

    def number(
        self,
        q: str,
        value: Any,
        expected: Any,
        *,
        rel: float = 0.01,
        abs: float = 0.0,
        unit: str = "",
        batch: float | None = None,
        hints: Mapping[float, str] | str = "",
        hint: str = "",
    ) -> Verdict:
        """Check one number; classic slips (unit, reciprocal, per batch, percent) are named.

        Args:
            q: the question.
            value: the learner's number.
            expected: the right one.
            rel: allowed share of the expected value.
            abs: allowed difference; the larger of the two allowances counts.
            unit: the unit asked for, such as ``"ms"``, ``"1/s"``, ``"%"``, ``"share"``.
            batch: batch size, where a value per batch may be taken for one per item.
            hints: wrong value -> why that one is wrong; a text is taken as `hint`.
            hint: the idea that helps, shown with every wrong answer.
        """
        general, specific = (hints or hint, None) if isinstance(hints, str) else (hint, hints)
        return self._judge(
            q,
            value,
            lambda: judges.number(value, expected, rel=rel, abs_=abs, unit=unit, batch=batch, hints=specific),
            general,
        )

    def numbers(
        self,
        q: str,
        value: Any,
        expected: Any,
        *,
        rel: float = 0.01,
        abs: float = 0.0,
        unit: str = "",
        hint: str = "",
    ) -> Verdict:
        """Check several numbers at once: a dictionary of names, or a list in order; arguments as in `number`."""
        return self._judge(q, value, lambda: judges.numbers(value, expected, rel=rel, abs_=abs, unit=unit), hint)

    def prediction(
        self, q: str, value: Any, measured: Any, *, within: float = 0.25, unit: str = "", hint: str = ""
    ) -> Verdict:
        """Check a guess that was made before a measurement; the first guess stays in the progress.

        Args:
            q: the question.
            value: the guess.
            measured: what came out.
            within: allowed share of the measured value.
            unit: the unit of both, shown with the numbers.
            hint: what to think of while reading on.
        """
        opening = progress.first(self._entries()[0], self.lab, q)
        changed = opening is not None and not answers.missing(value) and opening.answer != answers.shown(value)
        note = f"Your first guess was {opening.answer}; it stays in your progress." if opening and changed else ""
        return self._judge(q, value, lambda: judges.prediction(value, measured, within=within, unit=unit), hint, note)

    def choice(self, q: str, value: Any, right: Any, because: Mapping[Any, str], *, hint: str = "") -> Verdict:
        """Check one choice, or a set of choices where `right` is a set.

        Args:
            q: the question.
            value: the learner's choice; case and surrounding blanks do not count.
            right: the right option.
            because: wrong option -> why it is wrong.
            hint: the idea that helps.
        """
        return self._judge(q, value, lambda: judges.choice(value, right, because), hint)

    def order(self, q: str, value: Any, right: Sequence[Any], *, hint: str = "") -> Verdict:
        """Check that items were put into the right order."""
        return self._judge(q, value, lambda: judges.order(value, right), hint)

    def function(
        self,
        q: str,
        fn: Any,
        cases: Sequence[tuple[tuple[Any, ...], Any]],
        *,
        rel: float = 1e-6,
        abs: float = 0.0,
        unit: str = "",
        hint: str = "",
    ) -> Verdict:
        """Check a function by calling it.

        Args:
            q: the question.
            fn: the learner's function.
            cases: arguments and expected value; a function as expected value gets the result and answers True or why
                not.
            rel: allowed share of an expected number.
            abs: allowed difference from an expected number.
            unit: unit of the result.
            hint: the idea that helps.
        """
        return self._judge(q, fn, lambda: judges.calls(fn, cases, rel=rel, abs_=abs, unit=unit), hint)

    def that(self, q: str, value: Any, test: Callable[[Any], Any], *, hint: str = "") -> Verdict:
        """Check a property: `test` gets the value and answers True, or a sentence that says why not."""
        return self._judge(q, value, lambda: judges.that(value, test), hint)

    def summary(self) -> Table:
        """Return the lab's questions with the points so far, for the end of a lab."""
        entries, problem = self._entries()
        return scoreboard.lab_table(self.info, entries, self._note or problem)

    def _entries(self) -> tuple[list[Entry], str]:
        """Return what is on disk, then what this kernel could not save."""
        saved, problem = scoreboard.safe_entries()
        return [*saved, *self._unsaved], problem

    def _judge(self, q: str, value: Any, judge: Callable[[], str], hint: str, note: str = "") -> Verdict:
        if answers.missing(value):
            name = self.info.variables.get(q, q)
            whole = value is ... or value is None
            return self._unattempted(q, f"Give {name} a value in the cell above." if whole else f"{name} has a gap.")
        try:
            reason = judges.heard(judge)
        except judges.UnattemptedError as reason_not_to:
            return self._unattempted(q, str(reason_not_to))
        maximum = self._maximum(q)
        state: State = "wrong" if reason else "right"
        points = 0.0 if reason else maximum
        entry = Entry(self.lab, q, points, maximum, state, answers.shown(value))
        problem = progress.record(entry)
        if problem or progress.graded_by_nbgrader():
            self._unsaved.append(entry)
        unsaved = f"Not saved ({problem.rstrip('.')}): these points last as long as this kernel." if problem else ""
        notes = " ".join(text for text in (self._course_note(q), note, unsaved) if text)
        return Verdict(q, state, points, maximum, reason, hint if reason else "", notes)

    def _unattempted(self, q: str, because: str) -> Verdict:
        return Verdict(q, "not attempted", 0.0, self._maximum(q), because, note=self._course_note(q))

    def _maximum(self, q: str) -> float:
        return float(self.info.points.get(q, 1.0))

    def _course_note(self, q: str) -> str:
        return self._note or ("" if q in self.info.points else f"The course knows no question {q!r} in this lab.")
