"""A learner's value becomes one number, or words that say why it is none."""

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchlab import answers


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (80, 80.0),
        (Fraction(1, 2), 0.5),
        (np.float32(0.5), 0.5),
        (np.array([[80]]), 80.0),
        (pd.Series([80]), 80.0),
        (pd.DataFrame({"a": [80]}), 80.0),
        (True, "truth value"),
        (float("nan"), "empty selection"),
        (float("-inf"), "infinite"),
        ("80", "without quotes."),
        (b"80", "without quotes."),
        ("80ms", "without quotes and unit"),
        ("80 images/s", "without quotes and unit"),
        ("many", "'many' is text; a number"),
        ([80], "list of 1 values"),
        ({"a": 1, "b": 2}, "dict of 2 values"),
        ({1, 2, 3}, "set of 3 values"),
        (pd.Series([1, 2]), "Series of 2 values"),
        (3j, "complex"),
        (len, "call it with parentheses"),
        pytest.param(10**400, "far too large", id="huge"),
        (object(), "type object is not a number"),
        (pd.NaT, "NaTType"),
    ],
)
def test_one_number_or_the_reason(value: Any, result: float | str) -> None:
    given = answers.number(value)
    if isinstance(result, str):
        assert isinstance(given, str)
        assert result in given
    else:
        assert given == result


@pytest.mark.parametrize("value", [..., None, [...], (1, None), {"a": ...}])
def test_placeholders_are_missing(value: Any) -> None:
    assert answers.missing(value)


@pytest.mark.parametrize("value", [0, "", [], {}, [0], np.array([]), float("nan"), False])
def test_values_are_not_missing(value: Any) -> None:
    assert not answers.missing(value)


def test_what_is_shown_is_short() -> None:
    for value in ("x" * 10**6, list(range(10**5)), 10**5000, {"a": "x" * 10**5}, np.zeros((99, 99))):
        assert len(answers.shown(value)) <= 2 * answers.SHOWN


def test_what_is_shown_holds_no_address() -> None:
    assert answers.shown(len) == "the function len"
    assert "0x" not in answers.shown(lambda: 1)


def test_close_counts_the_larger_allowance() -> None:
    assert answers.close(81, 80, 0.0125, 0.0)
    assert answers.close(81, 80, 0.0, 1.0)
    assert not answers.close(81.1, 80, 0.0125, 1.0)
    assert not answers.close(float("nan"), 80, 1.0, 1e9)


def test_no_slip_fits_a_plain_miss() -> None:
    for value, expected in ((70, 80), (0, 80), (80, 0), (float("inf"), 80)):
        assert answers.slip(value, expected, rel=0.01, unit="ms", batch=32) == ""
