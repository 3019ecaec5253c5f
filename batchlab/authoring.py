"""Building notebooks: `solutions/NN_verb_noun.py` becomes the learner's lab, the executed solution and the course file.

The source is the only file that is edited. A lab goes through nbgrader's own preprocessors, the ones of
`nbgrader generate_assignment`, so that an instructor's gradebook accepts it as it is. Building twice gives the same
bytes, which is how the tests know that a committed notebook is not stale.

Run as ``python -m batchlab.authoring labs|solutions|check [NN ...]``.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config import Config

from batchlab import course, execution, lint, workspace
from batchlab.source import AuthoringError, Source, read

__all__ = ["AuthoringError", "build_all", "build_lab", "build_solution", "check", "nbgrader_config", "sources"]

# The order of nbgrader's generate_assignment, less the steps that need a database.
TO_LAB = (
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
)


def nbgrader_config() -> Config:
    """Return nbgrader's settings for this course: stubs that do not raise, time enough to measure."""
    config = Config()
    config.ClearSolutions.code_stub = {"python": "# Your answer here"}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    config.Execute.timeout = execution.CELL_TIMEOUT_S
    return config


def sources(names: Iterable[str] = (), root: Path | None = None) -> list[Path]:
    """Return the source files, or those whose names begin with one of `names`.

    Raises:
        AuthoringError: a name that fits no source.
    """
    folder = (root or workspace.project_dir()) / "solutions"
    every = sorted(folder.glob("[0-9][0-9]_*.py"))
    wanted = [Path(name).stem for name in names]
    for name in wanted:
        if not any(path.stem.startswith(name) for path in every):
            known = ", ".join(path.stem for path in every) or "none"
            raise AuthoringError(f"No source begins with {name!r}; there are: {known}.")
    return [path for path in every if not wanted or any(path.stem.startswith(name) for name in wanted)]


def checked(path: Path) -> Source:
    """Read a source and hold it against the authoring contract.

    Raises:
        AuthoringError: every error of the source, one a line.
    """
    source = read(path)
    errors = [str(finding) for finding in lint.findings(source) if not finding.warning]
    if errors:
        raise AuthoringError("\n".join(errors))
    return source


def build_lab(source: Source | Path) -> NotebookNode:
    """Return the learner's notebook: solutions out, points and checksums in, no outputs.

    Raises:
        AuthoringError: the source breaks the contract, or nbgrader refuses it.
    """
    source = checked(source) if isinstance(source, Path) else source
    notebook = source.notebook()
    try:
        for step in TO_LAB:
            notebook, _ = step(config=nbgrader_config()).preprocess(notebook, {})
    except Exception as error:
        raise AuthoringError(f"{source.where()}: nbgrader refuses it ({error}).") from error
    return notebook


def build_solution(source: Source | Path, execute: bool = True) -> NotebookNode:
    """Return the solution notebook, executed in the folder of the sources unless told otherwise.

    Raises:
        AuthoringError: the source breaks the contract, a cell fails, an output must not be committed, or the solution
            does not earn all points.
    """
    source = checked(source) if isinstance(source, Path) else source
    notebook = source.notebook()
    if not execute:
        return notebook
    try:
        with execution.clean_environment(_course_with(source)) as environment:
            execution.run(notebook, source.path.parent, environment)
        execution.scrub(notebook)
    except execution.ExecutionError as error:
        raise AuthoringError(f"{source.where()}: {error}") from error
    notebook.metadata = source.notebook_metadata()
    told = execution.verdicts(notebook)
    for question, maximum in source.info().points.items():
        points, words = told.get(question, (0.0, "no verdict"))
        if points != maximum:
            raise AuthoringError(
                f"{source.where()}: the solution earns {points:g} of {maximum:g} at {question}: {words}"
            )
    return notebook


def render(notebook: NotebookNode) -> str:
    """Return a notebook's text: sorted keys, one newline at the end."""
    return str(nbformat.writes(notebook, version=nbformat.NO_CONVERT)).rstrip("\n") + "\n"


def build_all(names: Iterable[str] = (), *, execute: bool = False, root: Path | None = None) -> list[Path]:
    """Write course file, labs and, where asked, executed solutions; return the files that changed.

    Raises:
        AuthoringError: a source breaks the contract; nothing is written before every source has been read.
    """
    root = root or workspace.project_dir()
    chosen = [checked(path) for path in sources(names, root)]
    changed = []
    if _write(_course_path(root), _course_text(root)):
        changed.append(_course_path(root))
    for source in chosen:
        begun = time.monotonic()
        target = root / ("solutions" if execute else "labs") / f"{source.lab}.ipynb"
        notebook = build_solution(source) if execute else build_lab(source)
        wrote = _write(target, render(notebook))
        changed += [target] if wrote else []
        print(f"{target.relative_to(root)}  {'written' if wrote else 'unchanged'}  {time.monotonic() - begun:.1f} s")
    return changed


def check(names: Iterable[str] = (), root: Path | None = None) -> list[str]:
    """Return every difference between what is committed and what the sources give; empty when all is fresh."""
    root = root or workspace.project_dir()
    differences = []
    paths = sources(names, root)
    for path in paths:
        try:
            source = checked(path)
            lab, solution = build_lab(source), build_solution(source, execute=False)
        except AuthoringError as error:
            differences.append(str(error))
            continue
        if _text(root / "labs" / f"{source.lab}.ipynb") != render(lab):
            differences.append(f"labs/{source.lab}.ipynb differs from its source: run 'make labs'.")
        committed = _text(root / "solutions" / f"{source.lab}.ipynb")
        if not committed or render(_bare(nbformat.reads(committed, as_version=4))) != render(solution):
            differences.append(f"solutions/{source.lab}.ipynb differs from its source: run 'make solutions'.")
    if not names:
        known = {path.stem for path in paths}
        orphans = [p for folder in ("labs", "solutions") for p in sorted((root / folder).glob("*.ipynb"))]
        differences += [f"{p.relative_to(root)} has no source: remove it." for p in orphans if p.stem not in known]
    # A source that cannot be read has been told above; the course file cannot be derived then.
    with contextlib.suppress(AuthoringError):
        if _text(_course_path(root)) != _course_text(root):
            differences.append("batchlab/data/course.json differs from the sources: run 'make labs'.")
    return differences


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m batchlab.authoring", description="Build notebooks from solutions/."
    )
    parser.add_argument(
        "what", choices=("labs", "solutions", "check"), help="learners' labs, executed solutions, or compare"
    )
    parser.add_argument("names", nargs="*", metavar="NN", help="first letters of a lab's id; all labs when left out")
    chosen = parser.parse_args(arguments)
    try:
        for path in sources(chosen.names):
            for finding in lint.findings(read(path)):
                if finding.warning:
                    print(finding)
        if chosen.what == "check":
            differences = check(chosen.names)
            print("\n".join(differences) or "Every committed notebook is what its source gives.")
            return 1 if differences else 0
        changed = build_all(chosen.names, execute=chosen.what == "solutions")
        print(f"{len(changed)} files changed.")
    except (AuthoringError, workspace.WorkspaceError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _bare(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _course_path(root: Path) -> Path:
    return root / "batchlab" / "data" / "course.json"


def _course_text(root: Path) -> str:
    return course.render({path.stem: checked(path).info() for path in sources(root=root)})


def _course_with(source: Source) -> str:
    """Return the course file's text with this source's entry as it stands now."""
    try:
        labs = course.load()
    except course.CourseError:
        labs = {}
    return course.render({**labs, source.lab: source.info()})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _write(path: Path, text: str) -> bool:
    if _text(path) == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return True


if __name__ == "__main__":
    sys.exit(main())
