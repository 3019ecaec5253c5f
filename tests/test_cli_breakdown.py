"""``batchlab breakdown``: the split for people and for scripts, the trace in Perfetto's format, bad input in a line."""

import json

import pytest
from typer.testing import CliRunner

from batchlab import perfetto, trace
from batchlab.cli import app

MODEL = "resnet50_a100"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.setenv("BATCHLAB_PROGRESS", "0")
    monkeypatch.setenv("COLUMNS", "200")


def run(triton, *arguments):
    triton.load_missing([MODEL])
    given = ["breakdown", MODEL, "--url", triton.url, "--rate", "20", "--seconds", "1", *map(str, arguments)]
    return CliRunner().invoke(app, given)


def test_the_table_names_the_largest_part_and_what_to_try(triton) -> None:
    done = run(triton)
    for word in ("client wait", "network and HTTP", "queue", "compute", "latency", "100 %", "Largest: ", "emulated"):
        assert word in done.stdout
    assert done.exit_code == 0


def test_json_adds_up(triton) -> None:
    told = json.loads(run(triton, "--json").stdout)
    assert sum(told["parts_ms"].values()) == pytest.approx(told["latency_ms"])
    assert told["largest"] in told["parts_ms"]
    assert told["provenance"]["tier"] == "emulated"


def test_a_trace_tells_http_from_network_and_opens_in_perfetto(triton, tmp_path) -> None:
    path = tmp_path / "trace.json"
    told = json.loads(run(triton, "--perfetto", path, "--json").stdout)
    assert {"network", "HTTP"} <= told["parts_ms"].keys()
    spans = perfetto.read(path)
    assert sum(span.name == "infer" for span in spans) >= told["requests"]
    assert trace.settings(triton)["trace_level"] == ["OFF"]


def test_the_split_is_drawn(triton, tmp_path) -> None:
    path = tmp_path / "split.svg"
    assert run(triton, "--out", path).exit_code == 0
    assert "emulated" in path.read_text() or path.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "split.txt"), "must end in .png"),
        (("--perfetto", "/no/such/folder/t.json"), "there is no folder"),
        (("--calls", "nobody"), "nobody"),
    ],
)
def test_bad_input_is_one_clear_error(triton, arguments, words) -> None:
    done = run(triton, *arguments)
    assert done.exit_code != 0
    assert words in done.output
    assert "Traceback" not in done.output
