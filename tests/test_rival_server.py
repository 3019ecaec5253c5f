"""Each other server, really started: it answers, batches, takes its knobs, and goes with its owner."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from remains import group, until
from typer.testing import CliRunner

from batchlab import profiles, rival_adapters, rival_server
from batchlab.cli import app
from batchlab.embedded import start_ticks
from batchlab.launch import StartError
from batchlab.rival_server import Batching

PROFILE = profiles.synthetic_profile(20, 1, 8)
NAMES = [adapter.name for adapter in rival_adapters.ADAPTERS]


pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _apart(home, monkeypatch):
    """Give each test a temporary folder of its own: others start servers at the same time. Its path must stay short."""
    monkeypatch.setenv("BATCHLAB_PROGRESS", "0")
    monkeypatch.setenv("COLUMNS", "200")
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield


def folders():
    return set(Path(tempfile.gettempdir()).glob(f"{rival_server.PREFIX}*"))


@pytest.mark.parametrize("name", NAMES)
def test_a_server_answers_in_batches_speaks_to_the_command_line_and_leaves_nothing(name):
    before = folders()
    with rival_server.start(name, PROFILE, batching=Batching(max_batch_size=4, max_wait_ms=20), device="d") as rival:
        port = int(rival.url.rpartition(":")[2])
        alone = json.loads(rival.ask(rival.model))
        assert alone == {"batch_size": 1, "device_ms": 21.0}
        with ThreadPoolExecutor(12) as crowd:
            answers = [json.loads(text) for text in crowd.map(rival.ask, [rival.model] * 24)]
        assert 1 < max(answer["batch_size"] for answer in answers) <= 4
        assert sum(size * count for size, count in rival.batches().items()) >= 25
        assert max(rival.batches()) <= 4
        asked = ["load", rival.model, "--protocol", name, "--url", rival.url, "--tier", "emulated"]
        done = CliRunner().invoke(app, [*asked, "--rate", "20", "--seconds", "1", "--timeout", "5", "--json"])
        told = json.loads(done.stdout)
        assert told["errors"] == 0
        assert told["requests"] > 0
        assert told["p50_ms"] >= 21
        assert told["lateness_p99_ms"] >= 0
        assert told["provenance"]["details"]["protocol"] == name
        assert rival.name == f"{rival_adapters.named(name).title} {rival_adapters.named(name).version}"
        leader = rival.pid
        assert len(group(leader)) >= 2
    assert group(leader) == []
    assert folders() <= before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("name", ["mosec", "torchserve"])
def test_a_killed_owner_takes_its_server_along(name):
    script = Path(__file__).with_name("rival_owner.py")
    owner = subprocess.Popen(
        [sys.executable, str(script), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    about = json.loads(owner.stdout.readline())
    assert start_ticks(about["pid"])
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert until(lambda: not group(about["pid"]), seconds=15)
    assert until(lambda: not Path(about["folder"]).exists())


def test_without_java_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    before = folders()
    with pytest.raises(StartError, match=r"TorchServe runs on Java.*openjdk-17-jre-headless"):
        rival_server.start("torchserve", PROFILE)
    assert folders() == before


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(rival_adapters.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StartError, match=r"mosec is not installed\. Run 'make setup'"):
        rival_server.start("mosec", PROFILE)


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} cannot be had"):
            rival_server.start("mosec", PROFILE, port=port)


def test_an_unknown_server_is_named_with_those_that_there_are():
    with pytest.raises(StartError, match="No server is called 'bento' here; there are torchserve, litserve, mosec"):
        rival_server.start("bento", PROFILE)


def test_a_server_that_ends_while_starting_tells_its_last_lines(monkeypatch):
    def broken(folder, settings, environment):
        return [sys.executable, "-c", "import sys; sys.exit('no luck today')"]

    adapter = rival_adapters.Adapter("mosec", "mosec", "mosec", "mosec", 1, broken)
    monkeypatch.setattr(rival_adapters, "ADAPTERS", (adapter,))
    before = folders()
    with pytest.raises(StartError, match=r"(?s)ended with exit code 1 while starting.*no luck today"):
        rival_server.start("mosec", PROFILE)
    assert folders() <= before


def test_a_server_that_never_answers_is_ended(monkeypatch):
    def silent(folder, settings, environment):
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    adapter = rival_adapters.Adapter("mosec", "mosec", "mosec", "mosec", 1, silent)
    monkeypatch.setattr(rival_adapters, "ADAPTERS", (adapter,))
    with pytest.raises(StartError, match=r"not ready within 1 s and was ended"):
        rival_server.start("mosec", PROFILE, timeout_s=1.0)


def test_what_a_killed_supervisor_left_is_swept():
    tmp_path = Path(tempfile.gettempdir())
    left = tmp_path / f"{rival_server.PREFIX}left"
    left.mkdir()
    dead = {"owner": 1, "owner_ticks": 0, "supervisor": 2**22 - 1, "supervisor_ticks": 5, "pipe": 0, "prefix": "x-"}
    (left / "server.json").write_text(json.dumps({"folder": str(left), "options": {}, "ports": [1, 0, 0], **dead}))
    fresh = tmp_path / f"{rival_server.PREFIX}fresh"
    fresh.mkdir()
    rival_server._sweep()
    assert not left.exists()
    assert fresh.exists()
    assert left.parent.stat().st_uid == os.getuid()


@pytest.mark.parametrize(("values", "words"), [({"max_wait_ms": 0}, "max_wait_ms must"), ({"workers": 1.5}, "workers")])
def test_knobs_out_of_range_are_refused(values, words):
    with pytest.raises(StartError, match=words):
        Batching(**values)
