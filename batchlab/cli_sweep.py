"""``batchlab sweep``: one batch size after another, a table, a picture, the knee."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer


def sweep(
    model: Annotated[str, typer.Argument(help="Name of the model on the server.")],
    url: Annotated[str | None, typer.Option(help="HOST:PORT of a running Triton; default: an embedded one.")] = None,
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes, comma separated.")] = "1,8,32,128",
    seconds: Annotated[float, typer.Option(min=0.1, help="Measuring time per batch size.")] = 5.0,
    out: Annotated[Path | None, typer.Option(help="Draw the curve here (png, svg or pdf).")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print table, knee and provenance as JSON.")] = False,
) -> None:
    """Measure a model at static batch sizes: latency per request, throughput, and where the knee lies.

    One request at a time, so a latency is the cost of its batch.
    Inputs are generated from the model's own metadata.
    Without --url, an embedded Triton serves the model from triton_repo/.

    Examples:

      batchlab sweep resnet50 --out sweep.png
      batchlab sweep resnet50 --batch-sizes 1,2,4,8,16 --seconds 10
      batchlab sweep my_model --url 10.0.0.5:8000 --csv sweep.csv --json
    """
    given = _sizes(batch_sizes)
    _check_writable(out, csv)
    from batchlab import repository, server
    from batchlab.curve import checked_sizes
    from batchlab.sweep import static_sweep

    sizes = checked_sizes(given)
    if not url and not os.environ.get("BATCHLAB_URL"):
        repository.read(model)  # a mistyped name is told at once, with the nearest that there is
    # Stopping a server that is not ours leaves it alone.
    with server.connect(url) if url else server.start([model]) as triton:
        found = static_sweep(triton, model, sizes, seconds_per_size=seconds, progress=not as_json)
    table = found.table()
    if csv:
        origin = {"model": model, "tier": found.provenance.tier, "date": found.provenance.date}
        table.assign(**origin).to_csv(csv, index=False)
    if out:
        _draw(found, out)
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        typer.echo(
            json.dumps(
                {
                    "provenance": found.provenance.to_dict(),
                    "rows": rows,
                    "knee": found.knee(),
                    "partial": found.partial,
                    "problem": found.problem,
                },
                indent=2,
            )
        )
    else:
        _show(found, table)
    if found.partial:
        raise typer.Exit(1)


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a comma-separated list of whole numbers such as 1,8,32.", param_hint="--batch-sizes"
        ) from None


def _check_writable(out: Path | None, csv: Path | None) -> None:
    """Before the measuring: minutes of it must not be lost to a mistyped folder."""
    for option, path in (("--out", out), ("--csv", csv)):
        if path and not path.resolve().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.resolve().parent}.", param_hint=option)
    if out and out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter(f"{out.name!r} must end in .png, .svg or .pdf.", param_hint="--out")


def _show(found: Any, table: Any) -> None:
    import math

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=f"{found.provenance.model}: one request at a time", title_justify="left")
    for heading in ("batch", "requests", "mean ms", "P50 ms", "P99 ms", "ms per inference", "inferences/s"):
        shown.add_column(heading, justify="right")
    knee = found.knee()
    for row in table.itertuples():
        # A P99 that the samples cannot bound is only the slowest of few: say so instead of posing.
        mark = "" if math.isfinite(row.p99_high_ms) else "?"
        shown.add_row(
            str(row.batch_size),
            str(row.requests),
            f"{row.mean_ms:.2f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}{mark}",
            f"{row.ms_per_inference:.3f}",
            f"{row.throughput_ips:.1f}",
            style="bold" if row.batch_size == knee else "",
        )
    console = Console()
    console.print(shown)
    if not all(math.isfinite(high) for high in table["p99_high_ms"]):
        console.print("?: too few requests to bound the P99; measure longer with --seconds.")
    console.print(f"Knee: batch {knee}, the smallest with at least 90 % of the best throughput measured.")
    console.print(Text(found.provenance.caption(), style="dim"))


def _draw(found: Any, out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from batchlab import plots
    from batchlab.plots.canvas import styled

    @styled
    def draw() -> None:
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
        right.set_title("Throughput against batch size; ring: the knee", loc="left")
        plots.latency_against_batch(found, ax=left)
        plots.throughput_against_batch(found, ax=right)
        figure.savefig(out)

    draw()
