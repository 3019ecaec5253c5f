"""How punctual is the sender? Batchlab's open loop beside Locust's stock users and hey, on one server that is known.

The server (``tests/fake_server.py``, 5 ms a request, no queue) notes when each request reached it. From its notes all
tools are judged alike: sent rate, burstiness of the gaps (0 is a metronome, 1 Poisson), and the P99 of the distance
from the schedule that the asked rate means, the whole trace shifted so that no request came early. Goal: at 500/s the
sender's own P99 of lateness is at most 2 ms.

Run: ``python -m benchmarks.bench_sender [--seconds 10]``; writes ``build/bench/sender.csv`` and
``build/bench/sender_limit.csv``.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from batchlab import arrivals
from batchlab.load import open_loop
from benchmarks.stock_locust import PER_USER_RPS
from tests.fake_server import MODEL, FakeServer

RATE_RPS = 500
GOAL_MS = 2.0
FOLDER = Path("build/bench")
HERE = Path(__file__).parent
WORST_RPS = 16000


def main() -> None:
    """Measure, print the tables, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    os.environ["BATCHLAB_PROGRESS"] = "0"
    with tempfile.TemporaryDirectory() as home:
        os.environ["BATCHLAB_HOME"] = home
        table = side_by_side(seconds)
        limit = highest_valid(min(seconds, 5.0))
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / "sender.csv", index=False)
    limit.to_csv(FOLDER / "sender_limit.csv", index=False)
    print(f"\nSender at {RATE_RPS}/s, {seconds:g} s each\n")
    print(table.round(3).to_string(index=False, na_rep="-"))
    own = table.loc[table["tool"] == "batchlab constant", "own_lateness_p99_ms"].iloc[0]
    outcome = "met" if own <= GOAL_MS else "MISSED"
    print(f"\nGoal: own lateness P99 <= {GOAL_MS:g} ms at {RATE_RPS}/s: {own:.2f} ms, {outcome}")
    print("A sender that waited for a core was disturbed by other programs: measure on a quiet machine.")
    print(f"\nHighest valid rate (Poisson, one sender, lateness P99 <= {GOAL_MS:g} ms)\n")
    print(limit.round(3).to_string(index=False, na_rep="-"))
    valid = limit.loc[limit["valid"], "rate_rps"]
    print(f"\nHighest valid rate: {valid.max() if len(valid) else 'none'}/s")


def side_by_side(seconds: float) -> pd.DataFrame:
    """Return one row a tool, all asked for the same rate."""
    metronome = arrivals.constant(RATE_RPS, seconds)
    rows = [
        ours("batchlab constant", metronome),
        ours("batchlab Poisson", arrivals.poisson(RATE_RPS, seconds, seed=1)),
        theirs("locust constant_throughput", stock_locust, seconds, metronome.times_s),
    ]
    if shutil.which("hey"):
        rows.append(theirs("hey -q", hey, seconds, metronome.times_s))
    else:
        print("hey is not installed (Debian: apt-get install hey): its row is missing.")
    return pd.DataFrame(rows)


def ours(name: str, schedule: arrivals.Arrivals) -> dict[str, object]:
    """Send a schedule by `open_loop`."""
    with FakeServer() as server:
        run = open_loop(server, MODEL, schedule, max_lateness_ms=GOAL_MS, progress=False)
        # The first request is the probe.
        row = judged(name, np.array(server.fetch("/arrivals")["arrivals"])[1:], schedule.times_s)
    sender = run.settings["senders"][0]
    return {
        **row,
        "own_lateness_p99_ms": np.percentile(run.lateness_ms, 99),
        "p99_ms": run.percentile_ms(99).value,
        "cpu_share": sender["cpu_share"],
        "waited_for_core_s": sender["waited_for_core_s"],
    }


def theirs(
    name: str, command: Callable[[str, float], list[str]], seconds: float, times_s: np.ndarray
) -> dict[str, object]:
    """Run another tool for `seconds` and read its traffic from the server's notes."""
    with FakeServer() as server:
        process = subprocess.Popen(command(server.url, seconds), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        share = cpu_share(process, server, seconds)
        process.wait(timeout=60)
        seen = np.array(server.fetch("/arrivals")["arrivals"])
    return {**judged(name, seen, times_s), "cpu_share": share}


def stock_locust(url: str, seconds: float) -> list[str]:
    """Return the command of Locust's own users."""
    users = str(RATE_RPS // PER_USER_RPS)
    ends = ["-u", users, "-r", users, "-t", f"{round(seconds)}s", "--host", f"http://{url}"]
    return ["locust", "-f", str(HERE / "stock_locust.py"), "--headless", *ends]


def hey(url: str, seconds: float) -> list[str]:
    """Return hey's command: as many workers as Locust has users, each held to the same rate."""
    pace = ["-z", f"{round(seconds)}s", "-c", str(RATE_RPS // PER_USER_RPS), "-q", str(PER_USER_RPS)]
    return ["hey", *pace, "-m", "POST", "-T", "application/json", "-d", "{}", f"http://{url}/v2/models/{MODEL}/infer"]


def judged(name: str, seen_s: np.ndarray, times_s: np.ndarray) -> dict[str, object]:
    """Compare the traffic that reached the server with the schedule, by rank."""
    seen = np.sort(seen_s)
    gaps, count = np.diff(seen), min(len(seen), len(times_s))
    off = seen[:count] - times_s[:count]
    return {
        "tool": name,
        "requests": len(seen),
        "sent_rps": (len(seen) - 1) / (seen[-1] - seen[0]),
        "burstiness": gaps.var() / gaps.mean() ** 2,
        "off_schedule_p99_ms": np.percentile(off - off.min(), 99) * 1000,
    }


def cpu_share(process: subprocess.Popen[bytes], server: FakeServer, seconds: float) -> float:
    """Return the share of one core that a tool uses in the middle of its run."""
    while not server.fetch("/arrivals")["arrivals"]:
        time.sleep(0.1)
    watched = psutil.Process(process.pid)
    time.sleep(0.2 * seconds)
    before, begun = watched.cpu_times(), time.monotonic()
    time.sleep(0.6 * seconds)
    after, wall = watched.cpu_times(), time.monotonic() - begun
    return (after.user + after.system - before.user - before.system) / wall


def highest_valid(seconds: float) -> pd.DataFrame:
    """Double the rate until a run is not valid, then halve the interval three times; return every run."""
    rows: list[dict[str, object]] = []

    def valid(rate_rps: float) -> bool:
        with FakeServer() as server:
            schedule = arrivals.poisson(rate_rps, seconds, seed=2)
            run = open_loop(server, MODEL, schedule, max_lateness_ms=GOAL_MS, progress=False)
        rows.append(
            {
                "rate_rps": rate_rps,
                "valid": run.valid,
                "own_lateness_p99_ms": np.percentile(run.lateness_ms, 99),
                "cpu_share": run.settings["senders"][0]["cpu_share"],
                "waited_for_core_s": run.settings["senders"][0]["waited_for_core_s"],
                "why": " ".join(reason.partition(":")[0] for reason in run.invalid),
            }
        )
        return run.valid

    low, high = 0.0, float(RATE_RPS)
    while high <= WORST_RPS and valid(high):
        low, high = high, 2 * high
    for _ in range(3):
        middle = (low + high) / 2
        low, high = (middle, high) if valid(middle) else (low, middle)
    return pd.DataFrame(rows).sort_values("rate_rps")


if __name__ == "__main__":
    main()
