"""What one learner found is refused for the next: labs with numbers of one's own, through the grader.

Of most labs only the cells of one question run, with what they need: a whole lab measures for minutes.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from batchlab import authoring, classroom, judgement
from batchlab.classroom import Classroom
from batchlab.judgement import Judgement, Paper
from batchlab.own_numbers import CapacityNumbers
from batchlab.walls import Limits

SWEEP, TAIL, QUEUE = "01_sweep_static_batches", "02_measure_the_tail", "03_predict_the_queue"
TUNE, SHAPE = "04_tune_dynamic_batching", "05_shape_the_traffic"
PRICE, SERVERS = "09_price_the_capacity", "10_compare_servers"
PROJECT = Path(__file__).resolve().parents[2]
SOURCES = (PROJECT / "solutions").glob("*.py")
# Half as long as a learner measures, as in the test of the solutions.
PACE = {"BATCHLAB_PACE": "0.5"}
NAMED = {path.stem for path in SOURCES if re.search('^LEARNER = "', path.read_text(), re.M)}


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classroom:
    room = classroom.init(tmp_path / "course")
    (tmp_path / "course.json").write_text(room.course_text())
    monkeypatch.setenv("BATCHLAB_COURSE", str(tmp_path / "course.json"))
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    return room


def excerpt(paper: Paper, *words: str) -> Paper:
    """Return a paper with some of its cells: each word is a question, or stands in exactly one other cell."""
    chosen = []
    for word in words:
        asked = [part for part in paper.cells if word in (part.gid, part.question)]
        found = asked or [part for part in paper.cells if not part.gid and word in part.source]
        assert asked or len(found) == 1, f"{len(found)} cells hold {word!r}"
        chosen += found
    return replace(paper, cells=tuple(part for part in paper.cells if part in chosen))


def graded(course: Classroom, paper: Paper, answers: dict[str, str], wall_s: float = 120) -> Judgement:
    """Hand the lab's solution in, with other answers to some questions, and return the judgement."""
    notebook = authoring.build_solution(course.source(paper.lab), execute=False)
    notebook.cells = [cell for cell in notebook.cells if cell.id in {part.cell_id for part in paper.cells}]
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    found = judgement.judge(paper, authoring.render(notebook).encode(), Limits(wall_s=wall_s), PACE)
    assert found.ended == ""
    return found


def own_answer(course: Classroom, paper: Paper, question: str, variable: str) -> str:
    """Return what the solution finds for the learner of a paper, once all of it was judged right."""
    (source,) = [cell.text for cell in course.source(paper.lab).cells if cell.gid == question]
    found = graded(course, paper, {question: f"{source}\nprint({variable})"})
    assert wrong(found) == set()
    (output,) = [cell["output"] for cell in found.cells if cell["gid"] == question]
    return str(output).strip()


def wrong(found: Judgement) -> set[str]:
    return {name for name, verdict in found.verdicts.items() if verdict.state != "right"}


def test_the_guide_names_the_labs_that_name_their_learner() -> None:
    guide = (PROJECT / "docs" / "instructor-guide.md").read_text()
    rows = set(re.findall(r"^\| (\d\d) \|", guide, re.M))
    assert rows == {lab[:2] for lab in NAMED}


@pytest.mark.parametrize("lab", sorted(NAMED))
def test_each_of_these_labs_is_handed_out_with_the_learners_id(course: Classroom, lab: str) -> None:
    (cell,) = [part for part in course.paper(lab, "ada").cells if re.search('^LEARNER = "ada"', part.source, re.M)]
    assert cell.kind == "readonly"


@pytest.mark.notebook
@pytest.mark.timeout(400)
def test_a_neighbours_price_is_refused(walled: None, course: Classroom) -> None:
    ada = CapacityNumbers.of("ada")
    share = ada.people_share
    copied = {
        "in_use": f"share_in_use = {(1 + ada.trough_share) / 2 * (1 - ada.headroom)}",
        "blended": f"blended_usd = {share} * people.usd_per_1000 + {1 - share} * jobs.usd_per_1000",
    }
    assert wrong(graded(course, course.paper(PRICE, "ada"), copied, wall_s=200)) == set()
    assert wrong(graded(course, course.paper(PRICE, "eve"), copied, wall_s=200)) == set(copied)


@pytest.mark.notebook
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("lab", "question", "variable", "words"),
    [
        (SWEEP, "interpolate", "predicted_card_ms", ("import numpy", "affine", "LEARNER =")),
        (TAIL, "rule", "requests_without_a_miss", ("import numpy", "LEARNER =")),
        (QUEUE, "highest_rate", "highest_rate_rps", ("import dataclasses", "LEARNER =", "BERT =")),
        (TUNE, "defend", "requests_needed", ("import numpy", "LEARNER =")),
        (SHAPE, "pixels", "pixel_waste", ("import numpy", "LEARNER =")),
        (SERVERS, "queued", "queued_requests", ("import numpy", "LEARNER =")),
        pytest.param(
            QUEUE,
            "locked",
            "locked_p50_ms",
            (
                *("import dataclasses", "LEARNER =", "server.start", "def configure", "calibrate(triton"),
                *("exam", "judge = open_loop"),
            ),
            marks=[pytest.mark.server, pytest.mark.alone],
        ),
    ],
    ids=["interpolate", "rule", "highest_rate", "defend", "pixels", "queued", "locked"],
)
def test_a_neighbours_number_is_refused(
    walled: None, course: Classroom, lab: str, question: str, variable: str, words: tuple[str, ...]
) -> None:
    ada, eve = (excerpt(course.paper(lab, learner), *words, question) for learner in ("ada", "eve"))
    copied = own_answer(course, ada, question, variable)
    found = graded(course, eve, {question: f"{variable} = {copied}"})
    assert wrong(found) == {question}
    assert found.verdicts[question].state == "wrong"
