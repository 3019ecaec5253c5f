"""``batchlab monitor``: what each model of a running Triton does, second by second."""

import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from batchlab.monitor import Look
    from batchlab.reading import Reading

COLUMNS = (
    ("requests/s", "requests_rps", "{:.1f}"),
    ("batches/s", "executions_per_s", "{:.1f}"),
    ("mean batch", "mean_batch", "{:.2f}"),
    ("queue ms", "queue_ms", "{:.2f}"),
    ("compute ms", "compute_ms", "{:.2f}"),
    ("in server ms", "request_ms", "{:.2f}"),
    ("P99 ms", "p99_ms", "{:.2f}"),
    ("pending", "pending", "{:.0f}"),
    ("rejected/s", "rejected_rps", "{:.1f}"),
    ("failed/s", "failures_rps", "{:.1f}"),
)
NOTHING = "-"


@dataclass
class Target:
    """The server that is watched: where its metrics are, and, where known, its HTTP service, which tells the tiers."""

    metrics: str
    http: str | None = None
    embedded: bool = False
    tiers: dict[str, str] = field(default_factory=dict)

    def tier(self, model: str) -> str:
        """Return where the model's times come from; "-" where the server does not say."""
        if model not in self.tiers and self.http:
            from urllib.parse import quote

            from batchlab import tiers
            from batchlab.endpoint import Endpoint, ServerError

            endpoint = Endpoint(self.http)

            def config(name: str) -> dict[str, Any]:
                return dict(endpoint.get(f"/v2/models/{quote(name)}/config", timeout_s=2.0))

            try:
                self.tiers[model] = tiers.tier(config(model), self.embedded, config)
            except ServerError:
                self.tiers[model] = NOTHING
            finally:
                endpoint.close()
        return self.tiers.get(model, NOTHING)


def monitor(
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be repeated.")] = None,
    url: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Triton's HTTP service; metrics two ports above it.")
    ] = None,
    metrics_url: Annotated[str | None, typer.Option(help="HOST:PORT of its metrics, where they are elsewhere.")] = None,
    interval_s: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    slo_ms: Annotated[float | None, typer.Option(min=0.001, help="Mark times in the server above this.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Two looks, one table, and out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a look.")] = False,
) -> None:
    """Watch a running Triton: queue, compute, mean batch and refusals of each model.

    Without --url: the server that BATCHLAB_URL names, or the embedded one that
    runs now, for example a notebook's. It only reads; no request is sent.
    A server that restarts or goes is told, and looked for again. Ctrl-C ends it.
    'tier' says where times come from: emulated, cpu or gpu ('-': it does not say).
    'in server' is a mean, so a mark there means trouble long past the P99.
    P99 needs a Triton with --metrics-config summary_latencies=true.
    Status 1 with --once: there was nothing to see.

    Examples:

      batchlab monitor
      batchlab monitor --url 10.0.0.5:8000 --model fraud_check --slo-ms 50
      batchlab monitor --json --once
    """
    target = _target(url, metrics_url)
    from batchlab.monitor import Monitor

    watch = Monitor(target.metrics, model or (), interval_s, keep=1)
    try:
        if as_json or once or not sys.stdout.isatty():
            _lines(watch, target, slo_ms, once, as_json)
        else:
            _live(watch, target, slo_ms)
    except KeyboardInterrupt:
        if not as_json:
            typer.echo("Ended.")
    except BrokenPipeError:
        # The reader (head, for example) has seen enough; the interpreter must not try to flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _target(url: str | None, metrics_url: str | None) -> Target:
    """Return the server to watch."""
    from batchlab.endpoint import ServerError, parse_url

    # A server named on the command line leaves the environment's addresses out.
    if url is None and metrics_url is None:
        url, metrics_url = os.environ.get("BATCHLAB_URL"), os.environ.get("BATCHLAB_METRICS_URL")
    named = None
    try:
        if url:
            host, port = parse_url(url)
            named = Target(f"{host}:{port + 2}", f"{host}:{port}")
        if metrics_url:
            named = Target("{}:{}".format(*parse_url(metrics_url, 8002)), named.http if named else None)
    except ServerError as error:
        raise typer.BadParameter(str(error), param_hint="--url, --metrics-url") from None
    if named:
        return named
    from batchlab import embedded

    running = embedded.running()
    if not running:
        raise typer.BadParameter(
            "no embedded server runs here. Name one, or start one with 'batchlab serve MODEL'.", param_hint="--url"
        )
    if len(running) > 1:
        found = ", ".join(f"127.0.0.1:{each.ports[2]}" for each in running)
        raise typer.BadParameter(f"several servers run here: {found}. Choose one.", param_hint="--metrics-url")
    http, _, metrics = running[0].ports
    return Target(f"127.0.0.1:{metrics}", f"127.0.0.1:{http}", embedded=True)


def _lines(watch: Any, target: Target, slo_ms: float | None, once: bool, as_json: bool) -> None:
    for look in watch.looks():
        # The first look has nothing to compare with: whoever wants one table waits for the second.
        if once and look.state == "first":
            continue
        if as_json:
            print(json.dumps(_plain(target, look, slo_ms)), flush=True)
        else:
            _print(target, look, slo_ms)
        if once:
            if not look.readings:
                raise typer.Exit(1)
            return


def _plain(target: Target, look: "Look", slo_ms: float | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    models = []
    for reading in look.readings.values():
        told = {"tier": target.tier(reading.model), **reading.to_dict()}
        models.append(told if slo_ms is None else {**told, "over_slo": _over(reading, slo_ms)})
    date = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"date": date, "metrics": target.metrics, "state": look.state, "note": look.note, "models": models}


def _print(target: Target, look: "Look", slo_ms: float | None) -> None:
    """Print a look as plain lines, one a model, for logs and pipes."""
    from datetime import datetime

    now = datetime.now().strftime("%H:%M:%S")
    if look.note or not look.readings:
        print(f"{now} {look.state}: {look.note or _waiting(look, target.metrics)}", flush=True)
    for reading in look.readings.values():
        values = ", ".join(f"{title} {_cell(reading, name, form)}" for title, name, form in COLUMNS)
        mark = f"  OVER the SLO of {slo_ms:g} ms" if _over(reading, slo_ms) else ""
        print(f"{now} {reading.model} ({target.tier(reading.model)}): {values}{mark}", flush=True)


def _live(watch: Any, target: Target, slo_ms: float | None) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False) as screen:
        for look in watch.looks():
            screen.update(_table(target, look, slo_ms), refresh=True)


def _table(target: Target, look: "Look", slo_ms: float | None) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    limit = f", SLO {slo_ms:g} ms" if slo_ms is not None else ""
    table = Table(title=f"Triton's metrics at {target.metrics}{limit}: {look.state}", title_justify="left")
    table.add_column("model", style="bold")
    table.add_column("tier")
    for title, _, _ in COLUMNS:
        table.add_column(title, justify="right")
    for reading in look.readings.values():
        over = _over(reading, slo_ms)
        cells = [
            Text(_cell(reading, name, form), style="bold red" if over and name in over else "")
            for _, name, form in COLUMNS
        ]
        table.add_row(Text(reading.model), target.tier(reading.model), *cells)
    return Group(table, Text(look.note or ("" if look.readings else _waiting(look, target.metrics)), style="bold"))


def _waiting(look: "Look", url: str) -> str:
    return "the first look; rates follow with the next." if look.state == "first" else f"{url} serves no model yet."


def _cell(reading: "Reading", name: str, form: str) -> str:
    value = getattr(reading, name)
    return NOTHING if value != value else form.format(value)


def _over(reading: "Reading", slo_ms: float | None) -> list[str]:
    """Return which times are above the SLO: the mean in the server, the P99 where Triton tells one."""
    if slo_ms is None:
        return []
    return [name for name in ("request_ms", "p99_ms") if getattr(reading, name) > slo_ms]
