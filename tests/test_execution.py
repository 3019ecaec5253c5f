"""Notebooks run, or say which cell failed; their outputs are fit to commit, or refused with a reason."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.notebooknode import NotebookNode

from batchlab import execution
from batchlab.execution import ExecutionError

CARD = "<div><span>✗</span> <strong>Wrong</strong> <span>q1, 0 of 1 point</span></div><div>5 &lt; 6</div>"


def code(source: str, *outputs: dict[str, Any]) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, outputs=[nbformat.from_dict(output) for output in outputs])


def notebook(*cells: NotebookNode) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=list(cells))


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shown(**data: str) -> dict[str, Any]:
    kinds = {kind.replace("_", "/"): text for kind, text in data.items()}
    return {"output_type": "display_data", "data": kinds, "metadata": {}}


@pytest.mark.notebook
def test_a_run_knows_its_folder_and_variables_and_names_the_cell_that_fails(tmp_path: Path) -> None:
    probe = notebook(
        code("import os\nprint(os.path.basename(os.getcwd()), os.environ['BATCHLAB_PACE'])"),
        code("from ipywidgets import IntProgress\nIntProgress()"),
        code("oops"),
        code("print('never')"),
    )
    with pytest.raises(ExecutionError, match=r"cell 3 \(oops\) raised NameError: name 'oops' is not defined"):
        execution.run(probe, tmp_path, {"BATCHLAB_PACE": "0.5"})
    assert probe.cells[0].outputs[0].text == f"{tmp_path.name} 0.5\n"
    assert not probe.cells[3].outputs
    assert "widgets" not in probe.metadata
    assert all("execution" not in cell.metadata for cell in probe.cells)


@pytest.mark.notebook
def test_a_kernel_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match=r"cell 1 .*died"):
        execution.run(notebook(code("import os\nos.kill(os.getpid(), 9)")), tmp_path)


def test_the_environment_of_a_build_is_its_own() -> None:
    with execution.clean_environment("{}") as variables:
        assert Path(variables["BATCHLAB_COURSE"]).read_text() == "{}"
        assert Path(variables["BATCHLAB_HOME"]).is_dir()
        assert variables["BATCHLAB_PACE"] == "1"
    assert not Path(variables["BATCHLAB_HOME"]).exists()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (stream("<Foo at 0x7f3a2b4c5d60>"), "memory address 0x7f3a2b4c5d60"),
        (shown(text_plain="<Foo object at 0x7f3a2b4c5d60>"), "memory address"),
        (shown(text_html="<p>0x7f3a2b4c5d60</p>", text_plain="x"), "memory address"),
        (stream(f"{Path.cwd()}/labs"), "path of this machine"),
        (stream("saved /tmp/run.jsonl"), "path of this machine, /tmp"),
        (stream("/home/somebody/lab.txt"), "path of this machine, /home/somebody"),
        (stream("careful\n", "stderr"), "wrote to stderr: careful"),
        ({"output_type": "error", "ename": "E", "evalue": "", "traceback": ['File "/home/a/b.py"']}, "path of this"),
    ],
)
def test_what_must_not_be_committed_is_refused(output: dict[str, Any], said: str) -> None:
    with pytest.raises(ExecutionError, match=said) as caught:
        execution.scrub(notebook(code("fine = 1"), code("bad", output)))
    assert str(caught.value).startswith("cell 2 (bad)")


@pytest.mark.parametrize(
    "output",
    [
        stream("127.0.0.1:8000/v2/models, 12 req/s, solutions/lab.ipynb, a/tmp/b, colour 0xff"),
        shown(text_html='<img src="data:image/png;base64,AA/tmp/xx0x7f3a2b4c5d60">', text_plain="<Figure>"),
        shown(image_png="AAAA /home/somebody 0x7f3a2b4c5d60", text_plain="<Figure size 640x480 with 1 Axes>"),
        shown(text_html='<a href="https://example.org/home/user">x</a>', text_plain="x"),
    ],
)
def test_what_may_be_committed_stays(output: dict[str, Any]) -> None:
    probe = notebook(code("good", output))
    execution.scrub(probe)
    assert [dict(kept) for kept in probe.cells[0].outputs] == [output]


def test_widgets_and_progress_bars_leave_nothing() -> None:
    widget = shown(text_plain="IntProgress(value=3)", **{execution.WIDGET_VIEW.replace("/", "_"): "{}"})
    bar = stream("\r 50%|#####     | 1/2 [00:01<00:01]", "stderr")
    probe = notebook(code("run", widget, bar, stream("kept\n")))
    probe.cells[0].metadata["execution"] = {"iopub.status.busy": "now"}
    execution.scrub(probe)
    assert [output.text for output in probe.cells[0].outputs] == ["kept\n"]
    assert not probe.cells[0].metadata


def test_verdicts_are_read_from_test_cells_only() -> None:
    card = {
        "output_type": "execute_result",
        "execution_count": 1,
        "data": {"text/plain": "0.0", "text/html": CARD},
        "metadata": {},
    }
    test, plain, silent = code("check", card), code("other", card), code("check")
    for cell, gid in ((test, "q1_check"), (silent, "q2_check")):
        cell.metadata["nbgrader"] = {"grade": True, "solution": False, "grade_id": gid}
    assert execution.verdicts(notebook(test, plain, silent)) == {"q1": (0.0, "✗ Wrong q1, 0 of 1 point 5 < 6")}
