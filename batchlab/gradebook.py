"""nbgrader's gradebook: the grader's points go in, points given by hand come out, and all of it as a table.

Points given by hand in nbgrader's formgrader stay as they are, whatever is graded again.
"""

import csv
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat.notebooknode import NotebookNode

from batchlab import authoring
from batchlab.classroom import Classroom, ClassroomError

BY_HAND = "to be graded by hand"
COLUMNS = ("learner", "lab", "question", "points", "maximum", "state")


@dataclass(frozen=True)
class Grade:
    """Points for one question; `points` is None where a person has yet to give them."""

    learner: str
    lab: str
    question: str
    points: float | None
    maximum: float
    state: str
    comment: str = ""


def release(room: Classroom, lab: str) -> NotebookNode:
    """Write a lab's solution into nbgrader's ``source/``, let nbgrader release it, and return what learners get.

    Raises:
        ClassroomError: nbgrader refuses; the message carries its log's last line.
    """
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    config = authoring.nbgrader_config()
    config.CourseDirectory.root = str(room.root)
    place = room.root / "source" / lab
    place.mkdir(parents=True, exist_ok=True)
    solution = authoring.build_solution(room.source(lab), execute=False)
    (place / f"{lab}.ipynb").write_text(authoring.render(solution), encoding="utf-8")
    with _quiet():
        result = NbGraderAPI(CourseDirectory(config=config), config=config).generate_assignment(lab)
    if not result["success"]:
        last = (result.get("error") or result.get("log") or "no message").strip().splitlines()[-1]
        raise ClassroomError(f"nbgrader does not release {lab}: {last}")
    return nbformat.read(room.root / "release" / lab / f"{lab}.ipynb", as_version=4)


def enter(room: Classroom, results: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """Enter results into the gradebook, and lay the notebooks where the formgrader shows them."""
    with _book(room) as book:
        for (learner, lab), result in sorted(results.items()):
            book.update_or_create_student(learner)
            book.update_or_create_submission(lab, learner)
            notebook = book.find_submission_notebook(lab, lab, learner)
            verdicts = result["verdicts"]
            for grade in notebook.grades:
                verdict = verdicts.get(grade.name.removesuffix("_check"))
                if verdict is not None:
                    grade.auto_score = float(verdict["points"])
                    doubtful = verdict["question"] in result.get("by_hand", ())
                    grade.needs_manual_grade = doubtful and grade.manual_score is None
                elif grade.manual_score is None:
                    grade.needs_manual_grade = True
            book.db.commit()
            place = room.root / "autograded" / learner / lab
            place.mkdir(parents=True, exist_ok=True)
            text = authoring.render(shown(room, lab, result))
            (place / f"{lab}.ipynb").write_text(text, encoding="utf-8")


def grades(room: Classroom) -> list[Grade]:
    """Return every grade of every submission, sorted; points given by hand instead of the grader's where there are."""
    found = []
    with _book(room) as book:
        for assignment in book.assignments:
            for submission in assignment.submissions:
                for notebook in submission.notebooks:
                    comments = {comment.name: comment.comment or "" for comment in notebook.comments}
                    for grade in notebook.grades:
                        points = grade.manual_score if grade.manual_score is not None else grade.auto_score
                        if points is not None:
                            points += grade.extra_credit or 0.0
                        state = "graded" if grade.manual_score is None and not grade.extra_credit else "by hand"
                        question = grade.name.removesuffix("_check")
                        found.append(
                            Grade(
                                submission.student_id,
                                assignment.name,
                                question,
                                points,
                                float(grade.max_score),
                                BY_HAND if points is None else state,
                                # A comment belongs to the answer, the points of code belong to its check.
                                comments.get(question, ""),
                            )
                        )
    return sorted(found, key=lambda one: (one.learner, one.lab, one.question))


def table(all_of_them: Sequence[Grade]) -> str:
    """Return the grades as CSV: a row for each question, then sums for each lab and each learner."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in all_of_them:
        points = "" if one.points is None else f"{one.points:g}"
        row = [one.learner, one.lab, one.question, points, f"{one.maximum:g}", one.state]
        writer.writerow([_harmless(cell) for cell in row])
    labs = sorted({(one.learner, one.lab) for one in all_of_them})
    learners = sorted({one.learner for one in all_of_them})
    for learner, lab in [*labs, *((learner, "") for learner in learners)]:
        chosen = [one for one in all_of_them if one.learner == learner and lab in ("", one.lab)]
        reached, most = sum(one.points or 0.0 for one in chosen), sum(one.maximum for one in chosen)
        missing = sum(one.points is None for one in chosen)
        state = f"{missing} {BY_HAND}" if missing else "complete"
        writer.writerow([_harmless(learner), lab or "all labs", "total", f"{reached:g}", f"{most:g}", state])
    return text.getvalue()


def shown(room: Classroom, lab: str, result: Mapping[str, Any]) -> NotebookNode:
    """Return the notebook for the formgrader: what was run, what it printed as plain text, and the verdicts.

    No output of the learner's is kept but text, and Markdown loses its HTML: it is shown in the instructor's browser.
    """
    release_of = nbformat.read(room.root / "release" / lab / f"{lab}.ipynb", as_version=4)
    known = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in release_of.cells}
    notebook = nbformat.v4.new_notebook(metadata=release_of.metadata)
    for number, cell in enumerate(result["cells"]):
        make = nbformat.v4.new_code_cell if cell["code"] else nbformat.v4.new_markdown_cell
        source = cell["source"] if cell["code"] else cell["source"].replace("<", "&lt;").replace("javascript:", "")
        node = make(source, id=f"cell-{number}")
        given = known.get(cell["gid"]) if cell["gid"] else None
        if given is not None:
            node.metadata["nbgrader"] = given.metadata["nbgrader"]
        text = "\n".join(part for part in (cell.get("output", ""), cell.get("error", "")) if part)
        verdict = result["verdicts"].get(cell["gid"].removesuffix("_check")) if cell["kind"] == "test" else None
        if verdict:
            text = f"{verdict['state']}, {verdict['points']:g} of {verdict['maximum']:g}. {verdict['because']}\n{text}"
        if text and cell["code"]:
            node.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
        notebook.cells.append(node)
    return notebook


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in "=+-@\t" and cell else cell


@contextmanager
def _book(room: Classroom) -> Iterator[Any]:
    from nbgrader.api import Gradebook

    with _quiet(), Gradebook(f"sqlite:///{room.root / 'gradebook.db'}") as book:
        yield book


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of nbgrader's database layer from the instructor's screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
