"""``batchlab profiles``: the accelerators that can be played back."""

import json
from typing import Annotated, Any

import typer


def profiles(
    name: Annotated[str | None, typer.Argument(help="One profile, with its whole curve and its source.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the published latency curves of accelerators.

    The emulated models play them back. Each curve keeps its scope: time on
    the device alone, or a client's round trip.

    Examples:

      batchlab profiles
      batchlab profiles NAME       its whole curve, and where it was published
    """
    from batchlab.profiles import load_profiles

    known = load_profiles()
    if name is not None and name not in known:
        raise typer.BadParameter(f"no profile {name!r}. There are: {', '.join(sorted(known))}.", param_hint="NAME")
    chosen = {name: known[name]} if name else known
    if as_json:
        typer.echo(json.dumps([_plain(profile) for profile in chosen.values()], indent=2))
    elif name:
        _show_one(known[name])
    else:
        _show_all(chosen)


def _plain(profile: Any) -> dict[str, Any]:
    texts = ("name", "model", "gpu", "precision", "framework", "seq_len", "scope", "source")
    return {
        **{field: getattr(profile, field) for field in texts},
        "batch_sizes": [int(size) for size in profile.batch_sizes],
        "latencies_ms": [float(latency) for latency in profile.latencies_ms],
    }


def _show_all(chosen: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Published accelerators", title_justify="left")
    table.add_column("profile", no_wrap=True)
    table.add_column("GPU", no_wrap=True)
    table.add_column("scope")
    for heading in ("batches", "ms", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, profile in chosen.items():
        sizes, latencies = profile.batch_sizes, profile.latencies_ms
        gain = (sizes[-1] / latencies[-1]) / (sizes[0] / latencies[0])
        batches, span_ms = f"{sizes[0]}-{sizes[-1]}", f"{latencies[0]:.3g}-{latencies[-1]:.4g}"
        table.add_row(name, profile.gpu, profile.scope, batches, span_ms, f"{gain:.1f}x")
    console = Console()
    console.print(table)
    console.print("Gain: inferences/s at the largest published batch over those at the smallest.")


def _show_one(profile: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=profile.name, title_justify="left")
    for heading in ("batch", "ms", "ms per inference", "inferences/s"):
        table.add_column(heading, justify="right")
    for size, latency in zip(profile.batch_sizes, profile.latencies_ms, strict=True):
        table.add_row(str(size), f"{latency:.2f}", f"{latency / size:.3f}", f"{1000 * size / latency:.1f}")
    console = Console()
    console.print(table)
    sequence = f", sequence length {profile.seq_len}" if profile.seq_len else ""
    console.print(Text(f"{profile.model} on {profile.gpu}, {profile.precision}, {profile.framework}{sequence}"))
    console.print(Text(f"Scope: {profile.scope}"))
    console.print(Text(f"Source: {profile.source}"))
