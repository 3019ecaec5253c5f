"""Checks answer every input with a verdict, and a learner's screen shows what nbgrader reads."""

import errno
import os
import sys
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from batchlab import course, grading, progress
from batchlab.course import LabInfo
from batchlab.grading import Lab
from batchlab.verdict import Verdict

LAB = "90_x"


class Hostile:
    """An answer whose every method fails."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("no")


STRANGE: list[Any] = [
    # numbers that are none
    float("nan"), float("inf"), np.nan, pd.NA, pd.NaT, 10**400, -(10**400), 10**5000, True, np.True_, 3j,
    # text
    "", "80", "80 ms", "eighty", "x" * 10**6, b"80",
    # collections
    [], [1, 2], (80,), {}, {"a": 80}, {80}, range(3), np.array([]), np.array([1, 2]), np.array(["a"]),
    np.array([None], dtype=object), pd.Series(dtype=float), pd.Series([1, 2]), pd.DataFrame({"a": [1, 2]}),
    # anything else
    len, lambda: 1, object(), Hostile(), Hostile, int, ValueError("x"), np.datetime64("2026-01-01"),
    pd.Timedelta("1s"), Fraction(1, 3),
]  # fmt: skip


@pytest.fixture(autouse=True)
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    info = LabInfo(
        LAB, "Try it", "beginner", 5, points={"q1": 1, "q2": 2.5}, variables={"q1": "knee"}, manual={"essay": 3}
    )
    (tmp_path / "course.json").write_text(course.render({LAB: info}))
    monkeypatch.setenv("BATCHLAB_COURSE", str(tmp_path / "course.json"))
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return Lab(LAB)


def mimes(verdict: Any) -> dict[str, str]:
    """Return what a notebook would get."""
    data, _ = InteractiveShell.instance().display_formatter.format(verdict)
    return dict(data)


def every_check(check: Lab) -> dict[str, Callable[[Any], Verdict]]:
    return {
        "number": lambda value: check.number("q1", value, 5, unit="ms", batch=32, hints={7: "seven"}),
        "numbers": lambda value: check.numbers("q1", value, {"t4": 11.0, "l4": 12.0}),
        "prediction": lambda value: check.prediction("q1", value, measured=80),
        "choice": lambda value: check.choice("q1", value, "b", {"a": "no"}),
        "choices": lambda value: check.choice("q1", value, {"b", "c"}, {"a": "no"}),
        "order": lambda value: check.order("q1", value, ["x", "y"]),
        "function": lambda value: check.function("q1", value, [((1,), 987)]),
        "that": lambda value: check.that("q1", value, lambda v: v > 10**9 or "too small"),
    }


@pytest.mark.parametrize("kind", ["number", "numbers", "prediction", "choice", "choices", "order", "function", "that"])
def test_every_input_gets_a_verdict(check: Lab, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in STRANGE:
            verdict = every_check(check)[kind](value)
            data = mimes(verdict)
            if kind != "that":
                assert verdict.state == "wrong", type(value)
            assert float(data["text/plain"]) == verdict.points
            assert len(data["text/html"]) < 3000
            assert verdict.because or verdict.state == "right"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["number", "numbers", "prediction", "choice", "choices", "order", "function", "that"])
@pytest.mark.parametrize("gap", [..., None])
def test_a_placeholder_is_not_attempted(check: Lab, kind: str, gap: Any) -> None:
    verdict = every_check(check)[kind](gap)
    assert verdict.state == "not attempted"
    assert mimes(verdict)["text/plain"] == "0.0"
    assert "Give knee a value in the cell above." in mimes(verdict)["text/html"]
    assert progress.load() == []


def test_a_gap_in_a_collection_is_not_attempted(check: Lab) -> None:
    assert check.numbers("q1", [1, ...], [1, 2]).state == "not attempted"
    assert check.numbers("q1", {"a": None}, {"a": 1}).state == "not attempted"


@pytest.mark.parametrize(
    "value",
    [80, 80.0, 80.7, np.float32(80), np.int64(80), np.array(80), np.array([80.0]), pd.Series([80]), Fraction(80)],
)
def test_right_gives_the_points(check: Lab, value: Any) -> None:
    verdict = check.number("q2", value, 80)
    assert verdict.state == "right"
    assert mimes(verdict)["text/plain"] == "2.5"
    assert "2.5 of 2.5 points" in mimes(verdict)["text/html"]


def test_tolerances(check: Lab) -> None:
    assert check.number("q1", 81, 80, rel=0.01).state == "wrong"
    assert check.number("q1", 81, 80, abs=1).state == "right"
    assert check.number("q1", 0.1 + 0.2, 0.3, rel=0).state == "right"
    assert check.number("q1", 0, 0).state == "right"
    assert check.number("q1", 1e-9, 0).state == "wrong"


@pytest.mark.parametrize(
    ("value", "expected", "unit", "batch", "said"),
    [
        (0.08, 80, "ms", None, "looks like seconds, and ms"),
        (80_000, 80, "ms", None, "looks like microseconds, and ms"),
        (80, 0.08, "s", None, "looks like milliseconds, and s"),
        (80e6, 80, "", None, "1,000,000 times too large"),
        (1 / 80, 80, "1/s", None, "reciprocal"),
        (12.5, 80, "1/s", None, "reciprocal"),
        (2560, 80, "ms", 32, "off by the batch size, 32"),
        (2.5, 80, "ms", 32, "off by the batch size, 32"),
        (400, 80, "1/s", 32, "reciprocal"),
        (0.5, 50, "%", None, "a share (0 to 1) and a percentage"),
        (0.3, 0.7, "share", None, "the rest"),
        (30, 70, "%", None, "the rest"),
        (-80, 80, "ms", None, "sign"),
        (200, 80, "ms", None, "about 2.5 times too large"),
        (85, 80, "ms", None, "close, but too large"),
        (0, 80, "ms", None, "too small"),
    ],
)
def test_classic_slips_are_named(
    check: Lab, value: float, expected: float, unit: str, batch: float | None, said: str
) -> None:
    verdict = check.number("q1", value, expected, unit=unit, batch=batch, hint="Think of the batch.")
    assert verdict.state == "wrong"
    assert said in verdict.because
    html = mimes(verdict)["text/html"]
    assert "Wrong" in html
    assert "Think of the batch." in html


def test_an_authors_own_reason_comes_first(check: Lab) -> None:
    verdict = check.number("q1", 0.08, 80, unit="ms", hints={0.08: "That is the queue's share."}, hint="Draw it.")
    assert (verdict.because, verdict.hint) == ("That is the queue's share.", "Draw it.")
    assert check.number("q1", 7, 80, hints="Draw it.").hint == "Draw it."


def test_a_prediction_names_the_factor_and_keeps_the_first_guess(check: Lab) -> None:
    wrong = check.prediction("q1", 160, measured=80.4, within=0.25, unit="images/s")
    assert "You guessed 160 images/s, the measurement says 80.4 images/s: 1.99 times too high" in wrong.because
    assert "Keep your guess" in wrong.because
    right = check.prediction("q1", 80, measured=80.4, within=0.25)
    assert right.state == "right"
    assert "first guess was 160" in right.note
    first = progress.first(progress.load(), LAB, "q1")
    assert first is not None
    assert first.answer == "160"
    assert "160" in str(check.summary())


def test_a_right_verdict_holds_no_measured_number(check: Lab) -> None:
    cards = {mimes(check.prediction("q1", 80, measured=m))["text/html"] for m in (79.123, 81.456)}
    assert len(cards) == 1


@pytest.mark.parametrize("measured", [float("nan"), None, ..., "x", lambda: 1 / 0, lambda: float("inf"), [1, 2]])
def test_a_failed_measurement_is_not_the_learners_fault(check: Lab, measured: Any) -> None:
    for verdict in (check.prediction("q1", 80, measured), check.number("q1", 80, measured)):
        assert verdict.state == "not attempted"
        assert "Run the cells above again" in verdict.because
    assert progress.load() == []


def test_choices(check: Lab) -> None:
    because = {"a": "a queues", "c": "c is slow"}
    assert check.choice("q1", " B ", "b", because).state == "right"
    assert check.choice("q1", "A", "b", because).because == "a queues"
    assert check.choice("q1", "d", "b", because).because == "Choose one of a, b, c."
    assert check.choice("q1", 8, 8, {1: "one at a time"}).state == "right"
    assert check.choice("q1", 1.0, 8, {1: "one at a time"}).because == "one at a time"
    assert check.choice("q1", {"B", "d"}, {"b", "d"}, because).state == "right"
    assert check.choice("q1", "b, d", {"b", "d"}, because).state == "right"
    assert "missing" in check.choice("q1", ["b"], {"b", "d"}, because).because
    assert check.choice("q1", ["b", "d", "a"], {"b", "d"}, because).because == "a queues"


def test_orders(check: Lab) -> None:
    assert check.order("q1", ["X", "y", "z"], ["x", "y", "z"]).state == "right"
    assert "place 2" in check.order("q1", ["x", "z", "y"], ["x", "y", "z"]).because
    assert check.order("q1", ["x"], ["x", "y"]).because == "Use each of these once: x, y."


def test_several_numbers(check: Lab) -> None:
    expected = {"t4": 2.0, "a100": 5.0}
    assert check.numbers("q1", {"a100": 5, "t4": 2}, expected).state == "right"
    assert check.numbers("q1", [2, 5], expected).state == "right"
    assert check.numbers("q1", pd.Series([2, 5]), expected).state == "right"
    assert "t4: That is 1,000 times too large" in check.numbers("q1", {"a100": 5, "t4": 2000}, expected).because
    assert "2 numbers are asked for, 1" in check.numbers("q1", [2], expected).because
    assert "t4, a100" in check.numbers("q1", {"l4": 1, "t4": 2}, expected).because


def test_functions(check: Lab) -> None:
    cases = [((32, 160), 200), ((1, 10), 100)]

    def stub(batch: int, ms: float) -> None: ...

    def unfinished(batch: int, ms: float) -> float | None:
        return 200 if batch == 32 else None

    def spoils(values: list[int]) -> int:
        return values.pop()

    assert check.function("q1", lambda b, ms: 1000 * b / ms, cases).state == "right"
    assert check.function("q1", stub, cases).state == "not attempted"
    assert "knee returns nothing yet" in check.function("q1", stub, cases).because
    assert "end the function with a return" in check.function("q1", unfinished, cases).because
    wrong = check.function("q1", lambda b, ms: b / ms, cases)
    assert "(32, 160) returned 0.2. Expected 200." in wrong.because
    assert "1,000 times too small" in wrong.because
    shared = [1, 2]
    assert check.function("q1", spoils, [((shared,), 2), ((shared,), 2)]).state == "right"
    assert check.function("q1", lambda x: x > 1, [((2,), True), ((1,), False)]).state == "right"
    assert check.function("q1", lambda x: [x, 2 * x], [((1,), [1, 2])]).state == "right"
    assert check.function("q1", lambda x: np.ones(3), [((1,), lambda out: out.shape == (3,))]).state == "right"
    assert "takes 0 positional arguments" in check.function("q1", lambda: 1, cases).because


@pytest.mark.parametrize("raised", [ZeroDivisionError, SystemExit, KeyboardInterrupt, RecursionError, StopIteration])
def test_a_function_that_raises_is_wrong(check: Lab, raised: type[BaseException]) -> None:
    def fails(x: int) -> int:
        raise raised("deep inside")

    verdict = check.function("q1", fails, [((1,), 2)])
    assert verdict.state == "wrong"
    assert verdict.because.startswith("fails(1) fails: ")


def test_a_warning_costs_no_points(check: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    def warns(x: int) -> float:
        warnings.warn("careful", stacklevel=1)
        print("to stderr", file=sys.stderr)
        return float(np.float64(x) / 2 + 0 * np.log(np.float64(0.0)).clip(-1, 0))

    assert check.function("q1", warns, [((4,), 2)]).state == "right"
    assert capfd.readouterr().err == ""


def test_properties(check: Lab) -> None:
    assert check.that("q1", 9, lambda v: v == 9).state == "right"
    assert check.that("q1", 9, lambda v: np.bool_(True)).state == "right"
    assert check.that("q1", 9, lambda v: "too small").because == "too small"
    assert check.that("q1", 9, lambda v: False, hint="Look at the knee.").hint == "Look at the knee."
    assert check.that("q1", 9, lambda v: 1).state == "wrong"


def test_html_of_a_learner_is_escaped(check: Lab) -> None:
    html = mimes(check.number("q1", "<script>alert(1)</script>", 5))["text/html"]
    assert "<script>" not in html


def test_state_is_told_in_words_and_not_by_colour_alone(check: Lab) -> None:
    cards = [mimes(check.number("q1", v, 5))["text/html"] for v in (..., 4, 5)]
    for card, word in zip(cards, ("Not attempted", "Wrong", "Right"), strict=True):
        assert word in card
        assert 'role="status"' in card


def test_a_full_disk_still_shows_the_verdict(check: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(progress.os, "write", full)
    verdict = check.number("q1", 5, 5)
    assert verdict.state == "right"
    assert "Not saved (No space left on device)" in mimes(verdict)["text/html"]
    assert "1 of 1" in str(check.summary())


def test_the_summary_shows_every_question(check: Lab) -> None:
    assert "0 of 3.5 points" in str(check.summary())
    check.number("q1", 4, 5)
    check.number("q2", 5, 5)
    check.number("q2", 4, 5)
    data = mimes(check.summary())
    for text in data.values():
        assert "2.5 of 3.5 points" in text
        assert "free text, for a reader" in text
    assert "✗ wrong" in data["text/plain"]
    assert "✓ right" in data["text/plain"]


def test_the_dashboard_shows_the_course(check: Lab) -> None:
    empty = str(grading.dashboard())
    assert "No answer yet" in empty
    assert "not started" in empty
    check.number("q1", 5, 5)
    assert "in progress" in str(grading.dashboard())
    check.number("q2", 5, 5)
    data = mimes(grading.dashboard())
    assert "✓ done" in data["text/plain"]
    assert "3.5 of 3.5" in data["text/html"]
    assert "1 of 1 labs done" in data["text/html"]


def test_the_dashboard_without_a_course(tmp_path: Path) -> None:
    (tmp_path / "course.json").write_text("{}")
    assert "no labs yet" in str(grading.dashboard())
    (tmp_path / "course.json").write_text("{")
    assert "make labs" in str(grading.dashboard())


def test_unreadable_progress_is_told(check: Lab, tmp_path: Path) -> None:
    (tmp_path / "home" / progress.FILE_NAME).mkdir(parents=True)
    assert "cannot be read" in str(grading.dashboard())
    assert "cannot be read" in str(check.summary())
    assert check.prediction("q1", 80, 80).state == "right"


def test_an_unknown_lab_or_question_is_told(tmp_path: Path) -> None:
    assert "not part of the course; known are: 90_x" in Lab("91_y").number("q1", 5, 5).note
    assert "no question 'q9'" in Lab(LAB).number("q9", 5, 5).note
    (tmp_path / "course.json").unlink()
    assert "make labs" in Lab(LAB).number("q1", 5, 5).note


def test_points_worth_less_than_when_they_were_earned_are_capped(check: Lab, tmp_path: Path) -> None:
    check.number("q2", 5, 5)
    info = LabInfo(LAB, "Try it", "beginner", 5, points={"q1": 1, "q2": 2})
    (tmp_path / "course.json").write_text(course.render({LAB: info}))
    assert "2 of 3 points" in str(Lab(LAB).summary())
