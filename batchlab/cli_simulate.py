"""``batchlab simulate``: the digital twin on the command line; no server."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchlab.cli_load import Pattern

if TYPE_CHECKING:
    from batchlab.simulate import Replay
    from batchlab.slo import Verdict
    from batchlab.twin import Twin

MOST_REQUESTS = 20_000_000
MOST_BARS = 12
BAR = 40
KNOBS = {"max_batch": "max", "wait_ms": "wait ms", "instances": "copies", "max_queue": "queue", "rate_rps": "offered"}
NUMBERS = {
    "throughput_rps": "answered",
    "goodput_rps": "good",
    "p50_ms": "P50 ms",
    "p99_ms": "P99 ms",
    "mean_batch": "batch",
    "errors": "failed",
}


def simulate(
    profile: Annotated[
        str | None, typer.Option(help="A published accelerator; `batchlab profiles` lists them.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="ms of a batch of b, such as '10+1*b'.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="A saved calibration of a server (.json).")] = None,
    max_batch: Annotated[str, typer.Option(help="Largest batch; several comma separated.")] = "32",
    wait_ms: Annotated[str, typer.Option(help="Longest wait for company; several comma separated.")] = "0",
    instances: Annotated[str, typer.Option(help="Copies of the model; several as above.")] = "1",
    max_queue: Annotated[str, typer.Option(help="Requests that may wait, 0: no limit; several as above.")] = "0",
    rate: Annotated[str, typer.Option(help="Requests per second; several comma separated.")] = "50",
    preferred: Annotated[str, typer.Option(help="Preferred batch sizes, comma separated.")] = "",
    priority_levels: Annotated[int, typer.Option(help="Priority levels; every request takes the first.")] = 0,
    queue_timeout_ms: Annotated[float, typer.Option(help="A request that waits longer is turned away; 0: never.")] = 0,
    apart: Annotated[bool, typer.Option("--apart", help="Each instance on a device of its own.")] = False,
    dispatch_ms: Annotated[float | None, typer.Option(help="Server's time between two batches.")] = None,
    transport_ms: Annotated[float | None, typer.Option(help="Way to the server and back, together.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the traffic.")] = 60.0,
    traffic: Annotated[Pattern, typer.Option("--traffic", "--pattern", help="Shape of the traffic.")] = Pattern.POISSON,
    burstiness: Annotated[float, typer.Option(help="Of gamma: variance/mean^2 of the gaps; 1 is Poisson.")] = 4.0,
    trace: Annotated[Path | None, typer.Option(help="Replay these send times instead (.csv, .json).")] = None,
    batch_size: Annotated[int, typer.Option(help="Items per request.")] = 1,
    slo_p99_ms: Annotated[float | None, typer.Option(help="Judge: 99 % of requests within this many ms.")] = None,
    warmup: Annotated[float, typer.Option(help="Seconds left out of the statistics.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the traffic and of the service times' spread.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Write one row per configuration here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Predict latency, throughput and batches by Triton's own scheduling rules, without a server.

    Traffic is that of `batchlab load`. With several values of a knob or of the rate,
    every combination becomes one row.
    Status 1: no row keeps the SLO or, without an SLO, every row is unstable.

    Examples:

      batchlab simulate --profile rn50-amp-t4-eager --rate 700 --slo-p99-ms 100

      batchlab simulate --service "10+1*b" --rate 600 --max-batch 8,32 --wait-ms 0,5

      batchlab simulate --calibration my_model.json --traffic gamma --rate 100,200,300 --csv rates.csv
    """
    if csv and not csv.resolve().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {csv.resolve().parent}.", param_hint="--csv")
    from batchlab import service_source, slo
    from batchlab.cli_load import traffic_of
    from batchlab.load_report import show_run
    from batchlab.number_list import numbers
    from batchlab.service import Overheads
    from batchlab.simulate import Stream, replay
    from batchlab.twin import model

    batches, rates = numbers("--max-batch", max_batch, int), numbers("--rate", rate, float)
    copies_wanted = numbers("--instances", instances, int)
    if min(copies_wanted) < 1:
        raise typer.BadParameter(f"a model has 1 copy or more, got {min(copies_wanted)}.", param_hint="--instances")
    objective = None if slo_p99_ms is None else slo.Slo(p99_ms=slo_p99_ms)
    source = service_source.chosen(profile, service, calibration, max_batch=max(batches))
    if apart and calibration:
        raise typer.BadParameter("a calibration says itself whether instances share a device.", param_hint="--apart")
    overheads = getattr(source, "overheads", Overheads())
    if dispatch_ms is not None:
        overheads = replace(overheads, dispatch_ms=dispatch_ms)
    if transport_ms is not None:
        overheads = replace(overheads, send_ms=transport_ms / 2, answer_ms=transport_ms / 2)
    if max(rates) * seconds > MOST_REQUESTS:
        raise typer.BadParameter(
            f"{max(rates) * seconds:.3g} requests do not fit one record (at most {MOST_REQUESTS:.0e}); shorten it, or "
            "see batchlab plan for whole days.",
            param_hint="--seconds",
        )
    schedules = {
        each: traffic_of(traffic, each, seconds, burstiness, trace, seed) for each in rates[: 1 if trace else None]
    }
    twins = [
        model(
            source,
            max_batch_size=size,
            max_delay_ms=wait,
            instances=copies,
            max_queue_size=limit,
            preferred_batch_size=numbers("--preferred", preferred, int) if preferred else (),
            priority_levels=priority_levels,
            timeout_ms=queue_timeout_ms,
            overheads=overheads,
            shared=not apart,
        )
        for size, wait, copies, limit in itertools.product(
            batches,
            numbers("--wait-ms", wait_ms, float),
            copies_wanted,
            numbers("--max-queue", max_queue, int),
        )
    ]
    rows, good = [], False
    for twin, (each, schedule) in itertools.product(twins, schedules.items()):
        stream = Stream(twin, schedule, batch_size=batch_size)
        played = replay([stream], seed=seed, warmup_s=warmup)[twin.name]
        verdict = None if objective is None else slo.verdict(played.run, objective)
        rows.append(_row(twin, played, schedule.rate_rps if trace else each, slo_p99_ms, verdict))
        good |= verdict.passed if verdict else not played.run.settings["unstable"]
        alone = len(twins) * len(schedules) == 1
        if alone and not as_json:
            show_run(played.run, schedule, slo_p99_ms, verdict)
            _show_batches(played)
            if played.run.settings["unstable"]:
                typer.echo(played.run.settings["unstable"].replace("unstable", "UNSTABLE", 1) + ".")
    if csv:
        _write(rows, csv)
    if as_json:
        typer.echo(json.dumps({"tier": "simulated", "rows": rows}, indent=2))
    elif len(rows) > 1:
        _show_rows(rows, played.run.provenance.caption(), slo_p99_ms)
    if not good:
        raise typer.Exit(1)


def _row(
    twin: "Twin", played: "Replay", rate_rps: float, slo_ms: float | None, verdict: "Verdict | None"
) -> dict[str, Any]:
    from batchlab.load_report import numbers_of

    batcher = twin.config.dynamic_batching
    policy = batcher.default_queue_policy if batcher else None
    told = numbers_of(played.run, slo_ms, verdict)
    del told["lateness_p99_ms"]  # no sender, no lateness
    activity = played.run.server
    return {
        "max_batch": twin.max_batch,
        "wait_ms": batcher.max_queue_delay_microseconds / 1000 if batcher else 0.0,
        "instances": twin.instances,
        "max_queue": policy.max_queue_size if policy else 0,
        "rate_rps": rate_rps,
        "capacity_ips": twin.capacity_rps(),
        **told,
        "unstable": played.run.settings["unstable"],
        "batches": {str(size): count for size, count in activity.batches.items()} if activity else {},
        "reasons": {str(name): int(n) for name, n in played.batches["reason"].value_counts().items() if n},
    }


def _bars(batches: dict[int, int]) -> Iterator[tuple[str, int]]:
    """Yield sizes and how many batches had them; many sizes are joined between powers of two."""
    if len(batches) <= MOST_BARS:
        yield from ((str(size), batches[size]) for size in sorted(batches))
        return
    low = 1
    while low <= max(batches):
        count = sum(n for size, n in batches.items() if low <= size < 2 * low)
        yield (str(low) if low == 1 else f"{low}-{2 * low - 1}"), count
        low *= 2


def _show_batches(played: "Replay") -> None:
    from rich.console import Console
    from rich.table import Table

    activity = played.run.server
    if activity is None or not activity.batches:
        return
    table = Table(title="Batches, by size (warm-up included)", title_justify="left", show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_column(justify="right")
    bars = list(_bars(activity.batches))
    most = max(count for _, count in bars)
    for size, count in bars:
        table.add_row(size, "#" * round(BAR * count / most), f"{count} ({100 * count / activity.executions:.1f} %)")
    console = Console()
    console.print(table)
    left = played.batches["reason"].value_counts(normalize=True)
    console.print("Why they left: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in left.items() if share))


def _show_rows(rows: list[dict[str, Any]], caption: str, slo_ms: float | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    within = "" if slo_ms is None else f", good: within {slo_ms:g} ms"
    title = f"{rows[0]['model']}: requests/s offered, answered{within}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    always = ("max_batch", "wait_ms", "rate_rps")
    shown = [name for name in KNOBS if name in always or len({row[name] for row in rows}) > 1]
    numbers = [name for name in NUMBERS if slo_ms is not None or name != "goodput_rps"]
    for heading in [*(KNOBS[name] for name in shown), *(NUMBERS[name] for name in numbers)]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        cells = [f"{row[name]:g}" for name in shown]
        cells += [_short(row[name]) for name in numbers]
        outcome = row["verdict"]["outcome"] if row["verdict"] else ""
        table.add_row(*cells, "UNSTABLE" if row["unstable"] else outcome)
    console = Console()
    console.print(table)
    console.print(Text(caption, style="dim"))


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 and value % 1 else f"{value:.0f}"


def _write(rows: list[dict[str, Any]], csv: Path) -> None:
    import pandas as pd

    nested = ("errors_by_text", "invalid", "provenance", "batches", "reasons")
    flat = [{name: value for name, value in row.items() if name not in nested} for row in rows]
    for row in flat:
        row["verdict"] = row["verdict"]["outcome"] if row["verdict"] else ""
    pd.DataFrame(flat).to_csv(csv, index=False)
