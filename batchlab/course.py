"""The course as data: which labs there are and what each question is worth.

`batchlab/data/course.json` is derived from the sources of the labs by `batchlab.authoring` and never edited by hand.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LEVELS = ("beginner", "intermediate", "advanced", "interview")


class CourseError(RuntimeError):
    """The course file is missing or damaged."""


@dataclass(frozen=True)
class LabInfo:
    """What the course knows of one lab.

    Attributes:
        lab: id, such as ``"01_sweep_static_batches"``.
        title: shown to learners, begins with a verb.
        level: one of `LEVELS`.
        minutes: time that a learner needs.
        tiers: tiers that the lab's numbers come from.
        needs: labs or things to have done or at hand before.
        summary: one sentence.
        points: question -> points, for the questions that are checked on screen, in the lab's order.
        variables: question -> name of the variable or function that holds its answer.
        manual: question -> points, for free text that a person reads.
    """

    lab: str
    title: str
    level: str
    minutes: int
    tiers: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    summary: str = ""
    points: dict[str, float] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    manual: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Points that the checks of the lab give."""
        return sum(self.points.values())


def path() -> Path:
    """Return the course file: ``BATCHLAB_COURSE`` for an instructor's own labs, else the one of the package."""
    named = os.environ.get("BATCHLAB_COURSE")
    return Path(named).expanduser() if named else Path(__file__).resolve().parent / "data" / "course.json"


def load() -> dict[str, LabInfo]:
    """Return the labs by id, in the order of the course.

    Raises:
        CourseError: no course file, or one that does not parse; the message says what to run.
    """
    place = path()
    try:
        return parse(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(f"{place} cannot be read ({error}). Derive it again with 'make labs'.") from error


def parse(text: str) -> dict[str, LabInfo]:
    """Return the labs of a course file's text.

    Raises:
        ValueError, TypeError: not a course.
    """
    values: Any = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("not an object of labs")
    return {lab: LabInfo(lab=lab, **entry) for lab, entry in sorted(values.items())}


def render(labs: dict[str, LabInfo]) -> str:
    """Return the course file's text; equal labs give equal bytes."""
    plain = {lab: {key: value for key, value in asdict(info).items() if key != "lab"} for lab, info in labs.items()}
    return json.dumps(dict(sorted(plain.items())), indent=1, ensure_ascii=False) + "\n"
