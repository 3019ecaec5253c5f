"""``batchlab tune``: the configuration of highest throughput that keeps a latency promise."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchlab.arrivals import Arrivals

if TYPE_CHECKING:
    import pandas as pd

    from batchlab.provenance import Provenance


def tune(
    model: Annotated[str, typer.Argument(help="Model on the server; its batcher is reconfigured during the search.")],
    slo_p99_ms: Annotated[float, typer.Option(help="The promise: 99 % of requests within this many ms.")] = 100.0,
    url: Annotated[str | None, typer.Option(help="host:port of a running Triton; default: an embedded one.")] = None,
    max_batch: Annotated[str, typer.Option(help="Batch sizes to try, comma separated.")] = "1,8,32",
    max_delay_ms: Annotated[str, typer.Option(help="Waits to try, in ms, comma separated.")] = "0,2,5,20",
    instances: Annotated[str, typer.Option(help="Instance counts to try, comma separated.")] = "1",
    max_queue: Annotated[str, typer.Option(help="Queue limits to try; 0 is no limit.")] = "0",
    burstiness: Annotated[
        float, typer.Option(help="Squared coefficient of variation of the gaps; 1 is Poisson.")
    ] = 1.0,
    low_rps: Annotated[float, typer.Option(help="A rate that any configuration should carry.")] = 5.0,
    high_rps: Annotated[float | None, typer.Option(help="Upper end; default: 1.1 x the measured capacity.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of a screening run.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of the traffic.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Keeps every point; run again to resume.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write every measurement here.")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw the Pareto front here (png, svg, pdf).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search a grid of configurations for the highest rate within the SLO, then prove the winner.

    The search is exhaustive: each configuration costs about six short runs. Your own Triton must run with
    --model-control-mode=explicit, so that the batcher can be changed while it serves.

    Examples:

        batchlab tune bert_t4 --slo-p99-ms 100

        batchlab tune my_model --url 127.0.0.1:8000 --max-batch 4,8,16 --max-delay-ms 0,1,5 --folder my_search
    """
    from rich.console import Console
    from tqdm import tqdm

    from batchlab import arrivals, server
    from batchlab.points import Point
    from batchlab.slo import Slo
    from batchlab.tune import Tuner, capacity_rps, drive_server, grid

    cells = grid(
        _numbers("--max-batch", max_batch, int),
        _numbers("--max-delay-ms", max_delay_ms, float),
        _numbers("--instances", instances, int),
        _numbers("--max-queue", max_queue, int),
    )
    slo = Slo(percentile=99, limit_ms=slo_p99_ms)

    def pattern(rate_rps: float, length_s: float, number: int) -> Arrivals:
        if burstiness == 1.0:
            return arrivals.poisson(rate_rps, length_s, seed=number)
        return arrivals.gamma(rate_rps, length_s, burstiness=burstiness, seed=number)

    triton = server.connect(url) if url else server.start([model])
    original = triton.config(model)
    console = Console(stderr=True)
    try:
        drive = drive_server(triton, model)
        top = high_rps or 1.1 * capacity_rps(triton, model, cells)
        with tqdm(desc=f"tuning {model}", unit="run") as bar:

            def show(point: Point) -> None:
                bar.update()
                bar.set_postfix_str(f"{point.knobs}: {point.rate_rps:.0f}/s P99 {point.p99_ms:.0f} ms")

            tuner = Tuner(model, slo, drive, pattern, seconds=seconds, folder=folder, seed=seed, on_point=show)
            found = tuner.search(cells, low_rps, top)
    finally:
        # The server is left as it was found, also after Ctrl-C.
        if triton.alive:
            triton.load(model, original)
    if csv:
        found.all_points().to_csv(csv, index=False)
    if out:
        _draw(found.all_points(), slo_p99_ms, out, triton.provenance(model, seed=seed))
    if as_json:
        print(json.dumps({"found": str(found), "table": json.loads(found.table().to_json(orient="records"))}, indent=2))
    else:
        console.print(found.table().round(1).to_string())
        print(found)
    if found.confirmed is None:
        raise typer.Exit(1)


def _numbers(option: str, text: str, kind: type) -> list:
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a comma-separated list of numbers.", param_hint=option) from None


def _draw(points: "pd.DataFrame", slo_p99_ms: float, out: Path, provenance: "Provenance") -> None:
    from batchlab import plots

    figure = plots.pareto(points, slo=slo_p99_ms, provenance=provenance).get_figure(root=True)
    if figure is not None:
        figure.savefig(out)
