"""What measuring itself costs: a model that does nothing, over HTTP, one request at a time.

Whatever these numbers are, no latency measured through the same path can be told from them by less. Goal: P50 under
2 ms. Run: ``python -m benchmarks harness``; writes ``build/bench/harness.csv``.
"""

import argparse

import pandas as pd

from batchlab import server
from batchlab.load import closed_loop
from batchlab.measure import Run
from batchlab.sweep import static_sweep
from benchmarks import report

MODEL = "null"
GOAL_MS = 2.0


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    with report.own_home(), server.start([MODEL], reuse=False) as triton:
        sweep = static_sweep(triton, MODEL, (1,), seconds_per_size=seconds, max_requests=10**6, progress=False)
        loop = closed_loop(triton, MODEL, clients=1, seconds=seconds, progress=False)
    table = pd.DataFrame([row("sweep", sweep.runs[1]), row("closed loop, 1 client", loop)])
    report.tell("harness", f"The {MODEL} model over HTTP, concurrency 1", table)
    for name, p50_ms in zip(table["path"], table["p50_ms"], strict=True):
        report.judge(f"{name}: P50 under {GOAL_MS:g} ms", f"{p50_ms:.2f} ms", p50_ms < GOAL_MS)


def row(path: str, run: Run) -> dict[str, object]:
    """Return one line of the table; the server's own share is the mean that Triton counted per request."""
    return {
        "path": path,
        "requests": len(run.answered),
        "mean_ms": run.mean_latency_ms,
        **{f"p{percent}_ms": run.percentile_ms(percent).value for percent in (50, 95, 99)},
        "throughput_rps": run.throughput_rps,
    }


if __name__ == "__main__":
    main()
