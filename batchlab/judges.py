"""Comparing an answer with what is right: each judge returns an empty text, or the sentence that says why not.

Judges may raise on strange answers; `heard` runs one so that every outcome becomes a sentence.
"""

import contextlib
import copy
import io
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from batchlab import answers


class UnattemptedError(Exception):
    """There is nothing to judge: a function is still a stub, or a measurement to compare with is missing."""


def heard(judge: Callable[[], str]) -> str:
    """Return what `judge` says; whatever it raises becomes a reason.

    Warnings and stderr are swallowed: nbgrader gives no points to a cell that wrote to stderr, and a harmless warning
    inside a learner's function must not cost any.

    Raises:
        UnattemptedError: passed on.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return judge()
        except UnattemptedError:
            raise
        except BaseException as error:
            return f"The answer could not be checked: {_told(error)}."


def number(
    value: Any,
    expected: Any,
    *,
    rel: float,
    abs_: float,
    unit: str = "",
    batch: float | None = None,
    hints: Mapping[float, str] | None = None,
) -> str:
    """Judge one number; known wrong values first, then the classic slips, then the distance."""
    target, given = _target(expected), answers.number(value)
    if isinstance(given, str):
        return given
    if answers.close(given, target, rel, abs_):
        return ""
    for wrong, why in (hints or {}).items():
        if answers.close(given, float(wrong), rel, abs_):
            return why
    return answers.slip(given, target, rel=rel, unit=unit, batch=batch) or _distance(given, target)


def numbers(value: Any, expected: Any, *, rel: float, abs_: float, unit: str = "") -> str:
    """Judge several numbers, by name where both sides have names, else in order."""
    goals, given = _items(called(expected)), _items(value)
    if goals is None:
        raise UnattemptedError("There is nothing to compare with: run the cells above again, then this one.")
    if given is None:
        return f"{len(goals)} numbers are asked for, as a list or a dictionary."
    if len(given) != len(goals):
        return f"{len(goals)} numbers are asked for, {len(given)} were given."
    by_name = isinstance(value, Mapping) and set(given) == set(goals)
    if isinstance(value, Mapping) and not by_name:
        return f"The names asked for are {', '.join(map(str, goals))}."
    for place, (name, goal) in enumerate(goals.items()):
        one = given[name] if by_name else list(given.values())[place]
        reason = number(one, goal, rel=rel, abs_=abs_, unit=unit)
        if reason:
            return f"{name if by_name else f'Number {place + 1}'}: {reason}"
    return ""


def prediction(value: Any, measured: Any, *, within: float, unit: str = "") -> str:
    """Judge a guess by its distance from what was measured, as a factor."""
    goal, given = _target(measured), answers.number(value)
    if isinstance(given, str):
        return given
    if answers.close(given, goal, within, 0.0):
        return ""
    tail = f" {unit}" if unit else ""
    told = f"You guessed {given:.4g}{tail}, the measurement says {goal:.4g}{tail}"
    if given > 0 and goal == 0:
        told += ": too high"
    elif given > 0 and goal > 0:
        told += f": {max(given / goal, goal / given):.3g} times too {'high' if given > goal else 'low'}"
    return f"{told}. Keep your guess and read on: the gap is what this part explains."


def choice(value: Any, right: Any, because: Mapping[Any, str]) -> str:
    """Judge a choice, or a set of choices where `right` is a set; case and surrounding blanks do not count."""
    several = isinstance(right, (set, frozenset))
    reasons = {_key(option): why for option, why in because.items()}
    wanted = {_key(option) for option in right} if several else {_key(right)}
    if several and isinstance(value, str):
        given = {_key(part) for part in value.split(",")}
    elif isinstance(value, (set, frozenset, list, tuple)):
        given = {_key(part) for part in value}
    else:
        given = {_key(value)}
    if given == wanted:
        return ""
    if given - set(reasons) - wanted or not given or (len(given) > 1 and not several):
        options = ", ".join(sorted(str(option) for option in {*because, *(right if several else {right})}))
        return f"Choose {'from' if several else 'one of'} {options}."
    for option in sorted(given - wanted, key=str):
        return reasons[option]
    return "What you chose belongs to it, and something is missing."


def order(value: Any, right: Sequence[Any]) -> str:
    """Judge the order of items."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        return f"A list of {len(right)} items is asked for."
    given, wanted = [_key(item) for item in value], [_key(item) for item in right]
    if sorted(map(str, given)) != sorted(map(str, wanted)):
        return f"Use each of these once: {', '.join(sorted(str(item) for item in right))}."
    place = next((i for i, pair in enumerate(zip(given, wanted, strict=True)) if pair[0] != pair[1]), None)
    return "" if place is None else f"Look at place {place + 1}: that item belongs elsewhere."


def calls(fn: Any, cases: Sequence[tuple[tuple[Any, ...], Any]], *, rel: float, abs_: float, unit: str = "") -> str:
    """Judge a function by its results; an expected value that is callable judges the result like `that`.

    Raises:
        UnattemptedError: the function returns nothing for the first case.
    """
    if not callable(fn):
        return f"A function is asked for, {answers.shown(fn)} is none."
    for number_of_case, (args, expected) in enumerate(cases):
        name = getattr(fn, "__name__", "the function")
        call = f"{name}({', '.join(map(answers.shown, args))})"
        try:
            # A copy, so that a function that changes its arguments does not spoil the next case.
            result = fn(*copy.deepcopy(args))
        except BaseException as error:
            return f"{call} fails: {_told(error)}."
        if _is_gap(result) and number_of_case == 0:
            raise UnattemptedError(f"{name} returns nothing yet: fill in its body, and end it with a return.")
        if _is_gap(result):
            return f"{call} returned nothing: end the function with a return."
        reason = _unlike(result, expected, rel, abs_, unit)
        if reason:
            return f"{call} returned {answers.shown(result)}. {reason}"
    return ""


def that(value: Any, test: Callable[[Any], Any]) -> str:
    """Judge a property; `test` answers True, a sentence that says why not, or None where there is nothing to judge.

    Raises:
        UnattemptedError: the test answered None, for instance because the learner's function returns nothing yet.
    """
    outcome = test(value)
    if outcome is None:
        raise UnattemptedError("It returns nothing yet: fill in its body, and end it with a return.")
    if isinstance(outcome, str) and outcome:
        return outcome
    return "" if isinstance(outcome, (bool, np.bool_)) and outcome else f"{answers.shown(value)} is not it."


def called(value: Any) -> Any:
    """Return the value, or what it returns where it is a function without arguments."""
    return value() if callable(value) else value


def _target(expected: Any) -> float:
    try:
        goal = answers.number(called(expected))
    except Exception as error:
        goal = _told(error)
    if isinstance(goal, str):
        raise UnattemptedError(
            f"There is no number to compare with yet ({goal.rstrip('.')}). Run the cells above again, then this one."
        )
    return goal


def _unlike(result: Any, expected: Any, rel: float, abs_: float, unit: str) -> str:
    if callable(expected):
        return that(result, expected)
    if isinstance(expected, (bool, np.bool_, str)):
        same = type(result) in (type(expected), bool, np.bool_) and bool(result == expected)
        return "" if same else f"Expected {answers.shown(expected)}."
    if isinstance(expected, (Mapping, list, tuple, np.ndarray, pd.Series)):
        return numbers(result, expected, rel=rel, abs_=abs_, unit=unit)
    reason = number(result, expected, rel=rel, abs_=abs_, unit=unit)
    return reason and f"Expected {answers.shown(expected)}. {reason}"


def _items(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (pd.Series, np.ndarray, list, tuple)):
        return dict(enumerate(np.asarray(value).tolist() if not isinstance(value, (list, tuple)) else value))
    return None


def _key(option: Any) -> Any:
    if isinstance(option, str):
        return " ".join(option.casefold().split())
    if isinstance(option, (bool, np.bool_)):
        return str(bool(option)).casefold()
    value = answers.number(option)
    return value if isinstance(value, float) else answers.shown(option)


def _is_gap(value: Any) -> bool:
    return value is ... or value is None


def _distance(given: float, target: float) -> str:
    if given * target > 0 and math.isfinite(given / target):
        ratio = given / target
        factor = max(ratio, 1 / ratio)
        size = f"about {factor:.3g} times too" if factor >= 1.5 else "close, but too"
        return f"That is {size} {'large' if ratio > 1 else 'small'}."
    return f"That is too {'large' if given > target else 'small'}."


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    if isinstance(error, RecursionError):
        return "RecursionError, it calls itself without end"
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text[:160]}".rstrip(": .")
