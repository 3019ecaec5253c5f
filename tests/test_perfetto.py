"""Perfetto's format: what is written can be read back, and a broken file is told by line or event."""

import json

import pytest

from batchlab import perfetto
from batchlab.perfetto import PerfettoError
from batchlab.provenance import Provenance
from batchlab.spans import Span, SpanError

SPANS = [
    Span("request", 1_000_500, 9_000_000, "Triton", "request 1", {"id": 1}),
    Span("queue", 2_000_000, 3_000_001, "Triton", "request 1"),
    Span("request", 2_500_000, 9_500_000, "Triton", "request 2"),
    Span("conv", 4_000_000, 5_000_000, "torch", "main"),
]


def test_what_is_written_is_read_back(tmp_path) -> None:
    path = perfetto.write(tmp_path / "trace.json", SPANS, Provenance("cpu", "resnet50", "Triton 2.51.0"))
    assert perfetto.read(path) == SPANS
    assert perfetto.read(path)[0].details == {"id": 1}


def test_events_have_microseconds_from_the_first_span_on(tmp_path) -> None:
    content = json.loads(perfetto.write(tmp_path / "trace.json", SPANS).read_text())
    events = [event for event in content["traceEvents"] if event["ph"] == "X"]
    assert (events[0]["ts"], events[0]["dur"]) == (0, 7999.5)
    assert all({"name", "ts", "dur", "pid", "tid"} <= event.keys() for event in events)
    assert len({event["pid"] for event in events}) == 2
    assert len({event["tid"] for event in events}) == 3


def test_the_file_says_where_the_numbers_come_from(tmp_path) -> None:
    source = Provenance("cpu", "resnet50", "Triton 2.51.0")
    content = json.loads(perfetto.write(tmp_path / "trace.json", SPANS, source).read_text())
    assert content["otherData"]["source"] == source.caption()


def test_spans_that_do_not_nest_are_refused(tmp_path) -> None:
    with pytest.raises(SpanError, match="overlap"):
        perfetto.write(tmp_path / "trace.json", [Span("a", 0, 10), Span("b", 5, 15)])


def test_no_spans_and_no_folder_are_refused(tmp_path) -> None:
    with pytest.raises(PerfettoError, match="no spans"):
        perfetto.write(tmp_path / "trace.json", [])
    with pytest.raises(PerfettoError, match="cannot be written"):
        perfetto.write(tmp_path / "nowhere" / "trace.json", SPANS)


def test_a_bare_list_with_a_clock_of_its_own_is_read(tmp_path) -> None:
    path = tmp_path / "ort.json"
    path.write_text(json.dumps([{"ph": "X", "name": "Conv", "ts": 2, "dur": 3, "pid": 7, "tid": 8, "cat": "Node"}]))
    assert perfetto.read(path, track="ORT", zero_ns=1000) == [Span("Conv", 3000, 6000, "ORT", "thread 8")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"ph": "X",\n "name": ]', "line 2, column 10"),
        ('{"events": []}', "list named traceEvents"),
        ('[{"ph": "M", "name": "other"}, {"ph": "X", "name": "a", "pid": 1, "tid": 1}]', "event 2 is broken.*'ts'"),
        ('[{"ph": "X", "name": "a", "ts": 1, "dur": -1, "pid": 1, "tid": 1}]', "event 1 is broken"),
    ],
)
def test_a_broken_file_is_told_where(tmp_path, text: str, words: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(PerfettoError, match=words):
        perfetto.read(path)


def test_a_file_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(PerfettoError, match="cannot be read: No such file"):
        perfetto.read(tmp_path / "none.json")
