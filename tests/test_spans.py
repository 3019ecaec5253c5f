"""Spans: they have a length, nest lane by lane, and lie on the monotonic clock."""

import time

import pytest

from batchlab import spans
from batchlab.spans import Span, SpanError


def test_a_span_knows_its_length_in_ms() -> None:
    assert Span("work", 1_000_000, 3_500_000).ms == 2.5


def test_a_span_does_not_end_before_it_begins() -> None:
    with pytest.raises(SpanError, match="'work' ends 1 ns before"):
        Span("work", 10, 9)


def test_nested_spans_come_with_their_holders() -> None:
    rows = [Span("inner", 2, 5), Span("outer", 0, 10), Span("next", 5, 9), Span("deep", 3, 4)]
    found = {span.name: [holder.name for holder in holders] for span, holders in spans.nested(rows)}
    assert found == {"outer": [], "inner": ["outer"], "deep": ["outer", "inner"], "next": ["outer"]}


def test_lanes_do_not_mind_each_other() -> None:
    rows = [Span("a", 0, 10, lane="1"), Span("b", 5, 15, lane="2"), Span("c", 5, 15, "other", "1")]
    assert all(holders == () for _, holders in spans.nested(rows))


def test_an_overlap_within_a_lane_is_told() -> None:
    with pytest.raises(SpanError, match="lane 'r' of 't' 'a' and 'b' overlap by 5 ns"):
        list(spans.nested([Span("a", 0, 10, "t", "r"), Span("b", 5, 15, "t", "r")]))


def test_spans_are_cut_at_both_moments() -> None:
    rows = [Span("before", 0, 5), Span("across", 3, 12), Span("within", 6, 8), Span("after", 12, 20)]
    found = spans.clipped(rows, 5, 10)
    assert [(row.name, row.start_ns, row.end_ns) for row in found] == [("across", 5, 10), ("within", 6, 8)]


def test_the_offset_takes_a_time_since_1970_to_the_monotonic_clock() -> None:
    moved = time.time_ns() - spans.epoch_offset_ns()
    assert abs(moved - time.monotonic_ns()) < 50_000_000
