"""Judges say nothing to a right answer, and why to a wrong one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchlab import judges
from batchlab.judges import UnattemptedError

CASES = [((32, 160), 200), ((1, 10), 100)]
BECAUSE = {"a": "a queues", "c": "c is slow"}


def calls(fn: Any, *cases: tuple[tuple[Any, ...], Any]) -> str:
    return judges.calls(fn, cases or CASES, rel=1e-6, abs_=0.0)


def several(value: Any, expected: Any) -> str:
    return judges.numbers(value, expected, rel=0.01, abs_=0.0)


@pytest.mark.parametrize(
    ("value", "right", "said"),
    [
        (" B ", "b", ""),
        ("A", "b", "a queues"),
        ("d", "b", "Choose one of a, b, c."),
        (["b", "a"], "b", "Choose one of a, b, c."),
        ({"B", "d"}, {"b", "d"}, ""),
        ("b, d", {"b", "d"}, ""),
        (["b"], {"b", "d"}, "What you chose belongs to it, and something is missing."),
        (["b", "d", "a"], {"b", "d"}, "a queues"),
        ([], {"b", "d"}, "Choose from a, b, c, d."),
    ],
)
def test_choices(value: Any, right: Any, said: str) -> None:
    assert judges.choice(value, right, BECAUSE) == said


def test_choices_of_numbers_and_truths() -> None:
    assert judges.choice(8.0, 8, {1: "one at a time"}) == ""
    assert judges.choice(np.int64(1), 8, {1: "one at a time"}) == "one at a time"
    assert judges.choice(True, False, {True: "it is not"}) == "it is not"
    assert judges.choice("true", True, {False: "it is"}) == ""


def test_orders() -> None:
    assert judges.order(["X", "y", "z"], ["x", "y", "z"]) == ""
    assert "place 2" in judges.order(["x", "z", "y"], ["x", "y", "z"])
    assert judges.order(["x"], ["x", "y"]) == "Use each of these once: x, y."
    assert judges.order("xy", ["x", "y"]) == "A list of 2 items is asked for."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a100": 5, "t4": 2}, ""),
        ([2, 5], ""),
        (pd.Series([2, 5]), ""),
        (np.array([2, 5]), ""),
        ({"a100": 5, "t4": 2000}, "t4: That is 1,000 times too large: check the unit."),
        ([2, "5"], "Number 2: '5' is text: write the number without quotes."),
        ([2], "2 numbers are asked for, 1 were given."),
        ({"l4": 1, "t4": 2}, "The names asked for are t4, a100."),
        (7, "2 numbers are asked for, as a list or a dictionary."),
    ],
)
def test_several_numbers(value: Any, said: str) -> None:
    assert several(value, {"t4": 2.0, "a100": 5.0}) == said


@pytest.mark.parametrize(
    ("fn", "cases", "said"),
    [
        (lambda b, ms: 1000 * b / ms, CASES, ""),
        (lambda b, ms: b / ms, CASES, "<lambda>(32, 160) returned 0.2. Expected 200. That is 1,000 times too small"),
        (lambda b, ms: 200 if b == 32 else None, CASES, "returned nothing: end the function with a return."),
        (lambda: 1, CASES, "takes 0 positional arguments but 2 were given"),
        (3, CASES, "A function is asked for, 3 is none."),
        (lambda x: x > 1, [((2,), True), ((1,), False)], ""),
        (lambda x: x > 5, [((2,), True)], "returned False. Expected True."),
        (lambda x: np.True_, [((2,), True)], ""),
        (lambda x: 1, [((2,), True)], "Expected True."),
        (lambda x: "knee", [((2,), "knee")], ""),
        (lambda x: [x, 2 * x], [((1,), [1, 2])], ""),
        (lambda x: np.array([x, 3 * x]), [((1,), [1, 2])], "Number 2: That is about 1.5 times too large."),
        (lambda x: np.ones(3), [((1,), lambda out: out.shape == (3,))], ""),
        (lambda x: np.ones(3), [((1,), lambda out: "three are too many")], "three are too many"),
    ],
)
def test_functions(fn: Any, cases: list[tuple[tuple[Any, ...], Any]], said: str) -> None:
    told = calls(fn, *cases)
    assert said in told
    assert bool(told) == bool(said)


def test_a_function_that_changes_its_arguments_spoils_no_other_case() -> None:
    shared = [1, 2]
    assert calls(lambda values: values.pop(), ((shared,), 2), ((shared,), 2)) == ""
    assert shared == [1, 2]


@pytest.mark.parametrize("gap", [None, ...])
def test_a_function_that_returns_nothing_is_a_stub(gap: Any) -> None:
    with pytest.raises(UnattemptedError, match="returns nothing yet"):
        calls(lambda b, ms: gap)


def test_properties() -> None:
    assert judges.that(9, lambda v: v == 9) == ""
    assert judges.that(9, lambda v: np.bool_(True)) == ""
    assert judges.that(9, lambda v: "too small") == "too small"
    assert judges.that(9, lambda v: False) == "9 is not it."
    assert judges.that(9, lambda v: 1) == "9 is not it."


def test_a_prediction_without_a_factor() -> None:
    assert "the measurement says 0: too high. Keep" in judges.prediction(40, 0, within=0.5)
    assert "the measurement says 80 ms. Keep" in judges.prediction(-1, 80, within=0.25, unit="ms")
    assert judges.prediction(0, 0, within=0.25) == ""


def failing() -> str:
    raise KeyError("q1")


def stopped() -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("judge", "said"),
    [(failing, "KeyError: 'q1'"), (stopped, "it was interrupted"), (lambda: "small", "small"), (lambda: "", "")],
)
def test_whatever_happens_is_a_sentence(judge: Callable[[], str], said: str) -> None:
    assert said in judges.heard(judge)


def test_nothing_to_judge_is_passed_on() -> None:
    with pytest.raises(UnattemptedError):
        judges.heard(lambda: judges.prediction(80, float("nan"), within=0.25))
