"""A verdict is points for nbgrader and a card for a learner."""

import re

import pytest

from batchlab.verdict import ACCENTS, State, Verdict


def card(state: State, **texts: str) -> str:
    return Verdict("q1", state, 1.0 if state == "right" else 0.0, 1.0, **texts).to_html()


def test_the_plain_text_is_the_points() -> None:
    verdict = Verdict("q1", "right", 2, 2)
    assert verdict._repr_mimebundle_()["text/plain"] == "2.0" == repr(verdict)


def test_the_sentence_says_everything() -> None:
    verdict = Verdict("q1", "wrong", 0, 2, "Too small.", "Think of the batch.", "Not saved.")
    assert str(verdict) == "q1: Wrong, 0 of 2 points. Too small. Hint: Think of the batch. Not saved."
    assert Verdict("q1", "right", 1, 1).headline == "Right, 1 of 1 point."


@pytest.mark.parametrize(
    ("state", "word"), [("not attempted", "Not attempted"), ("wrong", "Wrong"), ("right", "Right")]
)
def test_state_is_told_in_words_and_not_by_colour_alone(state: State, word: str) -> None:
    html = card(state)
    assert f"<strong>{word}</strong>" in html
    assert 'role="status"' in html
    assert ACCENTS[state] in html


def test_text_takes_the_colour_of_the_page() -> None:
    colours = re.findall(r"(?<![-\w])color: ([^;]+);", card("wrong", because="b", hint="h", note="n"))
    assert set(colours) == {"inherit", ACCENTS["wrong"]}


def test_html_in_an_answer_is_escaped() -> None:
    html = card("wrong", because="<b>", hint="<i>", note="<u>")
    assert "&lt;b&gt;" in html
    assert not re.search(r"<[biu]>", html)
