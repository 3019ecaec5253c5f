"""``batchlab breakdown``: where the time of a request goes, and what to try."""

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from batchlab.breakdown import Breakdown

WARM_UP = 3


def breakdown(
    model: Annotated[str, typer.Argument(help="Name of the model on the server.")],
    url: Annotated[str | None, typer.Option(help="HOST:PORT of a running Triton; default: an embedded one.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests per second, Poisson.")] = 20.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of the run.")] = 5.0,
    inputs: Annotated[Path | None, typer.Option(help="Inputs of one request (.npz, .json).")] = None,
    batch_size: Annotated[int, typer.Option(help="Items per request of generated inputs.")] = 1,
    size: Annotated[int | None, typer.Option(help="Length of variable dimensions, words of a text.")] = None,
    calls: Annotated[str, typer.Option(help="Models that this one calls, comma separated.")] = "",
    trace: Annotated[bool, typer.Option(help="Switch Triton's trace on meanwhile: tells HTTP from network.")] = False,
    perfetto: Annotated[Path | None, typer.Option(help="Trace, and write the requests here (.json).")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw the split here (png, svg or pdf).")] = None,
    seed: Annotated[int, typer.Option(help="Of the traffic and of generated inputs.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the split as JSON.")] = False,
) -> None:
    """Split the mean request of a model into client, network, HTTP, queue and model.

    The parts add up to the latency that the client saw. The largest is named,
    with what to try against it. A trace needs a server on this machine that was
    started with --trace-config triton,file=FILE; the embedded server was.
    Tracing is off again afterwards. Open the file of --perfetto at
    https://ui.perfetto.dev.

    Examples:

      batchlab breakdown resnet50 --rate 10 --out split.png

      batchlab breakdown my_model --url 10.0.0.5:8000 --rate 200 --json

      batchlab breakdown text_classifier --calls text_encoder --perfetto trace.json
    """
    _check_writable(perfetto, out)
    from batchlab import arrivals, server
    from batchlab import breakdown as splitting
    from batchlab import trace as tracing
    from batchlab.inputs import from_file, generated
    from batchlab.load import open_loop
    from batchlab.perfetto import write

    names = [name.strip() for name in calls.split(",") if name.strip()]
    traffic = arrivals.poisson(rate, seconds, seed)
    with server.connect(url) if url else server.start([model, *names]) as triton:
        names = names or _called(triton, model)
        given: Any = from_file(inputs) if inputs else None
        if given is None:
            given = generated(triton, model, batch_size=batch_size, size=size, seed=seed)
        for _ in range(WARM_UP):
            triton.infer(model, given if isinstance(given, dict) else given[0])
        before = {name: triton.statistics(name) for name in names}
        recorded: Any = contextlib.nullcontext()
        if trace or perfetto:
            recorded = tracing.recording(triton, model)
        with recorded as seen:
            run = open_loop(triton, model, traffic, inputs=given, max_lateness_ms=50, progress=not as_json)
        called = {name: triton.statistics(name) - old for name, old in before.items()}
        traced = seen.requests if seen else []
        found = splitting.split(run, traced=traced, called=called)
    if perfetto:
        write(perfetto, [span for row in traced for span in row.spans()], run.provenance)
    if out:
        _draw(found, out)
    if as_json:
        typer.echo(json.dumps({**found.to_dict(), "invalid": run.invalid, "partial": run.partial}, indent=2))
    else:
        _show(found, run.invalid)
        if perfetto:
            typer.echo(f"{len(traced)} requests in {perfetto}: open it at https://ui.perfetto.dev.")
    if run.partial or not run.valid:
        raise typer.Exit(1)


def _called(triton: Any, model: str) -> list[str]:
    """Return the model that this one names as its encoder, where it does; the embedded server loads it."""
    encoder = triton.config(model).parameters.get("encoder", "")
    if encoder and triton.embedded:
        triton.load_missing([encoder])
    return [encoder] if encoder in triton.loaded() else []


def _check_writable(perfetto: Path | None, out: Path | None) -> None:
    for option, path in (("--perfetto", perfetto), ("--out", out)):
        if path and not path.resolve().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.resolve().parent}.", param_hint=option)
    if out and out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter(f"{out.name!r} must end in .png, .svg or .pdf.", param_hint="--out")


def _show(found: "Breakdown", invalid: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = f"{found.provenance.model}: the mean of {found.requests} requests"
    shown = Table()
    shown.add_column("part")
    shown.add_column("ms", justify="right")
    shown.add_column("share", justify="right")
    for part, row in found.table().iterrows():
        style = "bold" if part == found.largest else ""
        shown.add_row(str(part), f"{row['ms']:.2f}", f"{100 * row['share']:.0f} %", style=style)
        if part == "compute":
            for name, ms in found.called_ms.items():
                shown.add_row(f"  of it {name}", f"{ms:.2f}", f"{100 * ms / found.latency_ms:.0f} %")
    shown.add_section()
    shown.add_row("latency", f"{found.latency_ms:.2f}", "100 %")
    console = Console()
    console.print(Text(heading, style="bold"))
    console.print(shown)
    console.print(Text(f"Largest: {found.largest}. {found.advice}", style="bold"))
    for reason in invalid:
        console.print(Text(f"NOT VALID: {reason}", style="bold red"))
    console.print(Text(found.provenance.caption(), style="dim"))


def _draw(found: "Breakdown", out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from batchlab import plots
    from batchlab.plots.canvas import styled

    @styled
    def draw() -> None:
        figure, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
        plots.split(found, ax=ax)
        figure.savefig(out)

    draw()
