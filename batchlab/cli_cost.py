"""``batchlab cost``: what 1000 answers within the SLO cost, configuration by configuration, and a day of a fleet."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from batchlab.capacity import CapacityCurve
    from batchlab.day import Day
    from batchlab.frontier import Option
    from batchlab.scaling import FleetBill
    from batchlab.slo import Slo

MOST_SHOWN = 12


def cost(
    measured: Annotated[
        Path | None,
        typer.Option(help="A table of `batchlab tune --csv`, its --folder, a saved run, or a folder of runs."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Or simulate: a published accelerator; `batchlab profiles` lists them.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="Or simulate: ms of a batch of b, such as '10+1*b'.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Or simulate: a saved calibration of a server (.json).")
    ] = None,
    max_batch: Annotated[str, typer.Option(help="Largest batches to simulate, comma separated.")] = "1,8,32",
    wait_ms: Annotated[str, typer.Option(help="Waits for company to simulate, in ms.")] = "0",
    burstiness: Annotated[float, typer.Option(help="Of the simulated traffic; 1 is Poisson.")] = 1.0,
    slo_p99_ms: Annotated[float, typer.Option(help="The promise: 99 % of requests within this many ms.")] = 100.0,
    requests: Annotated[
        float | None, typer.Option(help="Requests of the day, such as 1e9; without a day, no fleet.")
    ] = None,
    peak_rps: Annotated[float | None, typer.Option(help="Or: the rate at noon.")] = None,
    trough_share: Annotated[float, typer.Option(help="Rate at midnight as a share of that at noon.")] = 0.25,
    gpu: Annotated[str | None, typer.Option(help="GPU whose price to take; default: the profile's.")] = None,
    usd_per_hour: Annotated[float | None, typer.Option(help="Price of one replica of your own.")] = None,
    headroom: Annotated[float, typer.Option(help="Share of a replica's rate left free at the busiest time.")] = 0.2,
    spare: Annotated[int, typer.Option(help="Replicas beyond, so that as many may fail.")] = 1,
    spot_discount: Annotated[float, typer.Option(help="Assumed: share off the price on spot.")] = 0.6,
    interruptions_per_hour: Annotated[float, typer.Option(help="Assumed: how often a spot machine is lost.")] = 0.05,
    replace_minutes: Annotated[float, typer.Option(help="Assumed: until its successor answers.")] = 10.0,
    pool_losses_per_day: Annotated[float, typer.Option(help="Assumed: how often all spot machines go at once.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the simulated traffic.")] = 0,
    csv: Annotated[
        Path | None, typer.Option(help="Write the options here; with a day, the fleets' hours beside it.")
    ] = None,
    memo: Annotated[
        Path | None, typer.Option(help="With a day: write a memo here (.md), its picture beside it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Price a service: 1000 answers within the SLO, for each configuration; then a day of the cheapest.

    The rate that one replica carries within the SLO comes from what you measured, or from
    the digital twin. With --requests or --peak-rps the day is priced for three fleets: always
    the same size, hour by hour, and partly on spot machines, whose interruptions are assumed.

    Examples:

      batchlab cost --profile bertbase128-fp16-t4 --slo-p99-ms 50 --requests 1e8

      batchlab cost --measured points.csv --usd-per-hour 0.53 --slo-p99-ms 100 --peak-rps 5000 --memo memo.md
    """
    for option, path in (("--csv", csv), ("--memo", memo)):
        if path and not path.resolve().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.resolve().parent}.", param_hint=option)
    if requests is not None and peak_rps is not None:
        raise typer.BadParameter("give the day's --requests or its --peak-rps, not both.")
    if memo and requests is None and peak_rps is None:
        raise typer.BadParameter("a memo needs a day: add --requests or --peak-rps.", param_hint="--memo")
    from batchlab import frontier
    from batchlab.memo import Memo
    from batchlab.scaling import WAYS, Case
    from batchlab.slo import Slo
    from batchlab.spot import Spot

    slo, day = Slo(p99_ms=slo_p99_ms), _day(requests, peak_rps, trough_share)
    assumed = Spot(spot_discount, interruptions_per_hour, replace_minutes, pool_losses_per_day)
    price = _price(gpu, usd_per_hour, profile)
    if measured is not None:
        if profile or service or calibration:
            raise typer.BadParameter("give what was measured, or what to simulate, not both.", param_hint="--measured")
        from batchlab import capacity_file

        curves = capacity_file.read(measured, slo)
    else:
        curves = _simulated((profile, service, calibration), max_batch, wait_ms, burstiness, slo, seed)
    found = frontier.options(curves, price)
    best = next(curve for curve in curves if curve.name == found[0].name)
    case = Case.of(best, day, price, headroom, spare=spare, spot=assumed) if day else None
    bills = [way(case) for way in WAYS.values()] if case else []
    if csv:
        _write(csv, found, bills)
    if memo and case:
        Memo(best.provenance.model if best.provenance else best.name, best, found[0], tuple(found), case).save(memo)
    if as_json:
        typer.echo(json.dumps(_plain(found, bills, best, slo), indent=2))
    else:
        _show(found, bills, best, slo)


def _day(requests: float | None, peak_rps: float | None, trough_share: float) -> "Day | None":
    from batchlab.day import Day

    if requests is not None:
        return Day.of_requests(requests, trough_share)
    return None if peak_rps is None else Day(trough_share * peak_rps, peak_rps)


def _price(gpu: str | None, usd_per_hour: float | None, profile: str | None) -> Any:
    from batchlab.cost import Price, cheapest
    from batchlab.profiles import load_profiles

    known = load_profiles().get(profile or "")
    gpu = gpu or (known.gpu if known else None)
    if usd_per_hour is not None:
        return Price.own(usd_per_hour, gpu or "GPU")
    if gpu is None and profile is None:
        raise typer.BadParameter("a cost needs a price: give --gpu or --usd-per-hour.")
    return cheapest(gpu) if gpu else Price.own(1.0)  # An unknown profile is told of where it is looked for.


def _simulated(
    source: tuple[str | None, str | None, Path | None],
    max_batch: str,
    wait_ms: str,
    burstiness: float,
    slo: "Slo",
    seed: int,
) -> "list[CapacityCurve]":
    from batchlab import arrivals, capacity, service_source
    from batchlab.number_list import numbers
    from batchlab.points import Knobs
    from batchlab.tune import grid
    from batchlab.twin import model

    batches, waits = numbers("--max-batch", max_batch, int), numbers("--wait-ms", wait_ms, float)
    cells: list[Knobs] = grid(batches, waits)
    chosen = service_source.chosen(*source, max_batch=max(batches))

    def traffic(rate_rps: float, seconds: float, seed: int) -> arrivals.Arrivals:
        return arrivals.gamma(rate_rps, seconds, burstiness=burstiness, seed=seed)

    return [
        capacity.of_twin(
            model(chosen, max_batch_size=knobs.max_batch_size, max_delay_ms=knobs.max_delay_us / 1000),
            slo,
            seed=seed,
            traffic=None if burstiness == 1 else traffic,
            name=str(knobs),
        )
        for knobs in cells
    ]


def _plain(found: "list[Option]", bills: "list[FleetBill]", best: "CapacityCurve", slo: "Slo") -> dict[str, Any]:
    from batchlab import frontier

    price = found[0].price
    return {
        "slo": str(slo),
        "price": str(price),
        "price_as_of": price.as_of,
        "price_source": price.source,
        "options": json.loads(frontier.table(found).to_json(orient="records")),
        "fleets": [bill.describe() for bill in bills],
        "doubt": best.doubt,
        "note": best.note,
        "provenance": best.provenance.to_dict() if best.provenance else None,
    }


def _write(csv: Path, found: "list[Option]", bills: "list[FleetBill]") -> None:
    import pandas as pd

    from batchlab import frontier

    frontier.table(found).to_csv(csv, index=False)
    if bills:
        hours = pd.concat([bill.hours.assign(fleet=bill.name) for bill in bills])
        hours.to_csv(csv.with_name(f"{csv.stem}_hours{csv.suffix}"), index=False)


def _show(found: "list[Option]", bills: "list[FleetBill]", best: "CapacityCurve", slo: "Slo") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from batchlab import frontier

    console, front = Console(), frontier.front(found)
    table = Table(title=f"1000 answers within {slo}, by a replica that is never idle", title_justify="left")
    table.add_column("option")
    for name in ("1/s", f"P{slo.percentile:g} ms", "USD per 1000", "front"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found[:MOST_SHOWN]:
        cells = (f"{each.rate_rps:,.5g}", f"{each.tail_ms:.4g}", f"{each.usd_per_1000:.4g}")
        table.add_row(each.name, *cells, "yes" if each in front else "")
    console.print(table)
    console.print("front: no other option beats it in cost, latency and rate.")
    if bills:
        day = Table(title=f"A day of {found[0].name}: {bills[0].offered:,.0f} requests", title_justify="left")
        for name in ("fleet", "replicas", "USD a day", "USD per 1000", "in use", "turned away"):
            day.add_column(name, justify="left" if name == "fleet" else "right", no_wrap=True)
        for bill in bills:
            least, most = int(bill.hours["replicas"].min()), int(bill.hours["replicas"].max())
            day.add_row(
                bill.name,
                f"{least}" if least == most else f"{least} to {most}",
                f"{bill.usd_per_day:,.2f}",
                f"{bill.usd_per_1000:.4g}",
                f"{100 * bill.utilisation:.0f} %",
                bill.turned_away,
            )
        console.print(day)
        for bill in bills:
            console.print(Text(f"{bill.name}: {bill.assumption}."))
    if best.doubt:
        console.print(Text(f"CAUTION: {best.doubt}", style="bold"))
    price = found[0].price
    console.print(Text(f"Price: {price}; {price.dated}, {price.source}"))
    console.print(Text(best.provenance.caption() if best.provenance else best.note, style="dim"))
