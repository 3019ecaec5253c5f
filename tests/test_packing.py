"""Values that travel: equal when they arrive, built of plain parts, and nothing else gets through."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchlab import packing
from batchlab.configuration import QueuePolicy


def sent(value: Any) -> Any:
    """Return what arrives: a thing that stays behind becomes the text of its kind and name."""
    text = json.dumps(packing.pack(value, lambda kept: 7))
    return packing.unpack(json.loads(text), lambda kind, number, name: f"{kind} {number} {name}")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(10**200),
        1.5,
        float("inf"),
        "text",
        b"\x00\xff",
        ...,
        [1, [2.5, "x"]],
        (1, (2,)),
        {1, 2},
        frozenset({"a"}),
        {"a": 1, 2: (3, None)},
        QueuePolicy(max_queue_size=3),
    ],
)
def test_it_arrives_equal_and_of_the_same_type(value: Any) -> None:
    got = sent(value)
    assert got == value
    assert type(got) is type(value)


def test_not_a_number_arrives() -> None:
    assert np.isnan(sent(float("nan")))


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.array([1.5, np.nan]), np.array([], bool)])
def test_arrays_arrive(array: np.ndarray) -> None:
    got = sent(array)
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_tables_arrive() -> None:
    table = pd.DataFrame({"ms": [1.0, 2.0], "what": ["a", "b"], "ok": [True, False]}, index=["x", "y"])
    pd.testing.assert_frame_equal(sent(table), table)
    pd.testing.assert_series_equal(sent(table["ms"]), table["ms"])


class Yes(float):
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = float.__hash__


def test_what_has_code_of_its_own_stays_behind() -> None:
    assert sent(Yes(7)) == "object 7 Yes"
    assert sent(len) == "function 7 len"
    assert sent([object()]) == ["object 7 object"]


@pytest.mark.parametrize(
    "parts",
    [
        {"$": "record", "module": "os", "name": "system", "v": [{"$": "dict", "v": []}]},
        {"$": "record", "module": "batchlab.measure", "name": "pace", "v": [{"$": "dict", "v": []}]},
        {"$": "array", "dtype": "O", "shape": [1], "v": ""},
        {"$": "array", "dtype": "<f8", "shape": [10**12], "v": ""},
        {"$": "pickle", "v": "x"},
        {"no": "kind"},
        {"$": "set", "v": [[]]},
    ],
)
def test_parts_that_nothing_is_made_of_raise(parts: Any) -> None:
    with pytest.raises((packing.PackingError, ValueError, TypeError, KeyError)):
        packing.unpack(parts, lambda *_: None)


def test_a_value_within_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(packing.PackingError, match="nested"):
        packing.pack(loop, lambda kept: 0)
