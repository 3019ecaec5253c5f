"""An accuracy gate: whether a faster model may replace the old one, judged on the same labelled examples.

Both models answer the same questions, so only those count on which they differ: `lost` (the old one is right, the new
one wrong) and `won`. The gate asks about the change of accuracy, and answers like a verdict on an SLO:

* ``PASS``: even the low end of its confidence interval loses no more than is allowed.
* ``FAIL``: even the high end loses more.
* ``NEED MORE DATA``: neither.

Sources: A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in
Medicine 24, 2005 (the interval: half a count is added to each of the four cells); Q. McNemar, Psychometrika 12, 1947,
in its exact binomial form (the p-value).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import scipy


class GateError(ValueError):
    """Answers that cannot be compared, or a limit that is none."""


@dataclass(frozen=True)
class Decision:
    """What the gate says, and why.

    Attributes:
        asked: labelled examples.
        right_before, right_after: how many of them the old and the new model answer rightly.
        lost: examples that the old model has right and the new one wrong.
        won: the other way round.
        allowed_loss: of accuracy, as a share.
        low, high: confidence interval of the change of accuracy, as shares; below 0 is a loss.
        confidence: of that interval.
        p_value: chance of a split as uneven as this or more so, if both models were equally good.
    """

    asked: int
    right_before: int
    right_after: int
    lost: int
    won: int
    allowed_loss: float
    low: float
    high: float
    confidence: float
    p_value: float

    @property
    def change(self) -> float:
        """Accuracy after minus accuracy before, as a share."""
        return (self.right_after - self.right_before) / self.asked

    @property
    def outcome(self) -> Literal["PASS", "FAIL", "NEED MORE DATA"]:
        """The answer."""
        if self.low >= -self.allowed_loss:
            return "PASS"
        return "FAIL" if self.high < -self.allowed_loss else "NEED MORE DATA"

    @property
    def passed(self) -> bool:
        """Whether the new model may be served."""
        return self.outcome == "PASS"

    def __str__(self) -> str:
        return (
            f"{self.outcome}: {self.right_before} -> {self.right_after} of {self.asked} right ({self.lost} lost, "
            f"{self.won} won), a change of {self.change:+.1%}, {self.confidence:.0%} interval {self.low:+.1%} to "
            f"{self.high:+.1%}; a loss of {self.allowed_loss:.1%} is allowed; McNemar's exact p = {self.p_value:.2g}"
        )


def judge(
    before: Sequence[bool] | np.ndarray,
    after: Sequence[bool] | np.ndarray,
    *,
    allowed_loss: float,
    confidence: float = 0.95,
) -> Decision:
    """Judge a new model against the old one.

    Args:
        before: whether the old model is right, by example, shape ``(n,)``.
        after: whether the new one is, the same examples in the same order.
        allowed_loss: of accuracy, as a share, such as 0.02.
        confidence: of the interval.

    Raises:
        GateError: no examples, another number of them, or a share out of range.
    """
    old, new = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if old.ndim != 1 or old.shape != new.shape or not len(old):
        raise GateError(f"Answers of shapes {old.shape} and {new.shape}. Ask both models the same examples, in order.")
    if not 0 <= allowed_loss < 1 or not 0 < confidence < 1:
        raise GateError(f"allowed_loss = {allowed_loss} and confidence = {confidence} are shares between 0 and 1.")
    lost, won = int((old & ~new).sum()), int((~old & new).sum())
    low, high = interval(len(old), lost, won, confidence)
    uneven = float(scipy.stats.binomtest(min(lost, won), lost + won).pvalue) if lost + won else 1.0
    return Decision(len(old), int(old.sum()), int(new.sum()), lost, won, allowed_loss, low, high, confidence, uneven)


def interval(asked: int, lost: int, won: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of the change of accuracy.

    With half a count added to each of the four cells, so that n = asked + 2, lost and won grow by a half each:
    ``d = (won - lost) / n``, ``se = sqrt((won + lost) - (won - lost)^2 / n) / n``, interval ``d +- z se``.
    Source: A. Agresti and Y. Min, 2005.
    """
    n = asked + 2
    difference = won - lost
    either = won + lost + 1
    error = float(scipy.stats.norm.ppf((1 + confidence) / 2)) * sqrt(either - difference**2 / n) / n
    return difference / n - error, difference / n + error


@dataclass(frozen=True)
class Agreement:
    """How alike two models answer, where nobody knows the right answers.

    Attributes:
        asked: examples.
        same_top: how many get the same best class.
        mean_distance: mean absolute difference of a score.
        worst_distance: the largest.
        spread: standard deviation of the old model's scores, to measure distances by.
    """

    asked: int
    same_top: int
    mean_distance: float
    worst_distance: float
    spread: float

    @property
    def share(self) -> float:
        """Share of examples with the same best class."""
        return self.same_top / self.asked

    def __str__(self) -> str:
        return (
            f"same best class for {self.same_top} of {self.asked}; "
            f"scores differ by {self.mean_distance:.3g} on average and {self.worst_distance:.3g} at most, "
            f"and spread by {self.spread:.3g}"
        )


def agreement(before: np.ndarray, after: np.ndarray) -> Agreement:
    """Compare two models' scores, each of shape ``(n, classes)``.

    Raises:
        GateError: other shapes, or scores that are no numbers.
    """
    if before.ndim != 2 or before.shape != after.shape or not len(before):
        raise GateError(f"Scores of shapes {before.shape} and {after.shape}. Ask both models the same examples.")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise GateError("A score is no finite number. The model is broken, whatever its speed.")
    gaps = np.abs(before.astype(float) - after.astype(float))
    same = int((before.argmax(axis=1) == after.argmax(axis=1)).sum())
    return Agreement(len(before), same, float(gaps.mean()), float(gaps.max()), float(before.std()))
