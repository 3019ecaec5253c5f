"""One time line for Perfetto: spans of any origin in Chrome's trace event format, written, read and checked.

Open the file at https://ui.perfetto.dev (it stays in the browser) or in ``chrome://tracing``. Nsight Systems shows the
same picture for a GPU: rows of spans over one clock.

Source of the format: "Trace Event Format", the Chromium project. Complete events (``"ph": "X"``) have ``ts`` and
``dur`` in microseconds; metadata events (``"ph": "M"``) name processes and threads.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchlab.provenance import Provenance
from batchlab.spans import Span, SpanError, by_lane, nested

NS_PER_US = 1000


class PerfettoError(ValueError):
    """A file that is no trace, or spans that no trace can show."""


def write(path: Path | str, spans: Iterable[Span], provenance: Provenance | None = None) -> Path:
    """Write spans as a trace: each track a process, each lane a thread of it, times from the first span on.

    Args:
        path: of the file, ``.json``.
        spans: at least one; those of a lane must nest.
        provenance: where the numbers come from; kept in the file.

    Raises:
        PerfettoError: no spans, or a folder that is not there.
        SpanError: two spans of one lane overlap without one holding the other.
    """
    rows = list(spans)
    if not rows:
        raise PerfettoError("There are no spans to write.")
    for _ in nested(rows):
        pass
    zero = min(row.start_ns for row in rows)
    tracks = {track: number for number, track in enumerate(dict.fromkeys(row.track for row in rows), 1)}
    events: list[dict[str, Any]] = [_named("process", track, pid, 0) for track, pid in tracks.items()]
    for tid, ((track, lane), members) in enumerate(by_lane(rows).items(), 1):
        events.append(_named("thread", lane or track, tracks[track], tid))
        events += [_event(span, zero, tracks[track], tid) for span in members]
    content = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"monotonic_start_ns": zero, **({"source": provenance.caption()} if provenance else {})},
    }
    chosen = Path(path)
    try:
        chosen.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise PerfettoError(f"The trace cannot be written to {chosen}: {error.strerror or error}.") from error
    return chosen


def read(path: Path | str, track: str = "", zero_ns: int | None = None) -> list[Span]:
    """Read the complete events of a trace, and so check it: ours, torch's, ONNX Runtime's or anybody's.

    Args:
        path: of the file; a list of events, or an object with ``traceEvents``.
        track: names the track of all spans; by default the name of their process.
        zero_ns: the monotonic time of ``ts`` 0; by default what the file itself says, or 0.

    Raises:
        PerfettoError: no such file, broken JSON (with its line), or a broken event (with its number).
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PerfettoError(f"The trace {path} cannot be read: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise PerfettoError(f"{path}, line {error.lineno}, column {error.colno}: no trace ({error.msg}).") from error
    events = content.get("traceEvents") if isinstance(content, dict) else content
    if not isinstance(events, list):
        raise PerfettoError(f"{path}: a trace is a list of events, or an object with a list named traceEvents.")
    if zero_ns is None:
        zero_ns = int(content.get("otherData", {}).get("monotonic_start_ns", 0)) if isinstance(content, dict) else 0
    names: dict[tuple[str, Any, Any], str] = {}
    found = []
    for number, event in enumerate(events, 1):
        try:
            found += _read(event, names, zero_ns)
        except (AttributeError, KeyError, TypeError, ValueError, SpanError) as error:
            raise PerfettoError(f"{path}, event {number} is broken: {error!r}.") from error
    return [
        Span(
            span.name,
            span.start_ns,
            span.end_ns,
            track or names.get(("process_name", pid, 0), f"process {pid}"),
            names.get(("thread_name", pid, tid), f"thread {tid}"),
            span.details,
        )
        for span, pid, tid in found
    ]


def _read(event: dict[str, Any], names: dict[tuple[str, Any, Any], str], zero_ns: int) -> list[tuple[Span, Any, Any]]:
    phase = event["ph"]
    if phase == "M" and event["name"] in ("process_name", "thread_name"):
        tid = event.get("tid", 0) if event["name"] == "thread_name" else 0
        names[event["name"], event["pid"], tid] = str(event["args"]["name"])
    if phase != "X":
        return []
    start_ns = zero_ns + round(float(event["ts"]) * NS_PER_US)
    # A length counts from the exact start: rounded apart, the end of an inner span could pass its holder's.
    end_ns = zero_ns + round((float(event["ts"]) + float(event.get("dur", 0))) * NS_PER_US)
    span = Span(str(event["name"]), start_ns, end_ns, details=dict(event.get("args") or {}))
    return [(span, event["pid"], event["tid"])]


def _named(what: str, name: str, pid: int, tid: int) -> dict[str, Any]:
    return {"ph": "M", "name": f"{what}_name", "pid": pid, "tid": tid, "args": {"name": name}}


def _event(span: Span, zero_ns: int, pid: int, tid: int) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": span.name,
        "cat": span.track or "span",
        "ts": (span.start_ns - zero_ns) / NS_PER_US,
        "dur": (span.end_ns - span.start_ns) / NS_PER_US,
        "pid": pid,
        "tid": tid,
        "args": span.details,
    }
