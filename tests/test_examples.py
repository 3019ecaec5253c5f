"""The examples run as a reader would run them, smaller."""

import os
import subprocess
import sys
from pathlib import Path

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
