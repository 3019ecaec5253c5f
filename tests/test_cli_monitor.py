"""``batchlab monitor``: a table for people, lines for pipes, JSON for scripts, and a clean end."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from metrics_server import MetricsServer, exposition
from typer.testing import CliRunner

from batchlab import server
from batchlab.cli import app


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def fake() -> Iterator[MetricsServer]:
    with MetricsServer(exposition("a", requests=5) + exposition("b", pending=3)) as serving:
        yield serving


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["monitor", *words])


def test_once_prints_each_model_and_leaves(fake: MetricsServer) -> None:
    done = run("--metrics-url", fake.url, "--interval-s", "0.1", "--once")
    assert done.exit_code == 0, done.output
    a, b = done.stdout.splitlines()
    assert " a (-): requests/s 0.0, batches/s 0.0, mean batch -, queue ms -" in a
    assert "pending 3" in b


def test_json_is_one_object_a_look(fake: MetricsServer) -> None:
    done = run("--metrics-url", fake.url, "--interval-s", "0.1", "--model", "b", "--slo-ms", "50", "--once", "--json")
    told = json.loads(done.stdout)
    assert (told["state"], told["note"], told["metrics"]) == ("ok", "", fake.url)
    assert [(each["model"], each["pending"], each["over_slo"]) for each in told["models"]] == [("b", 3, [])]


def test_once_without_anything_to_see_is_a_failure(fake: MetricsServer) -> None:
    done = run("--metrics-url", fake.url, "--interval-s", "0.1", "--model", "nobody", "--once")
    assert done.exit_code == 1
    assert "No metrics of nobody; there are: a, b." in done.stdout
    fake.stop()
    done = run("--metrics-url", fake.url, "--once")
    assert done.exit_code == 1
    assert f"No Triton answers at {fake.url}" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no embedded server runs here"),
        (["--url", "ftp://x"], "is not a server's address"),
        (["--interval-s", "0"], "--interval-s"),
        (["--slo-ms", "0"], "--slo-ms"),
    ],
)
def test_bad_input_is_told(words: list[str], said: str) -> None:
    failed = run(*words)
    assert failed.exit_code == 2
    assert said in " ".join(failed.stderr.replace("│", " ").split())


def watching(*words: str, terminal: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "batchlab", "monitor", *words],
        stdin=terminal,
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_a_server_that_goes_and_comes_back_does_not_end_it_but_ctrl_c_does(fake: MetricsServer) -> None:
    process = watching("--metrics-url", fake.url, "--interval-s", "0.1", "--json")
    assert process.stdout is not None

    def until(state: str) -> None:
        for line in process.stdout or ():
            if json.loads(line)["state"] == state:
                return
        raise AssertionError(process.communicate()[1])

    until("ok")
    fake.stop()
    until("gone")
    with MetricsServer(exposition("a"), fake.port):
        until("ok")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


def test_a_pipe_that_closes_ends_it_quietly(fake: MetricsServer) -> None:
    process = watching("--metrics-url", fake.url, "--interval-s", "0.1")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_in_a_terminal_it_is_a_table_that_marks_what_is_over_the_slo(fake: MetricsServer) -> None:
    ours, theirs = pty.openpty()
    process = watching("--metrics-url", fake.url, "--interval-s", "0.1", "--slo-ms", "50", terminal=theirs)
    os.close(theirs)
    shown, deadline = "", time.monotonic() + 30
    while "in server ms" not in shown or "mean batch" not in shown or "pending" not in shown:
        assert time.monotonic() < deadline
        shown += os.read(ours, 65536).decode(errors="replace")
    assert "SLO 50 ms" in shown
    process.send_signal(signal.SIGINT)
    try:
        while more := os.read(ours, 65536).decode(errors="replace"):
            shown += more
    except OSError:  # Linux' way to say that the other side of a terminal is closed
        pass
    os.close(ours)
    assert process.wait(timeout=20) == 0
    assert "Ended." in shown
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


@pytest.mark.server
def test_without_a_url_it_finds_the_embedded_server_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with server.start(["null"], reuse=False) as triton:
        done = run("--interval-s", "0.2", "--once", "--json")
        told = json.loads(done.stdout)
        assert told["metrics"] == triton.metrics_url
        assert [(each["model"], each["tier"]) for each in told["models"]] == [("null", "cpu")]
        named = json.loads(run("--url", triton.url, "--metrics-url", triton.metrics_url, "--once", "--json").stdout)
        assert [each["tier"] for each in named["models"]] == ["cpu"]
        with server.start(["null"], reuse=False):
            failed = run("--once")
        assert failed.exit_code == 2
        assert "several servers run here" in " ".join(failed.stderr.replace("│", " ").split())
        monkeypatch.setenv("BATCHLAB_METRICS_URL", triton.metrics_url)
        assert run("--interval-s", "0.2", "--once").exit_code == 0
