"""A question of the drill: what is asked, what is right, and what a plausible wrong answer confuses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from batchlab import answers, judges

if TYPE_CHECKING:
    from batchlab.drill.picture import Picture

LEVELS = ("beginner", "intermediate", "advanced")
TOPICS = (
    "batching",
    "queueing",
    "tails",
    "knobs",
    "gpu",
    "cost",
    "priority",
    "measuring",
    "scaling",
)
KINDS = ("numeric", "diagnosis", "design")
DIGITS = 3


class DrillError(ValueError):
    """A question that does not exist, or a wish that the bank cannot meet."""


@dataclass(frozen=True)
class Draw:
    """What a generator makes of one seed.

    Attributes:
        exact: the answer before rounding; computed, never typed.
        wrong: an answer that a hasty reader gives.
        confuses: the idea that `wrong` confuses.
        solution: shown only after an answer.
        rel: allowed share of the answer.
        whole: the answer is a count, and only that count is right.
    """

    text: str
    exact: float
    unit: str
    wrong: float
    confuses: str
    solution: str
    rel: float = 0.02
    whole: bool = False


@dataclass(frozen=True)
class Maker:
    """A numeric question before its numbers are drawn; `lab` teaches it."""

    id: str
    level: str
    topic: str
    lab: str
    draw: Callable[[np.random.Generator], Draw]


@dataclass(frozen=True)
class Question:
    """One question, ready to be asked.

    Attributes:
        id: stable name.
        kind: one of `KINDS`.
        lab: the lab that teaches it, or another source.
        text: what is asked; Markdown.
        answer: a number, or the name of the right choice; "" for a design question.
        unit, rel, whole: how a numeric answer is judged.
        wrong, confuses: a plausible wrong number, and the idea that it confuses.
        choices: what may be chosen, with its words.
        because: wrong choice -> why it is wrong.
        solution: shown after an answer.
        rubric: what a strong, a fair and a weak answer contains.
        picture: of a diagnosis, drawn from the run whose figures the text shows.
    """

    id: str
    kind: str
    level: str
    topic: str
    lab: str
    text: str
    answer: float | str = ""
    unit: str = ""
    rel: float = 0.0
    whole: bool = False
    wrong: float | None = None
    confuses: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    because: Mapping[str, str] = field(default_factory=dict)
    solution: str = ""
    rubric: Mapping[str, str] = field(default_factory=dict)
    # The text holds the run's figures already: two questions that read alike are alike.
    picture: "Picture | None" = field(default=None, compare=False)

    def judge(self, given: object) -> str:
        """Return an empty text where the answer is right, else why it is not.

        Raises:
            DrillError: a design question, which only a reader with the rubric can judge.
        """
        if self.kind == "design":
            raise DrillError(f"{self.id} is a design question: grade it by its rubric, 0, 1 or 2.")
        if self.kind == "diagnosis":
            return judges.choice(given, self.answer, self.because)
        hints = {} if self.wrong is None else {self.wrong: self.confuses}
        abs_ = 0.01 if self.whole else 0.0
        rel = 0.0 if self.whole else self.rel
        number = answers.number(given)
        if isinstance(number, str):
            return number
        return judges.number(number, self.answer, rel=rel, abs_=abs_, unit=self.unit, hints=hints)

    @property
    def tolerance(self) -> str:
        """How exact a numeric answer must be, in words."""
        return "a whole number" if self.whole else f"within {100 * self.rel:g} %"


def rounded(value: float, whole: bool = False) -> float:
    """Return a value to three significant digits, or the nearest whole number."""
    return float(round(value)) if whole else float(f"{value:.{DIGITS}g}")


def between(rng: np.random.Generator, low: float, high: float, step: float = 1) -> float:
    """Draw a multiple of `step` from `low` to `high`, both included."""
    value = low + step * int(rng.integers(0, round((high - low) / step) + 1))
    return round(value, 6)
