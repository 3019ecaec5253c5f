"""Other load tools on the same schedule: what they are given, how they are run, and what each of them hides.

Every tool gets its own input file made from one `Arrivals` and one `Target`, runs for a bounded time against a server
on this machine, and gives back a `Report`. The tools themselves are in `batchlab.loadtools`.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from batchlab.arrivals import Arrivals
from batchlab.measure import COLUMNS, Run, percentile
from batchlab.provenance import Provenance

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Time for a tool to start and stop, on top of the schedule and of its last answer.
GRACE_S = 60.0
DATA_TYPES = {"float32": "FP32", "float64": "FP64", "float16": "FP16", "int32": "INT32", "int64": "INT64"}
DATA_TYPES |= {"int8": "INT8", "uint8": "UINT8", "bool": "BOOL", "object": "BYTES"}


class ExternalError(RuntimeError):
    """A tool that is missing, cannot do what is asked, or failed; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """What is sent: a POST to one URL.

    Attributes:
        url: whole, with scheme; on this machine only.
        body: of every request, or of requests whose size has no entry in `bodies`.
        headers: beside those that the tool sets itself.
        bodies: a body per request size, for schedules that carry sizes.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    bodies: Mapping[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK:
            raise ExternalError(f"{self.url}: load goes to http://127.0.0.1 only, never to a machine of others.")

    @classmethod
    def infer(cls, server_url: str, model: str, inputs: Mapping[str, np.ndarray]) -> "Target":
        """An inference request to a Triton model, inputs as JSON.

        Args:
            server_url: ``"127.0.0.1:8000"``, as in `Server.url`.
            model: its name on the server.
            inputs: arrays by input name, shapes with the batch dimension where the model has one.
        """
        return cls(f"http://{server_url}/v2/models/{model}/infer", json_body(inputs))

    def sequence(self, arrivals: Arrivals) -> list[bytes]:
        """Return the body of each request of a schedule, in order."""
        sizes = arrivals.sizes
        if sizes is None or not self.bodies:
            return [self.body] * len(arrivals)
        return [self.bodies.get(int(size), self.body) for size in sizes]


def json_body(inputs: Mapping[str, np.ndarray]) -> bytes:
    """Return a KServe v2 inference request in JSON on one line.

    Source: kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``.

    Raises:
        ExternalError: an array of a type that JSON requests do not carry.
    """
    tensors = []
    for name, array in inputs.items():
        kind = array.dtype.name if array.dtype.kind not in "SU" else "object"
        if kind not in DATA_TYPES:
            raise ExternalError(f"Input {name!r} has type {array.dtype}: use one of {', '.join(DATA_TYPES)}.")
        data = [value.decode() if isinstance(value, bytes) else value for value in array.ravel().tolist()]
        tensors.append({"name": name, "shape": list(array.shape), "datatype": DATA_TYPES[kind], "data": data})
    return json.dumps({"inputs": tensors}).encode()


@dataclass(frozen=True)
class Report:
    """What a tool gave back.

    Attributes:
        tool: its name.
        reported: the tool's own account, on its own clock: requests, errors, throughput_rps, mean_ms, p50_ms, p99_ms,
            max_ms.
        run: its raw samples as our record, counted from the intended time where the tool knows one; None where it
            keeps only summaries.
        notes: what these numbers leave out.
        command: what was run.
    """

    tool: str
    reported: dict[str, float]
    run: Run | None
    notes: tuple[str, ...]
    command: tuple[str, ...] = ()


class Tool(Protocol):
    """A load tool. `name`, `install` (what to do when it is missing), and how it differs."""

    name: str
    install: str
    loop: str
    schedule: str
    latency_from: str
    resolution: str
    hides: str
    source: str

    def missing(self) -> bool:
        """Whether it is not installed here."""

    def prepare(self, folder: Path, plan: "Plan") -> Sequence[str]:
        """Write its input files into `folder`; return the command, to be run there."""

    def read(self, folder: Path, plan: "Plan", output: str) -> Report:
        """Read back what it left in `folder` and printed."""


@dataclass(frozen=True)
class Plan:
    """One run to be: the schedule, what is sent, the most requests in flight, and the patience with an answer."""

    arrivals: Arrivals
    target: Target
    provenance: Provenance
    clients: int
    timeout_s: float

    def run(self, kind: str, samples: pd.DataFrame, tool: str) -> Run:
        """Return the record of this plan as sent by `tool`."""
        settings = {"tool": tool, "clients": self.clients, "arrivals": self.arrivals.to_dict()}
        return Run(samples[list(COLUMNS)], self.provenance, kind, settings=settings)


def send(
    tool: Tool,
    arrivals: Arrivals,
    target: Target,
    *,
    provenance: Provenance,
    clients: int = 64,
    timeout_s: float = 10.0,
) -> Report:
    """Send a schedule through another tool and read its answer back.

    Args:
        tool: one of `loadtools.tools()`.
        arrivals: the schedule; a tool that cannot follow it sends its mean rate, and says so.
        target: what is sent.
        provenance: of the server and model, for the record.
        clients: threads, connections or workers of the tool: the most requests it can have in flight.
        timeout_s: patience with one answer.

    Raises:
        ExternalError: the tool is missing, failed, or ran past its time (it is then ended).
    """
    if tool.missing():
        raise ExternalError(f"{tool.name} is not installed: {tool.install}")
    if not len(arrivals) or clients < 1:
        raise ExternalError("Send at least one request with at least one client.")
    plan = Plan(arrivals, target, provenance, clients, timeout_s)
    with tempfile.TemporaryDirectory(prefix=f"batchlab-{tool.name}-") as name:
        folder = Path(name)
        command = tuple(tool.prepare(folder, plan))
        done = execute(command, folder, arrivals.seconds + timeout_s + GRACE_S)
        report = tool.read(folder, plan, done)
    return Report(report.tool, report.reported, report.run, report.notes, command)


def execute(command: Sequence[str], folder: Path, limit_s: float) -> str:
    """Run a command in `folder` and return what it printed; ended after `limit_s` seconds, and with its caller.

    Raises:
        ExternalError: it failed or took too long; the message has its last words.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit_s, errors="replace")
    except subprocess.TimeoutExpired as error:
        raise ExternalError(f"{command[0]} ran past {limit_s:.0f} s and was ended.") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-500:]
        raise ExternalError(f"{Path(command[0]).name} failed with status {done.returncode}: {words or 'no message'}")
    return done.stdout


def not_found(program: str) -> bool:
    """Whether a program is not on the PATH."""
    return shutil.which(program) is None


def reported(latencies_ms: np.ndarray, errors: int, seconds: float) -> dict[str, float]:
    """Return the usual summary of a tool's own samples; NaN where nothing was answered."""
    n = len(latencies_ms)
    tail = {f"p{p}_ms": percentile(latencies_ms, p).value if n else float("nan") for p in (50, 99)}
    return {
        "requests": float(n + errors),
        "errors": float(errors),
        "throughput_rps": n / seconds if seconds > 0 else float("nan"),
        "mean_ms": float(latencies_ms.mean()) if n else float("nan"),
        **tail,
        "max_ms": float(latencies_ms.max()) if n else float("nan"),
    }


def samples(intended_s: np.ndarray, sent_s: np.ndarray, took_s: np.ndarray, errors: Sequence[str]) -> pd.DataFrame:
    """Return rows of a `Run` in order of sending; an empty error means answered."""
    rows = {"intended_s": intended_s, "sent_s": sent_s, "done_s": sent_s + took_s, "batch_size": 1}
    frame = pd.DataFrame({**rows, "ok": [not error for error in errors], "error": list(errors)})
    return frame.sort_values("sent_s", kind="stable", ignore_index=True)


def lateness_note(run: Run) -> str:
    """Return one sentence on how late the tool was."""
    return f"It sent late by {np.quantile(run.lateness_ms, 0.99):.1f} ms at P99."


def what_each_hides(tools: Sequence[Tool]) -> pd.DataFrame:
    """Return the table of differences, one row a tool, with the source of each row."""
    columns = ("loop", "schedule", "latency_from", "resolution", "hides", "source")
    rows = [{column: getattr(tool, column) for column in columns} for tool in tools]
    return pd.DataFrame(rows, index=pd.Index([tool.name for tool in tools], name="tool"))
