"""Handing labs out to a room: a folder or a zip for each learner, without solutions and hidden tests.

Each holds the labs and a ticket, ``learner.json``: the learner's id, a seed of their own, and the key that seals their
records. Labs that give each learner other numbers have the learner's id written in.
"""

import hashlib
import hmac
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode

from batchlab import authoring, evidence, gradebook
from batchlab.classroom import Classroom, ClassroomError, named, write
from batchlab.submission import NAMED

ANYONE = "learner"
SOLUTION = re.compile(r"(###|<!--) *(BEGIN|END) (SOLUTION|HIDDEN)")
EPOCH = (1980, 1, 1, 0, 0, 0)


def seed_of(secret: str, learner: str) -> int:
    """Return a learner's seed, from 0 to 2^32 - 1: a keyed digest of the id, so that nobody can guess a neighbour's."""
    return int.from_bytes(hmac.new(secret.encode(), b"seed:" + learner.encode(), hashlib.sha256).digest()[:4], "big")


def hand_out(
    room: Classroom, target: Path, labs: Iterable[str] = (), learners: Sequence[str] = (), *, zipped: bool = False
) -> list[Path]:
    """Release labs and write what each learner gets; return the folders or zips.

    Args:
        room: the course folder.
        target: where they go.
        labs: these only.
        learners: ids; without any, one copy for everybody, which carries no seed and no key.
        zipped: zips instead of folders.

    Raises:
        ClassroomError: a name that cannot be an id, or a lab that is not part of the course.
    """
    chosen = list(labs) or list(room.labs)
    for learner in learners:
        named(learner)
    twice = sorted({one for one in learners if [other.casefold() for other in learners].count(one.casefold()) > 1})
    if twice:
        raise ClassroomError(f"These ids are there twice, case aside: {', '.join(twice)}.")
    notebooks = {lab: gradebook.release(room, lab) for lab in chosen}
    for lab, notebook in notebooks.items():
        _sound(lab, notebook, room)
    return [_one(room, target, learner, notebooks, zipped) for learner in (learners or [""])]


def roster(path: Path) -> list[str]:
    """Return the ids in a text file, one a line; blank lines and lines with # are left out, so is what follows a comma.

    Raises:
        ClassroomError: the file cannot be read, or names nobody.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassroomError(f"The list of learners {path} cannot be read ({error}).") from error
    ids = [line.split(",")[0].strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not ids:
        raise ClassroomError(f"{path} names no learner; write one id a line.")
    return [named(learner) for learner in ids]


def _one(room: Classroom, target: Path, learner: str, notebooks: dict[str, NotebookNode], zipped: bool) -> Path:
    files = {f"{lab}.ipynb": authoring.render(_personal(notebook, learner)) for lab, notebook in notebooks.items()}
    if learner:
        ticket = {"learner": learner, "seed": seed_of(room.secret, learner), "key": room.key(learner)}
        files[evidence.TICKET] = json.dumps(ticket, indent=1) + "\n"
    name = learner or ANYONE
    target.mkdir(parents=True, exist_ok=True)
    if not zipped:
        for file, text in files.items():
            write(target / name / file, text)
        return target / name
    place = target / f"{name}.zip"
    draft = place.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"{name}/{file}", EPOCH), text, zipfile.ZIP_DEFLATED)
    shutil.move(draft, place)
    return place


def _personal(notebook: NotebookNode, learner: str) -> NotebookNode:
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for cell in notebook.cells if learner else ():
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            cell.source = NAMED.sub(f'LEARNER = "{learner}"', cell.source, count=1)
    return notebook


def _sound(lab: str, notebook: NotebookNode, room: Classroom) -> None:
    """Refuse to hand out what holds a solution, or a hidden test.

    Raises:
        ClassroomError: it does.
    """
    text = "\n".join(cell.source for cell in notebook.cells)
    hidden = room.hidden_tests(lab, room.source(lab).info().points)
    if SOLUTION.search(text) or any(source.strip() in text for source in hidden.values() if source.strip()):
        raise ClassroomError(f"{lab} would be handed out with a solution or a hidden test in it; nothing was written.")
