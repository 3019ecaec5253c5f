"""A day of a billion requests: how many replicas, the peak's P99, the cost of the fleet.

    python examples/internet_scale.py          simulates 1 % of the replicas, each in full: under a minute
    python examples/internet_scale.py --all    simulates all of them, every one of the billion requests

The same on a cluster, with nothing changed but the engine (Dask's `distributed` installed on every machine):

    with joblib.parallel_config(backend="dask"):  # after client = dask.distributed.Client("scheduler:8786")
        sizing.plan_fleet(twin, day, slo)
"""

import argparse
import time

from tqdm import tqdm

from batchlab import cost, sizing, twin, workspace
from batchlab.day import Day
from batchlab.profiles import load_profiles
from batchlab.provenance import this_machine
from batchlab.slo import Slo


def main() -> None:
    ask = argparse.ArgumentParser(description="A day of a billion requests, simulated.")
    ask.add_argument("--requests", type=float, default=1e9, help="of the day")
    ask.add_argument("--profile", default="bertlarge384-fp16-t4", help="see `batchlab profiles`")
    ask.add_argument("--max-batch", type=int, default=8)
    ask.add_argument("--slo-p99-ms", type=float, default=300)
    ask.add_argument("--all", action="store_true", help="every replica instead of 1 %% of them")
    ask.add_argument("--workers", type=int, default=this_machine().cores, help="processes")
    wanted = ask.parse_args()

    profile = load_profiles()[wanted.profile]
    model = twin.model(profile, max_batch_size=wanted.max_batch)
    day = Day.of_requests(wanted.requests, trough_share=0.25)
    began = time.perf_counter()
    with tqdm(desc="simulating", unit="shard") as bar:

        def show(done: int, of: int, _: object) -> None:
            bar.total = of
            bar.update(done - bar.n)

        plan = sizing.plan_fleet(
            model,
            day,
            Slo(p99_ms=wanted.slo_p99_ms),
            sample_share=1.0 if wanted.all else 0.01,
            workers=wanted.workers,
            folder=workspace.home_dir() / "fleets",  # a second run goes on where this one was stopped
            on_shard=show,
        )
    found = plan.day
    peak = found.hours[found.peak_hour]
    print(found.table()[["hour", "offered_rps", "goodput_rps", "p50_ms", "p99_ms", "mean_batch"]].round(1).to_string())
    print(f"{profile.description}: {model.capacity_rps():.0f}/s at the most, each.")
    print(f"Day: {day.requests:,.0f} requests, {day.peak_rps:,.0f}/s at noon.")
    print(f"Replicas: {plan.fleet.replicas}, at noon {100 * plan.peak_load:.0f} % of what they can carry.")
    within = f"{100 * peak.share_within:.2f} % within {found.slo.limit_ms:g} ms"
    print(f"Peak hour: P99 {peak.percentile_ms(99):.0f} ms, {within}.")
    print(f"SLO in every hour: {'kept' if found.kept else f'BROKEN in {found.broken_hours}'}.")
    if found.caution:
        print(f"Caution: {found.caution}")
    print(f"Cost: {cost.fleet_cost(found, cost.cheapest(profile.gpu))}.")
    print(f"Simulated, no server: {found.sample_note()}; {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
