"""``batchlab load``: traffic on a model of any Triton, and what it felt like."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.measure import Run
    from batchlab.server import Server
    from batchlab.slo import Verdict


class Pattern(StrEnum):
    """Shapes of traffic; RATE is the mean rate, except where the help says otherwise."""

    CONSTANT = "constant"
    POISSON = "poisson"
    GAMMA = "gamma"
    ON_OFF = "on-off"
    SPIKE = "spike"
    RAMP = "ramp"
    DIURNAL = "diurnal"


def load(
    model: Annotated[str, typer.Argument(help="Name of the model on the server.")],
    rate: Annotated[float, typer.Option(help="Requests per second.")] = 50.0,
    seconds: Annotated[float, typer.Option(help="Length of the run.")] = 10.0,
    pattern: Annotated[Pattern, typer.Option(help="Shape of the traffic.")] = Pattern.POISSON,
    burstiness: Annotated[float, typer.Option(help="Of gamma: variance/mean^2 of the gaps; 1 is Poisson.")] = 4.0,
    trace: Annotated[Path | None, typer.Option(help="Replay these send times instead (.csv, .json).")] = None,
    clients: Annotated[int | None, typer.Option(help="Closed loop: this many clients that wait.")] = None,
    url: Annotated[str | None, typer.Option(help="HOST:PORT of a running Triton; default: an embedded one.")] = None,
    slo_p99_ms: Annotated[float | None, typer.Option(help="Judge: 99 % of requests within this many ms.")] = None,
    inputs: Annotated[Path | None, typer.Option(help="Inputs of one request (.npz, .json).")] = None,
    batch_size: Annotated[int, typer.Option(help="Items per request of generated inputs.")] = 1,
    size: Annotated[int | None, typer.Option(help="Length of variable dimensions, words of a text.")] = None,
    warmup: Annotated[float, typer.Option(help="Seconds left out of the statistics.")] = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds until a request counts as failed.")] = 10.0,
    workers: Annotated[int, typer.Option(help="Sending processes that share the schedule.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the traffic and of generated inputs.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also keep the run's record here (.jsonl).")] = None,
    plan: Annotated[Path | None, typer.Option(help="Send nothing; write the plan for Locust's web page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Send traffic to a model and report offered rate, throughput, goodput and tail.

    Open loop: requests leave when they are meant to, and latency counts from then.
    Inputs are generated from the model's own metadata, or read from --inputs.
    on-off sends twice RATE half of the time, spike three times RATE in the middle
    third, ramp climbs from 0 to RATE, diurnal from a quarter of RATE to RATE and back.
    Ctrl-C keeps what was measured.
    Status 1: not valid, cut short, or the SLO not proven.

    Examples:

      batchlab load bert_t4 --rate 200 --slo-p99-ms 100

      batchlab load my_model --url 10.0.0.5:8000 --pattern gamma --burstiness 4 --workers 2

      batchlab load my_model --trace monday.csv --out monday.jsonl --json

      batchlab load bert_t4 --plan plan.npz, then:
      BATCHLAB_PLAN=plan.npz locust -f batchlab/sender.py
    """
    for option, path in (("--out", out), ("--plan", plan)):
        if path and not path.resolve().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.resolve().parent}.", param_hint=option)
    from batchlab import server, slo
    from batchlab.inputs import from_file, generated
    from batchlab.load import closed_loop, open_loop, write_plan

    objective = None if slo_p99_ms is None else slo.Slo(p99_ms=slo_p99_ms)
    traffic = None if clients is not None else traffic_of(pattern, rate, seconds, burstiness, trace, seed)
    triton = server.connect(url) if url else server.start([model])
    try:
        given: Any = None  # a trace with sizes says itself how large each request is
        if inputs:
            given = from_file(inputs)
        elif traffic is None or traffic.sizes is None:
            given = generated(triton, model, batch_size=batch_size, size=size, seed=seed)
        if plan:
            _write_plan(write_plan, triton, model, traffic, plan, given)
            return
        options: dict[str, Any] = {
            "inputs": given,
            "warmup_s": warmup,
            "timeout_s": timeout,
            "progress": not as_json,
        }
        if traffic is None:
            run = closed_loop(triton, model, clients=clients or 0, seconds=seconds, **options)
        else:
            run = open_loop(triton, model, traffic, workers=workers, **options)
    finally:
        if not url:
            triton.stop()
    verdict = None if objective is None else slo.verdict(run, objective)
    if out:
        _keep(run, out)
    if as_json:
        typer.echo(json.dumps(numbers_of(run, slo_p99_ms, verdict), indent=2))
    else:
        show_run(run, traffic, slo_p99_ms, verdict)
    if run.partial or not run.valid or (verdict is not None and not verdict.passed):
        raise typer.Exit(1)


def traffic_of(
    pattern: Pattern, rate: float, seconds: float, burstiness: float, trace: Path | None, seed: int
) -> "Arrivals":
    from batchlab import arrivals

    if trace:
        return arrivals.replay(trace, rebase=True)
    if pattern is Pattern.CONSTANT:
        return arrivals.constant(rate, seconds)
    if pattern is Pattern.GAMMA:
        return arrivals.gamma(rate, seconds, burstiness, seed)
    if pattern is Pattern.ON_OFF:
        return arrivals.on_off(2 * rate, 0.0, seconds / 10, seconds / 10, seconds, seed)
    if pattern is Pattern.SPIKE:
        return arrivals.spike(rate, seconds, 3.0, seconds / 3, seconds / 3, seed)
    if pattern is Pattern.RAMP:
        return arrivals.ramp(0.0, rate, seconds, seed)
    if pattern is Pattern.DIURNAL:
        return arrivals.diurnal(rate / 4, rate, seconds, seed)
    return arrivals.poisson(rate, seconds, seed)


def _write_plan(
    write_plan: Any, triton: "Server", model: str, traffic: "Arrivals | None", plan: Path, inputs: Any
) -> None:
    if traffic is None:
        raise typer.BadParameter("a plan needs a schedule; leave --clients out.", param_hint="--plan")
    if triton.embedded:
        raise typer.BadParameter(
            "the embedded server ends with this command; name another with --url.", param_hint="--plan"
        )
    write_plan(triton, model, traffic, plan, inputs=inputs)
    from batchlab import workspace

    sender = Path(workspace.__file__).with_name("sender.py")
    typer.echo(f"BATCHLAB_PLAN={plan} locust -f {sender} --users 1    # then open http://localhost:8089")


def _keep(run: "Run", out: Path) -> None:
    """Write the record under the wanted name, whole or not at all."""
    from batchlab import journal

    saved = journal.save(run, out.resolve().parent)
    saved.replace(out)


def numbers_of(run: "Run", slo_ms: float | None, verdict: "Verdict | None") -> dict[str, Any]:
    import math

    import numpy as np

    late = run.lateness_ms
    numbers = {
        **run.describe(),
        "goodput_rps": None if slo_ms is None else run.goodput_rps(slo_ms),
        "lateness_p99_ms": float(np.percentile(late, 99)) if len(late) else None,
        "errors_by_text": run.errors,
        "invalid": run.invalid,
        "verdict": None if verdict is None else verdict.to_dict(),
        "run_id": run.run_id,
        "provenance": run.provenance.to_dict(),
    }
    return _plain(numbers, math.isfinite)


def _plain(value: Any, finite: Any) -> Any:
    """NaN and infinity are no JSON: null says that there is no such number."""
    if isinstance(value, dict):
        return {key: _plain(inner, finite) for key, inner in value.items()}
    return None if isinstance(value, float) and not finite(value) else value


def show_run(run: "Run", traffic: "Arrivals | None", slo_ms: float | None, verdict: "Verdict | None") -> None:
    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    what = str(traffic) if traffic is not None else f"{run.settings['clients']} clients that wait for their answers"
    table = Table(title=f"{run.provenance.model}: {escape(what)}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    rows: list[tuple[str, str, str]] = [
        ("offered", f"{run.offered_rps:.1f}/s", f"{len(run.kept)} requests"),
        ("throughput", f"{run.throughput_rps:.1f}/s", f"{run.throughput_ips:.1f} inferences/s"),
    ]
    if slo_ms is not None:
        rows.append(("goodput", f"{run.goodput_rps(slo_ms):.1f}/s", f"answered within {slo_ms:g} ms"))
    if len(run.latencies_ms):
        for percent in (50, 95, 99):
            found = run.percentile_ms(percent)
            high = "?" if np.isinf(found.high) else f"{found.high:.2f}"
            between = f"95 % sure: {found.low:.2f} to {high}"
            rows.append((f"P{percent}", f"{found.value:.2f} ms", between))
    if run.kind == "open_loop" and len(run.lateness_ms):
        rows.append(("lateness P99", f"{np.percentile(run.lateness_ms, 99):.2f} ms", "of the sender"))
    if run.server:
        rows.append(("mean batch", f"{run.server.mean_batch:.2f}", f"{run.server.executions} batches"))
    rows += [("failed", str(count), text) for text, count in run.errors.items()]
    for name, value, note in rows:
        table.add_row(name, value, escape(note))
    console = Console()
    console.print(table)
    if run.partial:
        console.print("Cut short: the numbers are of the part that was measured.", style="bold")
    for reason in run.invalid:
        console.print(Text(f"NOT VALID: {reason}", style="bold red"))
    if verdict is not None and run.valid:
        console.print(Text(str(verdict), style="bold"))
    console.print(Text(run.provenance.caption(), style="dim"))
