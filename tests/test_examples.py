"""The examples run as a reader would run them, smaller; the documents' commands have the options they name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import typer

from batchlab.cli import app

PROJECT = Path(__file__).resolve().parent.parent


def test_internet_scale_in_small(tmp_path) -> None:
    script = PROJECT / "examples" / "internet_scale.py"
    command = [sys.executable, str(script), "--requests", "5e6", "--workers", "1"]
    environment = {**os.environ, "BATCHLAB_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    for words in ("5,000,000 requests", "Replicas: ", "Peak hour: P99 ", "USD a day", "a sample: 1 of ", "Simulated"):
        assert words in done.stdout
    assert list((tmp_path / "fleets").glob("*.jsonl"))


def test_the_documents_name_options_that_there_are() -> None:
    commands = typer.main.get_command(app).commands
    seen = set()
    for document in ("README.md", "docs/simulate.md"):
        lines = re.findall(r"^batchlab (simulate|plan)\b(.*)$", (PROJECT / document).read_text(), flags=re.MULTILINE)
        for name, rest in lines:
            known = {option for parameter in commands[name].params for option in parameter.opts}
            named = set(re.findall(r"--[a-z0-9-]+", rest))
            assert named <= known, f"{document}: batchlab {name} knows no {named - known}"
            seen.add(name)
    assert seen == {"simulate", "plan"}
