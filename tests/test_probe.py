"""A probe: it notes every step of a request, its own work included, and tells when nothing was answered."""

import time

import numpy as np
import pytest

from batchlab import arrivals, breakdown, inputs, spans
from batchlab import probe as probing
from batchlab.probe import ProbeError, probe

MODEL = "resnet50_a100"


def ask(number: int) -> dict[str, np.ndarray]:
    return {"item": np.zeros((1, 1), np.int32)}


@pytest.fixture(scope="module")
def server(triton):
    triton.load_missing([MODEL])
    return triton


def test_steps_follow_each_other(server) -> None:
    samples = probe(server, MODEL, ask, count=8).samples
    steps = samples[["intended_s", "sent_s", "prepared_s", "received_s", "done_s"]].to_numpy()
    assert (np.diff(steps, axis=1) >= 0).all()
    assert samples["ok"].all()
    assert len(samples) == 8


def test_slow_preparation_is_the_clients(server) -> None:
    def slow(number: int) -> dict[str, np.ndarray]:
        time.sleep(0.05)
        return ask(number)

    found = breakdown.split(probe(server, MODEL, slow, count=5))
    assert found.parts_ms["client work"] > 50
    assert found.largest == "client work"
    assert found.parts_ms["compute"] < 20


def test_one_worker_that_cannot_keep_up_makes_requests_wait_in_the_client(server) -> None:
    def slow(number: int) -> dict[str, np.ndarray]:
        time.sleep(0.05)
        return ask(number)

    times = arrivals.constant(100, 0.2)
    alone = breakdown.split(probe(server, MODEL, slow, arrivals=times))
    helped = breakdown.split(probe(server, MODEL, slow, arrivals=times, workers=20))
    assert alone.largest == "client wait"
    assert helped.parts_ms["client wait"] < alone.parts_ms["client wait"] / 3


def test_the_servers_account_is_of_the_probes_requests_only(server) -> None:
    run = probe(server, MODEL, ask, count=6, warmup=3)
    assert run.server.requests == 6
    assert run.kind == "sequential"
    assert breakdown.split(run).latency_ms == pytest.approx(run.mean_latency_ms)


def test_the_account_of_a_single_request_is_waited_for(server) -> None:
    # Triton counts a request after its answer has left: asked at once, it may not know of it yet.
    assert [probe(server, MODEL, ask, count=1, warmup=0).server.requests for _ in range(10)] == [1] * 10


def test_a_body_is_sent_as_it_is(server) -> None:
    body = inputs.encode(ask(0), server.metadata(MODEL), max_batch_size=256, as_json=True)
    assert body.json_bytes is None
    assert probe(server, MODEL, lambda number: body, count=3).samples["ok"].all()


def test_a_schedule_is_kept(server) -> None:
    times = arrivals.constant(50, 0.2)
    run = probe(server, MODEL, ask, arrivals=times, workers=4)
    assert list(run.samples["intended_s"]) == pytest.approx(list(times.times_s), abs=1e-6)
    assert run.kind == "open_loop"


def test_the_spans_of_a_probe_nest(server) -> None:
    run = probe(server, MODEL, ask, count=3)
    found = list(spans.nested(probing.spans(run)))
    assert {len(holders) for span, holders in found if span.name == "away"} == {1}
    run.samples = run.samples.drop(columns="prepared_s")
    with pytest.raises(ProbeError, match="Only a probe"):
        probing.spans(run)


def test_a_pace_below_one_shortens_a_probe(server, monkeypatch) -> None:
    monkeypatch.setenv("BATCHLAB_PACE", "0.1")
    assert len(probe(server, MODEL, ask, count=100).samples) == 10
    assert len(probe(server, MODEL, ask, count=20).samples) == 5
    assert len(probe(server, MODEL, ask, arrivals=arrivals.constant(50, 1)).samples) == 5


def test_what_prepare_raises_reaches_the_caller(server) -> None:
    def broken(number: int) -> dict[str, np.ndarray]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        probe(server, MODEL, broken, workers=3, warmup=0)


def test_a_refused_request_is_told_in_the_servers_words(server) -> None:
    body = inputs.Body(b'{"inputs": []}', None, 1)
    with pytest.raises(ProbeError, match=r"No request to 'resnet50_a100' was answered: 400 .*input"):
        probe(server, MODEL, lambda number: body, count=2, warmup=0)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"workers": 0}, {"warmup": -1}, {"timeout_s": 0}])
def test_arguments_out_of_range_are_refused(server, wrong: dict) -> None:
    with pytest.raises(ProbeError, match="must be 1 or more"):
        probe(server, MODEL, ask, **wrong)
