"""Which labs the notebook tests run on, and where their notebooks lie.

The labs are those of the project, and the fixture lab beside them, so that the harness itself is always proven.
"""

import functools
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.notebooknode import NotebookNode

from batchlab import authoring, course
from batchlab.source import Source, read

PROJECT = Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "tests" / "fixtures"
PACE = "0.1"
_read = functools.cache(read)


@dataclass(frozen=True)
class LabUnderTest:
    """One lab: its source, and the folder that holds `labs/` and `solutions/`."""

    path: Path
    wrong_answers: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_fixture(self) -> bool:
        return FIXTURES in self.path.parents

    @property
    def measures(self) -> bool:
        """Whether it measures time on this machine; a lab that only simulates does not."""
        return self.source().info().tiers != ["simulated"]

    def source(self) -> Source:
        return _read(self.path)

    def root(self, scratch: Path) -> Path:
        """Return the folder with the built notebooks; the fixture's are built, executed, in `scratch`."""
        if not self.is_fixture:
            return PROJECT
        if not (scratch / "labs").is_dir():
            for folder, notebook in (
                ("labs", authoring.build_lab(self.path)),
                ("solutions", authoring.build_solution(self.path)),
            ):
                (scratch / folder).mkdir(parents=True)
                (scratch / folder / f"{self.name}.ipynb").write_text(authoring.render(notebook))
        return scratch

    def notebook(self, folder: str, scratch: Path) -> NotebookNode:
        return nbformat.read(self.root(scratch) / folder / f"{self.name}.ipynb", as_version=4)

    def environment(self, home: Path) -> dict[str, str]:
        """Return variables for a kernel: a home of its own, and the fixture's course where it is the fixture."""
        variables = {"BATCHLAB_HOME": str(home), "BATCHLAB_PACE": PACE, "TQDM_DISABLE": "1"}
        if self.is_fixture:
            home.mkdir(parents=True, exist_ok=True)
            (home / "course.json").write_text(course.render({self.name: self.source().info()}))
            variables["BATCHLAB_COURSE"] = str(home / "course.json")
        return variables

    def sets(self) -> list[dict[str, Any]]:
        """Return the sets of wrong answers; empty where there is no file."""
        if not self.wrong_answers.is_file():
            return []
        return list(tomllib.loads(self.wrong_answers.read_text())["set"])


def labs() -> list[LabUnderTest]:
    """Return the fixture lab and the project's labs; ``BATCHLAB_TEST_LABS=00,01`` chooses some of these."""
    wanted = tuple(name for name in os.environ.get("BATCHLAB_TEST_LABS", "").split(",") if name)
    found = []
    for folder, solutions in ((FIXTURES, FIXTURES / "solutions"), (PROJECT / "tests", PROJECT / "solutions")):
        for path in sorted(solutions.glob("[0-9][0-9]_*.py")):
            if folder == FIXTURES or path.stem.startswith(wanted or ""):
                found.append(LabUnderTest(path, folder / "wrong_answers" / f"{path.stem}.toml"))
    return found
