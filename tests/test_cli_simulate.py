"""``batchlab simulate``: the twin's numbers, several values, files, exit status, one line for each bad input."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from batchlab import arrivals, twin
from batchlab.cli import app
from batchlab.service import Calibration, Overheads, ServiceTime
from batchlab.simulate import simulate


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments):
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


def rows(*arguments):
    done = run(*arguments, "--json")
    told = json.loads(done.stdout)
    assert told["tier"] == "simulated"
    return told["rows"]


FORMULA = ("--service", "10+1*b", "--seconds", 20)


def test_the_numbers_are_the_twin_s() -> None:
    (row,) = rows(*FORMULA, "--rate", 500, "--wait-ms", 5, "--max-batch", 16, "--seed", 3)
    service = ServiceTime.from_function(lambda b: 10 + b, range(1, 17))
    oracle = simulate(twin.model(service, max_batch_size=16, max_delay_ms=5), arrivals.poisson(500, 20, seed=3), seed=3)
    assert row["p99_ms"] == pytest.approx(oracle.percentile_ms(99).value)
    assert row["throughput_rps"] == pytest.approx(oracle.throughput_rps)
    assert row["batches"] == {str(size): count for size, count in oracle.server.batches.items()}
    assert sum(row["reasons"].values()) == oracle.server.executions
    assert row["provenance"]["tier"] == "simulated"
    assert row["unstable"] == ""


def test_the_table_is_load_s_with_the_batches_below() -> None:
    done = run(*FORMULA, "--rate", 300, "--slo-p99-ms", 100)
    assert done.exit_code == 0, done.output
    for word in ("poisson: ", "offered", "throughput", "goodput", "P99", "mean batch", "PASS", "simulated: no server"):
        assert word in done.stdout
    assert "Batches, by size" in done.stdout
    assert "Why they left: no wait" in done.stdout
    assert "lateness" not in done.stdout


def test_several_values_are_one_row_each(tmp_path) -> None:
    knobs = ("--max-batch", "8,32", "--wait-ms", "0,5", "--rate", "300,400")
    told = rows(*FORMULA, *knobs, "--csv", tmp_path / "t.csv")
    cells = [(row["max_batch"], row["wait_ms"], row["rate_rps"]) for row in told]
    assert cells == [(b, w, r) for b in (8, 32) for w in (0, 5) for r in (300, 400)]
    with (tmp_path / "t.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [float(row["p99_ms"]) for row in written] == pytest.approx([row["p99_ms"] for row in told])
    shown = run(*FORMULA, *knobs, "--slo-p99-ms", 60).stdout
    assert sum(word in line for line in shown.splitlines() for word in ("PASS", "FAIL", "NEED MORE")) == 8


def test_instances_and_queue_limits_are_knobs_too() -> None:
    told = rows(*FORMULA, "--rate", 1200, "--instances", "1,2", "--max-queue", "0,20", "--apart")
    assert [(row["instances"], row["max_queue"]) for row in told] == [(1, 0), (1, 20), (2, 0), (2, 20)]
    assert told[1]["errors"] > 0
    assert told[0]["p99_ms"] > 10 * told[2]["p99_ms"]
    assert [bool(row["unstable"]) for row in told] == [True, True, False, False]


def test_unstable_is_said_plainly_and_is_status_1() -> None:
    done = run(*FORMULA, "--rate", 2000)
    assert done.exit_code == 1
    assert "UNSTABLE: 200" in done.stdout
    assert "can be carried" in done.stdout
    both = run(*FORMULA, "--rate", "100,2000")
    assert both.exit_code == 0
    assert both.stdout.count("UNSTABLE") == 1


def test_a_broken_slo_is_status_1() -> None:
    assert run(*FORMULA, "--rate", 600, "--slo-p99-ms", 12).exit_code == 1


@pytest.mark.parametrize("traffic", ["constant", "gamma", "on-off", "spike", "ramp", "diurnal"])
def test_every_traffic_of_load(traffic: str) -> None:
    (row,) = rows(*FORMULA, "--rate", 100, "--traffic", traffic)
    assert row["requests"] > 300


def test_bursts_are_worse() -> None:
    calm, bursty = (
        rows(*FORMULA, "--rate", 500, "--traffic", "gamma", "--burstiness", value)[0]["p99_ms"] for value in (0.25, 16)
    )
    assert bursty > 1.5 * calm


def test_a_trace_is_replayed(tmp_path) -> None:
    path = arrivals.poisson(200, 5, seed=1).save(tmp_path / "trace.csv")
    (row,) = rows("--service", "10", "--trace", path)
    assert row["requests"] == len(arrivals.poisson(200, 5, seed=1))


def test_a_profile_and_a_calibration(tmp_path) -> None:
    (row,) = rows("--profile", "rn50-amp-t4-eager", "--rate", 300, "--seconds", 5)
    assert row["model"] == "rn50-amp-t4-eager"
    service = ServiceTime(np.array([1, 32]), np.array([5.0, 20.0]), 0.0, "measured")
    saved = Calibration("mine", service, Overheads(send_ms=1, answer_ms=2))
    (tmp_path / "c.json").write_text(json.dumps(saved.to_dict()))
    (row,) = rows("--calibration", tmp_path / "c.json", "--rate", 10, "--seconds", 5)
    assert row["model"] == "mine"
    assert row["p50_ms"] == pytest.approx(5 + 1 + 2, abs=0.01)
    (row,) = rows("--calibration", tmp_path / "c.json", "--rate", 10, "--seconds", 5, "--dispatch-ms", 4)
    assert row["p50_ms"] == pytest.approx(5 + 1 + 2 + 4, abs=0.01)
    (row,) = rows("--calibration", tmp_path / "c.json", "--rate", 10, "--seconds", 5, "--transport-ms", 0)
    assert row["p50_ms"] == pytest.approx(5, abs=0.01)
    done = run("--calibration", tmp_path / "c.json", "--apart")
    assert done.exit_code == 2
    assert "says itself" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Say once what a batch costs"),
        (["--service", "10+q"], "The formula '10+q'"),
        (["--service", "20-b"], "must be above 0"),
        (["--profile", "none"], "No profile 'none'"),
        (["--calibration", "none.json"], "none.json cannot be read"),
        (["--service", "10", "--rate", "0"], "rate_rps must be a finite number above 0"),
        (["--service", "10", "--rate", "many"], "not a comma-separated list"),
        (["--service", "10", "--max-batch", ","], "not a comma-separated list"),
        (["--service", "10", "--max-batch", "0"], "The largest batch is 1 or more"),
        (["--service", "10", "--wait-ms", "-1"], "A wait is 0 ms or more"),
        (["--service", "10", "--instances", "0"], "1 copy or more"),
        (["--service", "10", "--preferred", "64"], "64"),
        (["--service", "10", "--rate", "1", "--seconds", "1e-6"], "no requests to simulate"),
        (["--service", "10", "--rate", "1e6", "--seconds", "3600"], "do not fit one record"),
        (["--service", "10", "--batch-size", "99"], "batch_size 99 is out of range"),
        (["--service", "10", "--slo-p99-ms", "0"], "number of milliseconds above 0"),
        (["--service", "10", "--dispatch-ms", "-1"], "it is 0 or more"),
        (["--profile", "rn50-amp-t4-eager", "--max-batch", "999"], "Nothing is extrapolated"),
        (["--service", "10", "--csv", "no/such/t.csv"], "there is no folder"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output
