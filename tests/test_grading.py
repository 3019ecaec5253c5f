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

from batchlab import course, progress
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


def test_a_function_that_is_still_a_stub_is_not_attempted(check: Lab) -> None:
    def stub(batch: int) -> None: ...

    calls: list[int] = []
    verdict = check.function("q1", stub, [((1,), 2)])
    assert verdict.state == "not attempted"
    assert "stub returns nothing yet" in verdict.because
    assert check.function("q1", lambda x: calls.append(x) or 2 * x, [((1,), 2), ((2,), 4)]).state == "right"
    assert calls == [1, 2]


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


def test_a_full_disk_still_shows_the_verdict(check: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(progress.os, "write", full)
    verdict = check.number("q1", 5, 5)
    assert verdict.state == "right"
    assert "Not saved (No space left on device)" in mimes(verdict)["text/html"]
    assert "1 of 1" in str(check.summary())


def test_an_unknown_lab_or_question_is_told(tmp_path: Path) -> None:
    assert "not part of the course; known are: 90_x" in Lab("91_y").number("q1", 5, 5).note
    assert "no question 'q9'" in Lab(LAB).number("q9", 5, 5).note
    (tmp_path / "course.json").unlink()
    assert "make labs" in Lab(LAB).number("q1", 5, 5).note
