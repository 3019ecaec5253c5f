"""Flame graphs: self times add up to the whole, and folded stacks survive a round trip."""

import pytest

from batchlab import flame
from batchlab.flame import FlameError
from batchlab.spans import Span, SpanError

MS = 1_000_000


def spans_of_two_calls() -> list[Span]:
    return [
        Span("run", 0, 10 * MS),
        Span("conv", 1 * MS, 4 * MS),
        Span("conv", 4 * MS, 8 * MS),
        Span("pad", 5 * MS, 6 * MS),
        Span("run", 20 * MS, 25 * MS, lane="other"),
    ]


def test_self_time_is_what_no_callee_took() -> None:
    stacks = flame.fold(spans_of_two_calls())
    assert stacks == {("run",): 3 + 5, ("run", "conv"): 3 + 3, ("run", "conv", "pad"): 1}


def test_nothing_is_lost_and_nothing_counted_twice() -> None:
    assert sum(flame.fold(spans_of_two_calls()).values()) == 15


def test_overlapping_spans_have_no_stacks() -> None:
    with pytest.raises(SpanError):
        flame.fold([Span("a", 0, 10), Span("b", 5, 15)])


def test_a_parent_is_as_wide_as_its_children_and_its_own_time() -> None:
    boxes = flame.frames(flame.fold(spans_of_two_calls()))
    by_name = {box.name: box for box in boxes}
    assert by_name["run"].width_ms == 15
    assert by_name["run"].self_ms == 8
    assert (by_name["conv"].width_ms, by_name["pad"].width_ms) == (7, 1)
    assert [by_name[name].depth for name in ("run", "conv", "pad")] == [0, 1, 2]


def test_siblings_stand_side_by_side_within_their_parent() -> None:
    boxes = {box.name: box for box in flame.frames({("a", "x"): 2, ("a", "y"): 3, ("b",): 4, ("a",): 1})}
    assert boxes["y"].start_ms == boxes["x"].start_ms + 2
    assert boxes["b"].start_ms == boxes["a"].start_ms + boxes["a"].width_ms == 6
    assert boxes["y"].start_ms + boxes["y"].width_ms <= boxes["a"].start_ms + boxes["a"].width_ms


def test_self_time_by_name_is_largest_first() -> None:
    assert flame.self_ms({("a",): 1, ("a", "b"): 3, ("c", "b"): 2}) == {"b": 5, "a": 1}


def test_folded_stacks_survive_a_round_trip() -> None:
    stacks = {("run", "conv"): 3.25, ("run",): 1.0}
    assert flame.to_text(stacks) == "run 1000\nrun;conv 3250\n"
    assert flame.from_text(flame.to_text(stacks)) == stacks


def test_a_broken_line_is_named() -> None:
    with pytest.raises(FlameError, match="Line 2 is no folded stack: 'run conv'"):
        flame.from_text("run 1\nrun conv\n")


def test_stacks_without_time_cannot_be_drawn() -> None:
    with pytest.raises(FlameError, match="hold no time"):
        flame.frames({("a",): 0.0})
