"""The file format of a run: a header, one line per sample, a footer, each a line of JSON.

The lines are strict JSON, which knows no NaN and no infinity: NaN is written as null, an infinity as the text
"Infinity" or "-Infinity". Floats come back bit for bit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from batchlab.measure import Run
from batchlab.provenance import Provenance
from batchlab.statistics import Activity

FORMAT = "batchlab-run-1"
TIMES = ("intended_s", "sent_s", "done_s")


class RunFileError(ValueError):
    """Lines that are no run, or a run that was changed by hand; the message names the line."""


def header_line(run: Run, columns: Sequence[str]) -> str:
    """Return the first line: what is known before the first sample."""
    return _json(
        {
            "format": FORMAT,
            "columns": list(columns),
            "kind": run.kind,
            "warmup_s": run.warmup_s,
            "settings": run.settings,
            "provenance": run.provenance.to_dict(),
        }
    )


def sample_line(values: Sequence[Any]) -> str:
    """Return the line of one sample, values in the order of the header's columns."""
    return _json(list(values))


def footer_line(run: Run, late: Mapping[str, Any] | None = None) -> str:
    """Return the last line: what is known after the last sample; `late` are settings that the header lacks."""
    server = run.server.to_dict() if run.server else None
    footer = {"partial": run.partial, "invalid": run.invalid, "server": server}
    return _json({**footer, "settings": late} if late else footer)


def frame(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return samples as a table with the column types of a `Run`."""
    made = pd.DataFrame(list(rows), columns=list(columns))
    made["error"] = made["error"].fillna("")
    return made.astype({**dict.fromkeys(TIMES, float), "batch_size": int, "ok": bool, "error": str})


def parse(lines: Sequence[str], run_id: str = "") -> Run:
    """Return the run that the lines hold, partial where they end without a footer.

    A last line that was cut in the middle is dropped.

    Raises:
        RunFileError: the first line is no header, or a line is not what the format says.
    """
    header = _value(lines[0]) if lines else None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise RunFileError(f"not a saved run: its first line is not a {FORMAT} header.")
    try:
        columns = tuple(header["columns"])
        run = Run(
            samples=frame([], columns),
            provenance=Provenance.from_dict(header["provenance"]),
            kind=header["kind"],
            warmup_s=float(header["warmup_s"]),
            settings=header["settings"],
            partial=True,
            run_id=run_id,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _changed(1, f"the header does not hold together ({error})") from error
    rows: list[list[Any]] = []
    ended = False
    for number, line in enumerate(lines[1:], start=2):
        value = _value(line)
        if ended:
            raise _changed(number, "a line after the footer")
        if isinstance(value, list):
            rows.append(_sample(value, columns, number))
        elif isinstance(value, dict):
            _close(run, value, number)
            ended = True
        elif value is not None or number < len(lines):
            raise _changed(number, "neither a sample nor a footer")
    run.samples = frame(rows, columns)
    return run


def _sample(values: list[Any], columns: tuple[str, ...], number: int) -> list[Any]:
    if len(values) != len(columns):
        raise _changed(number, f"{len(values)} values for {len(columns)} columns")
    sample = [
        {"Infinity": math.inf, "-Infinity": -math.inf}.get(cell, cell)
        if isinstance(cell, str) and name != "error"
        else cell
        for name, cell in zip(columns, values, strict=True)
    ]
    for name, cell in zip(columns, sample, strict=True):
        if not _fits(name, cell):
            raise _changed(number, f"{cell!r} is no value of the column {name}")
    return sample


def _fits(name: str, cell: Any) -> bool:
    if name == "ok":
        return isinstance(cell, bool)
    if name in TIMES:
        return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))
    if name == "batch_size":
        return isinstance(cell, int) and not isinstance(cell, bool)
    return name != "error" or cell is None or isinstance(cell, str)


def _close(run: Run, footer: dict[str, Any], number: int) -> None:
    try:
        run.server = Activity.from_dict(footer["server"]) if footer["server"] else None
        run.partial, run.invalid = bool(footer["partial"]), [str(reason) for reason in footer["invalid"]]
        run.settings = {**run.settings, **footer.get("settings", {})}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _changed(number, f"the footer does not hold together ({error})") from error


def _changed(number: int, what: str) -> RunFileError:
    return RunFileError(f"damaged or changed by hand, line {number}: {what}.")


def _value(line: str) -> Any:
    """Return the value of a line, None where it is no JSON (a line cut in the middle never is)."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _json(value: Any) -> str:
    return json.dumps(_plain(value), allow_nan=False, default=str)


def _plain(value: Any) -> Any:
    """Return the value in strict JSON's few types; numpy's scalars and arrays are unpacked."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(float(value)).replace("inf", "Infinity")
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") and not isinstance(value, float) else value
