"""What dynamic batching is worth under an SLO: the tuner's best configuration against no batching, side by side.

Poisson traffic, P99 within 100 ms, highest rate by bisection. The physical limit of an emulated device is the best
throughput of its published curve, so the share of it that Triton delivers is known. Goals: on the eager T4 at least
5 times the rate without batching; on BERT at least the device's own published gain; 0.90 of the limit. Run:
``python -m benchmarks tune``; writes ``build/bench/tune.csv``.
"""

import argparse

import pandas as pd

from batchlab import arrivals, server
from batchlab.points import Knobs, Point
from batchlab.profiles import Profile, load_profiles
from batchlab.slo import Slo
from batchlab.tune import Tuner, drive_server
from benchmarks import report

SLO = Slo(p99_ms=100)
MODELS = ("resnet50_t4_eager", "bert_t4")
ALONE = Knobs(1, 0, batching=False)
BATCHED = (Knobs(16, 0), Knobs(32, 0), Knobs(32, 5_000), Knobs(32, 0, instances=2), Knobs(64, 0, instances=2))
"""Two instances share the emulated device: one takes its next batch in while the other's is computed."""
EAGER_GOAL = 5.0
SHARE_GOAL = 0.90


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    seconds = parser.parse_args().seconds
    profiles = load_profiles()
    rows = []
    with report.own_home(), server.start(MODELS, reuse=False) as triton:
        for model in MODELS:
            profile = profiles[triton.provenance(model).profile]
            tuner = Tuner(model, SLO, drive_server(triton, model), arrivals.poisson, seconds=seconds, tolerance=0.02)
            limit_ips = max(profile.throughput_ips(int(size)) for size in profile.batch_sizes)
            alone_ips = profile.throughput_ips(1)
            for knobs in (ALONE, *BATCHED):
                top = alone_ips if knobs == ALONE else limit_ips
                point = tuner.highest_rate(knobs, 0.2 * alone_ips, top)
                rows.append(
                    row(model, profile, knobs, point, limit_ips) | {"sender_limited": knobs in tuner.sender_limited}
                )
    table = pd.DataFrame(rows)
    report.tell("tune", "Highest rate with P99 within 100 ms, Poisson traffic", table)
    for model in MODELS:
        mine = table[table["model"] == model]
        alone = float(mine["highest_rps"].iloc[0])
        best = float(mine["highest_rps"].max())
        goal = EAGER_GOAL if model == MODELS[0] else float(mine["device_gain"].iloc[0])
        report.judge(f"{model}: gain of at least {goal:.2f}", f"{best / alone:.2f}", best / alone >= goal)
        share = float(mine["share_of_limit"].max())
        report.judge(f"{model}: {SHARE_GOAL:g} of the device's limit", f"{share:.2f}", share >= SHARE_GOAL)


def row(model: str, profile: Profile, knobs: Knobs, point: Point | None, limit_ips: float) -> dict[str, object]:
    """Return one line of the table."""
    rate = point.rate_rps if point else 0.0
    return {
        "model": model,
        "configuration": str(knobs),
        "highest_rps": rate,
        "p99_ms": point.p99_ms if point else float("nan"),
        "mean_batch": point.mean_batch if point else float("nan"),
        "share_of_limit": rate / limit_ips,
        "device_gain": limit_ips / profile.throughput_ips(1),
    }


if __name__ == "__main__":
    main()
