"""One source, two notebooks: built the same way every time, and refused with a reason when the contract is broken."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from sample_lab import NAME, SOURCE, edited

from batchlab import authoring, course, execution
from batchlab.authoring import AuthoringError
from batchlab.source import read

BUILD = "import sys, pathlib; from batchlab import authoring; p = pathlib.Path(sys.argv[1]); "
BUILD += (
    "print(authoring.render(authoring.build_lab(p)) + authoring.render(authoring.build_solution(p, execute=False)))"
)


def test_a_lab_holds_no_solution_and_every_point() -> None:
    lab = authoring.build_lab(SOURCE)
    text = authoring.render(lab)
    for secret in (
        "160 / 32",
        "1000 * batch_size",
        "predicted_ms = 20",
        '= \\"latency\\"',
        "The second client waits",
        "SOLUTION",
    ):
        assert secret not in text
    metas = {c.metadata.nbgrader.grade_id: c.metadata.nbgrader for c in lab.cells if "nbgrader" in c.metadata}
    assert {gid: meta["points"] for gid, meta in metas.items() if meta["grade"]} == {
        "per_item_check": 1, "rate_check": 2, "sleep_check": 1, "cost_check": 0.5, "essay": 3,
    }  # fmt: skip
    assert all(meta["checksum"] and meta["schema_version"] == 3 for meta in metas.values())
    assert all(not c.outputs and c.execution_count is None for c in lab.cells if c.cell_type == "code")
    tests = [c for c in lab.cells if c.metadata.get("nbgrader", {}).get("locked")]
    assert tests
    assert all(cell.metadata["editable"] is False and cell.metadata["deletable"] is False for cell in tests)
    nbformat.validate(lab)


def test_building_twice_gives_the_same_bytes() -> None:
    here = authoring.render(authoring.build_lab(SOURCE))
    here += authoring.render(authoring.build_solution(SOURCE, execute=False))
    assert here == authoring.render(authoring.build_lab(SOURCE)) + authoring.render(
        authoring.build_solution(SOURCE, execute=False)
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(SOURCE)], env=environment, capture_output=True, text=True, check=True
    )
    assert built.stdout == here + "\n"


def test_an_inserted_cell_leaves_the_other_ids_alone(root: Path) -> None:
    before = [cell.id for cell in authoring.build_lab(SOURCE).cells]
    path = edited(root, "# %% [markdown]\n# ## A function", "# %%\nprint(1)\n\n# %% [markdown]\n# ## A function")
    after = [cell.id for cell in authoring.build_lab(path).cells]
    assert len(set(after)) == len(after) == len(before) + 1
    assert [cell_id for cell_id in after if cell_id in before] == before


def test_the_executed_solution_earns_everything_and_holds_nothing_volatile() -> None:
    solution = authoring.build_solution(SOURCE)
    assert {q: points for q, (points, _) in execution.verdicts(solution).items()} == read(SOURCE).info().points
    text = authoring.render(solution)
    for volatile in ('"execution":', "iopub", '"widgets"', "display_id", "transient", f'"version": "{sys.version[:4]}'):
        assert volatile not in text
    assert "4.5 of 4.5 points" in text
    assert [c.source for c in solution.cells] == [c.source for c in authoring.build_solution(SOURCE, False).cells]
    nbformat.validate(solution)


def test_a_solution_that_does_not_earn_its_points_is_refused(root: Path) -> None:
    path = edited(root, "per_item_ms = 160 / 32", "per_item_ms = 160")
    with pytest.raises(AuthoringError, match=r"earns 0 of 1 at per_item: .*off by the batch size"):
        authoring.build_solution(path)


def test_build_all_writes_once_and_check_finds_every_difference(root: Path) -> None:
    assert {path.relative_to(root).as_posix() for path in authoring.build_all(root=root)} == {
        f"labs/{NAME}.ipynb", "batchlab/data/course.json",
    }  # fmt: skip
    assert authoring.check(root=root) == [f"solutions/{NAME}.ipynb differs from its source: run 'make solutions'."]
    assert authoring.build_all(root=root) == []
    assert authoring.build_all(["90"], execute=True, root=root) == [root / "solutions" / f"{NAME}.ipynb"]
    assert authoring.check(root=root) == []

    edited(root, "How many milliseconds", "How many ms")
    assert len(authoring.check(root=root)) == 2
    edited(root, "points=2", "points=4")
    assert any("course.json" in difference for difference in authoring.check(root=root))
    shutil.copy(root / "labs" / f"{NAME}.ipynb", root / "labs" / "91_gone.ipynb")
    assert any("labs/91_gone.ipynb has no source" in difference for difference in authoring.check(root=root))


def test_the_course_file_says_what_each_question_is_worth(root: Path) -> None:
    authoring.build_all(root=root)
    text = (root / "batchlab" / "data" / "course.json").read_text()
    info = course.parse(text)[NAME]
    assert info.points == {"per_item": 1, "rate": 2, "sleep": 1, "cost": 0.5}
    assert list(info.points) == ["per_item", "rate", "sleep", "cost"]
    assert info.manual == {"essay": 3}
    assert info.variables["rate"] == "throughput_ips"
    assert (info.title, info.level, info.minutes) == ("Try everything a lab can hold", "beginner", 5)
    assert course.render(course.parse(text)) == text


def test_the_command_line(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "triton_repo").mkdir()
    monkeypatch.setenv("BATCHLAB_PROJECT", str(root))

    assert authoring.main(["check"]) == 1
    assert "run 'make labs'" in capsys.readouterr().out
    assert authoring.main(["labs", "90"]) == 0
    assert f"labs/{NAME}.ipynb  written" in capsys.readouterr().out
    assert authoring.main(["labs", "42"]) == 1
    assert capsys.readouterr().err.strip() == f"No source begins with '42'; there are: {NAME}."


def test_notebooks_are_json_with_sorted_keys() -> None:
    text = authoring.render(authoring.build_lab(SOURCE))
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
