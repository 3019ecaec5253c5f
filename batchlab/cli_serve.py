"""``batchlab serve``: the embedded Triton in the foreground."""

import signal
import time
from typing import Annotated, Any

import typer

WATCH_S = 0.5
LOG_LINES = 20


def serve(
    models: Annotated[list[str] | None, typer.Argument(help="Models to load; none: an empty server.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one line of JSON.")] = False,
) -> None:
    """Start the embedded Triton with chosen models and keep it until Ctrl-C.

    It listens on 127.0.0.1, on free ports; the addresses are printed.
    'batchlab models' lists what there is to serve.

    Examples:

      batchlab serve resnet50
      batchlab serve resnet50 null --json
    """
    from batchlab import server

    # A terminated server (service manager, container) ends as cleanly as an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with server.start(models or (), reuse=False) as triton:
            _announce(triton, as_json)
            while triton.alive:
                time.sleep(WATCH_S)
            typer.echo(f"Error: Triton ended by itself. Its last lines:\n{_tail(triton)}", err=True)
            raise typer.Exit(1)
    except KeyboardInterrupt:
        if not as_json:
            typer.echo("Ended.")


def _announce(triton: Any, as_json: bool) -> None:
    addresses = {
        "http": triton.url,
        "grpc": triton.grpc_url,
        "metrics": triton.metrics_url,
        "version": triton.version,
        "models": triton.loaded(),
    }
    if as_json:
        import json

        print(json.dumps(addresses), flush=True)
        return
    typer.echo(f"Triton {triton.version} serves {', '.join(addresses['models']) or 'no model yet'}. Ctrl-C ends it.")
    for name in ("http", "grpc", "metrics"):
        typer.echo(f"  {name:8} {addresses[name]}")
    typer.echo(f"Measure it from another terminal: batchlab sweep MODEL --url {triton.url}")


def _tail(triton: Any) -> str:
    lines = triton.log_tail(LOG_LINES)
    return lines if isinstance(lines, str) else "\n".join(lines)
