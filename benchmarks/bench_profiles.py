"""Emulated devices, played against published: every profile, every published batch size the model allows.

One request at a time on the real server; played is the P50 that the client saw, published is the profile's time. Goal:
within 5 % or 0.5 ms, whichever is more. Beside it stands what Triton itself counted as computing, a mean: what lies
between the two is the way of a request through HTTP and Triton and back.

Run: ``python -m benchmarks profiles``; writes ``build/bench/profiles.csv``.
"""

import argparse

import pandas as pd

from batchlab import repository, server
from batchlab.profiles import Profile, load_profiles
from batchlab.sweep import static_sweep
from benchmarks import report

GOAL_REL = 0.05
GOAL_MS = 0.5
MIN_REQUESTS = 7


def main() -> None:
    """Measure, print one line a profile, write one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="measuring time per batch size")
    seconds = parser.parse_args().seconds
    profiles = load_profiles()
    players = {
        config.parameters["profile"]: config.name
        for config in repository.committed().values()
        if config.backend == "emulated"
    }
    with report.own_home(), server.start(players.values(), reuse=False) as triton:
        rows = [
            row
            for name, profile in profiles.items()
            if name in players
            for row in played(triton, players[name], profile, seconds)
        ]
    table = pd.DataFrame(rows)
    report.tell("profiles", "Played (P50 at the client) against published", table, by_profile(table))
    missing = sorted(profiles.keys() - players.keys())
    if missing:
        print(f"\nNo committed model plays: {', '.join(missing)}")
    margin_ms = (GOAL_REL * table["published_ms"]).clip(lower=GOAL_MS)
    in_triton = int(((table["in_triton_ms"] - table["published_ms"]).abs() <= margin_ms).sum())
    for where, met in (("at the client (P50)", int(table["met"].sum())), ("inside Triton (mean)", in_triton)):
        goal = f"{where} within {GOAL_REL:.0%} or {GOAL_MS:g} ms at every batch size"
        report.judge(goal, f"{met} of {len(table)}", met == len(table))


def played(triton: server.Server, model: str, profile: Profile, seconds: float) -> list[dict[str, object]]:
    """Return one row per published batch size that the model allows."""
    limit = triton.config(model).max_batch_size
    sizes = [int(size) for size in profile.batch_sizes if size <= limit]
    sweep = static_sweep(
        triton, model, sizes, seconds_per_size=seconds, min_requests=MIN_REQUESTS, max_requests=500, progress=False
    )
    rows = []
    for size in sizes:
        run = sweep.runs[size]
        published_ms, played_ms = float(profile.latency_ms(size)), run.percentile_ms(50).value
        off_ms = played_ms - published_ms
        rows.append(
            {
                "profile": profile.name,
                "model": model,
                "batch_size": size,
                "requests": len(run.answered),
                "published_ms": published_ms,
                "played_ms": played_ms,
                "in_triton_ms": run.server.batch_compute_ms[size] if run.server else float("nan"),
                "off_ms": off_ms,
                "off_percent": 100 * off_ms / published_ms,
                "met": abs(off_ms) <= max(GOAL_MS, GOAL_REL * published_ms),
            }
        )
    return rows


def by_profile(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a profile: its range, and where it is off most, in ms and in percent."""
    rows = []
    for (profile, model), group in table.groupby(["profile", "model"], sort=False):
        worst_ms = group.loc[group["off_ms"].abs().idxmax()]
        worst_percent = group.loc[group["off_percent"].abs().idxmax()]
        rows.append(
            {
                "profile": profile,
                "model": model,
                "batches": f"{group['batch_size'].min()}-{group['batch_size'].max()}",
                "published_ms": f"{group['published_ms'].min():.2f}-{group['published_ms'].max():.2f}",
                "worst_ms": f"{worst_ms['off_ms']:+.2f} at {worst_ms['batch_size']}",
                "worst_in_triton_ms": f"{(group['in_triton_ms'] - group['published_ms']).max():+.2f}",
                "worst_percent": f"{worst_percent['off_percent']:+.1f} at {worst_percent['batch_size']}",
                "met": f"{group['met'].sum()} of {len(group)}",
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
