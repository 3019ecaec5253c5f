"""Tables of points: the questions of one lab, and all labs of the course."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchlab import course, progress, standing
from batchlab.course import LabInfo
from batchlab.progress import Entry
from batchlab.standing import PAUSE_RULE, Standing, duration, earned
from batchlab.verdict import ACCENTS, SIGNS

CAPTION = "Your progress"
COLUMNS = ("lab", "title", "level", "time", "spent", "state", "points")
CELL = "padding: 4px 12px; text-align: {align}; border-bottom: 1px solid rgba(128, 128, 128, 0.35);"


@dataclass(frozen=True)
class Table:
    """A table that shows as text in a terminal and as HTML in a notebook; its last column is a number of points."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        body = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([self.caption, "", *body, *(["", self.note] if self.note else [])])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.to_html()}

    def to_html(self) -> str:
        """Return the table; its text takes the page's own colour."""
        head = "".join(
            f'<th scope="col" style="{CELL.format(align="left")}">{html.escape(c)}</th>' for c in self.columns
        )
        body = "".join(f"<tr>{''.join(_cell(text) for text in row)}</tr>" for row in self.rows)
        note = f'<p style="opacity: 0.75;">{html.escape(self.note)}</p>' if self.note else ""
        return (
            '<div style="color: inherit;"><table style="border-collapse: collapse; margin: 4px 0;">'
            '<caption style="text-align: left; font-weight: bold; color: inherit;">'
            f"{html.escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}</div>"
        )


def _cell(text: str) -> str:
    colours = {SIGNS[state]: colour for state, colour in ACCENTS.items()}
    sign, _, words = text.partition(" ")
    style = CELL.format(align="left")
    if sign in colours:
        mark = f'<span aria-hidden="true" style="color: {colours[sign]}; font-weight: bold;">{sign}</span>'
        return f'<td style="{style}">{mark} {html.escape(words)}</td>'
    return f'<td style="{style}">{html.escape(text)}</td>'


def lab_table(info: LabInfo, entries: Sequence[Entry], problem: str = "") -> Table:
    """Return the questions of one lab with the best points so far and the first answer to each."""
    best = progress.best(entries, info.lab)
    rows = []
    for question, maximum in info.points.items():
        entry = best.get(question)
        state = entry.state if entry else "not attempted"
        opening = progress.first(entries, info.lab, question)
        rows.append(
            (
                question,
                f"{SIGNS.get(state, '')} {state}",
                opening.answer if opening else "",
                f"{earned(best, question, maximum):g} of {maximum:g}",
            )
        )
    rows += [(question, "free text, for a reader", "", f"up to {most:g}") for question, most in info.manual.items()]
    points = sum(earned(best, question, maximum) for question, maximum in info.points.items())
    note = problem or _encouragement(points, info.total)
    caption = f"{info.title}: {points:g} of {info.total:g} points"
    return Table(caption, ("question", "state", "first answer", "points"), tuple(rows), note)


def course_table(labs: Sequence[LabInfo], entries: Sequence[Entry], problem: str = "") -> Table:
    """Return all labs with points, time spent and what is done; the note says what comes next."""
    if not labs:
        return Table(CAPTION, COLUMNS, (), problem or "The course holds no labs yet: run 'make labs'.")
    now = standing.stand(labs, entries)
    rows = [
        (
            lab.info.lab[:2],
            lab.info.title,
            lab.info.level,
            f"{lab.info.minutes} min",
            duration(lab.spent_s),
            f"{SIGNS['right']} done" if lab.state == "done" else lab.state,
            f"{lab.points:g} of {lab.info.total:g}",
        )
        for lab in now.labs
    ]
    caption = f"{CAPTION}: {now.points:g} of {now.total:g} points, {duration(now.spent_s)}" if now.spent_s else CAPTION
    return Table(caption, COLUMNS, tuple(rows), problem or _course_note(now))


def dashboard() -> Table:
    """Return the progress over the whole course, for lab 00; never raises."""
    entries, problem = safe_entries()
    try:
        labs = list(course.load().values())
    except course.CourseError as error:
        return course_table([], entries, str(error))
    return course_table(labs, entries, problem)


def safe_entries() -> tuple[list[Entry], str]:
    """Return the progress so far, and why it could not be read."""
    try:
        return progress.load(), ""
    except progress.ProgressError as error:
        return [], str(error)


def _course_note(now: Standing) -> str:
    step = now.next_step().text
    if not now.begun:
        return f"No answer yet. {step} Run a check under your first answer, and look here again."
    done = sum(lab.state == "done" for lab in now.labs)
    return f"{step} {done} of {len(now.labs)} labs done. The best attempt at each question counts. {PAUSE_RULE}"


def _encouragement(points: float, total: float) -> str:
    if total and points >= total:
        return "Every checked question is right."
    return "The best attempt at each question counts: go back, change an answer, run its check again."
