"""An instructor's course folder: nbgrader's own layout, and what Batchlab keeps beside it.

nbgrader_config.py   gradebook.db
class.json           which labs, from where, and the secret behind seeds and signatures; for the instructor alone
source/ release/ submitted/ autograded/    as nbgrader has them
hidden/NN_lab.py     the instructor's hidden tests, never handed out
results/LEARNER/     what the grader found, one file a lab
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchlab import course, source, submission
from batchlab.submission import Part

if TYPE_CHECKING:
    from batchlab.judgement import Paper

SETTINGS = "class.json"
LEARNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
CONFIG = '''"""nbgrader's settings for this course, made by ``batchlab class init``."""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "batchlab"
c.CourseDirectory.root = "."
c.ClearSolutions.code_stub = {"python": "# Your answer here"}
c.ClearSolutions.text_stub = "*Your answer here.*"
# What learners wrote is shown to you in the formgrader: no script of theirs may run there.
c.HTMLExporter.sanitize_html = True
'''


class ClassroomError(ValueError):
    """The course folder is not as it must be; the message says what to do."""


@dataclass(frozen=True)
class Classroom:
    """A course folder.

    Attributes:
        root: the folder.
        labs: ids of the labs, in order.
        sources: folder of the labs' sources.
        hidden: folder of the hidden tests.
        secret: what seeds and signatures are made of.
    """

    root: Path
    labs: tuple[str, ...]
    sources: Path
    hidden: Path
    secret: str

    def submitted(self, learner: str, lab: str) -> Path:
        """Return the folder of one submission."""
        return self.root / "submitted" / learner / lab

    def submissions(self, labs: Iterable[str] = ()) -> list[tuple[str, str]]:
        """Return learner and lab of everything that was handed in, sorted."""
        wanted = set(labs) or set(self.labs)
        found = (self.root / "submitted").glob("*/*/*.ipynb")
        pairs = {(path.parts[-3], path.parts[-2]) for path in found if path.stem == path.parts[-2]}
        return sorted((learner, lab) for learner, lab in pairs if lab in wanted)

    def result(self, learner: str, lab: str) -> Path:
        """Return the place of one result."""
        return self.root / "results" / learner / f"{lab}.json"

    def key(self, learner: str) -> str:
        """Return what a learner's records are signed with."""
        return hmac.new(self.secret.encode(), learner.encode(), hashlib.sha256).hexdigest()

    def source(self, lab: str) -> source.Source:
        """Read a lab's source.

        Raises:
            ClassroomError: there is none.
        """
        path = self.sources / f"{lab}.py"
        if lab not in self.labs or not path.is_file():
            raise ClassroomError(f"No lab {lab!r} in this course; there are: {', '.join(self.labs)}.")
        return source.read(path)

    def course_text(self) -> str:
        """Return the text of the course file of these labs."""
        return course.render({lab: self.source(lab).info() for lab in self.labs})

    def paper(self, lab: str, learner: str = "") -> "Paper":
        """Return a lab as it is handed out to a learner, with the instructor's hidden tests.

        Raises:
            ClassroomError: no such lab, or a hidden test of a question that it does not have.
        """
        # nbgrader and pandas take seconds to import; most commands on a course folder need neither.
        from batchlab import authoring
        from batchlab.judgement import Paper

        cells = submission.read(authoring.render(authoring.build_lab(self.source(lab))).encode())
        hidden = self.hidden_tests(lab, {part.question for part in cells if part.kind == "test"})
        return Paper(lab, tuple(cells), self.course_text(), hidden).of(learner)

    def hidden_tests(self, lab: str, questions: Iterable[str]) -> dict[str, str]:
        """Return question -> source of the hidden tests of a lab; empty where there are none.

        Raises:
            ClassroomError: a hidden test of a question that the lab does not have.
        """
        path = self.hidden / f"{lab}.py"
        if not path.is_file():
            return {}
        import jupytext

        from batchlab.judgement import hidden_tests

        cells = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells
        parts = [Part("test", str(c.metadata.get("gid", "")), "", True, c.source) for c in cells if "gid" in c.metadata]
        tests, known = hidden_tests(parts), set(questions)
        unknown = sorted(set(tests) - known)
        if unknown:
            raise ClassroomError(
                f"{path.name} tests {', '.join(unknown)}; {lab} has the questions {', '.join(sorted(known))}. "
                'A hidden test is a cell such as: # %% gid="knee_check"'
            )
        return tests


def init(
    root: Path, labs: Sequence[str] = (), sources: Path | None = None, hidden: Path | None = None, secret: str = ""
) -> Classroom:
    """Make a course folder, or bring the list of labs of an existing one up to date; nothing in it is lost.

    Args:
        root: the folder.
        labs: first letters of the labs' ids; all where empty.
        sources: folder of the labs' sources, default the project's ``solutions/``.
        hidden: folder of the hidden tests, default ``hidden/`` in the course folder.
        secret: for tests; else a new one is drawn once.

    Raises:
        ClassroomError: no labs there, or no lab of such a name.
    """
    from batchlab import workspace

    sources = (sources or workspace.project_dir() / "solutions").resolve()
    every = [path.stem for path in sorted(sources.glob("[0-9][0-9]_*.py"))]
    chosen = tuple(lab for lab in every if not labs or any(lab.startswith(name) for name in labs))
    missing = [name for name in labs if not any(lab.startswith(name) for lab in every)]
    if missing or not chosen:
        raise ClassroomError(
            f"No lab begins with {', '.join(missing) or '?'}; {sources} has {', '.join(every) or 'none'}."
        )
    root = root.expanduser().resolve()
    old = _settings(root) if (root / SETTINGS).is_file() else {}
    hidden = (hidden or Path(old.get("hidden") or root / "hidden")).expanduser().resolve()
    secret = old.get("secret") or secret or secrets.token_hex(16)
    # The folder holds solutions and other people's work.
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (*(root / name for name in ("source", "release", "submitted", "results")), hidden):
        folder.mkdir(parents=True, exist_ok=True)
    values = {"labs": list(chosen), "sources": str(sources), "hidden": str(hidden), "secret": secret}
    write(root / SETTINGS, json.dumps(values, indent=1) + "\n", mode=0o600)
    if not (root / "nbgrader_config.py").exists():
        write(root / "nbgrader_config.py", CONFIG)
    return open_(root)


def open_(root: Path) -> Classroom:
    """Return the course folder at `root`.

    Raises:
        ClassroomError: it is none.
    """
    root = root.expanduser().resolve()
    values = _settings(root)
    try:
        paths = {name: Path(values[name]) for name in ("sources", "hidden")}
        return Classroom(root, tuple(values["labs"]), secret=str(values["secret"]), **paths)
    except (KeyError, TypeError) as error:
        raise ClassroomError(f"{root / SETTINGS} is damaged ({error} is missing). Restore it from a backup.") from error


def named(learner: str) -> str:
    """Return a learner's id as it is.

    Raises:
        ClassroomError: it cannot be a folder's name.
    """
    if not LEARNER.fullmatch(learner) or ".." in learner:
        raise ClassroomError(f"{learner!r} cannot be a learner's id: use letters, digits and . _ @ - (at most 64).")
    return learner


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _settings(root: Path) -> dict[str, Any]:
    try:
        values = json.loads((root / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ClassroomError(f"{root} is no course folder. Make one: batchlab class init {root}") from error
    except (OSError, ValueError) as error:
        raise ClassroomError(f"{root / SETTINGS} cannot be read ({error}). Restore it from a backup.") from error
    return values if isinstance(values, dict) else {}
