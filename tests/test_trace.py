"""Triton's trace: a real one is read, its parts add up, and settings are put back whatever happens."""

import json

import numpy as np
import pytest

from batchlab import spans, trace
from batchlab.probe import probe
from batchlab.trace import TraceError

MODEL = "resnet50_a100"
ORDER = [name for name, _ in trace.MILESTONES]


def ask(number: int = 0) -> dict[str, np.ndarray]:
    return {"item": np.zeros((1, 1), np.int32)}


@pytest.fixture(scope="module")
def recorded(triton):
    triton.load_missing([MODEL])
    with trace.recording(triton, MODEL) as found:
        run = probe(triton, MODEL, ask, count=5, warmup=0)
    return found, run


def test_every_request_is_traced_under_its_own_name(recorded) -> None:
    found, run = recorded
    assert [row.request_id for row in found.requests] == list(run.samples["request_id"])
    assert {row.model for row in found.requests} == {MODEL}
    assert all(set(ORDER) <= row.stamps.keys() for row in found.requests)


def test_the_parts_of_a_real_request_add_up_to_the_whole(recorded) -> None:
    for row in recorded[0].requests:
        first, last = row.stamps["HTTP_RECV_START"], row.stamps["HTTP_SEND_END"]
        assert sum(row.parts_ms().values()) == pytest.approx((last - first) / 1e6)
        assert min(row.parts_ms().values()) >= 0
    assert sum(trace.summed_ms(recorded[0].requests).values()) == pytest.approx(
        np.mean([sum(row.parts_ms().values()) for row in recorded[0].requests])
    )


def test_the_spans_of_real_requests_nest(recorded) -> None:
    rows = [span for row in recorded[0].requests for span in row.spans()]
    depths = {span.name: len(holders) for span, holders in spans.nested(rows)}
    assert depths["infer"] == 2
    assert depths["compute"] == 1
    assert depths["probe-0"] == 0


def test_a_request_lies_within_what_its_client_saw_on_the_same_clock(recorded) -> None:
    found, run = recorded
    for row, sample in zip(found.requests, run.samples.to_dict("records"), strict=True):
        zero_ns = run.settings["zero_ns"]
        assert zero_ns + sample["prepared_s"] * 1e9 <= row.stamps["HTTP_RECV_END"]
        assert row.stamps["COMPUTE_START"] <= zero_ns + sample["received_s"] * 1e9


def test_the_compute_of_the_trace_is_that_of_the_statistics(recorded) -> None:
    found, run = recorded
    assert trace.summed_ms(found.requests)["infer"] == pytest.approx(run.server.compute_infer_ms, rel=0.05)


def test_tracing_is_off_before_and_after(triton, recorded) -> None:
    assert trace.settings(triton)["trace_level"] == ["OFF"]
    assert trace.settings(triton, MODEL) == trace.settings(triton)


def test_settings_are_put_back_after_an_error(triton) -> None:
    triton.load_missing([MODEL])
    before = trace.settings(triton, MODEL)

    def broken() -> None:
        with trace.recording(triton, MODEL):
            assert trace.settings(triton, MODEL)["trace_level"] == ["TIMESTAMPS"]
            assert trace.settings(triton)["trace_level"] == ["OFF"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert trace.settings(triton, MODEL) == before


def test_only_each_nth_request_is_traced(triton) -> None:
    triton.load_missing([MODEL])
    with trace.recording(triton, MODEL, every=3) as found:
        probe(triton, MODEL, ask, count=9, warmup=0)
    assert len(found.requests) == 3


def test_a_recording_without_requests_says_so(triton, monkeypatch) -> None:
    triton.load_missing(["null"])
    monkeypatch.setattr(trace, "WRITTEN_WITHIN_S", 0.2)
    with pytest.raises(TraceError, match="traced no request of 'null'"), trace.recording(triton, "null"):
        pass


def test_a_trace_that_goes_nowhere_is_refused_before_anything_is_changed(triton, monkeypatch) -> None:
    def elsewhere(self, path):
        return {"trace_level": ["OFF"], "trace_file": "/no/such/folder/trace.json"}

    monkeypatch.setattr(trace.Endpoint, "get", elsewhere)
    monkeypatch.setattr(trace.Endpoint, "post", None)
    with (
        pytest.raises(TraceError, match=r"cannot be reached from here.*--trace-config"),
        trace.recording(triton, MODEL),
    ):
        pass
    with pytest.raises(TraceError, match="every must be 1"), trace.recording(triton, MODEL, every=0):
        pass


def entries(**stamps: int) -> list[dict]:
    head = {"id": 4, "model_name": "m", "model_version": 1, "parent_id": 3}
    return [head, *({"id": 4, "timestamps": [{"name": name, "ns": ns}]} for name, ns in stamps.items())]


def test_a_call_from_model_to_model_names_its_parent(tmp_path) -> None:
    path = tmp_path / "trace.json.0"
    path.write_text(json.dumps(entries(QUEUE_START=10, COMPUTE_START=2_000_010)))
    (row,) = trace.read(path)
    assert (row.parent_id, row.request_id, row.parts_ms()) == (3, "", {"queue": 2.0})
    with pytest.raises(TraceError, match="no traced request"):
        trace.summed_ms([row])


def test_compute_reported_after_the_answer_has_left_ends_with_it(tmp_path) -> None:
    path = tmp_path / "trace.json.0"
    moments = {"COMPUTE_OUTPUT_START": 0, "COMPUTE_END": 30_000_000, "HTTP_SEND_START": 20_000_000}
    path.write_text(json.dumps(entries(**moments, HTTP_SEND_END=21_000_000)))
    assert trace.read(path)[0].parts_ms() == {"output": 20, "HTTP answer": 0, "HTTP send": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[\n{"id": 1},\n{"id": ', "line 3, column"),
        ('{"id": 1}', "line 1: a trace of Triton is a list"),
        ('[{"id": 1, "model_name": "m"}, {"timestamps": [{"name": "A"}]}]', "entry 2 is no entry"),
        ("[7]", "entry 1 is no entry"),
    ],
)
def test_a_broken_file_is_told_by_line_or_entry(tmp_path, text: str, words: str) -> None:
    path = tmp_path / "trace.json.0"
    path.write_text(text)
    with pytest.raises(TraceError, match=words):
        trace.read(path)


def test_a_missing_file_is_told(tmp_path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        trace.read(tmp_path / "none.json")
