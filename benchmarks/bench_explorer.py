"""The explorer: how long a moved slider takes until the new picture is there.

Random settings, one slider after another, as a hand would move them. Simulation and drawing are both in it; the way to
the browser is not. Goal: under 200 ms. Run: ``python -m benchmarks explorer``; writes ``build/bench/explorer.csv``.
"""

import argparse
import time

import numpy as np
import pandas as pd

from batchlab import explorer
from benchmarks import report

GOAL_MS = 200.0


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=40, help="moves of each slider")
    moves = parser.parse_args().moves
    explored = explorer.explore()
    rng = np.random.default_rng(0)
    choices = {
        "rate_rps": lambda: int(rng.integers(50, 1300)),
        "burstiness": lambda: float(rng.choice(explorer.BURSTINESS)),
        "max_batch": lambda: int(rng.choice([1, 2, 4, 8, 16, 32, 64, 128, 256])),
        "max_wait_ms": lambda: float(rng.choice(explorer.WAITS_MS)),
        "instances": lambda: int(rng.integers(1, explorer.MOST_INSTANCES + 1)),
        "profile": lambda: str(rng.choice(explored._controls["profile"].options)),
    }
    rows = []
    for slider, choose in choices.items():
        explored.set(profile="rn50-amp-t4-eager")
        for _ in range(moves):
            value = choose()
            began = time.perf_counter()
            explored.set(**{slider: value})
            rows.append((slider, str(value), 1000 * (time.perf_counter() - began)))
    table = pd.DataFrame(rows, columns=["slider", "value", "redraw_ms"])
    shown = table.groupby("slider", sort=False)["redraw_ms"].describe(percentiles=[0.5, 0.95])[["50%", "95%", "max"]]
    report.tell("explorer", f"Redraw of {explorer.REQUESTS:,} simulated requests, ms", table, shown.reset_index())
    for slider, group in table.groupby("slider", sort=False)["redraw_ms"]:
        worst = float(group.quantile(0.95))
        report.judge(f"{slider}: P95 under {GOAL_MS:g} ms", f"{worst:.0f} ms", worst < GOAL_MS)


if __name__ == "__main__":
    main()
