"""Sending through other tools: targets, bodies, refusals, bounded runs, the table."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from batchlab import arrivals, external, loadtools
from batchlab.arrivals import Sizes
from batchlab.external import ExternalError, Target
from batchlab.provenance import Provenance

HERE = Provenance("simulated", "m", "none")
URL = "http://127.0.0.1:9/v2/models/m/infer"


def test_json_bodies_are_kserve_requests() -> None:
    inputs = {
        "item": np.array([[1], [2]], dtype=np.int32),
        "x": np.array([0.5], dtype=np.float32),
        "flag": np.array([True]),
        "text": np.array([["a\tb", "é"]], dtype=object),
    }
    body = json.loads(external.json_body(inputs))
    assert body["inputs"][0] == {"name": "item", "shape": [2, 1], "datatype": "INT32", "data": [1, 2]}
    assert [tensor["datatype"] for tensor in body["inputs"]] == ["INT32", "FP32", "BOOL", "BYTES"]
    assert body["inputs"][3]["data"] == ["a\tb", "é"]
    assert b"\n" not in external.json_body(inputs)
    assert b"\t" not in external.json_body(inputs)
    assert json.loads(external.json_body({"b": np.array([b"x"], dtype=object)}))["inputs"][0]["data"] == ["x"]


def test_a_type_that_json_does_not_carry_is_refused() -> None:
    with pytest.raises(ExternalError, match="'x' has type complex128"):
        external.json_body({"x": np.zeros(1, dtype=complex)})


def test_an_inference_target_names_the_model() -> None:
    target = Target.infer("127.0.0.1:8000", "resnet50", {"item": np.zeros((1, 1), np.int32)})
    assert target.url == "http://127.0.0.1:8000/v2/models/resnet50/infer"
    assert target.headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize("url", ["http://example.org/x", "https://127.0.0.1/x", "127.0.0.1:8000"])
def test_load_stays_on_this_machine(url: str) -> None:
    with pytest.raises(ExternalError, match=r"127\.0\.0\.1 only"):
        Target(url, b"{}")


def test_bodies_follow_the_sizes() -> None:
    made = arrivals.constant(10, 0.4).with_sizes(Sizes.given([1, 8, 3]))
    target = Target(URL, b"other", bodies={1: b"one", 8: b"eight"})
    assert target.sequence(made) == [b"one", b"eight", b"other", b"one"]
    assert Target(URL, b"all").sequence(made) == [b"all"] * 4


@pytest.mark.parametrize("tool", loadtools.tools(), ids=lambda tool: tool.name)
def test_a_missing_tool_says_what_to_install(tool: external.Tool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExternalError, match=f"^{tool.name} is not installed: (apt-get install|get a release)"):
        external.send(tool, arrivals.constant(10, 1), Target(URL, b"{}"), provenance=HERE)


def test_nothing_to_send_is_refused(monkeypatch) -> None:
    tool = loadtools.Hey()
    monkeypatch.setattr(tool, "missing", lambda: False)
    empty = arrivals.constant(10, 1).clip(0.01, 0.02)
    for made, clients in ((empty, 1), (arrivals.constant(10, 1), 0)):
        with pytest.raises(ExternalError, match="at least one request"):
            external.send(tool, made, Target(URL, b"{}"), provenance=HERE, clients=clients)


def test_a_command_that_fails_or_hangs_says_so(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "import sys; print('no such option', file=sys.stderr); sys.exit(3)"]
    with pytest.raises(ExternalError, match="failed with status 3: no such option"):
        external.execute(failing, tmp_path, 30)
    with pytest.raises(ExternalError, match="ran past 1 s and was ended"):
        external.execute([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, 1)


def test_a_tools_own_summary() -> None:
    told = external.reported(np.arange(1.0, 101.0), errors=5, seconds=10.0)
    assert told["requests"] == 105
    assert told["throughput_rps"] == 10
    assert (told["p50_ms"], told["p99_ms"], told["max_ms"]) == (50, 99, 100)
    assert np.isnan(external.reported(np.array([]), errors=2, seconds=1.0)["p99_ms"])


def test_the_table_has_a_reason_and_a_source_for_each_tool() -> None:
    table = external.what_each_hides(loadtools.tools())
    assert table.index.tolist() == ["hey", "wrk", "vegeta", "jmeter"]
    assert (table.map(len) > 3).all(axis=None)
