"""Files and commands of other servers, without starting any."""

import json

import pytest

from batchlab import rival_adapters
from batchlab.rival_adapters import AdapterError

SETTINGS = {"ports": [1, 2, 3, 4, 5], "workers": 2, "model": "m", "max_batch_size": 8, "max_wait_ms": 5, "queue": 90}


def test_torchserve_s_file_has_the_knobs_and_stays_on_this_machine():
    text = rival_adapters.torchserve_properties(SETTINGS)
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["inference_address"] == "http://127.0.0.1:1"
    assert lines["management_address"] == "http://127.0.0.1:2"
    assert lines["metrics_address"] == "http://127.0.0.1:3"
    assert (lines["grpc_inference_port"], lines["grpc_management_port"]) == ("4", "5")
    assert lines["job_queue_size"] == "90"
    model = json.loads(lines["models"])["m"]["1.0"]
    assert (model["batchSize"], model["maxBatchDelay"]) == (8, 5)
    assert (model["minWorkers"], model["maxWorkers"]) == (2, 2)


def test_mosec_s_command_has_address_port_and_queue(tmp_path):
    command = rival_adapters.named("mosec").command(tmp_path, SETTINGS, {})
    assert " ".join(command).endswith(
        f"--address 127.0.0.1 --port 1 --path {tmp_path / 'ipc'} --log-level warning --capacity 90 --timeout 30000"
    )


def test_a_failing_archiver_is_told(tmp_path, monkeypatch):
    settings = {**SETTINGS, "model": "no/such/place"}
    with pytest.raises(AdapterError, match="torch-model-archiver failed"):
        rival_adapters.named("torchserve").command(tmp_path, settings, {})


def test_every_adapter_says_which_version_is_installed():
    assert all(adapter.version for adapter in rival_adapters.ADAPTERS)
    assert rival_adapters.Adapter("x", "X", "no-such-package", "x", 1, lambda *_: []).version == ""
