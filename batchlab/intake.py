"""Collecting what learners handed in: a folder of notebooks and zips as a learning platform downloads it.

The learner's id is in the name: a folder ``ada/``, or a file ``ada.zip``, ``ada.01_lab.zip``, ``ada_01_lab.ipynb``,
also as platforms decorate it (``ada_12345_assignsubmission_file_01_lab.ipynb``). Every file is hostile until read:
none is unpacked by name, only the notebook and its evidence are taken, and one bad file stops none of the others.
"""

import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from batchlab import evidence
from batchlab.classroom import LEARNER, Classroom
from batchlab.submission import NOTEBOOK_MIB

ZIP_MIB = 256
FILES = 500
RATIO = 200
SMALL = 2**20
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.jsonl")


class IntakeError(ValueError):
    """A file that is refused; the message says why."""


@dataclass(frozen=True)
class Taken:
    """What became of one file.

    Attributes:
        name: the file, as the instructor sees it.
        learner, lab: whose it is; empty where it was refused.
        refused: why; empty where it was taken.
    """

    name: str
    learner: str = ""
    lab: str = ""
    refused: str = ""

    def __str__(self) -> str:
        return f"{self.name}: refused, {self.refused}" if self.refused else f"{self.name}: {self.learner}, {self.lab}"


def collect(room: Classroom, folder: Path) -> list[Taken]:
    """Take in every notebook and zip below a folder; the last file of a learner for a lab counts.

    Raises:
        IntakeError: no such folder.
    """
    if not folder.is_dir():
        raise IntakeError(
            f"{folder} is no folder. Name the one that your learning platform's download was unpacked to."
        )
    taken = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".ipynb", ".zip") or ".ipynb_checkpoints" in path.parts:
            continue
        name = str(path.relative_to(folder))
        try:
            if path.is_symlink() or any(parent.is_symlink() for parent in path.parents if parent != folder):
                raise IntakeError("a symbolic link.")
            for learner, lab, files in _contents(room, path, name):
                _keep(room, learner, lab, files)
                taken.append(Taken(name, learner, lab))
        except IntakeError as error:
            taken.append(Taken(name, refused=str(error)))
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            taken.append(Taken(name, refused=f"it cannot be read ({error})."))
    return taken


def _contents(room: Classroom, path: Path, name: str) -> Iterator[tuple[str, str, dict[str, bytes]]]:
    """Yield learner, lab, and the files by their name in the submission."""
    if path.suffix == ".ipynb":
        if path.stat().st_size > NOTEBOOK_MIB * 2**20:
            raise IntakeError(f"more than {NOTEBOOK_MIB} MiB.")
        lab = _lab(room.labs, path.stem)
        yield _learner(PurePosixPath(name), lab), lab, {f"{lab}.ipynb": path.read_bytes()}
        return
    found = _unpacked(path)
    notebooks = {inner: content for inner, content in found.items() if inner.suffix == ".ipynb"}
    if not notebooks:
        raise IntakeError("no notebook in it.")
    for inner, content in notebooks.items():
        lab = _lab(room.labs, inner.stem)
        files = {f"{lab}.ipynb": content}
        for other, evidence_content in found.items():
            relative = str(other.relative_to(inner.parent)) if other.is_relative_to(inner.parent) else ""
            if relative == evidence.RECORD or (
                PurePosixPath(relative).parent.name == evidence.RUNS
                and relative.count("/") == 1
                and RUN_NAME.fullmatch(other.name)
            ):
                files[relative] = evidence_content
        yield _learner(PurePosixPath(name), lab), lab, files


def _unpacked(path: Path) -> dict[PurePosixPath, bytes]:
    """Return the files of a zip that matter, read within limits.

    Raises:
        IntakeError: a name that leads out, a link, too much of anything.
    """
    found: dict[PurePosixPath, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > FILES:
            raise IntakeError(f"{len(entries)} files in it, more than {FILES}.")
        for entry in entries:
            inner = PurePosixPath(entry.filename.replace("\\", "/"))
            if inner.is_absolute() or re.match(r"[A-Za-z]:", entry.filename):
                raise IntakeError(f"an absolute path in it: {entry.filename[:80]!r}.")
            if ".." in inner.parts:
                raise IntakeError(f"a path that leads out of it: {entry.filename[:80]!r}.")
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise IntakeError(f"a symbolic link in it: {entry.filename[:80]!r}.")
        total = sum(entry.file_size for entry in entries)
        packed = max(sum(entry.compress_size for entry in entries), 1)
        if total > ZIP_MIB * 2**20 or (total > SMALL and total / packed > RATIO):
            raise IntakeError(f"a zip bomb: {packed / 2**20:.2f} MiB would become {total / 2**20:.0f} MiB.")
        left = ZIP_MIB * 2**20
        for entry in entries:
            inner = PurePosixPath(entry.filename.replace("\\", "/"))
            wanted = inner.suffix in (".ipynb", ".jsonl") or inner.name == evidence.RECORD
            if entry.is_dir() or not wanted or inner.name.startswith(".") or "__MACOSX" in inner.parts:
                continue
            if ".ipynb_checkpoints" in inner.parts:
                continue
            with archive.open(entry) as file:
                # The sizes in the directory may lie: what is read decides.
                content = file.read(left + 1)
            left -= len(content)
            if left < 0:
                raise IntakeError(f"a zip bomb: more than {ZIP_MIB} MiB in it.")
            found[inner] = content
    return found


def _lab(labs: Sequence[str], stem: str) -> str:
    """Return the lab whose id is in a file's name.

    Raises:
        IntakeError: none, or its number alone does not say which.
    """
    fitting = [lab for lab in labs if lab in stem]
    if not fitting:
        raise IntakeError(f"its name holds none of the labs' ids ({', '.join(labs)}).")
    return max(fitting, key=len)


def _learner(name: PurePosixPath, lab: str) -> str:
    """Return the learner's id from a file's name, or the folder it lies in.

    Raises:
        IntakeError: no id in either.
    """
    # A platform's own words and numbers behind the id, and what a browser adds to a second download.
    stem = re.sub(r" ?\(\d+\)$", "", name.stem).replace(lab, "")
    stem = re.sub(r"_\d+_assignsubmission_file.*$", "", stem).strip("._- ")
    folders = [part for part in name.parent.parts if part not in (lab, ".")]
    folder = re.sub(r"_\d+_assignsubmission_file.*$", "", folders[0]) if folders else ""
    learner = folder or stem
    if not LEARNER.fullmatch(learner) or ".." in learner:
        raise IntakeError(f"no learner's id in its name (found {learner[:40]!r}); put the file into a folder named so.")
    return learner


def _keep(room: Classroom, learner: str, lab: str, files: dict[str, bytes]) -> None:
    place = room.submitted(learner, lab)
    place.mkdir(parents=True, exist_ok=True)
    runs = place / evidence.RUNS
    for old in [place / evidence.RECORD, *runs.glob("*.jsonl")]:
        if old.is_file() and str(old.relative_to(place)) not in files:
            old.unlink()
    for name, content in sorted(files.items()):
        target = place / name
        target.parent.mkdir(exist_ok=True)
        draft = target.with_name(f".{target.name}.draft")
        draft.write_bytes(content)
        draft.replace(target)
