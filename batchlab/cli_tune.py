"""``batchlab tune``: the configuration of highest throughput that keeps a latency promise."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from batchlab.points import Search
    from batchlab.provenance import Provenance
    from batchlab.twin_tune import TwinSearch

MOST_SHOWN = 10
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended, as shells report it."""


def tune(
    model: Annotated[str, typer.Argument(help="Model on the server; its batcher is reconfigured during the search.")],
    slo_p99_ms: Annotated[float, typer.Option(help="The promise: 99 % of requests within this many ms.")] = 100.0,
    url: Annotated[str | None, typer.Option(help="host:port of a running Triton; default: an embedded one.")] = None,
    on_twin: Annotated[
        bool, typer.Option("--on-twin", help="Calibrate, search on the digital twin, prove the best on the server.")
    ] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="With --on-twin: reuse the calibration in this file, or write a new one there.")
    ] = None,
    max_batch: Annotated[
        str, typer.Option(help="Batch sizes to try, comma separated; default: 1,8,32, with --on-twin many.")
    ] = "",
    max_delay_ms: Annotated[
        str, typer.Option(help="Waits to try, in ms; default: 0,2,5,20, with --on-twin many.")
    ] = "",
    instances: Annotated[
        str, typer.Option(help="Instance counts to try; default: 1, with --on-twin 1,2,4 on one emulated device.")
    ] = "",
    max_queue: Annotated[str, typer.Option(help="Queue limits to try; 0 is no limit.")] = "0",
    burstiness: Annotated[
        float, typer.Option(help="Squared coefficient of variation of the gaps; 1 is Poisson.")
    ] = 1.0,
    low_rps: Annotated[float, typer.Option(help="A rate that any configuration should carry. Not on the twin.")] = 5.0,
    high_rps: Annotated[
        float | None, typer.Option(help="Upper end; default: 1.1 x the measured capacity. Not on the twin.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of a screening run; on the twin, of a proof at least.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of the traffic.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Keeps every point; run again to resume.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every measurement here, simulated ones named so.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Draw the Pareto front here (png, svg, pdf); on the twin, the simulated one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search a grid of configurations for the highest rate within the SLO, then prove the winner.

    The search is exhaustive: each configuration costs about six short runs. With --on-twin
    the model is calibrated once, hundreds of configurations are simulated, and only the few
    best are measured. Your own Triton must run with --model-control-mode=explicit, so that
    the batcher can be changed while it serves.

    Examples:

        batchlab tune bert_t4 --slo-p99-ms 100

        batchlab tune bert_t4 --on-twin --calibration bert_t4.json

        batchlab tune my_model --url 127.0.0.1:8000 --max-batch 4,8,16 --max-delay-ms 0,1,5 --folder my_search
    """
    from tqdm import tqdm

    from batchlab import server, service_source
    from batchlab.number_list import numbers
    from batchlab.points import Point
    from batchlab.search_order import SearchOrder
    from batchlab.slo import Slo
    from batchlab.twin_tune import TwinSearch

    if calibration and not on_twin:
        raise typer.BadParameter("a calibration is of use on the twin only: add --on-twin.", param_hint="--calibration")
    for option, path in (("--calibration", calibration), ("--csv", csv), ("--out", out)):
        if path and not path.resolve().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.resolve().parent}.", param_hint=option)
    order = SearchOrder(
        model,
        Slo(percentile=99, limit_ms=slo_p99_ms),
        numbers("--max-batch", max_batch, int, empty=True),
        numbers("--max-delay-ms", max_delay_ms, float, empty=True),
        numbers("--instances", instances, int, empty=True),
        numbers("--max-queue", max_queue, int, empty=True) or (0,),
        burstiness=burstiness,
        seconds=seconds,
        seed=seed,
        folder=folder,
    )
    # A grid or a burstiness out of range is told before anything is started.
    order.cells()
    order.traffic(1.0, 1.0, seed)
    saved = service_source.read_calibration(calibration) if calibration and calibration.exists() else None
    triton = server.connect(url) if url else server.start([model])
    original = triton.config(model)
    try:
        with tqdm(desc=f"tuning {model}", unit="run") as bar:

            def show(point: Point) -> None:
                bar.update()
                bar.set_postfix_str(f"{point.knobs}: {point.rate_rps:.0f}/s P99 {point.p99_ms:.0f} ms")

            found: Search | TwinSearch = (
                order.on_twin(triton, saved, calibration, show)
                if on_twin
                else order.on_server(triton, low_rps, high_rps, show)
            )
    except KeyboardInterrupt:
        kept = f"Run the same command again to go on from {folder}." if folder else "Give --folder to be able to go on."
        typer.echo(f"Interrupted after {bar.n} runs, none of them confirmed. {kept}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        # The server is left as it was found, also after Ctrl-C.
        if triton.alive:
            triton.load(model, original)
    origin = triton.provenance(model, seed=seed)
    if isinstance(found, TwinSearch):
        points, told, drawn = _twin_results(found, origin)
    else:
        points, told, drawn = found.all_points(), {"found": str(found), "table": _records(found.table())}, origin
    if csv:
        points.to_csv(csv, index=False)
    if out:
        _draw(points[points["tier"] == "simulated"] if on_twin else points, slo_p99_ms, out, drawn)
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        _show(found)
    if found.confirmed is None:
        raise typer.Exit(1)


def _records(table: "pd.DataFrame") -> Any:
    return json.loads(table.to_json(orient="records"))


def _twin_results(found: "TwinSearch", origin: "Provenance") -> "tuple[pd.DataFrame, dict[str, Any], Provenance]":
    """Return every point with its tier, what JSON tells, and the provenance of what was simulated."""
    import pandas as pd

    from batchlab.provenance import Provenance

    live = found.live.all_points().assign(tier=origin.tier)
    points = pd.concat([found.predicted.all_points().assign(tier="simulated"), live], ignore_index=True)
    told = {
        "found": str(found),
        "confirmed": found.confirmed.to_dict() if found.confirmed else None,
        "considered": found.considered,
        "simulated_runs": found.simulated,
        "live_measurements": found.live_measurements,
        "warnings": list(found.calibration.warnings),
        "predicted": [point.to_dict() for point in found.predicted.ranked[:MOST_SHOWN]],
        "measured": _records(live),
        "calibration": found.calibration.to_dict(),
    }
    simulated = Provenance(
        tier="simulated",
        model=origin.model,
        server="digital twin of triton 2.51",
        profile=found.calibration.service.source,
        seed=origin.seed,
    )
    return points, told, simulated


def _show(found: "Search | TwinSearch") -> None:
    from rich.console import Console

    from batchlab.twin_tune import TwinSearch

    console = Console(stderr=True)
    if isinstance(found, TwinSearch):
        best = found.predicted.table().query("rate_rps > 0").head(MOST_SHOWN)
        console.print(f"Predicted by the twin (simulated), the best {len(best)}:", highlight=False)
        console.print(best.drop(columns="run_id", errors="ignore").round(1).to_string())
        console.print("Measured on the server:", highlight=False)
        console.print(found.live.all_points().round(1).to_string())
        for warning in found.calibration.warnings:
            console.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)
    else:
        console.print(found.table().round(1).to_string())
    print(found)


def _draw(points: "pd.DataFrame", slo_p99_ms: float, out: Path, provenance: "Provenance") -> None:
    from batchlab import plots

    figure = plots.pareto(points, slo=slo_p99_ms, provenance=provenance).get_figure(root=True)
    if figure is not None:
        figure.savefig(out)
