"""A split request: the parts add up to what the client saw, and the largest is named with what to try."""

import pandas as pd
import pytest

from batchlab import breakdown
from batchlab.breakdown import BreakdownError
from batchlab.measure import Run
from batchlab.provenance import Provenance
from batchlab.statistics import Activity
from batchlab.trace import Traced

SOURCE = Provenance("cpu", "text_classifier", "Triton 2.51.0")


def activity(requests: int = 2, executions: int = 2, queue: float = 2.0, compute: float = 10.0) -> Activity:
    return Activity("m", requests, 0, requests, executions, queue, 0.5, compute, 0.5, {1: executions}, {1: compute})


def run(latencies_ms=(20.0, 30.0), lateness_ms: float = 1.0, server: Activity | None = None, **further) -> Run:
    count = len(latencies_ms)
    samples = pd.DataFrame(
        {
            "intended_s": [float(n) for n in range(count)],
            "sent_s": [n + lateness_ms / 1000 for n in range(count)],
            "done_s": [n + ms / 1000 for n, ms in enumerate(latencies_ms)],
            "batch_size": 1,
            "ok": True,
            "error": "",
            **further,
        }
    )
    return Run(samples, SOURCE, "open_loop", server=server or activity())


def test_the_parts_add_up_to_the_mean_latency() -> None:
    found = breakdown.split(run())
    assert found.latency_ms == pytest.approx(25)
    assert found.parts_ms == pytest.approx(
        {"client wait": 1, "network and HTTP": 11, "queue": 2, "input": 0.5, "compute": 10, "output": 0.5}
    )
    assert found.table()["share"].sum() == pytest.approx(1)
    assert found.requests == 2


def test_a_probe_tells_the_clients_own_work_apart() -> None:
    found = breakdown.split(run(prepared_s=[0.004, 1.004], received_s=[0.018, 1.028]))
    assert found.parts_ms["client work"] == pytest.approx(3 + 2)
    assert found.parts_ms["network and HTTP"] == pytest.approx(19 - 13)
    assert found.latency_ms == pytest.approx(25)


def test_a_trace_tells_http_from_the_network() -> None:
    names = ("HTTP_RECV_START", "HTTP_RECV_END", "REQUEST_START", "QUEUE_START", "HTTP_SEND_START", "HTTP_SEND_END")
    moments = (0, 1_000_000, 4_000_000, 4_100_000, 20_000_000, 21_000_000)
    stamps = dict(zip(names, moments, strict=True)) | {"COMPUTE_END": 20_000_000}
    found = breakdown.split(run(), traced=[Traced(1, "m", 1, "", 0, stamps)])
    assert found.parts_ms["HTTP"] == pytest.approx(1 + 3 + 1)
    assert found.parts_ms["network"] == pytest.approx(11 - 5)
    assert found.latency_ms == pytest.approx(25)


def test_more_server_time_than_latency_is_named_and_still_adds_up() -> None:
    found = breakdown.split(run(server=activity(compute=40.0)))
    assert found.parts_ms["unexplained"] == pytest.approx(24 - 43)
    assert found.latency_ms == pytest.approx(25)


def test_called_models_are_part_of_the_compute() -> None:
    # Two batches of two requests, each asking the encoder once.
    server, encoder = activity(requests=4, executions=2), activity(2, 2, queue=1.0, compute=6.0)
    found = breakdown.split(run(server=server), called={"text_encoder": encoder})
    assert found.called_ms == {"text_encoder": pytest.approx(8)}
    assert found.own_ms == pytest.approx(2)


@pytest.mark.parametrize(
    ("part", "server", "lateness_ms", "words"),
    [
        ("client wait", activity(compute=1), 20, "more workers"),
        ("network and HTTP", activity(compute=1), 1, "binary"),
        ("queue", activity(queue=15, compute=1), 1, "larger batches"),
        ("compute", activity(compute=18), 1, "profile it"),
    ],
)
def test_the_largest_part_is_named_with_what_to_try(
    part: str, server: Activity, lateness_ms: float, words: str
) -> None:
    found = breakdown.split(run(server=server, lateness_ms=lateness_ms))
    assert found.largest == part
    assert words in found.advice


def test_the_advice_tells_own_work_from_a_called_models() -> None:
    server = activity(compute=18)
    own = breakdown.split(run(server=server), called={"text_encoder": activity(queue=0, compute=2)})
    other = breakdown.split(run(server=server), called={"text_encoder": activity(queue=0, compute=15)})
    assert "tokenising" in own.advice
    assert "text_encoder" in other.advice


def test_json_holds_every_part() -> None:
    content = breakdown.split(run()).to_dict()
    assert sum(content["parts_ms"].values()) == pytest.approx(content["latency_ms"])
    assert content["largest"] == "network and HTTP"


def test_a_run_without_answers_or_statistics_cannot_be_split() -> None:
    failed, bare = run(), run()
    failed.samples["ok"] = False
    bare.server = None
    with pytest.raises(BreakdownError, match="was answered"):
        breakdown.split(failed)
    with pytest.raises(BreakdownError, match="no statistics"):
        breakdown.split(bare)
