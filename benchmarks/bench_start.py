"""How long a learner waits: embedded Triton with two emulated models ready, and JupyterLab on the labs.

Goals: Triton ready in under 6 s, JupyterLab (set-up done, models built) in under 15 s. Run: ``python -m benchmarks
start``; writes ``build/bench/start.csv``.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from batchlab import repository, server
from benchmarks import report

TRITON_GOAL_S = 6.0
JUPYTER_GOAL_S = 15.0


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with report.own_home() as home:
        table = pd.DataFrame(
            [
                timed("Triton, two emulated models", start_triton, repeats, TRITON_GOAL_S),
                timed("batchlab labs, to the address", lambda: start_labs(home), min(repeats, 3), JUPYTER_GOAL_S),
            ]
        )
    report.tell("start", "Time to ready", table)
    for _, row in table.iterrows():
        report.judge(f"{row['what']}: under {row['goal_s']:g} s", f"at most {row['max_s']:.1f} s", row["met"])


def timed(what: str, start: Callable[[], float], repeats: int, goal_s: float) -> dict[str, object]:
    """Return one row: the first start, the median and the slowest of all."""
    seconds = pd.Series([start() for _ in range(repeats)])
    return {
        "what": what,
        "starts": repeats,
        "first_s": seconds.iloc[0],
        "median_s": seconds.median(),
        "max_s": seconds.max(),
        "goal_s": goal_s,
        "met": bool(seconds.max() < goal_s),
    }


def start_triton() -> float:
    """Return the seconds until a new embedded Triton serves two emulated models."""
    models = [config.name for config in repository.committed().values() if config.backend == "emulated"][:2]
    began = time.perf_counter()
    with server.start(models, reuse=False):
        return time.perf_counter() - began


def start_labs(home: Path) -> float:
    """Return the seconds until ``batchlab labs`` prints its address."""
    command = [sys.executable, "-m", "batchlab", "labs", "--no-browser", "--to", str(home / "my_labs")]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "token=" in line:
                return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()
    raise RuntimeError("batchlab labs ended without an address")


if __name__ == "__main__":
    main()
