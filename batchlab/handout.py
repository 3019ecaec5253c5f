"""The learner's copies of the labs.

The course's own notebooks in ``labs/`` stay as they were built; a learner works on copies in ``my_labs/``. Handing
out may run at any time, any number of times: it never overwrites work.

A ledger, ``my_labs/.handed_out.json``, keeps the SHA-256 of each copy as it was handed out. A copy that still has it
is untouched, so a newer edition of the lab may replace it; any other copy is the learner's.
"""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchlab import workspace

LEDGER = ".handed_out.json"
Outcome = Literal["new", "refreshed", "same", "yours"]


class HandoutError(RuntimeError):
    """The labs cannot be found, or the learner's folder cannot be written."""


@dataclass(frozen=True)
class Copy:
    """What became of one lab.

    Attributes:
        path: the learner's copy.
        outcome: ``"new"``, handed out now; ``"refreshed"``, untouched and replaced by a newer edition; ``"same"``,
            nothing to do; ``"yours"``, the course has a newer edition and the learner's work was kept.
    """

    path: Path
    outcome: Outcome

    def __str__(self) -> str:
        name = self.path.name
        return {
            "new": f"{name}: handed out.",
            "refreshed": f"{name}: replaced by the course's new edition; yours was untouched.",
            "same": f"{name}: as you left it.",
            "yours": f"{name}: yours is kept. The course has a new edition; rename your file to receive it as well.",
        }[self.outcome]


def hand_out(source: Path | None = None, target: Path | None = None) -> list[Copy]:
    """Copy each lab that the learner lacks, and refresh each that is untouched; return one `Copy` a lab.

    Args:
        source: folder of built labs, default ``<project>/labs``.
        target: the learner's folder, default ``<project>/my_labs``.

    Raises:
        HandoutError: no labs there, or the folder refused a write. No half file stays.
    """
    source = source or workspace.project_dir() / "labs"
    target = target or workspace.project_dir() / "my_labs"
    labs = sorted(source.glob("*.ipynb"))
    if not labs:
        raise HandoutError(f"No labs in {source}. In a clone of Batchlab, 'git status' shows what is missing there.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        ledger = _read_ledger(target)
        copies = [_hand_out_one(lab, target / lab.name, ledger) for lab in labs]
        _write_ledger(target, ledger)
    except OSError as error:
        raise HandoutError(
            f"Cannot hand out the labs into {target}: {error.strerror or error}. "
            "Free some space or fix the permissions, then run the same command again; your work is as it was."
        ) from error
    return copies


def _hand_out_one(lab: Path, copy: Path, ledger: dict[str, str]) -> Copy:
    course = lab.read_bytes()
    course_hash = hashlib.sha256(course).hexdigest()
    handed_out = ledger.get(copy.name)
    if not copy.exists():
        return _new(course, course_hash, copy, ledger)
    current_hash = hashlib.sha256(copy.read_bytes()).hexdigest()
    if current_hash == course_hash:
        # Also the case after a crash between the copy and the ledger.
        ledger[copy.name] = course_hash
        return Copy(copy, "same")
    if handed_out == course_hash:
        return Copy(copy, "same")
    if handed_out == current_hash:
        _draft(course, copy).replace(copy)
        ledger[copy.name] = course_hash
        return Copy(copy, "refreshed")
    return Copy(copy, "yours")


def _new(course: bytes, course_hash: str, copy: Path, ledger: dict[str, str]) -> Copy:
    draft = _draft(course, copy)
    try:
        # A link, unlike a rename, refuses to replace a file that came into being meanwhile.
        os.link(draft, copy)
    except FileExistsError:
        return Copy(copy, "yours")
    except OSError:  # a file system without hard links
        draft.replace(copy)
    finally:
        draft.unlink(missing_ok=True)
    ledger[copy.name] = course_hash
    return Copy(copy, "new")


def _draft(content: bytes, beside: Path) -> Path:
    draft = beside.with_name(f".{beside.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    return draft


def _read_ledger(target: Path) -> dict[str, str]:
    """Return what was handed out; an unreadable ledger counts as none, so that every copy is taken for work."""
    try:
        values = json.loads((target / LEDGER).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(digest) for name, digest in values.items()} if isinstance(values, dict) else {}


def _write_ledger(target: Path, ledger: dict[str, str]) -> None:
    content = json.dumps(ledger, indent=1, sort_keys=True) + "\n"
    path = target / LEDGER
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != content:
        _draft(content.encode(), path).replace(path)
