"""``batchlab plan``: how many replicas a day of traffic needs, its peak's tail, and what the fleet costs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from batchlab.cost import FleetCost
    from batchlab.fleet_day import FleetDay
    from batchlab.tally import Tally


def plan(
    profile: Annotated[
        str | None, typer.Option(help="A published accelerator; `batchlab profiles` lists them.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="ms of a batch of b, such as '10+1*b'.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="A saved calibration of a server (.json).")] = None,
    slo_p99_ms: Annotated[float, typer.Option(help="The promise: 99 % of requests within this many ms.")] = 100.0,
    requests: Annotated[float | None, typer.Option(help="Requests of the day, such as 1e9.")] = None,
    peak_rps: Annotated[float | None, typer.Option(help="Or: the rate at noon.")] = None,
    trough_share: Annotated[float, typer.Option(help="Rate at midnight as a share of that at noon.")] = 0.25,
    replicas: Annotated[int | None, typer.Option(help="Default: the fewest that keep the SLO.")] = None,
    balancer: Annotated[str, typer.Option(help="random or round-robin.")] = "random",
    max_batch: Annotated[int, typer.Option(help="Largest batch.")] = 32,
    wait_ms: Annotated[float, typer.Option(help="Longest wait for company.")] = 0.0,
    instances: Annotated[int, typer.Option(help="Copies of the model in a replica, on one device.")] = 1,
    max_queue: Annotated[int, typer.Option(help="Requests that may wait in a replica; 0 is no limit.")] = 0,
    sample: Annotated[float, typer.Option(help="Share of the replicas whose day is simulated, each in full.")] = 0.01,
    every: Annotated[bool, typer.Option("--all", help="Simulate every replica.")] = False,
    gpu: Annotated[str | None, typer.Option(help="GPU whose price to take; default: the profile's.")] = None,
    usd_per_hour: Annotated[float | None, typer.Option(help="Price of one replica of your own.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    seed: Annotated[int, typer.Option(help="Decides every number, whatever the workers.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Write the day, hour by hour, here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Plan a fleet: simulate a whole day of a service, in real time, replica by replica.

    The rate rises from its trough at midnight to its peak at noon and falls again.
    The fewest replicas whose peak hour keeps the SLO are found by bisection; then the
    day of a sample of them is simulated (--all: of every one) and priced.
    Ctrl-C or a kill lose nothing: the same command goes on where it was.
    Status 1: an hour of the day breaks the SLO.

    Examples:

      batchlab plan --profile bertlarge384-fp16-t4 --requests 1e9 --max-batch 8 --slo-p99-ms 300

      batchlab plan --service "10+1*b" --peak-rps 20000 --usd-per-hour 0.5 --slo-p99-ms 100 --all
    """
    if (requests is None) == (peak_rps is None):
        raise typer.BadParameter("give the day's --requests or its --peak-rps, one of them.")
    if workers is not None and workers < 1:
        raise typer.BadParameter(f"work needs 1 or more processes, got {workers}.", param_hint="--workers")
    if csv and not csv.resolve().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {csv.resolve().parent}.", param_hint="--csv")
    from tqdm import tqdm

    from batchlab import service_source, workspace
    from batchlab.cost import fleet_cost
    from batchlab.day import Day
    from batchlab.provenance import this_machine
    from batchlab.replicas import Fleet, simulate_day
    from batchlab.sizing import plan_fleet, sample_of
    from batchlab.slo import Slo
    from batchlab.twin import model

    source = service_source.chosen(profile, service, calibration, max_batch=max_batch)
    twin = model(source, max_batch_size=max_batch, max_delay_ms=wait_ms, instances=instances, max_queue_size=max_queue)
    day = Day.of_requests(requests, trough_share) if requests is not None else _day(peak_rps or 0.0, trough_share)
    slo, share = Slo(p99_ms=slo_p99_ms), 1.0 if every else sample
    price = _price(gpu or getattr(source, "gpu", None), usd_per_hour, asked=gpu is not None)
    folder = workspace.home_dir() / "fleets"
    with tqdm(desc="simulating", unit="shard", disable=as_json) as bar:

        def on_trial(count: int, peak: "Tally") -> None:
            bar.set_postfix_str(f"{count} replicas: peak P99 {peak.percentile_ms(99):.0f} ms")

        def on_shard(done: int, of: int, tally: "Tally") -> None:
            bar.total = of
            bar.update(done - bar.n)

        options: dict[str, Any] = {
            "seed": seed,
            "workers": workers or this_machine().cores,
            "folder": folder,
            "on_shard": on_shard,
        }
        if replicas is None:
            found = plan_fleet(twin, day, slo, balancer=balancer, sample_share=share, on_trial=on_trial, **options).day
        else:
            fleet = Fleet(twin, replicas, balancer)
            found = simulate_day(fleet, day, slo, sample=sample_of(replicas, share), **options)
    cost = fleet_cost(found, price) if price else None
    if csv:
        found.table().to_csv(csv, index=False)
    if as_json:
        typer.echo(json.dumps(_plain(found, cost), indent=2))
    else:
        _show(found, cost)
    if not found.kept:
        raise typer.Exit(1)


def _day(peak_rps: float, trough_share: float) -> Any:
    from batchlab.day import Day

    return Day(trough_share * peak_rps, peak_rps)


def _price(gpu: str | None, usd_per_hour: float | None, asked: bool) -> Any:
    from batchlab.cost import CostError, Price, cheapest

    if usd_per_hour is not None:
        return Price.own(usd_per_hour, gpu or "GPU")
    try:
        return cheapest(gpu) if gpu else None
    except CostError:
        if asked:
            raise
        return None


def _plain(day: "FleetDay", cost: "FleetCost | None") -> dict[str, Any]:
    peak = day.hours[day.peak_hour]
    return {
        **{name: value for name, value in day.to_dict().items() if name != "hours"},
        "requests_simulated": day.total.requests,
        "sample": day.sample_note(),
        "peak_hour": day.peak_hour,
        "peak_p50_ms": peak.percentile_ms(50) if peak.answered else None,
        "peak_p99_ms": peak.percentile_ms(99) if peak.answered else None,
        "peak_load": day.fleet.load(day.day.peak_rps),
        "usd_per_day": cost.usd_per_day if cost else None,
        "usd_per_1000_within_slo": cost.usd_per_1000 if cost and cost.within else None,
        "price": str(cost.price) if cost else None,
        "price_as_of": cost.price.as_of if cost else None,
        "price_source": cost.price.source if cost else None,
        "hours": json.loads(day.table().to_json(orient="records")),
        "provenance": day.provenance.to_dict(),
    }


def _show(day: "FleetDay", cost: "FleetCost | None") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    title = f"{day.fleet.twin.name}: {day.fleet.replicas} replicas, {day.fleet.balancer}, {day.slo}, simulated"
    table = Table(title=title, title_justify="left")
    for name in ("hour", "offered/s", "goodput/s", "P50 ms", "P99 ms", "batch", "failed", "SLO"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in day.table().itertuples():
        verdict = "kept" if row.kept else f"BROKEN, {100 * (1 - row.share_within):.2g} % missed"
        table.add_row(
            str(row.hour),
            f"{row.offered_rps:,.0f}",
            f"{row.goodput_rps:,.0f}",
            f"{row.p50_ms:.4g}",
            f"{row.p99_ms:.4g}",
            f"{row.mean_batch:.2f}",
            str(row.failed),
            verdict,
        )
    console.print(table)
    peak = day.hours[day.peak_hour]
    load = day.fleet.load(day.day.peak_rps)
    tail = f"P99 {peak.percentile_ms(99):.4g} ms, at most 1 % too high"
    console.print(f"Peak hour: {tail}; at noon {100 * load:.0f} % of capacity.", highlight=False)
    if day.caution:
        console.print(Text(f"CAUTION: {day.caution}", style="bold"))
    if cost:
        console.print(Text(f"Cost: {cost}"))
    else:
        console.print("Cost: no price of this accelerator is known; give --gpu or --usd-per-hour.")
    console.print(Text(f"{day.provenance.caption()}; {day.sample_note()}", style="dim"))
