"""Load against a server that is exactly known: every send time, latency and early end has a second opinion."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from fake_server import MODEL, FakeServer
from loads import LOOSE_MS, once_sampled, schedule, send

from batchlab import journal
from batchlab.arrivals import Arrivals, poisson
from batchlab.inputs import InputsError
from batchlab.load import LoadError, closed_loop, open_loop
from batchlab.plan import Body, Plan
from batchlab.provenance import Provenance
from batchlab.readiness import settle

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.delenv("BATCHLAB_PACE", raising=False)


def test_every_request_is_sent_at_its_intended_time_and_once():
    times = np.cumsum(np.random.default_rng(1).exponential(0.01, 150))
    with FakeServer(service_ms=5) as server:
        run = send(server, schedule(times))
        seen = np.array(server.fetch("/arrivals")["arrivals"])[1:]  # the first was the probe
    rows = run.samples.sort_values("intended_s")
    assert np.allclose(rows["intended_s"], times)
    assert len(seen) == len(times)
    assert run.errors == {}
    assert run.valid, run.invalid
    assert not run.partial
    assert (run.latencies_ms >= 5).all()
    assert (run.lateness_ms >= 0).all()
    # The server's clock is the sender's: requests came no earlier than they were sent, up to one common offset.
    lag = np.sort(seen) - np.sort(rows["sent_s"].to_numpy())
    assert np.median(np.abs(lag - np.median(lag))) < 0.005
    assert run.server.requests == len(times)


def test_latency_counts_from_the_intended_time_so_that_waiting_shows():
    with FakeServer(service_ms=40, devices=1) as server:
        run = send(server, schedule(np.zeros(8)))
        alone = closed_loop(server, MODEL, clients=1, seconds=0.5, warmup_s=0, progress=False)
    waits = np.sort(run.latencies_ms)
    assert (waits >= 40 * np.arange(1, 9) - 2).all()
    assert waits[-1] < 40 * 8 + 250
    # The closed loop never asks while the device is busy and so sees no queue.
    assert np.median(alone.latencies_ms) < 80


def test_four_workers_send_the_same_schedule_as_one():
    arrivals = poisson(100, 2, seed=2)
    with FakeServer(service_ms=20) as server:
        one = send(server, arrivals, workers=1)
        four = send(server, arrivals, workers=4)
    assert len(four.settings["senders"]) == 4
    assert four.valid, four.invalid
    for run in (one, four):
        assert np.allclose(np.sort(run.samples["intended_s"]), arrivals.times_s)
        assert run.server.requests == len(arrivals)
    # Gaps between the requests as they were really sent, and latencies, agree in every part of the distribution.
    gaps = [np.percentile(np.diff(np.sort(run.samples["sent_s"])), [25, 50, 75]) for run in (one, four)]
    assert gaps[0] == pytest.approx(gaps[1], abs=0.004)
    assert four.percentile_ms(50).value == pytest.approx(one.percentile_ms(50).value, rel=0.3)


def test_more_workers_than_requests_is_fine():
    with FakeServer() as server:
        run = send(server, schedule([0.0]), workers=2)
    assert len(run.answered) == 1


def test_many_clients_at_once():
    with FakeServer(service_ms=50) as server:
        run = closed_loop(server, MODEL, clients=200, seconds=1, warmup_s=0, progress=False)
    assert run.valid, run.invalid
    assert max(sender["peak_in_flight"] for sender in run.settings["senders"]) == 200


def test_sizes_of_the_schedule_choose_the_bodies():
    inputs = [{"name": "ids", "datatype": "INT64", "shape": [-1, -1]}]
    sizes = np.array([4, 400, 4, 40] * 5)
    with FakeServer(inputs=inputs, service_ms=1) as server:
        run = send(server, schedule(np.arange(20) * 0.02, sizes=sizes, size_name="seq_len"))
        lengths = np.array(server.fetch("/arrivals")["lengths"])[1:]
    rows = run.samples.sort_values("intended_s")
    assert rows["seq_len"].tolist() == sizes.tolist()
    assert sorted(np.unique(lengths, return_counts=True)[1]) == [5, 5, 10]
    assert lengths.max() - lengths.min() == pytest.approx((400 - 4) * 8, abs=20)


def test_refusals_of_a_full_queue_are_samples():
    with FakeServer(service_ms=200, capacity=2) as server:
        run = send(server, schedule(np.linspace(0, 0.05, 6)))
    assert run.errors == {"503 Exceeds maximum queue size": 4}
    assert len(run.latencies_ms) == 2


def test_no_answer_at_all_is_not_valid():
    with FakeServer(fail_status=503, fail_text="busy") as server:
        run = send(server, schedule([0.0, 0.01]))
    assert not run.valid
    assert "503 busy" in run.invalid[0]
    assert not journal.load(run.run_id).valid


def test_a_wrong_request_is_refused_before_the_run():
    with (
        FakeServer(fail_status=400, fail_text="unexpected shape for input 'item'") as server,
        pytest.raises(LoadError, match=r"400.*unexpected shape for input 'item'"),
    ):
        send(server, schedule([0.0]))


def test_slow_answers_are_timeouts():
    with FakeServer(service_ms=300, devices=1) as server:
        run = send(server, schedule([0.0, 0.001, 0.002]), timeout_s=0.7)
    assert run.errors == {"timeout after 0.7 s": 1}


def test_a_run_ends_when_its_server_has_nothing_left_to_do():
    """Another run, or a reload, would begin in its backlog: Triton, too, answers those who hung up."""
    with FakeServer(service_ms=150, devices=1) as server:
        run = send(server, schedule(np.arange(12) * 0.01), timeout_s=0.5)
        inside = server.fetch("/arrivals")["inside"]
    assert run.errors["timeout after 0.5 s"] >= 7
    assert inside == 0


def test_the_wait_for_an_empty_queue_ends_without_an_answer():
    with FakeServer(service_ms=60_000) as server:
        plan = Plan("closed_loop", server.url, MODEL, (Body(b"{}"),))
        started = time.monotonic()
        settle(plan, 0.3)
    assert time.monotonic() - started < 30


def test_more_in_flight_than_connections_is_not_valid():
    with FakeServer(service_ms=300) as server:
        run = send(server, schedule(np.zeros(10)), max_connections=4)
    assert run.errors == {"not sent: 4 requests in flight": 6}
    assert any("raise max_connections" in reason for reason in run.invalid)


def test_a_late_sender_makes_the_run_not_valid():
    with FakeServer() as server:
        run = send(server, schedule(np.arange(20) * 0.01), max_lateness_ms=0.0)
    assert any("sender was late" in reason and "more workers" in reason for reason in run.invalid)
    assert journal.load(run.run_id).invalid == run.invalid


def test_a_server_gone_in_mid_run_ends_it_early_and_keeps_what_was_measured(tmp_path):
    with FakeServer() as server:
        once_sampled(tmp_path, server.kill)
        run = send(server, schedule(np.arange(3000) * 0.01))
    assert run.partial
    assert "server was gone" in run.invalid[0]
    assert len(run.latencies_ms) > 10
    assert len(run.samples) < 2000
    loaded = journal.load(run.run_id)
    assert loaded.partial
    assert loaded.invalid == run.invalid
    assert len(loaded.samples) == len(run.samples)


def test_an_interrupt_keeps_what_was_measured(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with FakeServer() as server:
        once_sampled(tmp_path, lambda: os.kill(os.getpid(), signal.SIGINT))
        run = send(server, schedule(np.arange(3000) * 0.01))
    assert run.partial
    assert run.valid, run.invalid
    assert 10 < len(run.samples) < 3000
    assert signal.getsignal(signal.SIGINT) is before


OWNER = """
import sys
sys.path.insert(0, {tests!r})
from test_load import *
with FakeServer() as server:
    print(server.url, flush=True)
    send(server, schedule(np.arange(3000) * 0.01))
"""


def test_a_killed_owner_leaves_no_sender_and_a_readable_run(tmp_path):
    script = OWNER.format(tests=str(Path(__file__).parent))
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        owner.stdout.readline()
        once_sampled(tmp_path, lambda: None).join()
        children = psutil.Process(owner.pid).children()
        assert len(children) == 2  # the server and the sender
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    (path,) = (tmp_path / "runs").glob("*.jsonl")
    kept = journal.load(path)
    assert kept.partial
    assert len(kept.samples) > 10


def test_closed_loop_clients_wait_for_their_answers():
    with FakeServer(service_ms=20) as server:
        run = closed_loop(server, MODEL, clients=4, seconds=1, warmup_s=0.2, progress=False)
        thinking = closed_loop(server, MODEL, clients=4, seconds=1, warmup_s=0, think_s=0.08, progress=False)
    assert run.kind == "closed_loop"
    assert (run.samples["intended_s"] == run.samples["sent_s"]).all()
    assert 80 < run.throughput_rps <= 4 / 0.020
    assert run.mean_in_flight <= 4.001
    # Little's law on the sender's own samples.
    assert run.throughput_rps * run.mean_latency_ms / 1000 == pytest.approx(run.mean_in_flight, rel=0.05)
    assert thinking.throughput_rps <= 4 / 0.100 + 4
    # The server's own account starts after the warm-up too.
    assert run.server.requests < len(run.samples)


def test_pace_shortens_a_run_and_is_told(monkeypatch):
    monkeypatch.setenv("BATCHLAB_PACE", "0.2")
    with FakeServer() as server:
        run = closed_loop(server, MODEL, seconds=2, warmup_s=0, progress=False)
        cut = send(server, schedule(np.arange(201) * 0.01))
    assert run.samples["sent_s"].max() < 0.5
    assert run.provenance.details["pace"] == "0.2"
    assert len(cut.samples) == 40
    assert cut.settings["arrivals"]["name"] == "clip"


def test_a_saved_run_knows_its_senders_and_what_the_caller_wanted_kept():
    with FakeServer() as server:
        run = send(server, schedule(np.arange(10) * 0.01), workers=2, settings={"knobs": {"max_batch_size": 8}})
        with pytest.raises(LoadError, match="settings must not hold rate_rps"):
            send(server, schedule([0.0]), settings={"rate_rps": 7})
    kept = journal.load(run.run_id).settings
    assert kept == run.settings
    assert kept["knobs"] == {"max_batch_size": 8}
    assert len(kept["senders"]) == 2
    assert all(report["cpu_share"] >= 0 for report in kept["senders"])


def test_a_run_says_how_to_make_its_schedule_again():
    arrivals = poisson(50, 0.5, seed=4)
    with FakeServer() as server:
        run = send(server, arrivals)
    again = Arrivals.from_dict(journal.load(run.run_id).settings["arrivals"])
    assert np.array_equal(again.times_s, arrivals.times_s)


def test_provenance_names_the_client_and_the_seed():
    with FakeServer() as server:
        provenance = send(server, schedule([0.0])).provenance
    assert isinstance(provenance, Provenance)
    assert provenance.seed == 3
    assert "locust" in provenance.details["client"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers must be 1 or more"),
        ({"workers": 1000}, "workers must be at most"),
        ({"timeout_s": 0}, "timeout_s must be positive"),
        ({"warmup_s": 99}, "warmup_s must lie in the 1 s"),
        ({"max_connections": 0}, "max_connections must be 1 or more"),
        ({"max_lateness_ms": -1}, "max_lateness_ms must not be negative"),
        ({"retries": 11}, "retries must lie in 0 to 10"),
        ({"backoff_ms": 0}, "backoff_ms must be positive"),
        ({"priority": 1.5}, "priority must be whole numbers"),
        ({"priority": -1}, "priority must be whole numbers"),
        ({"timeout_us": [5]}, "timeout_us must be one number, or one for each of the 2 requests"),
    ],
)
def test_bad_options_are_named(options, words):
    with FakeServer() as server, pytest.raises(LoadError, match=words):
        send(server, schedule([0.0, 1.0]), **options)


@pytest.mark.parametrize("options", [{"clients": 0}, {"seconds": 0}, {"think_s": -1}, {"warmup_s": -1}])
def test_bad_closed_loops_are_named(options):
    (name,) = options
    with FakeServer() as server, pytest.raises(LoadError, match=name):
        closed_loop(server, MODEL, progress=False, **options)


def test_an_empty_schedule_is_named():
    with FakeServer() as server, pytest.raises(LoadError, match="schedule is empty"):
        send(server, Arrivals([], 1.0))


def test_sizes_beyond_the_batch_are_named():
    with FakeServer() as server, pytest.raises(InputsError, match="takes 1 to 8"):
        send(server, schedule([0.0], sizes=np.array([9])))


def test_load_never_brings_locust_into_this_process():
    code = (
        "import sys, batchlab.load, gevent.monkey as m; "
        "assert 'locust' not in sys.modules; assert not m.is_module_patched('socket')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.server
def test_triton_s_own_counters_agree_with_the_client(tmp_path, monkeypatch):
    from batchlab import server as triton

    with triton.start(["null"]) as server:
        run = open_loop(server, "null", poisson(100, 2, seed=5), workers=2, max_lateness_ms=LOOSE_MS, progress=False)
        clients = closed_loop(server, "null", clients=2, seconds=1, warmup_s=0, progress=False)
        sizes = Arrivals([0.0, 0.1, 0.2], 0.3, sizes=[1, 128, 7], size_name="batch_size")
        mixed = open_loop(server, "null", sizes, max_lateness_ms=LOOSE_MS, progress=False)
        with pytest.raises(triton.ModelError, match="nosuch"):
            open_loop(server, "nosuch", poisson(100, 1, seed=5), progress=False)
    assert run.valid, run.invalid
    assert run.errors == clients.errors == {}
    assert run.server.requests == len(run.samples) == len(poisson(100, 2, seed=5))
    assert clients.server.requests == len(clients.samples)
    # What the client waits for holds what the server says it took.
    assert run.mean_latency_ms > run.server.server_ms
    assert mixed.server.batches == {1: 1, 7: 1, 128: 1}
    assert mixed.samples["batch_size"].sum() == mixed.server.inferences == 136
