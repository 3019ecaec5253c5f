"""The sending process by itself: its lines, its end, and Locust's own command on the same file."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_server import MODEL, FakeServer

from batchlab.plan import PLAN_VARIABLE, Body, Plan

pytestmark = pytest.mark.alone

# The command of this environment, which need not be on the PATH.
LOCUST = str(Path(sys.executable).with_name("locust"))

SENDER = Path(__file__).parent.parent / "batchlab" / "sender.py"
HEAD = json.dumps({"inputs": [{"name": "item", "shape": [1, 1], "datatype": "INT32", "data": [1]}]}).encode()


@pytest.fixture
def server():
    with FakeServer(service_ms=5) as fake:
        yield fake


@pytest.fixture
def plan_file(server, tmp_path):
    plan = Plan(
        kind="open_loop",
        url=server.url,
        model=MODEL,
        bodies=(Body(HEAD),),
        times_s=np.arange(40) * 0.02,
        choice=np.zeros(40, dtype=int),
    )
    plan.save(tmp_path / "plan.npz")
    return tmp_path / "plan.npz"


def started(path):
    process = subprocess.Popen(
        [sys.executable, "-m", "batchlab.sender", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert "ready" in json.loads(process.stdout.readline())
    return process


def test_it_waits_for_the_start_sends_the_plan_and_reports(server, plan_file):
    process = started(plan_file)
    assert server.fetch("/arrivals")["arrivals"] == []
    start = time.monotonic() + 0.3
    process.stdin.write(f"start {start}\n".encode())
    process.stdin.flush()
    messages = [json.loads(line) for line in process.stdout]
    assert process.wait(timeout=10) == 0
    rows = [row for message in messages[:-1] for row in message["samples"]]
    assert len(messages) > 3  # as it comes, not at the end
    assert np.allclose(sorted(row[0] for row in rows), np.arange(40) * 0.02)
    assert all(row[4] for row in rows)
    assert 0 < messages[-1]["done"]["cpu_share"] < 1
    seen = np.array(server.fetch("/arrivals")["arrivals"]) - start
    assert seen.min() >= 0
    # Send times on the sender's clock are confirmed by the server's.
    assert np.median(np.sort(seen) - np.sort([row[1] for row in rows])) < 0.02


def test_it_ends_when_its_owner_closes_the_pipe(plan_file):
    process = started(plan_file)
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_stop_ends_the_run_at_once(plan_file):
    process = started(plan_file)
    process.stdin.write(f"start {time.monotonic() + 100}\nstop\n".encode())
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["done"]["reason"] == "stopped"
    assert process.wait(timeout=10) == 0


def locust(arguments, plan_file, **options):
    environment = {**os.environ, PLAN_VARIABLE: str(plan_file)}
    return subprocess.Popen([LOCUST, "-f", str(SENDER), "--headless", *arguments], env=environment, **options)


def requests_counted(prefix):
    rows = json.loads(Path(f"{prefix}.json").read_text())
    return {row["name"]: (row["num_requests"], row["num_failures"]) for row in rows}


def test_locust_s_own_command_carries_out_the_plan(server, plan_file, tmp_path):
    process = locust(["-u", "1", "--json-file", str(tmp_path / "out")], plan_file, stderr=subprocess.PIPE)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log.decode()
    assert requests_counted(tmp_path / "out")[MODEL] == (40, 0)
    assert len(server.fetch("/arrivals")["arrivals"]) == 40


def test_locust_s_master_deals_the_plan_to_its_workers(server, plan_file, tmp_path, free_port):
    ends = ["--master-port", str(free_port)]
    log = (tmp_path / "log").open("wb")
    arguments = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(free_port)]
    arguments += ["--expect-workers", "2", "-u", "2", "-r", "2", "-t", "6s", "--json-file", str(tmp_path / "out")]
    master = locust(arguments, plan_file, stderr=log)
    workers = [locust(["--worker", "--master-host", "127.0.0.1", *ends], plan_file, stderr=log) for _ in range(2)]
    try:
        assert master.wait(timeout=90) == 0, (tmp_path / "log").read_text()
    finally:
        for process in (master, *workers):
            process.kill()
            process.wait()
        log.close()
    assert requests_counted(tmp_path / "out")[MODEL] == (40, 0)
    gaps = np.diff(np.sort(server.fetch("/arrivals")["arrivals"]))
    assert np.median(gaps) == pytest.approx(0.02, abs=0.005)


def test_locust_s_command_without_a_plan_says_what_to_set():
    environment = {name: value for name, value in os.environ.items() if name != PLAN_VARIABLE}
    done = subprocess.run(
        [LOCUST, "-f", str(SENDER), "--headless"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert f"Set {PLAN_VARIABLE} to a plan file" in done.stderr


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
