"""Send times on disk: recorded traces, and the files that other tools read.

A trace is one of

* ``.csv``: a header line with a column ``time_s`` (seconds) or ``time_ms``, and at most one more column, whole sizes
  whose name is kept; or no header and one column of seconds.
* ``.jsonl``: one value a line, a number of seconds or an object with ``time_s`` (or ``time_ms``) and at most one size.
* ``.json``: one list of such values.

Times ascend from 0 on. Every complaint names the file and the line (for ``.json`` the entry).
"""

import base64
import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TIME_UNITS = {"time_s": 1.0, "time_ms": 1e-3}
US_PER_S = 1_000_000


class TraceError(ValueError):
    """A file that is not a usable trace; the message names the line."""


def read(path: Path | str) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Return the times in seconds, the sizes (None without) and the sizes' name.

    Raises:
        TraceError: no such file, an unknown format, an empty or unsorted trace, a bad line.
    """
    path = Path(path)
    kinds = {".csv": _csv_entries, ".jsonl": _jsonl_entries, ".json": _json_entries}
    if path.suffix not in kinds:
        raise TraceError(f"{path}: a trace ends in .csv, .json or .jsonl.")
    times: list[float] = []
    sizes: list[int] = []
    size_name = ""
    for where, entry in kinds[path.suffix](path, _text(path)):
        time_s, size, name = _parsed(entry, where)
        if times and time_s < times[-1]:
            raise TraceError(f"{where}: {time_s} s lies before the entry above, {times[-1]} s. Sort the trace.")
        if times and (name != size_name):
            raise TraceError(
                f"{where}: its size is called {name!r}, above it is {size_name!r}. Give all or none a size."
            )
        times.append(time_s)
        size_name = name
        if name:
            sizes.append(size)
    if not times:
        raise TraceError(f"{path} is empty: a trace holds at least one send time.")
    return np.array(times), np.array(sizes, dtype=np.int64) if size_name else None, size_name


def write(path: Path | str, times_s: np.ndarray, sizes: np.ndarray | None = None, size_name: str = "") -> Path:
    """Write a trace that `read` gives back exactly; the ending of `path` chooses the format.

    Raises:
        TraceError: an unknown ending.
    """
    path = Path(path)
    name = size_name or "size"
    times = [float(time) for time in times_s]
    if path.suffix == ".csv":
        rows = (
            [repr(time) for time in times]
            if sizes is None
            else [f"{t!r},{s}" for t, s in zip(times, sizes, strict=True)]
        )
        lines = ["time_s" if sizes is None else f"time_s,{name}", *rows]
    elif path.suffix in (".json", ".jsonl"):
        entries: Sequence[Any] = times
        if sizes is not None:
            entries = [{"time_s": t, name: int(s)} for t, s in zip(times, sizes, strict=True)]
        lines = [json.dumps(entry) for entry in entries]
        if path.suffix == ".json":
            lines = ["[" + ",\n".join(lines) + "]"]
    else:
        raise TraceError(f"{path}: a trace ends in .csv, .json or .jsonl.")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_intervals(path: Path | str, times_s: np.ndarray) -> Path:
    """Write the file of Triton's perf_analyzer, ``--request-intervals``: one gap in whole microseconds a line.

    The first line is the wait before the first request. Times are rounded before they are subtracted, so the error
    stays below 0.5 us however long the schedule. perf_analyzer starts again at the first line when it reaches the
    end. Source: triton-inference-server/perf_analyzer, docs/inference_load_modes.md, "Custom Interval Mode".
    """
    gaps = np.diff(np.rint(np.asarray(times_s) * US_PER_S).astype(np.int64), prepend=0)
    path = Path(path)
    path.write_text("".join(f"{gap}\n" for gap in gaps), encoding="utf-8")
    return path


def read_intervals(path: Path | str) -> np.ndarray:
    """Read a perf_analyzer interval file; return the send times in seconds, shape ``(n,)``.

    Raises:
        TraceError: no such file, an empty one, or a line that is not a whole number of microseconds from 0 on.
    """
    gaps = []
    for number, line in enumerate(_text(Path(path)).splitlines(), start=1):
        if not (line.strip().isascii() and line.strip().isdigit()):
            raise TraceError(f"{path}, line {number}: {line!r} is not a whole number of microseconds, 0 or more.")
        gaps.append(int(line))
    if not gaps:
        raise TraceError(f"{path} is empty: an interval file holds at least one gap.")
    return np.cumsum(gaps) / US_PER_S


def write_vegeta_targets(
    path: Path | str, url: str, bodies: Sequence[bytes], headers: dict[str, str] | None = None
) -> Path:
    """Write vegeta's ``-format=json`` targets: one request a line, bodies in base64, in the order they are sent.

    The file says what is sent, not when: vegeta's command line paces requests itself at one constant ``-rate``. It
    keeps the order (so sizes follow the schedule) and starts again at the top when the targets run out.
    Source: tsenart/vegeta, README.md, "-format" and "-rate".
    """
    header = {name: [value] for name, value in (headers or {"Content-Type": "application/json"}).items()}
    path = Path(path)
    with path.open("w", encoding="utf-8") as file:
        for body in bodies:
            target = {"method": "POST", "url": url, "body": base64.b64encode(body).decode("ascii"), "header": header}
            file.write(json.dumps(target) + "\n")
    return path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path} is not a text file (UTF-8): byte {error.start} is wrong.") from error


def _csv_entries(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    rows = csv.reader(text.splitlines())
    header: list[str] | None = None
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if header is None:
            header = cells if set(cells) & set(TIME_UNITS) else ["time_s"]
            if header is cells:
                continue
        if len(cells) != len(header):
            raise TraceError(f"{where}: {len(cells)} values where the columns are {', '.join(header)}.")
        yield where, dict(zip(header, cells, strict=True))


def _jsonl_entries(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, _json(line, where)


def _json_entries(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    entries = _json(text, str(path)) if text.strip() else []
    if not isinstance(entries, list):
        raise TraceError(f"{path}: the file is one list of times or of objects with time_s.")
    for number, entry in enumerate(entries, start=1):
        yield f"{path}, entry {number}", entry


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if "line" not in where else ""
        raise TraceError(f"{where}{line}: not JSON ({error.msg} at column {error.colno}).") from error


def _parsed(entry: Any, where: str) -> tuple[float, int, str]:
    """Return time in seconds, size and the size's name (empty without one)."""
    fields = entry if isinstance(entry, dict) else {"time_s": entry}
    units = [name for name in fields if name in TIME_UNITS]
    others = [name for name in fields if name not in TIME_UNITS]
    if len(units) != 1 or len(others) > 1:
        raise TraceError(f"{where}: give one of {', '.join(TIME_UNITS)} and at most one size, got {sorted(fields)}.")
    time_s = _number(fields[units[0]], where) * TIME_UNITS[units[0]]
    if time_s < 0:
        raise TraceError(f"{where}: a send time is 0 or later, got {time_s} s.")
    if not others:
        return time_s, 0, ""
    size = _number(fields[others[0]], where)
    if size < 1 or size % 1:
        raise TraceError(f"{where}: {others[0]} is a whole number of at least 1, got {size}.")
    return time_s, int(size), others[0]


def _number(value: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise TraceError(f"{where}: {value!r} is not a finite number.")
    return number
