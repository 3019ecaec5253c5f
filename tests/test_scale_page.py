"""docs/scale.md: the figures that its command gives are those that it shows."""

import json
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from batchlab.cli import app

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "scale.md").read_text(encoding="utf-8")


def test_the_table_of_queue_times_is_what_the_twin_says() -> None:
    (command,) = re.findall(r"^ *batchlab (simulate .+)$", PAGE, flags=re.MULTILINE)
    done = CliRunner().invoke(app, [*shlex.split(command), "--json"])
    rows = json.loads(done.stdout)["rows"]
    told = [
        f"| {row['rate_rps']:.0f} | {row['rate_rps'] / row['capacity_ips'] * 100:.0f} % | {row['mean_batch']:.1f} "
        f"| {row['p50_ms']:.0f} | {row['p99_ms']:.0f} | {row['verdict']['outcome']} |"
        for row in rows
    ]
    assert len(told) == 5
    assert [line for line in told if line not in PAGE] == []
    # What the page concludes: four fifths keep the promise, nine tenths do not.
    assert [row["verdict"]["outcome"] for row in rows] == ["PASS"] * 3 + ["FAIL"] * 2
