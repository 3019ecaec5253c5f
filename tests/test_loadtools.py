"""The tools themselves, run for real on a small server where they are installed, and their files read back."""

import contextlib
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from batchlab import arrivals, external, loadtools
from batchlab.arrivals import Arrivals, Sizes
from batchlab.external import ExternalError, Plan, Report, Target
from batchlab.provenance import Provenance
from batchlab.server import Server

pytestmark = pytest.mark.alone

HERE = Provenance("simulated", "m", "none")
SERVICE_S = 0.004


class Counter(ThreadingHTTPServer):
    """Answers every POST after `SERVICE_S`, remembers bodies and headers; the body decides the status."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[float, bytes, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v2/models/m/infer"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counter

    def do_POST(self) -> None:
        moment = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((moment, body, self.headers.get("Content-Type", "")))
        time.sleep(SERVICE_S)
        answer = b"{}"
        self.send_response(503 if b"refuse" in body else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def counter() -> Iterator[Counter]:
    server = Counter()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def needed(tool: external.Tool) -> external.Tool:
    """Return an installed tool; outside CI a missing one skips the test, inside it fails."""
    if tool.missing():
        pytest.skip(f"{tool.name} is not installed: {tool.install}")
    return tool


def traffic() -> Arrivals:
    return arrivals.poisson(60, 2, seed=4)


def check_numbers(report: Report, requests: int) -> None:
    assert report.reported["requests"] == requests
    assert report.reported["errors"] == 0
    # Nothing is faster than the server, and the numbers are milliseconds.
    assert 1000 * SERVICE_S * 0.9 < report.reported["p50_ms"] <= report.reported["p99_ms"] <= 2000
    assert report.reported["p99_ms"] <= report.reported["max_ms"] + 0.1


# ---- hey


def test_hey_sends_the_mean_rate(counter: Counter) -> None:
    made = traffic()
    report = external.send(needed(loadtools.Hey()), made, Target(counter.url, b'{"a": 1}'), provenance=HERE, clients=6)
    sent = len(made) // 6 * 6
    assert len(counter.seen) == sent
    assert {body for _, body, _ in counter.seen} == {b'{"a": 1}'}
    assert {kind for _, _, kind in counter.seen} == {"application/json"}
    check_numbers(report, sent)
    run = report.run
    assert run is not None
    assert run.kind == "closed_loop"
    assert run.valid
    assert (run.lateness_ms == 0).all()  # hey has no intended time
    assert run.offered_rps == pytest.approx(made.rate_rps, rel=0.5)


def test_heys_failures(counter: Counter) -> None:
    refused = external.send(
        needed(loadtools.Hey()), traffic(), Target(counter.url, b"refuse"), provenance=HERE, clients=2
    )
    assert refused.run is not None
    assert refused.run.errors == {"HTTP 503": len(refused.run.samples)}
    assert refused.reported["errors"] == len(refused.run.samples)
    counter.server_close()  # nobody listens: hey leaves such requests out of its CSV
    dead = Target("http://127.0.0.1:9/x", b"{}")
    gone = external.send(loadtools.Hey(), arrivals.constant(20, 0.5), dead, provenance=HERE, clients=1)
    assert gone.run is not None
    assert not gone.run.valid
    assert gone.reported["errors"] == 10


def test_hey_has_one_body_only() -> None:
    made = traffic().with_sizes(Sizes.choice([1, 2]))
    plan = Plan(made, Target("http://127.0.0.1:9/x", b"", bodies={1: b"a"}), HERE, 2, 1.0)
    with pytest.raises(ExternalError, match="one body only"):
        loadtools.Hey().prepare(Path(), plan)


# ---- wrk


def test_wrk_follows_the_schedule(counter: Counter) -> None:
    made = traffic().with_sizes(Sizes.given([1, 2, 3]))
    target = Target(
        counter.url, b"", {"Content-Type": "text/plain"}, {size: bytes([64 + size, 0]) for size in (1, 2, 3)}
    )
    report = external.send(needed(loadtools.Wrk()), made, target, provenance=HERE, clients=30)
    check_numbers(report, len(made))
    assert report.run is None
    seen = sorted(counter.seen)
    assert len(seen) == len(made)
    moments = np.array([moment for moment, _, _ in seen])
    # The same pattern, not merely the same rate: an evenly spaced schedule would differ by tens of milliseconds.
    errors = np.abs((moments - moments[0]) - (made.times_s - made.times_s[0]))
    assert np.median(errors) < 0.02
    assert sorted(body for _, body, _ in seen) == sorted(target.sequence(made))
    assert {kind for _, _, kind in seen} == {"text/plain"}
    assert "sent late by" in report.notes[-1]


def test_wrk_counts_refusals(counter: Counter) -> None:
    report = external.send(needed(loadtools.Wrk()), traffic(), Target(counter.url, b"refuse"), provenance=HERE)
    assert report.reported["errors"] == len(counter.seen) == len(traffic())
    assert report.reported["throughput_rps"] == 0


def test_wrk_without_its_report_is_an_error(tmp_path: Path) -> None:
    plan = Plan(traffic(), Target("http://127.0.0.1:9/x", b""), HERE, 2, 1.0)
    with pytest.raises(ExternalError, match="wrk did not report: Running"):
        loadtools.Wrk().read(tmp_path, plan, "Running 2s test")


# ---- JMeter

JTL = """timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,bytes,grpThreads,allThreads,\
Latency,"start_ms","due_ms"
998000,900,infer,200,OK,senders 1-1,,true,113,2,2,900,1000000,-2000
1000103,7,infer,200,OK,senders 1-1,,true,113,2,2,7,1000000,100
1000250,50,infer,200,OK,senders 1-2,,true,113,2,2,50,1000000,200
1000400,9,infer,503,Service Unavailable,senders 1-1,,false,113,2,2,9,1000000,400
"""


def test_jmeters_log_counts_from_the_due_time(tmp_path: Path) -> None:
    (tmp_path / "result.csv").write_text(JTL)
    made = Arrivals(np.array([0.1, 0.2, 0.4]), 0.5)
    report = loadtools.JMeter().read(tmp_path, Plan(made, Target("http://127.0.0.1:9/x", b""), HERE, 2, 1.0), "")
    run = report.run
    assert run is not None
    assert run.valid
    assert run.latencies_ms == pytest.approx([10, 100])  # sent 3 and 50 ms late
    assert report.reported["max_ms"] == 50  # JMeter's own clock leaves the lateness out
    assert run.errors == {"503 Service Unavailable": 1}
    (tmp_path / "result.csv").write_text("\n".join(JTL.splitlines()[:3]) + "\n")
    short = loadtools.JMeter().read(tmp_path, Plan(made, Target("http://127.0.0.1:9/x", b""), HERE, 2, 1.0), "").run
    assert short is not None
    assert short.invalid == ["JMeter logged 1 of 3 requests."]


def test_jmeters_plan_is_filled_in(tmp_path: Path) -> None:
    made = Arrivals(np.array([0.0, 0.25]), 0.5, sizes=np.array([1, 2]))
    target = Target("http://127.0.0.1:8123/v2/a&b", b"w", {"X-A": "<1>"}, {1: b'{"a": "${b}"}', 2: b"two"})
    command = loadtools.JMeter().prepare(tmp_path, Plan(made, target, HERE, 2, 1.5))
    assert (tmp_path / "schedule.csv").read_text() == '-2000\tw\n-2000\tw\n0\t{"a": "${b}"}\n250\ttwo\n'
    plan = (tmp_path / "plan.jmx").read_text()
    assert "@" not in plan
    for part in ("8123", "/v2/a&amp;b", "&lt;1&gt;", ">1500<", ">2</stringProp>"):
        assert part in plan
    assert "-Jsample_variables=start_ms,due_ms" in command
    for body in (b"a\tb", b"a\nb", b"\xff"):
        with pytest.raises(ExternalError, match="one line of text"):
            loadtools.JMeter().prepare(tmp_path, Plan(made, Target(target.url, body), HERE, 2, 1.5))


def test_jmeter_without_results_is_an_error(tmp_path: Path) -> None:
    plan = Plan(traffic(), Target("http://127.0.0.1:9/x", b""), HERE, 2, 1.0)
    with pytest.raises(ExternalError, match="wrote no results: Error in NonGUIDriver"):
        loadtools.JMeter().read(tmp_path, plan, "Error in NonGUIDriver")


def test_jmeter_follows_the_schedule_where_it_is_installed(counter: Counter) -> None:
    tool, made = loadtools.JMeter(), traffic()
    if tool.missing():
        with pytest.raises(ExternalError, match="apt-get install"):
            external.send(tool, made, Target(counter.url, b'{"a": 1}'), provenance=HERE)
        return
    report = external.send(tool, made, Target(counter.url, b'{"a": 1}'), provenance=HERE, clients=10)
    check_numbers(report, len(made))
    assert len(counter.seen) == len(made) + 10  # one to warm up each thread
    run = report.run
    assert run is not None
    assert run.valid
    assert run.samples["intended_s"].sort_values().to_numpy() == pytest.approx(made.times_s, abs=0.0005)
    assert np.median(run.lateness_ms) < 100


# ---- vegeta, which Debian does not have: a stand-in speaks its documented formats

STAND_IN = """#!{python}
import base64, json, sys
options = dict(part.lstrip("-").split("=", 1) for part in sys.argv[2:] if "=" in part)
if sys.argv[1] == "attack":
    json.dump(options, open({log!r}, "w"))
    targets = [json.loads(line) for line in open(options["targets"])]
    number, every = options["rate"].split("/")
    assert every == options["duration"] and every.endswith("us"), options
    gap = int(every[:-2]) * 1000 // int(number)
    with open(options["output"], "w") as file:
        for i in reversed(range(int(number))):
            target = targets[i % len(targets)]
            body = base64.b64decode(target["body"])
            code, error = (503, "503 Service Unavailable") if b"refuse" in body else (200, "")
            moment = 1_700_000_000_000_000_000 + i * gap + (3_000_000 if i == 1 else 0)
            row = [moment, code, 5_000_000, 0, 2, error, "", "", i, target["method"], target["url"], ""]
            print(*row, sep=",", file=file)
else:
    print(open(sys.argv[3]).read(), end="")
"""


@pytest.fixture
def vegeta(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    program, log = folder / "vegeta", tmp_path / "options.json"
    program.write_text(STAND_IN.format(python=sys.executable, log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


def test_vegeta_is_given_targets_and_a_constant_rate(vegeta: Path) -> None:
    made = arrivals.constant(10, 2).with_sizes(Sizes.given([1, 2]))
    target = Target("http://127.0.0.1:9/x", b"", bodies={1: b"fine", 2: b"refuse"})
    report = external.send(loadtools.Vegeta(), made, target, provenance=HERE, clients=7, timeout_s=1.5)
    options = json.loads(vegeta.read_text())
    assert options["format"] == "json"
    assert (options["rate"], options["duration"], options["timeout"]) == ("20/2000000us", "2000000us", "1.5s")
    assert options["max-workers"] == "7"
    run = report.run
    assert run is not None
    assert run.kind == "open_loop"
    assert run.errors == {"503 Service Unavailable": 10}
    assert run.latencies_ms == pytest.approx(np.full(10, 5.0), abs=1e-3)
    assert run.lateness_ms.max() == pytest.approx(3.0, abs=1e-3)
    assert (report.reported["requests"], report.reported["errors"], report.reported["p99_ms"]) == (20, 10, 5.0)


# ---- the real server


@pytest.mark.server
def test_hey_and_wrk_on_a_real_triton(triton: Server) -> None:
    triton.load("null")
    try:
        target = Target.infer(triton.url, "null", {"item": np.array([[7]], dtype=np.int32)})
        origin = triton.provenance("null", seed=4)
        for tool in (loadtools.Hey(), loadtools.Wrk()):
            before = triton.statistics("null")
            report = external.send(needed(tool), traffic(), target, provenance=origin, clients=4)
            served = (triton.statistics("null") - before).inferences
            assert report.reported["errors"] == 0
            assert report.reported["requests"] == served > 0
    finally:
        triton.unload("null")
