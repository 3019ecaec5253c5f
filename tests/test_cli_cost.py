"""``batchlab cost``: tables, JSON, files and a memo agree with the library; bad input is one line."""

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from test_capacity import measured
from typer.testing import CliRunner

from batchlab.cli import app
from batchlab.cost import usd_per_1000
from batchlab.points import Knobs

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cost.md"
TOY = ("--service", "10+1*b", "--usd-per-hour", 0.5)


def run(*arguments: object):
    return CliRunner().invoke(app, ["cost", *map(str, arguments)])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "points.csv"
    points = [measured(100, 20), measured(200, 60), measured(150, 50, knobs=Knobs(32, 5000)), measured(300, 900)]
    pd.DataFrame([point.to_dict() for point in points]).to_csv(path, index=False)
    return path


def test_simulated_options_as_json() -> None:
    done = run(*TOY, "--max-batch", "8,32", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["provenance"]["tier"] == "simulated"
    best, worse = told["options"]
    assert best["option"].startswith("batch 32")
    assert 0.9 * 32 / 42e-3 < best["rate_rps"] < 32 / 42e-3
    assert best["usd_per_1000"] == pytest.approx(usd_per_1000(0.5, best["rate_rps"]), rel=0.0101)
    assert worse["usd_per_1000"] > best["usd_per_1000"]
    assert told["fleets"] == []
    assert told["slo"] == "P99 <= 100 ms"


def test_a_measured_table_and_a_day(table, tmp_path) -> None:
    done = run("--measured", table, "--gpu", "T4", "--peak-rps", 5000, "--headroom", 0, "--spare", 0, "--json",
               "--csv", tmp_path / "out.csv", "--memo", tmp_path / "memo.md")  # fmt: skip
    told = json.loads(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert told["options"][0]["rate_rps"] == 200
    static, hourly, spot = told["fleets"]
    assert static["replicas_most"] == static["replicas_least"] == 25
    assert static["usd_per_day"] == pytest.approx(25 * 24 * 0.53)
    assert hourly["usd_per_day"] < static["usd_per_day"]
    assert "assumed" in spot["assumption"]
    assert told["price_as_of"] == "2023-10-30"
    with (tmp_path / "out.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    with (tmp_path / "out_hours.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 72
    assert "tier not in the file" in (tmp_path / "memo.md").read_text()
    assert (tmp_path / "memo.png").stat().st_size > 10_000


def test_the_screen_says_prices_assumptions_and_tier() -> None:
    done = run("--profile", "bertbase128-fp16-t4", "--max-batch", 8, "--requests", 1e8, "--slo-p99-ms", 50,
               "--pool-losses-per-day", 1)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    said = " ".join(done.stdout.split())
    for words in ("1000 answers within P99 <= 50 ms", "batch 8, wait 0 ms", "static", "hourly", "spot:", "assumed",
                  "all at once 1 times a day", "1 x T4", "simulated: no server", "100,0"):  # fmt: skip
        assert words in said


def test_bursts_cost_more() -> None:
    plain, rough = (
        json.loads(run(*TOY, "--max-batch", 8, "--burstiness", value, "--json").stdout)["options"][0]["usd_per_1000"]
        for value in (1, 10)
    )
    assert rough > plain


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --gpu or --usd-per-hour"),
        (["--gpu", "T4"], "Say once what a batch costs"),
        (["--profile", "nonsense"], "No profile 'nonsense'"),
        ([*TOY, "--slo-p99-ms", "5"], "No configuration of 3 keeps P99 <= 5 ms"),
        ([*TOY, "--slo-p99-ms", "-5"], "above 0"),
        (["--service", "10", "--usd-per-hour", "-1"], "must be above 0"),
        (["--service", "10", "--gpu", "K80"], "No price of 'K80'"),
        ([*TOY, "--requests", "1e6", "--peak-rps", "5"], "not both"),
        ([*TOY, "--requests", "-1"], "requests must be a finite number above 0"),
        ([*TOY, "--requests", "1e6", "--headroom", "1"], "headroom from 0 to below 1"),
        ([*TOY, "--requests", "1e6", "--spot-discount", "1"], "A discount is a share"),
        ([*TOY, "--memo", "memo.md"], "a memo needs a day"),
        ([*TOY, "--requests", "1e6", "--memo", "memo.docx"], "written to .md"),
        ([*TOY, "--csv", "no/such/t.csv"], "there is no folder"),
        ([*TOY, "--max-batch", "eight"], "comma-separated list"),
        ([*TOY, "--measured", "x.csv"], "what was measured, or what to simulate"),
        (["--measured", "x.csv", "--gpu", "T4"], "There is no file or folder"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_the_page_runs_and_names_options_that_there_are(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(script, {})
    assert "Sorting mail" in (tmp_path / "memo.md").read_text()
    (command,) = [each for each in app.registered_commands if each.name == "cost"]
    known = {f"--{name.replace('_', '-')}" for name in command.callback.__annotations__}
    lines = re.findall(r"^batchlab cost(.*)$", page, flags=re.MULTILINE)
    assert len(lines) == 2
    assert {option for line in lines for option in re.findall(r"--[a-z0-9-]+", line)} <= known
