"""The tuner on the twin against the exhaustive tuner: same real server, same space, same traffic, same promise.

Goals: at least 95 % of the exhaustive tuner's best confirmed rate, with at most 10 % of its live measurements (the
calibration's runs count). Both winners then take one long run, for a proof is a thousand requests long, and a lucky one
passes at a rate that does not hold. By default one curve and one traffic, about 25 minutes, nearly all of them the
exhaustive tuner's; ``--all`` takes three curves and two traffics, two and a half hours. Run:
``python -m benchmarks twin_tune --all``; writes ``build/bench/twin_tune.csv``; ``--keep`` writes the committed
``docs/twin_tune.csv``, too.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from batchlab import calibrate, profiles, server, twin, twin_tune
from batchlab.points import Knobs, Point
from batchlab.search_order import SearchOrder
from batchlab.server import Server
from batchlab.slo import Slo
from batchlab.tune import Drive, Pattern, Tuner, drive_server, grid
from benchmarks import report

CURVES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "affine": ((1, 32), (22, 84)),
    "hinge": ((1, 8, 32), (30, 30, 78)),
    "bert_t4": ((1, 2, 4, 8, 12, 16, 24, 32), (1.9, 2.53, 4.25, 8.3, 11.83, 17.03, 24.31, 33.69)),
}
"""Batch sizes and ms of each emulated device; BERT's are published (profile of `bert_t4`)."""
SLOWED = {"bert_t4": 2.5}
"""All devices carry less than 450 requests/s: two cores hold client, server and backend, and these are not tuned."""
MODEL = "bert_t4"
"""Whose place in the repository the devices take; the file there stays as it is."""
BURSTINESS = {"poisson": 1.0, "bursts": 4.0}
SLO = Slo(p99_ms=200)
SPACE = {"max_batch_size": (1, 2, 4, 8, 16, 32), "max_delay_ms": (0, 1, 2, 5, 10, 20), "instances": (1, 2)}
TINY = {"max_batch_size": (16, 32), "max_delay_ms": (0,), "instances": (1,)}
TOLERANCE = 0.1
RATE_GOAL, RUNS_GOAL = 0.95, 0.10
LONG_REQUESTS, LONG_SEED = 20_000, 99
KEPT = Path(__file__).resolve().parent.parent / "docs" / "twin_tune.csv"


def main() -> None:
    """Tune both ways, print the table, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curve", choices=list(CURVES), default="affine")
    parser.add_argument("--traffic", choices=list(BURSTINESS), default="bursts")
    parser.add_argument("--all", action="store_true", help="all curves with all traffics, two and a half hours")
    parser.add_argument("--keep", action="store_true", help="with --all: write the committed table as well")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a screening run, of a proof at least")
    parser.add_argument("--tiny", action="store_true", help="two configurations, to see that the bench itself runs")
    asked = parser.parse_args()
    if asked.keep and (asked.tiny or not asked.all):
        parser.error("--keep replaces the committed table: it goes with --all, and not with --tiny")
    pairs = [(curve, traffic) for curve in CURVES for traffic in BURSTINESS] if asked.all else []
    pairs = pairs or [(asked.curve, asked.traffic)]
    space = grid(**(TINY if asked.tiny else SPACE))
    with report.own_home(), server.start([MODEL], reuse=False) as triton:
        rows: list[dict[str, Any]] = []
        for curve, traffic in pairs:
            rows.append(tuned_both_ways(triton, curve, traffic, space, asked.seconds))
            tell(rows, len(space))  # after each pair, so that an early end loses one of them at most
    if asked.keep:
        pd.DataFrame(rows).round(4).to_csv(KEPT, index=False)
    for row in [] if asked.tiny else rows:
        name = f"{row['curve']}, {row['traffic']}"
        ratio, share = row["rate_ratio"], row["runs_ratio"]
        report.judge(f"{name}: {RATE_GOAL:.0%} of the exhaustive rate", f"{ratio:.1%}", ratio >= RATE_GOAL)
        report.judge(f"{name}: {RUNS_GOAL:.0%} of its live measurements", f"{share:.1%}", share <= RUNS_GOAL)


def tell(rows: list[dict[str, Any]], configurations: int) -> None:
    """Print and write what has been tuned so far."""
    table = pd.DataFrame(rows)
    columns = ["curve", "traffic", "exhaustive_rps", "twin_rps", "rate_ratio", "exhaustive_runs", "twin_runs"]
    title = f"Highest confirmed rate with P99 within {SLO.limit_ms:g} ms over {configurations} configurations"
    report.tell(
        "twin_tune", title, table, table[[*columns, "runs_ratio", "exhaustive_long_p99_ms", "twin_long_p99_ms"]]
    )


def device(curve: str) -> profiles.Profile:
    """Return the emulated device of a curve."""
    sizes, times_ms = (np.array(numbers) for numbers in CURVES[curve])
    made_up = profiles.synthetic_profile(1, 1, 32, f"{curve}-tuned")
    return replace(made_up, batch_sizes=sizes.astype(int), latencies_ms=times_ms * SLOWED.get(curve, 1.0))


def tuned_both_ways(triton: Server, curve: str, traffic: str, space: list[Knobs], seconds: float) -> dict[str, Any]:
    """Return one row: what either tuner confirmed on the server, and how many runs on it that took."""
    model = MODEL
    triton.load(model, profiles.emulated_config(device(curve), name=model, device=f"{curve}-tuned"))
    original = triton.config(model)
    order = SearchOrder(model, SLO, burstiness=BURSTINESS[traffic])
    largest = max(knobs.max_batch_size for knobs in space)
    known = calibrate.calibrate(triton, model, max_batch_size=largest, progress=False)
    # Where each bisection ends: the calibration, which the twin's side pays for, spares the other the hopeless rates.
    ends = {knobs: 1.05 * twin.of(twin_tune.configured(original, knobs), known).capacity_rps() for knobs in space}
    with tqdm(desc=f"{curve}, {traffic}", unit="run") as bar:

        def show(point: Point) -> None:
            # What the twin plays takes no time worth a bar.
            bar.update(bool(point.run_id))

        on_twin = twin_tune.search(
            original,
            known,
            SLO,
            drive_server(triton, model),
            order.traffic,
            space,
            live_seconds=seconds,
            on_point=show,
        )
        triton.load(model, original)
        tuner = Tuner(
            model,
            SLO,
            drive_server(triton, model),
            order.traffic,
            seconds=seconds,
            tolerance=TOLERANCE,
            on_point=show,
        )
        exhaustive = tuner.search(space, 0.05 * max(ends.values()), ends.__getitem__)
    triton.load(model, original)
    best, cheap, drive = exhaustive.confirmed, on_twin.confirmed, drive_server(triton, model)
    long_ms = [long_p99_ms(drive, order.traffic, point) for point in (best, cheap)]
    triton.load(model, original)
    here = triton.provenance(model)
    rates = [point.rate_rps if point else 0.0 for point in (best, cheap)]
    return {
        "curve": curve,
        "traffic": traffic,
        "configurations": len(space),
        "exhaustive_rps": rates[0],
        "twin_rps": rates[1],
        "rate_ratio": rates[1] / rates[0] if rates[0] else float("nan"),
        "exhaustive_runs": len(exhaustive.points),
        "twin_runs": on_twin.live_measurements,
        "runs_ratio": on_twin.live_measurements / len(exhaustive.points),
        "exhaustive_best": str(best.knobs) if best else "none",
        "twin_best": str(cheap.knobs) if cheap else "none",
        "exhaustive_p99_ms": best.p99_ms if best else float("nan"),
        "twin_p99_ms": cheap.p99_ms if cheap else float("nan"),
        "exhaustive_long_p99_ms": long_ms[0],
        "twin_long_p99_ms": long_ms[1],
        "calibration_warnings": " ".join(known.warnings),
        "server": here.server,
        "machine": str(here.machine),
        "date": here.date,
    }


def long_p99_ms(drive: Drive, traffic: Pattern, point: Point | None) -> float:
    """Return the P99 of a long run with the knobs and at the rate of a proof; not a number where there is none."""
    if point is None:
        return float("nan")
    arrivals = traffic(point.rate_rps, LONG_REQUESTS / point.rate_rps, LONG_SEED)
    return drive(point.knobs, arrivals).percentile_ms(99).value


if __name__ == "__main__":
    main()
