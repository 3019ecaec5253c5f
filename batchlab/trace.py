"""Triton's trace: what one request did, moment by moment, in the server's own words.

    with trace.recording(server, "resnet50") as recorded:
        ...  # requests
    recorded.requests[0].parts_ms()

Tracing is switched on over HTTP for one model, and put back as it was however the block ends. Triton writes the trace
to a file on ITS machine, named when the server was started; the embedded server always has one. Tracing costs time:
the numbers of a traced run are not those of a benchmark.

Source of the formats: ``docs/user_guide/trace.md`` and ``docs/protocol/extension_trace.md``, triton-inference-server.
The times are those of the machine's monotonic clock.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from batchlab.endpoint import Endpoint
from batchlab.spans import NS_PER_MS, Span

if TYPE_CHECKING:
    from batchlab.client import Client

# What lies between two milestones, in the order in which a request passes them.
MILESTONES = (
    ("HTTP_RECV_START", ""),
    ("HTTP_RECV_END", "HTTP receive"),
    ("REQUEST_START", "HTTP parse"),
    ("QUEUE_START", "admission"),
    ("COMPUTE_START", "queue"),
    ("COMPUTE_INPUT_END", "input"),
    ("COMPUTE_OUTPUT_START", "infer"),
    ("COMPUTE_END", "output"),
    ("HTTP_SEND_START", "HTTP answer"),
    ("HTTP_SEND_END", "HTTP send"),
)
COMPUTE = ("input", "infer", "output")
HTTP = ("HTTP receive", "HTTP parse", "HTTP answer", "HTTP send")
WHOLE_FILE = 1_000_000_000  # as log frequency: all traces of a recording into one file, written when it ends
WRITTEN_WITHIN_S = 5.0


class TraceError(ValueError):
    """A trace that cannot be made or read."""


@dataclass(frozen=True)
class Traced:
    """One request (or one call from model to model) as Triton traced it.

    Attributes:
        id: number of the trace.
        model, version: what was asked.
        request_id: the client's own name of the request, "" where it gave none.
        parent_id: trace of the request that caused this one, 0 where a client did.
        stamps: moments by name, ns on the monotonic clock.
    """

    id: int
    model: str
    version: int
    request_id: str
    parent_id: int
    stamps: dict[str, int] = field(hash=False)

    @property
    def start_ns(self) -> int:
        """Its first moment."""
        return min(self.stamps.values())

    @property
    def end_ns(self) -> int:
        """Its last moment."""
        return max(self.stamps.values())

    def parts_ms(self) -> dict[str, float]:
        """Return how long each part took, in ms, in order; together they are the time from first to last milestone."""
        return {span.name: span.ms for span in self._steps("", "")}

    def spans(self, track: str = "", lane: str = "") -> list[Span]:
        """Return the request as nested spans: the whole, within it its parts, and the compute around its three."""
        track = track or f"Triton: {self.model}"
        lane = lane or f"request {self.request_id or self.id}"
        steps = self._steps(track, lane)
        whole = Span(self.request_id or self.model, steps[0].start_ns, steps[-1].end_ns, track, lane, {"id": self.id})
        compute = [step for step in steps if step.name in COMPUTE]
        around = [Span("compute", compute[0].start_ns, compute[-1].end_ns, track, lane)] if compute else []
        return [whole, *around, *(step for step in steps if step.end_ns > step.start_ns)]

    def _steps(self, track: str, lane: str) -> list[Span]:
        # A backend may report the end of its compute after the answer has left: for the request it ended then.
        moments = dict(self.stamps)
        if {"COMPUTE_END", "HTTP_SEND_START"} <= moments.keys():
            moments["COMPUTE_END"] = min(moments["COMPUTE_END"], moments["HTTP_SEND_START"])
        steps: list[Span] = []
        last: int | None = None
        for milestone, name in MILESTONES:
            if milestone not in moments:
                continue
            moment = moments[milestone] if last is None else max(moments[milestone], last)
            if last is not None:
                steps.append(Span(name, last, moment, track, lane))
            last = moment
        if not steps:
            raise TraceError(f"Trace {self.id} of {self.model!r} has no two moments: {', '.join(self.stamps)}.")
        return steps


@dataclass
class Recording:
    """What was traced while a recording ran; filled when its block ends."""

    model: str
    requests: list[Traced] = field(default_factory=list)
    path: Path | None = None


def read(path: Path | str) -> list[Traced]:
    """Read a trace file of Triton, in the order of the requests' starts.

    Raises:
        TraceError: no such file, broken JSON (with its line), or an entry that is no trace (with its number).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        entries = json.loads(text)
    except OSError as error:
        raise TraceError(f"The trace {path} cannot be read: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise TraceError(
            f"{path}, line {error.lineno}, column {error.colno}: not a trace of Triton ({error.msg}). Cut short? "
            "Triton writes a file's end when tracing is switched off."
        ) from error
    if not isinstance(entries, list):
        raise TraceError(f"{path}, line 1: a trace of Triton is a list, this is {type(entries).__name__}.")
    heads: dict[int, dict[str, Any]] = {}
    stamps: dict[int, dict[str, int]] = {}
    for number, entry in enumerate(entries, 1):
        try:
            if "model_name" in entry:
                heads[int(entry["id"])] = entry
            for stamp in entry.get("timestamps", ()):
                # The first counts: a decoupled model may answer several times.
                stamps.setdefault(int(entry["id"]), {}).setdefault(str(stamp["name"]), int(stamp["ns"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TraceError(f"{path}, entry {number} is no entry of a trace: {error!r}.") from error
    found = [
        Traced(
            id=key,
            model=str(head["model_name"]),
            version=int(head.get("model_version", 0)),
            request_id=str(head.get("request_id", "")),
            parent_id=int(head.get("parent_id", 0)),
            stamps=stamps[key],
        )
        for key, head in heads.items()
        if stamps.get(key)
    ]
    return sorted(found, key=lambda row: row.start_ns)


def settings(server: "Client", model: str = "") -> dict[str, Any]:
    """Return the trace settings of a model, or of the server where none is named, by Triton's names."""
    return dict(Endpoint(server.url).get(_path(model)))


@contextlib.contextmanager
def recording(server: "Client", model: str, *, every: int = 1) -> Iterator[Recording]:
    """Trace a model's requests while the block runs; afterwards the settings are as before, whatever happened.

    Args:
        server: a Triton on this machine that was started with a trace file; the embedded one always is.
        model: whose requests; those it sends to other models come along where it hands its trace on.
        every: trace each n-th request.

    Raises:
        TraceError: the server has no trace file, it lies out of reach, or nothing was traced.
    """
    if every < 1:
        raise TraceError(f"every must be 1 or more, got {every}.")
    endpoint, path = Endpoint(server.url), _path(model)
    before, general = endpoint.get(path), endpoint.get(_path(""))
    name = str(before.get("trace_file", ""))
    if not name or not Path(name).parent.is_dir():
        why = f"writes its trace to {name}, which cannot be reached from here" if name else "has no trace file"
        raise TraceError(
            f"The Triton at {server.url} {why}. Start it on this machine with --trace-config "
            "triton,file=FOLDER/trace.json; over the network the file cannot be set."
        )
    # Null means: as the server has it. A model without settings of its own shall follow the server again.
    changed = ("trace_level", "trace_rate", "trace_count", "log_frequency")
    after = {key: None if before.get(key) == general.get(key) else before.get(key) for key in changed}
    wanted = {"trace_level": ["TIMESTAMPS"], "trace_rate": str(every), "trace_count": "-1"}
    known = set(_written(Path(name)))
    recorded = Recording(model)
    try:
        endpoint.post(path, {**wanted, "log_frequency": str(WHOLE_FILE)})
        yield recorded
    finally:
        endpoint.post(path, after)
        endpoint.close()
    recorded.path = _wait_for(Path(name), known, model)
    recorded.requests = read(recorded.path)


def _path(model: str) -> str:
    return f"/v2/models/{quote(model)}/trace/setting" if model else "/v2/trace/setting"


def _written(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.name}.*"))


def _wait_for(file: Path, known: set[Path], model: str) -> Path:
    # Triton writes when the last traced request has let go of the old settings, a moment after its answer.
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    while time.monotonic() < deadline:
        for path in _written(file):
            if path not in known and path.stat().st_size and _whole(path):
                return path
        time.sleep(0.02)
    raise TraceError(f"Triton traced no request of {model!r}: send some while the recording runs.")


def _whole(path: Path) -> bool:
    with path.open("rb") as opened:
        opened.seek(-1, 2)
        return opened.read() == b"]"


def summed_ms(requests: list[Traced]) -> dict[str, float]:
    """Return the mean of each part over the requests that clients sent, in ms.

    Raises:
        TraceError: there are none.
    """
    own = [row.parts_ms() for row in requests if row.parent_id == 0]
    if not own:
        raise TraceError("There is no traced request to take the mean of.")
    names = [name for _, name in MILESTONES if name]
    return {name: sum(row.get(name, 0.0) for row in own) / len(own) for name in names}


__all__ = ["NS_PER_MS", "Recording", "TraceError", "Traced", "read", "recording", "settings", "summed_ms"]
