"""What a recorder concludes from reports, without sending anything; the sending is in test_load."""

import numpy as np
import pandas as pd
import pytest
from fake_server import MODEL, FakeServer

from batchlab.gauge import Gauge
from batchlab.measure import COLUMNS, Run
from batchlab.plan import TIMED_OUT, Body, Plan
from batchlab.provenance import Provenance
from batchlab.readiness import probe
from batchlab.recording import LoadError, Recorder, not_the_servers_fault

FINE = {"reason": "", "cpu_share": 0.2, "waited_for_core_s": 0.5, "capped": 0, "max_connections": 9}
NOWHERE = type("Writer", (), {"add": lambda self, *row: None})()


def recorder_of(plan, warmup_s):
    return Recorder(None, plan, workers=1, warmup_s=warmup_s, settings={}, max_lateness_ms=5.0)


def judged(lateness_ms=0.1, samples=4, kind="open_loop", ended="", **report):
    plan = Plan(kind, "h:1", "m", (Body(b"x"),), times_s=np.arange(4.0), choice=np.zeros(4, int), seconds=4.0)
    recorder = recorder_of(plan, warmup_s=1.0)
    for number in range(samples):
        sent = number + lateness_ms / 1000
        recorder._add(NOWHERE, [float(number), sent, sent + 0.01, 1, True, "", 0, 1])
    recorder._reports = [{**FINE, **report}]
    return recorder.judge(ended)


@pytest.mark.parametrize(
    ("answered", "given_up", "backlog_s"),
    [(4, 0, 0.0), (0, 4, 0.0), (8, 4, 2 * 4 * 2.0 / 8)],
    ids=["nobody gave up", "nobody was answered", "at the rate of the answers, twice"],
)
def test_the_backlog_is_what_was_given_up(answered, given_up, backlog_s):
    recorder = recorder_of(Plan("closed_loop", "h:1", "m", (Body(b"x"),)), warmup_s=0.0)
    for ok, error in [(True, "")] * answered + [(False, f"{TIMED_OUT} 1 s")] * given_up + [(False, "503 full")]:
        recorder._add(NOWHERE, [0.0, 0.0, 2.0, 1, ok, error, 0, 1])
    assert recorder.backlog_s() == backlog_s


def test_a_punctual_sender_with_time_to_spare_is_valid():
    assert judged() == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"lateness_ms": 6.0}, ["late", "6.0 ms", "bound 5 ms", "0.5 s for a free core", "more workers"]),
        ({"cpu_share": 0.93}, ["processor time", "0.93", "more workers"]),
        ({"capped": 3}, ["3 requests were not sent", "9 were in flight", "raise max_connections"]),
        ({"samples": 3}, ["3 of 4 requests"]),
        ({"samples": 1}, ["No request was answered after the warm-up"]),
        ({"ended": "server gone: Connection refused"}, ["gone 3.0 s into", "Connection refused", "run again"]),
    ],
)
def test_each_reason_has_its_numbers_and_its_remedy(facts, words):
    reasons = judged(**facts)
    assert any(all(word in reason for word in words) for reason in reasons), reasons


@pytest.mark.parametrize(
    ("facts", "says_nothing"),
    [
        ({}, False),
        ({"lateness_ms": 6.0}, True),
        ({"cpu_share": 0.93}, True),
        ({"samples": 3}, True),
        ({"ended": "server gone: Connection refused"}, True),
        ({"capped": 3}, False),
        ({"samples": 1, "ended": "interrupted"}, False),
        ({"capped": 3, "lateness_ms": 6.0}, True),
    ],
)
def test_a_run_that_says_nothing_about_its_server_is_told_from_one_of_a_server_beyond_its_capacity(facts, says_nothing):
    reasons = judged(**facts)
    run = Run(pd.DataFrame(columns=COLUMNS), Provenance("simulated", "m", "s"), "open_loop", invalid=reasons)
    assert not_the_servers_fault(run) == next((reason for reason in reasons if says_nothing), "")
    assert run.valid == (not facts)


def test_lateness_is_no_reason_in_a_closed_loop():
    assert judged(kind="closed_loop", lateness_ms=50.0) == []


def test_an_interrupt_alone_is_no_reason():
    assert judged(ended="interrupted", samples=3) == []


def test_the_probe_tells_who_does_not_answer():
    with FakeServer() as server:
        plan = Plan("open_loop", server.url, MODEL, (Body(b"{}"),))
        probe(plan)
        server.kill()
        with pytest.raises(LoadError, match=f"No answer from {server.url}: .*Is the server running"):
            probe(plan)


def test_the_probe_lets_a_busy_server_pass():
    with FakeServer(fail_status=503, fail_text="busy") as server:
        probe(Plan("open_loop", server.url, MODEL, (Body(b"{}"),)))


def test_the_probe_lets_a_full_queue_pass_and_refuses_what_is_no_http():
    import socket
    import threading

    with FakeServer(fail_status=429, fail_text="full") as server:
        probe(Plan("open_loop", server.url, MODEL, (Body(b"{}", path="/predict"),)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"127.0.0.1:{listener.getsockname()[1]}"

        def answer() -> None:
            connection = listener.accept()[0]
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-Nonsense\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LoadError, match=f"{url} does not speak HTTP"):
            probe(Plan("open_loop", url, MODEL, (Body(b"{}", path="/predict"),)))
        thread.join()


def test_a_run_on_a_gpu_keeps_the_gpus_readings_and_no_other_does(home):
    """Readings begin with the requests that count, and end in the record of the run."""
    for tier in ("gpu", "cpu"):
        with FakeServer() as server:
            provenance = Provenance(tier=tier, model=MODEL, server="fake")
            server.provenance = lambda *words, found=provenance, **details: found
            server.gauge = lambda: Gauge("nvml", lambda: {"0": {"power_w": 60.0}})
            times = {"times_s": np.arange(4.0), "choice": np.zeros(4, int), "seconds": 4.0}
            plan = Plan("open_loop", server.url, MODEL, (Body(b"x"),), **times)
            recorder = Recorder(server, plan, workers=1, warmup_s=1.5, settings={}, max_lateness_ms=5.0)
            with recorder.prepare():
                for elapsed_s in (1.0, 2.0, 2.1, 3.2):
                    recorder.tick(elapsed_s)
                run = recorder.finish("interrupted")
        told = run.settings.get("gpu")
        if tier == "cpu":
            assert told is None
        else:
            assert told["readings"] == 2
            assert told["gpus"]["0"]["power_w"] == {"mean": 60.0, "highest": 60.0}
