"""What is committed is what the sources give."""

import copy
from pathlib import Path

from labs_under_test import PROJECT, LabUnderTest

from batchlab import authoring, course, execution


def test_nothing_committed_differs_from_its_source() -> None:
    assert authoring.check(root=PROJECT) == []


def test_the_lab_is_what_its_source_gives(lab: LabUnderTest, scratch: Path) -> None:
    committed = (lab.root(scratch) / "labs" / f"{lab.name}.ipynb").read_bytes()
    assert committed.decode() == authoring.render(authoring.build_lab(lab.path))


def test_the_executed_solution_has_the_cells_of_its_source(lab: LabUnderTest, scratch: Path) -> None:
    committed = lab.notebook("solutions", scratch)
    built = authoring.build_solution(lab.path, execute=False)
    assert [(c.id, c.source, c.metadata) for c in committed.cells] == [
        (c.id, c.source, c.metadata) for c in built.cells
    ]
    assert all(c.execution_count for c in committed.cells if c.cell_type == "code" and c.source.strip())


def test_the_committed_solution_earns_every_point(lab: LabUnderTest, scratch: Path) -> None:
    told = execution.verdicts(lab.notebook("solutions", scratch))
    assert {question: points for question, (points, _) in told.items()} == lab.source().info().points


def test_the_committed_outputs_may_be_committed(lab: LabUnderTest, scratch: Path) -> None:
    notebook = lab.notebook("solutions", scratch)
    before = copy.deepcopy(notebook)
    execution.scrub(notebook)
    assert notebook == before


def test_the_course_file_holds_the_lab(lab: LabUnderTest) -> None:
    if not lab.is_fixture:
        assert course.load()[lab.name] == lab.source().info()
