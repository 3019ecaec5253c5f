"""``batchlab plan``: replicas, the day, the bill; resumed; one line for each bad input."""

import csv
import json

import pytest
from typer.testing import CliRunner

from batchlab import replicas
from batchlab.cli import app


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments):
    return CliRunner().invoke(app, ["plan", "--workers", "1", *map(str, arguments)])


SMALL = ("--service", "10+1*b", "--requests", 2e6, "--max-batch", 8, "--slo-p99-ms", 60)


def test_the_fewest_replicas_and_what_they_cost(tmp_path) -> None:
    done = run(*SMALL, "--peak-rps", 1)
    assert done.exit_code == 2
    done = run("--service", "100+10*b", "--requests", 6e6, "--slo-p99-ms", 600, "--max-batch", 8, "--usd-per-hour", 2,
               "--sample", 0.1, "--csv", tmp_path / "day.csv", "--json")  # fmt: skip
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["kept"]
    assert told["replicas"] > told["peak_rps"] / 44.5  # 8 requests in 180 ms
    assert told["replicas_simulated"] == 1
    assert "a sample: 1 of" in told["sample"]
    assert told["usd_per_day"] == 48 * told["replicas"]
    # All 6 million answers but a few, priced: the sample is scaled up.
    assert told["usd_per_1000_within_slo"] == pytest.approx(48 * told["replicas"] / 6000, rel=0.02)
    assert told["peak_hour"] in (11, 12)
    assert told["peak_p99_ms"] <= 606
    assert told["provenance"]["tier"] == "simulated"
    with (tmp_path / "day.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24


def test_a_given_number_of_replicas_is_taken_and_judged() -> None:
    knobs = ("--requests", 4e6, "--replicas", 3, "--balancer", "round-robin", "--sample", 0.1)
    done = run(*SMALL, *knobs, "--slo-p99-ms", 12)
    assert done.exit_code == 1, done.output
    for word in ("3 replicas, round-robin", "BROKEN", "Peak hour: P99", "no price", "1 of 3 replicas simulated"):
        assert word in " ".join(done.stdout.split())


def test_a_second_call_simulates_nothing_again(monkeypatch) -> None:
    first = run(*SMALL, "--replicas", 2, "--json", "--sample", 0.1)

    def never(*_: object) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(replicas, "play", never)
    again = run(*SMALL, "--replicas", 2, "--json", "--sample", 0.1)
    assert json.loads(again.stdout)["hours"] == json.loads(first.stdout)["hours"]


def test_a_profile_brings_its_own_price() -> None:
    done = run("--profile", "rn50-amp-t4-eager", "--requests", 2e6, "--replicas", 1, "--slo-p99-ms", 100)
    assert "1 x T4" in done.stdout
    assert "price of 20" in done.stdout
    assert "all 1 replicas simulated" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--service", "10"], "--requests or its --peak-rps"),
        (["--service", "10", "--requests", "0"], "requests must be a finite number above 0"),
        (["--service", "10", "--peak-rps", "-1"], "trough_rps lies|peak_rps must be"),
        (["--requests", "1e6"], "Say once what a batch costs"),
        (["--service", "10", "--requests", "1e6", "--trough-share", "2"], "share of the peak"),
        (["--service", "10", "--requests", "1e9", "--replicas", "2"], "unstable: the peak offers"),
        (["--service", "10", "--requests", "1e6", "--balancer", "magic"], "No balancer 'magic'"),
        (["--service", "10", "--requests", "1e6", "--replicas", "0"], "at least 1 replica"),
        (["--service", "10", "--requests", "1e6", "--sample", "0"], "above 0 and up to 1"),
        (["--service", "10", "--requests", "1e6", "--slo-p99-ms", "5"], "No number of replicas keeps"),
        (["--service", "10", "--requests", "1e6", "--gpu", "K80"], "No price of 'K80'"),
        (["--service", "10", "--requests", "1e6", "--usd-per-hour", "0"], "above 0"),
        (["--service", "10", "--requests", "1e6", "--workers", "0"], "1 or more"),
        (["--service", "10", "--requests", "1e6", "--csv", "no/such/t.csv"], "there is no folder"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert any(word in done.stderr for word in words.split("|"))
    assert "Traceback" not in done.output
