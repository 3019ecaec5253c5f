"""What a learner wrote into a variable, read with patience: one number, or words that say why it is none.

Nothing here raises, whatever the value is: an answer can be NaN, a table, text with a unit, or an object whose own
methods fail.
"""

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

SHOWN = 60
# What a wrong unit looks like: value over expected, then what the value seems to be for a question asked in that unit.
FINER = {"s": "milliseconds", "ms": "microseconds", "us": "nanoseconds", "µs": "nanoseconds"}
COARSER = {"ms": "seconds", "us": "milliseconds", "µs": "milliseconds"}


def missing(value: Any) -> bool:
    """Whether a variable still holds its placeholder: ``...``, None, or a collection with such a gap."""
    if value is ... or value is None:
        return True
    if type(value) is dict:
        value = list(value.values())
    if type(value) in (list, tuple, set):
        return len(value) > 0 and any(item is ... or item is None for item in value)
    return False


def shown(value: Any) -> str:
    """Return a short text of any value, also of one whose own text fails."""
    try:
        if isinstance(value, (float, np.floating)):
            return f"{float(value):.6g}"
        if callable(value):
            return f"the function {getattr(value, '__name__', type(value).__name__)}"
        if isinstance(value, int) and abs(value) >= 10**SHOWN:
            return f"an integer of more than {SHOWN} digits"
        brief = reprlib.Repr()
        brief.maxstring = brief.maxother = brief.maxlong = SHOWN + 2
        text = " ".join(brief.repr(value).split())
    except Exception:
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 2 * SHOWN else text[: 2 * SHOWN - 3] + "..."


def number(value: Any) -> float | str:
    """Return the value as a finite float, or a sentence that says why it is not one number."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (bool, np.bool_)):
        return f"{value} is a truth value; a number is asked for."
    if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray, list, tuple, set, Mapping)):
        return _collection(value)
    if isinstance(value, (complex, np.complexfloating)):
        return "A complex number cannot be compared; a real number is asked for."
    if callable(value):
        return "That is a function, not its result: call it with parentheses."
    try:
        result = float(value)
    except OverflowError:
        return f"{shown(value)[0].upper()}{shown(value)[1:]} is far too large."
    except Exception:
        return f"A value of type {type(value).__name__} is not a number; a plain number is asked for."
    return _finite(result)


def close(value: float, expected: float, rel: float, abs_: float) -> bool:
    """Whether `value` lies within ``max(rel * |expected|, abs_)`` of `expected`."""
    return math.isclose(value, expected, rel_tol=0.0, abs_tol=max(rel * abs(expected), abs_, 1e-12 * abs(expected)))


def slip(value: float, expected: float, *, rel: float, unit: str, batch: float | None) -> str:
    """Name the classic slip that turns `expected` into `value`; empty when none fits.

    Looked for in this order: sign, batch against item, unit (a thousand, a million), percent against share, latency
    against throughput (the reciprocal, also per thousand and per batch), share against complement.
    """
    if not (math.isfinite(value) and math.isfinite(expected)) or value == 0 or expected == 0:
        return ""

    def near(target: float) -> bool:
        return close(value, target, min(rel, 0.2), 0.0)

    if near(-expected):
        return "The size is right and the sign is not."
    if batch and batch > 1 and (near(expected * batch) or near(expected / batch)):
        return f"That is off by the batch size, {batch:g}: keep 'per batch' and 'per item' apart."
    for power, factor in ((1, 1e3), (2, 1e6)):
        if near(expected * factor):
            what = FINER.get(unit) if power == 1 else None
            return f"That is {factor:,.0f} times too large: " + _unit_words(what, unit)
        if near(expected / factor):
            what = COARSER.get(unit) if power == 1 else None
            return f"That is {factor:,.0f} times too small: " + _unit_words(what, unit)
    if near(expected * 100) or near(expected / 100):
        return "That is off by a hundred: keep a share (0 to 1) and a percentage (0 to 100) apart."
    for one in (1.0, 1e3, *((batch, 1e3 * batch) if batch and batch > 1 else ())):
        if near(one / expected):
            return "That is the reciprocal: latency is time per answer, throughput is answers per time."
    if unit in ("%", "share") and near((100 if unit == "%" else 1) - expected):
        return "That is the rest, what is missing to the whole."
    return ""


def _unit_words(what: str | None, unit: str) -> str:
    if what:
        return f"it looks like {what}, and {unit} is asked for."
    return f"check the unit, {unit} is asked for." if unit else "check the unit."


def _text(value: str) -> str:
    stripped = value.strip()
    try:
        float(stripped)
    except ValueError:
        pass
    else:
        return f"{shown(value)} is text: write the number without quotes."
    lead = stripped.split(" ")[0].rstrip("%abcdefghijklmnopqrstuvwxyzµ/ ")
    try:
        float(lead)
    except ValueError:
        return f"{shown(value)} is text; a number is asked for."
    return f"{shown(value)} is text: write the number alone, without quotes and unit."


def _collection(value: Any) -> float | str:
    try:
        items = np.asarray(list(value.values()) if isinstance(value, Mapping) else value)
        # A selection from a table often comes as an array of one; that is a number for all purposes here.
        if isinstance(value, (np.ndarray, pd.Series, pd.DataFrame)) and items.size == 1:
            return number(
                items.reshape(-1)[0].item() if hasattr(items.reshape(-1)[0], "item") else items.reshape(-1)[0]
            )
        size = len(value) if isinstance(value, set) else items.size
    except Exception:
        return f"A {type(value).__name__} holds many values; one number is asked for."
    return f"A {type(value).__name__} of {size} values; one number is asked for."


def _finite(result: float) -> float | str:
    if math.isnan(result):
        return "NaN is not a number: look for an empty selection, or for zero divided by zero."
    if math.isinf(result):
        return "That is infinite: look for a division by zero."
    return result
