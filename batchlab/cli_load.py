"""``batchlab load``: traffic on a model of any Triton, and what it felt like."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.http_server import HttpServer
    from batchlab.measure import Run
    from batchlab.server import Server


class Pattern(StrEnum):
    """Shapes of traffic; RATE is the mean rate, except where the help says otherwise."""

    CONSTANT = "constant"
    POISSON = "poisson"
    GAMMA = "gamma"
    ON_OFF = "on-off"
    SPIKE = "spike"
    RAMP = "ramp"
    DIURNAL = "diurnal"


class Tier(StrEnum):
    """Where the time of the answers comes from, where a server cannot tell."""

    CPU = "cpu"
    GPU = "gpu"
    EMULATED = "emulated"


def load(
    model: Annotated[str, typer.Argument(help="Name of the model on the server.")],
    rate: Annotated[float, typer.Option(help="Requests per second.")] = 50.0,
    seconds: Annotated[float, typer.Option(help="Length of the run.")] = 10.0,
    pattern: Annotated[Pattern, typer.Option(help="Shape of the traffic.")] = Pattern.POISSON,
    burstiness: Annotated[float, typer.Option(help="Of gamma: variance/mean^2 of the gaps; 1 is Poisson.")] = 4.0,
    trace: Annotated[Path | None, typer.Option(help="Replay these send times instead (.csv, .json).")] = None,
    clients: Annotated[int | None, typer.Option(help="Closed loop: this many clients that wait.")] = None,
    url: Annotated[str | None, typer.Option(help="HOST:PORT of a running Triton; default: an embedded one.")] = None,
    protocol: Annotated[
        str, typer.Option(help="kserve (Triton), torchserve, litserve, mosec, tfserving, or http: any other.")
    ] = "kserve",
    path: Annotated[str, typer.Option(help="Other protocols: post here instead; $model is the model's name.")] = "",
    body: Annotated[str | None, typer.Option(help="Other protocols: post this text; $size is put in.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="Other protocols: a further 'Name: value'.")] = None,
    tier: Annotated[Tier | None, typer.Option(help="Other protocols: what computes behind it.")] = None,
    slo_p99_ms: Annotated[float | None, typer.Option(help="Judge: 99 % of requests within this many ms.")] = None,
    inputs: Annotated[Path | None, typer.Option(help="Inputs of one request (.npz, .json).")] = None,
    batch_size: Annotated[int, typer.Option(help="Items per request of generated inputs.")] = 1,
    size: Annotated[int | None, typer.Option(help="Length of variable dimensions, words of a text.")] = None,
    warmup: Annotated[float, typer.Option(help="Seconds left out of the statistics.")] = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds until a request counts as failed.")] = 10.0,
    priority: Annotated[int | None, typer.Option(help="Triton's priority of every request; 1 goes first.")] = None,
    queue_timeout_ms: Annotated[float | None, typer.Option(help="Triton's timeout in the queue, in ms.")] = None,
    retries: Annotated[int, typer.Option(help="Further attempts, with back-off, of a request refused by 503.")] = 0,
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

      batchlab load my_model --protocol torchserve --url 127.0.0.1:8080 --tier gpu --inputs image.json

      batchlab load any --protocol http --path /classify --body '{"text": "hi"}' --url 127.0.0.1:9000 --tier cpu

      batchlab load my_model --trace monday.csv --out monday.jsonl --json

      batchlab load bert_t4 --plan plan.npz, then:
      BATCHLAB_PLAN=plan.npz locust -f batchlab/sender.py
    """
    for option, written in (("--out", out), ("--plan", plan)):
        if written and not written.resolve().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {written.resolve().parent}.", param_hint=option)
    from batchlab import server, slo
    from batchlab.inputs import from_file, generated
    from batchlab.load import closed_loop, open_loop, write_plan
    from batchlab.load_report import numbers_of, show_run

    queueing = _queueing(clients, protocol, priority, queue_timeout_ms, retries)
    objective = None if slo_p99_ms is None else slo.Slo(p99_ms=slo_p99_ms)
    traffic = None if clients is not None else traffic_of(pattern, rate, seconds, burstiness, trace, seed)
    foreign = None
    if protocol != "kserve":
        if batch_size != 1 or size is not None:
            raise typer.BadParameter("other protocols send requests of one item; leave --batch-size and --size out.")
        foreign = _foreign(protocol, url, path, body, header or [], tier)
        if inputs is None:
            foreign.ask(model, timeout)
    elif path or body is not None or header or tier:
        raise typer.BadParameter("--path, --body, --header and --tier go with another --protocol than kserve.")
    triton: Any = foreign or (server.connect(url) if url else server.start([model]))
    try:
        given: Any = None  # a trace with sizes says itself how large each request is
        if foreign:
            given = inputs
        elif inputs:
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
            run = open_loop(triton, model, traffic, workers=workers, **queueing, **options)
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


def _queueing(
    clients: int | None, protocol: str, priority: int | None, queue_timeout_ms: float | None, retries: int
) -> dict[str, Any]:
    """Return what each request says about queueing; refuse it where nobody would heed it."""
    asked = {"--priority": priority, "--queue-timeout-ms": queue_timeout_ms, "--retries": retries or None}
    named = next((option for option, value in asked.items() if value is not None), None)
    if named and clients is not None:
        raise typer.BadParameter("goes with a schedule; leave --clients out.", param_hint=named)
    if (priority, queue_timeout_ms) != (None, None) and protocol != "kserve":
        raise typer.BadParameter("only Triton knows priorities and queue timeouts of a request.", param_hint=named)
    timeout_us = None if queue_timeout_ms is None else round(1000 * queue_timeout_ms)
    return {"priority": priority, "timeout_us": timeout_us, "retries": retries}


def _foreign(
    protocol: str, url: str | None, path: str, body: str | None, headers: list[str], tier: Tier | None
) -> "HttpServer":
    """Return the server that is no Triton; ask for what only the user can know."""
    from batchlab.http_server import HttpServer
    from batchlab.protocol import named

    if not url:
        raise typer.BadParameter("only Triton is started here; say where the other server is.", param_hint="--url")
    if tier is None:
        raise typer.BadParameter("this protocol does not tell what computes: cpu, gpu, emulated.", param_hint="--tier")
    pairs = {}
    for line in headers:
        name, colon, value = line.partition(":")
        if not colon:
            raise typer.BadParameter(f"{line!r} is no 'Name: value'.", param_hint="--header")
        pairs[name.strip()] = value.strip()
    return HttpServer(named(protocol).changed(path=path, body=body, headers=pairs), url, tier=tier.value)


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
    write_plan: Any, triton: "Server | HttpServer", model: str, traffic: "Arrivals | None", plan: Path, inputs: Any
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
