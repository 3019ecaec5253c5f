"""``batchlab serve``: the embedded Triton in the foreground."""

import json
import os
import signal
import time
from typing import Annotated, Any

import typer

from batchlab.number_list import numbers

WATCH_S = 0.5
LOG_LINES = 20


def serve(
    models: Annotated[list[str] | None, typer.Argument(help="Models to load; none: an empty server.")] = None,
    ports: Annotated[
        str, typer.Option(help="Ports for HTTP, gRPC and metrics, comma separated; 0 is any free one.")
    ] = "0,0,0",
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is for containers, and refused elsewhere.")
    ] = "127.0.0.1",
    cores: Annotated[str, typer.Option(help="Hold the server on these cores, such as 0,1; all by default.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one line of JSON.")] = False,
) -> None:
    """Start the embedded Triton with chosen models and keep it until Ctrl-C.

    It listens on 127.0.0.1, on free ports unless told which; the addresses are printed.
    'batchlab models' lists what there is to serve.

    Examples:

      batchlab serve resnet50
      batchlab serve resnet50 null --ports 8000,8001,8002
      batchlab serve ad_scoring --cores 1
    """
    wanted = _ports(ports)
    held = numbers("--cores", cores, int) if cores else None
    from batchlab import repository, server

    for model in models or ():
        repository.read(model)  # a mistyped name is told at once, with the nearest that there is
    os.environ.pop("BATCHLAB_URL", None)  # to serve is to start one's own
    # A terminated server (service manager, container) ends as cleanly as an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with server.start(models or (), reuse=False, ports=wanted, host=host, cores=held) as triton:
            _announce(triton, as_json)
            while triton.running:
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
        print(json.dumps(addresses), flush=True)
        return
    typer.echo(f"Triton {triton.version} serves {', '.join(addresses['models']) or 'no model yet'}. Ctrl-C ends it.")
    for name in ("http", "grpc", "metrics"):
        typer.echo(f"  {name:8} {addresses[name]}")
    typer.echo(f"Measure it from another terminal: batchlab sweep MODEL --url {triton.url}")


def _tail(triton: Any) -> str:
    return "\n".join(f"  {line}" for line in triton.log_tail(LOG_LINES).splitlines())


def _ports(text: str) -> tuple[int, int, int]:
    try:
        http, grpc, metrics = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not three port numbers such as 8000,8001,8002.", param_hint="--ports"
        ) from None
    return http, grpc, metrics
