"""Running a notebook from code, and making its outputs fit to commit."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.notebooknode import NotebookNode

CELL_TIMEOUT_S = 600
# Cells that assert a measured property. Runs at a shorter pace have too few samples for them.
MEASURED_TAG = "measured"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TRACEBACK_LINES = 25
ANSI = re.compile(r"\x1b\[[0-9;]*m")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|tmp|var/folders)/[\w.-]+")
IMAGE = re.compile(r"data:image/[^\"')\s]+")


class ExecutionError(RuntimeError):
    """A notebook that does not run, or whose outputs must not be committed; the message names the cell."""


def run(notebook: NotebookNode, folder: Path, environment: Mapping[str, str] | None = None) -> NotebookNode:
    """Execute a notebook in place with its working directory in `folder`, and return it.

    At a pace below 1 the cells tagged `MEASURED_TAG` are left out.

    Args:
        notebook: changed in place: outputs, counts.
        folder: the kernel's working directory.
        environment: variables set for the kernel on top of this process's own.

    Raises:
        ExecutionError: a cell raised, ran longer than ten minutes, or the kernel died.
    """
    variables = {**os.environ, **(environment or {})}
    hurried = float(variables.get("BATCHLAB_PACE") or 1) < 1
    client = NotebookClient(
        notebook,
        skip_cells_with_tag=MEASURED_TAG if hurried else "skip-execution",
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        client.execute(env=variables)
    except CellExecutionError as error:
        where = "\n".join(ANSI.sub("", str(error.traceback)).splitlines()[:TRACEBACK_LINES])
        raise ExecutionError(f"{_failed(notebook)} raised {error.ename}: {error.evalue}\n{where}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise ExecutionError(f"{_failed(notebook)}: {str(error).strip().splitlines()[0]}") from error
    return notebook


@contextmanager
def clean_environment(course_text: str) -> Iterator[dict[str, str]]:
    """Yield variables for a run whose outputs are committed.

    A home of its own, so that the author's progress stays out; the given course; full pace; no progress bars.
    """
    with tempfile.TemporaryDirectory(prefix="batchlab-build-") as home:
        course_file = Path(home, "course.json")
        course_file.write_text(course_text, encoding="utf-8")
        yield {
            "BATCHLAB_HOME": home,
            "BATCHLAB_COURSE": str(course_file),
            "BATCHLAB_PACE": "1",
            "TQDM_DISABLE": "1",
        }


def scrub(notebook: NotebookNode) -> None:
    """Remove from an executed notebook what differs between two runs or is dead when reopened.

    Widgets are dropped, for their state lives in the kernel; so are lines of stderr that a progress bar redrew.

    Raises:
        ExecutionError: an output names a memory address or a path of this machine, or a cell wrote to stderr.
    """
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = [output for output in cell.outputs if not _ephemeral(output)]
        for output in cell.outputs:
            output.pop("transient", None)
            if "metadata" in output:
                output.metadata = {}
            place = f"cell {number}{_named(cell)}"
            if output.output_type == "stream" and output.name == "stderr":
                raise ExecutionError(f"{place} wrote to stderr: {output.text.strip()[:300]}")
            for text in _texts(output):
                _refuse(place, text)


def verdicts(notebook: NotebookNode) -> dict[str, tuple[float, str]]:
    """Return points and words of each test cell of an executed notebook, by question; no entry for one without."""
    told = {}
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not meta.get("grade") or meta.get("solution"):
            continue
        for output in cell.outputs:
            data = output.get("data", {}) if output.output_type == "execute_result" else {}
            if "text/html" in data:
                words = unescape(re.sub(r"<[^>]+>", " ", data["text/html"]))
                told[meta["grade_id"].removesuffix("_check")] = (float(data["text/plain"]), " ".join(words.split()))
    return told


def _failed(notebook: NotebookNode) -> str:
    """Name the last cell that was started."""
    numbers = [i for i, c in enumerate(notebook.cells, 1) if c.cell_type == "code" and (c.execution_count or c.outputs)]
    number = numbers[-1] if numbers else 1
    return f"cell {number}{_named(notebook.cells[number - 1])}"


def _named(cell: NotebookNode) -> str:
    gid = cell.metadata.get("nbgrader", {}).get("grade_id")
    first = cell.source.strip().splitlines()[0] if cell.source.strip() else ""
    return f" ({gid})" if gid else f" ({first[:60]})"


def _ephemeral(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        # A progress bar redraws its line with carriage returns and is worth nothing once the cell has ended.
        return bool(output.name == "stderr" and ("\r" in output.text or re.search(r"\d+%\|", output.text)))
    return WIDGET_VIEW in output.get("data", {})


def _texts(output: NotebookNode) -> Iterator[str]:
    data: dict[str, Any] = output.get("data", {})
    candidates = (output.get("text"), "\n".join(output.get("traceback", [])), *data.values())
    images = {data[kind] for kind in data if kind.startswith("image/") and isinstance(data[kind], str)}
    yield from (text for text in candidates if isinstance(text, str) and text not in images)


def _refuse(place: str, text: str) -> None:
    visible = IMAGE.sub("", text)
    address = ADDRESS.search(visible)
    if address:
        raise ExecutionError(
            f"{place} shows the memory address {address.group()}, which differs in every run. End the cell with a "
            "semicolon, assign its last value, or give the object a repr."
        )
    folders = (Path.cwd(), Path(sys.prefix), Path.home(), Path(tempfile.gettempdir()))
    own = "|".join(re.escape(str(folder)) for folder in folders if len(folder.parts) > 1)
    path = MACHINE_PATH.search(visible) or re.search(rf"(?<![\w.:/-])(?:{own})/", visible)
    if path:
        raise ExecutionError(
            f"{place} shows a path of this machine, {path.group().rstrip('/')}. "
            "Show a file's name, or a path relative to the project."
        )
