"""The digital twin against the real Triton: the same schedule to both, at points drawn before anything was measured.

Each model is calibrated once, on a run of its own; then every point is predicted, then measured. Nothing is fitted to a
point. A run whose sender was late is measured again, up to twice, and left out (and counted) where it stays so. Each
point is kept as soon as it is measured: a bench that was cut short goes on where it was; ``--afresh`` begins anew.
Goals: throughput within 3 %, mean batch within 10 %, P50 within 10 %, P99 within 15 % at 90 % of the points. Run:
``make bench-twin``, which writes ``build/bench/twin.csv``; ``OPTIONS=--keep`` writes the committed
``docs/twin_against_triton.csv`` and its picture.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from tqdm.auto import tqdm

from batchlab import calibrate, changes, load, plots, profiles, server, simulate, twin
from batchlab.measure import Run
from batchlab.provenance import this_machine
from batchlab.recording import not_the_servers_fault
from batchlab.server import Server
from benchmarks import report
from benchmarks.twin_points import FASTEST_RPS, SLOWEST_RPS, TwinPoint, draw

KEPT = report.FOLDER / "twin_points.jsonl"
DOCS = Path(__file__).resolve().parent.parent / "docs"
NUMBERS = {"throughput_rps": 0.03, "mean_batch": 0.10, "p50_ms": 0.10, "p99_ms": 0.15}
SIDES = ("predicted", "measured")
SHARE = 0.90
TRIES = 3
SOME_SEED = 11
MODELS = (
    # name, points, the curve: None is the real text model on this processor
    ("affine", 26, "bert_t4"),
    ("hinge", 26, "resnet50_t4_eager"),
    ("text", 12, "text_classifier"),
)


def main() -> None:
    """Calibrate, predict, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=900, help="requests of a point, at least")
    parser.add_argument("--share", type=float, default=1.0, help="share of the points, for a quick look")
    parser.add_argument("--only", choices=[name for name, _, _ in MODELS])
    parser.add_argument("--keep", action="store_true", help="write the committed table and picture")
    parser.add_argument("--afresh", action="store_true", help="forget the points of a bench that was cut short")
    asked = parser.parse_args()
    if asked.afresh:
        KEPT.unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    names = [model for name, _, model in MODELS if asked.only in (None, name)]
    with report.own_home(), server.start(names, reuse=False) as triton:
        for name, count, model in MODELS:
            if model in names:
                rows += judged(triton, name, model, max(round(count * asked.share), 1), asked.requests)
    table = pd.DataFrame(rows)
    good = table[table["valid"]]
    columns = ["curve", "delay_ms", "max_batch", "instances", "load", "traffic", "priority_levels", "queue_limit"]
    wanted = [column(number, side) for number in NUMBERS for side in SIDES]
    report.tell("twin", "The twin against Triton, same schedule", table, good[[*columns, *wanted]])
    for number, bound in NUMBERS.items():
        share = float((error(good, number).abs() <= bound).mean())
        report.judge(
            f"{number} within {bound:.0%} at {SHARE:.0%} of {len(good)} points", f"{share:.0%}", share >= SHARE
        )
    close = float((error(good, "p99_ms").abs() <= 0.10).mean())
    report.judge("P99 within 10 % at 95 % of the points", f"{close:.0%}", close >= 0.95)
    print(f"\n{len(table) - len(good)} of {len(table)} points are left out: the sender was late {TRIES} times.")
    figure = picture(good)
    folder = DOCS if asked.keep else report.FOLDER
    table.round(4).to_csv(folder / "twin_against_triton.csv", index=False)
    figure.savefig(folder / "twin_against_triton.png", dpi=120)


def judged(triton: Server, name: str, model: str, count: int, requests: int) -> list[dict[str, Any]]:
    """Return one row per point of a model: what the twin said, then what the server did."""
    if name == "affine":
        curve = profiles.synthetic_profile(10, 1, 64, "affine-10-1")
        triton.load(model, profiles.emulated_config(curve, name=model, device="affine-0"))
    original = triton.config(model)
    real = name == "text"
    if real:
        # One core is left to client and server: the twin knows nothing of a client that takes the model's time.
        threads = max(this_machine().cores - 1, 1)
        triton.load_missing(["text_encoder"])
        triton.reconfigure("text_encoder", parameters={"intra_op_thread_count": str(threads)})
    found = calibrate.calibrate(triton, model, max_batch_size=32 if real else 64, progress=False)
    print(f"{name}: calibrated in {found.seconds:.0f} s, {found.overheads}", *found.warnings, sep="\n  ")
    # More instances than cores share the processor in ways of which one calibration run knows nothing.
    points = draw(count, SOME_SEED, (1, 4, 8, 16, 32), (1,)) if real else draw(count, SOME_SEED + len(name))
    rows = []
    for point in tqdm(points, desc=name, unit="point"):
        if known := kept(name, point):
            rows.append(known)
            continue
        config = changes.apply(original, point.changes())
        model_twin = twin.of(config, found)
        capacity = model_twin.capacity_rps()
        held = min(max(point.load, SLOWEST_RPS / capacity), FASTEST_RPS / capacity)
        rate = held * capacity
        schedule = TwinPoint(**{**point.__dict__, "load": held}).schedule(model_twin, max(requests / rate, 5.0))
        predicted = simulate.simulate(model_twin, schedule, seed=point.seed)
        try:
            measured = run_of(triton, model, config, schedule)
        except load.LoadError as problem:
            print(f"\n{point}: {problem}")
            triton.load(model, original)
            continue
        row = {"curve": name, **point.__dict__, "load": round(held, 3), "rate_rps": rate, "requests": len(schedule)}
        for number in NUMBERS:
            row |= {
                column(number, side): value(run, number) for side, run in zip(SIDES, (predicted, measured), strict=True)
            }
        row |= {"refused_predicted": refused(predicted), "refused_measured": refused(measured)}
        row |= {"valid": not not_the_servers_fault(measured), "server": measured.provenance.server}
        row |= {"machine": str(measured.provenance.machine), "date": measured.provenance.date}
        rows.append(row)
        report.FOLDER.mkdir(parents=True, exist_ok=True)
        with KEPT.open("a") as file:
            file.write(json.dumps(row) + "\n")
    triton.load(model, original)
    return rows


def kept(name: str, point: TwinPoint) -> dict[str, Any] | None:
    """Return what an earlier bench measured at this point."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    for row in map(json.loads, lines):
        if row["curve"] == name and all(row[key] == value for key, value in point.__dict__.items() if key != "load"):
            return row  # type: ignore[no-any-return]
    return None


def run_of(triton: Server, model: str, config: Any, schedule: Any) -> Run:
    """Measure one point; a late sender gets two more tries."""
    triton.load(model, config)
    for _ in range(TRIES):
        run = load.open_loop(triton, model, schedule, progress=False)
        if not not_the_servers_fault(run):
            break
    return run


def value(run: Run, number: str) -> float:
    """Return one of `NUMBERS` of a run."""
    if number == "throughput_rps":
        return run.throughput_rps
    if number == "mean_batch":
        return run.server.mean_batch if run.server else float("nan")
    return run.percentile_ms(50 if number == "p50_ms" else 99).value


def refused(run: Run) -> int:
    """Return how many requests were refused or lost."""
    return sum(run.errors.values())


def error(table: pd.DataFrame, number: str) -> pd.Series:
    """Return the relative error of the predictions."""
    return table[column(number, "predicted")] / table[column(number, "measured")] - 1


def column(number: str, side: str) -> str:
    """Return the name of a column, its unit last: ``p99_predicted_ms``."""
    stem, _, unit = number.partition("_")
    return f"{number}_{side}" if unit == "batch" else f"{stem}_{side}_{unit}"


def picture(table: pd.DataFrame) -> plt.Figure:
    """Draw prediction against measurement, one panel for each number."""
    plots.use_style()
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.4), layout="constrained")
    names = {
        "throughput_rps": "throughput, requests/s",
        "mean_batch": "mean batch",
        "p50_ms": "P50, ms",
        "p99_ms": "P99, ms",
    }
    for ax, (number, bound) in zip(axes, NUMBERS.items(), strict=True):
        for curve, mark in zip(("affine", "hinge", "text"), "os^", strict=True):
            mine = table[table["curve"] == curve]
            ax.plot(
                mine[column(number, "measured")], mine[column(number, "predicted")], mark, ms=5, alpha=0.75, label=curve
            )
        both = table[[column(number, side) for side in SIDES]]
        ends = np.array([both.min().min() * 0.8, both.max().max() * 1.25])
        ax.plot(ends, ends, color="black", lw=0.8)
        ax.fill_between(ends, ends * (1 - bound), ends * (1 + bound), color="black", alpha=0.1, lw=0)
        ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured", title=names[number])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("predicted by the twin (simulated)")
    axes[0].legend(title="curve", frameon=False)
    figure.suptitle(f"The twin against Triton at {len(table)} points; the grey band is the goal", fontsize=11)
    first = table.iloc[0]
    tiers = "affine, hinge: emulated accelerator; text: this processor"
    source = f"{tiers} | {first['server']} | {first['machine']} | {first['date'][:10]}"
    figure.supxlabel(source, x=0.01, ha="left", fontsize=7)
    return figure


if __name__ == "__main__":
    main()
