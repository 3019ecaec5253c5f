"""A learner's screen and an instructor's gradebook agree, through nbgrader's own pipeline."""

from pathlib import Path

import nbformat
import pytest
from labs_under_test import FIXTURES, LabUnderTest
from nbformat.notebooknode import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from batchlab import authoring, course, execution, progress

NAME = "90_try_everything"
LAB = LabUnderTest(FIXTURES / "solutions" / f"{NAME}.py", FIXTURES / "wrong_answers" / f"{NAME}.toml")
RATE = """def throughput_ips(batch_size, batch_ms):
    import warnings
    warnings.warn("a warning costs no points")
    return 1000 * batch_size / batch_ms
"""
ANSWERS = {"per_item": "per_item_ms = 160", "rate": RATE, "sleep": "predicted_ms = 20", "essay": "One device."}


def filled_in(lab: NotebookNode) -> NotebookNode:
    """Return a learner's copy: one answer wrong, two right, a text to read, and one question left alone."""
    for cell in lab.cells:
        gid = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = ANSWERS.get(gid, cell.source)
    return lab


@pytest.fixture
def api(tmp_path: Path) -> NbGraderAPI:
    """An nbgrader course with the fixture lab as its one assignment, ready to release."""
    config = authoring.nbgrader_config()
    config.CourseDirectory.root = str(tmp_path / "course")
    source = tmp_path / "course" / "source" / NAME
    source.mkdir(parents=True)
    (source / f"{NAME}.ipynb").write_text(authoring.render(authoring.build_solution(LAB.path, execute=False)))
    return NbGraderAPI(CourseDirectory(config=config), config=config)


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_screen_and_gradebook_agree(api: NbGraderAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = LAB.environment(tmp_path / "home")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    # nbgrader's own release is our lab, cell by cell.
    assert api.generate_assignment(NAME)["success"]
    released = nbformat.read(tmp_path / "course" / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    built = authoring.build_lab(LAB.path)
    assert [(c.source, c.metadata) for c in released.cells] == [(c.source, c.metadata) for c in built.cells]

    submitted = tmp_path / "course" / "submitted" / "ada" / NAME
    submitted.mkdir(parents=True)
    (submitted / f"{NAME}.ipynb").write_text(authoring.render(filled_in(built)))
    result = api.autograde(NAME, "ada")
    assert result["success"], result

    screen = execution.verdicts(execution.run(filled_in(authoring.build_lab(LAB.path)), tmp_path, environment))
    with api.gradebook as gradebook:
        grades = {grade.name: grade for grade in gradebook.find_submission_notebook(NAME, NAME, "ada").grades}
        book = {name.removesuffix("_check"): grade.auto_score for name, grade in grades.items()}
        assert grades["essay"].needs_manual_grade
        assert not any(grade.failed_tests for name, grade in grades.items() if name == "rate_check")
    essay = book.pop("essay")
    assert essay is None
    assert book == {question: points for question, (points, _) in screen.items()}
    assert book == {"per_item": 0.0, "rate": 2.0, "sleep": 1.0, "cost": 0.0}

    # The screen's verdicts are the learner's progress; the autograder left none of its own behind.
    entries = progress.load()
    assert {entry.question: entry.points for entry in entries} == {"per_item": 0.0, "rate": 2.0, "sleep": 1.0}
    assert len(entries) == 3
    assert course.load()[NAME].total == 4.5
