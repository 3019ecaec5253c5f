"""The question bank: every question by its id, drawn for a seed."""

import functools
import tomllib
import zlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from batchlab.drill.batches import BATCHES
from batchlab.drill.cases import CASES, Case
from batchlab.drill.causes import CAUSES
from batchlab.drill.money import MONEY
from batchlab.drill.question import KINDS, LEVELS, TOPICS, DrillError, Maker, Question, rounded
from batchlab.drill.waits import WAITS
from batchlab.pbtxt import nearest

GRADES = ("strong", "fair", "weak")


def ids(*, kind: str = "", level: str = "", topic: str = "") -> list[str]:
    """Return the ids of all questions that fit, in the bank's order; "" fits all.

    Raises:
        DrillError: a kind, level or topic that does not exist.
    """
    for what, wanted, known in (("kind", kind, KINDS), ("level", level, LEVELS), ("topic", topic, TOPICS)):
        if wanted and wanted not in known:
            raise DrillError(f"No {what} {wanted!r}. There are: {', '.join(known)}.")
    rows: list[tuple[str, str, str, str]] = [(q.id, "numeric", q.level, q.topic) for q in _numeric()]
    rows += [(case.id, "diagnosis", case.level, case.topic) for case in CASES]
    rows += [(row["id"], "design", row["level"], row["topic"]) for row in _design()]
    return [
        name for name, *labels in rows if all(w in ("", x) for w, x in zip((kind, level, topic), labels, strict=True))
    ]


def question(name: str, seed: int = 0) -> Question:
    """Return one question with the numbers of this seed; the same seed gives the same question.

    Raises:
        DrillError: no such question, or a seed below 0.
    """
    if seed < 0:
        raise DrillError(f"A seed is a whole number, 0 or more, got {seed}.")
    # Each question has a stream of its own, so that a new one in the bank changes no other.
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    for maker in _numeric():
        if maker.id == name:
            return _drawn(maker, rng)
    for case in CASES:
        if case.id == name:
            return _shown(case, rng)
    for row in _design():
        if row["id"] == name:
            rubric = {grade: row[grade] for grade in GRADES}
            return Question(name, "design", row["level"], row["topic"], row["lab"], row["text"], rubric=rubric)
    raise DrillError(f"No question {name!r}. {nearest(name, ids())}")


def choose(count: int, seed: int, *, kind: str = "", level: str = "", topic: str = "") -> list[str]:
    """Return `count` ids in random order, all different.

    Raises:
        DrillError: the bank has not so many of that sort.
    """
    fitting = ids(kind=kind, level=level, topic=topic)
    if not 1 <= count <= len(fitting):
        raise DrillError(
            f"{count} questions are wanted; the bank has {len(fitting)} of that sort. Ask for 1 to as many."
        )
    return [fitting[i] for i in np.random.default_rng(seed).permutation(len(fitting))[:count]]


def takes_own_data(name: str) -> bool:
    """Whether a design question shows figures of the learner's own runs."""
    return any(row["id"] == name and row.get("own", False) for row in _design())


def _numeric() -> Sequence[Maker]:
    return WAITS + BATCHES + MONEY


def _drawn(maker: Maker, rng: np.random.Generator) -> Question:
    draw = maker.draw(rng)
    return Question(
        *(maker.id, "numeric", maker.level, maker.topic, maker.lab, draw.text),
        answer=rounded(draw.exact, draw.whole),
        unit=draw.unit,
        rel=draw.rel,
        whole=draw.whole,
        wrong=draw.wrong,
        confuses=draw.confuses,
        solution=draw.solution,
    )


def _shown(case: Case, rng: np.random.Generator) -> Question:
    shown = case.show(rng)
    lines = [f"| {name} | {value} |" for name, value in shown.facts.items()]
    text = "\n".join(["What is wrong here? (Figures of a simulation.)", "", "| figure | value |", "|---|---|", *lines])
    names = [case.cause, *case.others]
    order = [names[i] for i in rng.permutation(len(names))]
    return Question(
        *(case.id, "diagnosis", case.level, case.topic, case.lab, text),
        answer=case.cause,
        choices={name: CAUSES[name][0] for name in order},
        because={name: CAUSES[name][1] for name in case.others},
        solution=case.solution,
        picture=shown.picture,
    )


@functools.cache
def _design() -> list[dict[str, Any]]:
    text = resources.files("batchlab").joinpath("data/drill_design.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["question"])
