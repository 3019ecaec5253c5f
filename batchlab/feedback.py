"""Feedback as one page of HTML for each learner: every question, its points, and why.

Everything on the page is text made harmless; nothing of a submission is shown as HTML.
"""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchlab.classroom import Classroom, write
from batchlab.gradebook import BY_HAND, Grade
from batchlab.verdict import ACCENTS, SIGNS

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4em .6em; border-bottom: 1px solid #ccc; }
td.points { white-space: nowrap; }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .5em; margin: .3em 0; }
"""


def page(
    learner: str, grades: Sequence[Grade], results: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]
) -> str:
    """Return a learner's page.

    Args:
        learner: the id.
        grades: the learner's, from the gradebook.
        results: lab -> what the grader found.
        titles: lab -> title.
    """
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f"<title>Feedback for {html.escape(learner)}</title>",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{STYLE}</style></head><body><h1>Feedback for {html.escape(learner)}</h1>",
    ]
    for lab in sorted({grade.lab for grade in grades}):
        parts += _lab(lab, titles.get(lab, lab), [one for one in grades if one.lab == lab], results.get(lab, {}))
    return "\n".join([*parts, "</body></html>", ""])


def give(room: Classroom, grades: Sequence[Grade], results: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[Path]:
    """Write every learner's page into ``feedback/`` and return the files."""
    titles = {lab: room.source(lab).info().title for lab in room.labs}
    written = []
    for learner in sorted({grade.learner for grade in grades}):
        own = [grade for grade in grades if grade.learner == learner]
        found = {lab: result for (name, lab), result in results.items() if name == learner}
        path = room.root / "feedback" / f"{learner}.html"
        write(path, page(learner, own, found, titles))
        written.append(path)
    return written


def _lab(lab: str, title: str, grades: Sequence[Grade], result: Mapping[str, Any]) -> list[str]:
    points, most = sum(one.points or 0.0 for one in grades), sum(one.maximum for one in grades)
    waiting = sum(one.points is None for one in grades)
    later = f"; {waiting} {BY_HAND}" if waiting else ""
    parts = [f"<h2>{html.escape(title)}</h2>", f"<p>{points:g} of {most:g} points{later}.</p>"]
    if result.get("ended"):
        parts.append(
            f"<p><strong>The notebook did not run to its end:</strong> {html.escape(str(result['ended']))}</p>"
        )
    parts.append("<table><tr><th>Question</th><th>Points</th><th>What the check says</th></tr>")
    verdicts = result.get("verdicts", {})
    order = [*verdicts, *(one.question for one in grades if one.question not in verdicts)]
    for grade in sorted(grades, key=lambda one: order.index(one.question)):
        parts.append(_row(grade, verdicts.get(grade.question, {})))
    return [*parts, "</table>"]


def _row(grade: Grade, verdict: Mapping[str, Any]) -> str:
    state = str(verdict.get("state", ""))
    sign = f'<span style="color: {ACCENTS[state]}">{SIGNS[state]}</span> ' if state in SIGNS else ""
    words = [state.capitalize() + "." if state else "", str(verdict.get("because", "")), str(verdict.get("note", ""))]
    if verdict.get("hint"):
        words.append(f"Hint: {verdict['hint']}")
    if grade.points is None:
        words.append(f"{BY_HAND.capitalize()}.")
    told = html.escape(" ".join(word for word in words if word))
    comment = f"<pre>{html.escape(grade.comment)}</pre>" if grade.comment else ""
    points = "-" if grade.points is None else f"{grade.points:g}"
    first = f'<td>{html.escape(grade.question)}</td><td class="points">{sign}{points} of {grade.maximum:g}</td>'
    return f"<tr>{first}<td>{told}{comment}</td></tr>"
