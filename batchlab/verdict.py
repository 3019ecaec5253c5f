"""The answer to an answer: not attempted, wrong because ..., or right, with the points earned.

A verdict is two things at once. Its plain text is the points earned, which is what nbgrader reads as partial credit.
Its HTML is a card for the learner. The card of a right answer holds no measured number, so that nbval can compare it
between two machines.
"""

import html
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["not attempted", "wrong", "right"]

# Okabe and Ito's colour-blind safe set. Sign and words say the same as the colour.
ACCENTS: dict[str, str] = {"not attempted": "#56B4E9", "wrong": "#D55E00", "right": "#009E73"}
TINTS: dict[str, str] = {
    "not attempted": "rgba(86, 180, 233, 0.12)",
    "wrong": "rgba(213, 94, 0, 0.12)",
    "right": "rgba(0, 158, 115, 0.12)",
}
SIGNS: dict[str, str] = {"not attempted": "○", "wrong": "✗", "right": "✓"}
HEADINGS: dict[str, str] = {"not attempted": "Not attempted", "wrong": "Wrong", "right": "Right"}


@dataclass(frozen=True)
class Verdict:
    """What a check says about one answer.

    Attributes:
        question: id of the question.
        state: one of the three states.
        points: points earned, between 0 and `maximum`.
        maximum: points to earn.
        because: why the answer is wrong, what is missing, or what a right answer shows.
        hint: the idea that helps; empty when there is none.
        note: a remark beside the verdict, such as progress that could not be saved.
    """

    question: str
    state: State
    points: float
    maximum: float
    because: str = ""
    hint: str = ""
    note: str = ""

    def __str__(self) -> str:
        parts = [f"{self.question}: {self.headline}", self.because, self.hint and f"Hint: {self.hint}", self.note]
        return " ".join(part for part in parts if part)

    def __repr__(self) -> str:
        # The plain text of an execute_result is nbgrader's partial credit.
        return str(float(self.points))

    @property
    def headline(self) -> str:
        """State and points in words, such as ``"Right, 1 of 1 point."``."""
        unit = "point" if self.maximum == 1 else "points"
        return f"{HEADINGS[self.state]}, {self.points:g} of {self.maximum:g} {unit}."

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.to_html()}

    def to_html(self) -> str:
        """Return the card. Its text takes the page's own colour, so that it reads on light and dark themes."""
        accent, tint = ACCENTS[self.state], TINTS[self.state]
        unit = "point" if self.maximum == 1 else "points"
        lines = [
            f'<div role="status" style="border-left: 4px solid {accent}; background: {tint}; color: inherit; '
            'padding: 8px 14px; margin: 4px 0; border-radius: 4px; max-width: 46em; line-height: 1.5;">',
            f'<div><span aria-hidden="true" style="color: {accent}; font-weight: bold;">{SIGNS[self.state]}</span> '
            f"<strong>{HEADINGS[self.state]}</strong> "
            f'<span style="opacity: 0.75;">{html.escape(self.question)}, '
            f"{self.points:g} of {self.maximum:g} {unit}</span></div>",
        ]
        if self.because:
            lines.append(f"<div>{html.escape(self.because)}</div>")
        if self.hint:
            lines.append(f"<div><strong>Hint.</strong> {html.escape(self.hint)}</div>")
        if self.note:
            lines.append(f'<div style="opacity: 0.75;">{html.escape(self.note)}</div>')
        return "".join([*lines, "</div>"])
