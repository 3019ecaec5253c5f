"""Runs on disk: written as they come, loaded back whole or as far as they got.

A run is one file of JSON lines. The first line is the header (provenance, kind, settings), every further line one
sample, the last one the footer (server statistics, verdict on validity). A file without a footer belongs to a run
that was cut off: it loads as far as it goes and is marked partial. A line that was cut in the middle is dropped.
"""

import contextlib
import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pandas as pd

from batchlab import workspace
from batchlab.measure import COLUMNS, Run
from batchlab.provenance import Provenance
from batchlab.statistics import Activity

FORMAT = "batchlab-run-1"
FLUSH_EVERY = 200


class JournalError(RuntimeError):
    """A run that cannot be written or read."""


class RunWriter:
    """Writes one run as it happens; use as a context manager.

    A failing disk never ends a measurement: the writer remembers the first error in `problem`, stops writing, and the
    run stays whole in memory, from where `save` can write it again.
    """

    def __init__(
        self,
        provenance: Provenance,
        kind: str,
        *,
        warmup_s: float = 0.0,
        settings: dict[str, Any] | None = None,
        folder: Path | None = None,
        extra_columns: tuple[str, ...] = (),
    ) -> None:
        self.columns = (*COLUMNS, *extra_columns)
        self.problem = ""
        self._rows: list[tuple[Any, ...]] = []
        self._pending: list[str] = []
        self._run = Run(
            samples=pd.DataFrame(columns=list(self.columns)),
            provenance=provenance,
            kind=kind,
            warmup_s=warmup_s,
            settings=settings or {},
            partial=True,
        )
        self.path = (folder or workspace.runs_dir()) / f"{_new_id(provenance.model)}.jsonl"
        self._file: Any = None
        try:
            self._file = self.path.open("x", encoding="utf-8")
        except OSError as error:
            self._give_up(error)
        self._write_line(_header(self._run, self.columns))

    def add(self, *values: Any) -> None:
        """Add one sample, values in the order of `columns`."""
        self._rows.append(values)
        self._pending.append(json.dumps(_plain(values)))
        if len(self._pending) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Hand everything added so far to the operating system."""
        if self._pending:
            lines, self._pending = "\n".join(self._pending), []
            self._write_line(lines)

    def finish(self, *, server: Activity | None = None, partial: bool = False, invalid: list[str] | None = None) -> Run:
        """Write the footer and return the run."""
        self.flush()
        run = self._run
        run.samples = _frame(self._rows, self.columns)
        run.server, run.partial, run.invalid = server, partial, invalid or []
        self._write_line(_footer(run))
        self.close()
        if not self.problem:
            run.run_id = self.path.stem
        return run

    def close(self) -> None:
        """Close the file; a run without a footer stays marked partial."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            self._give_up(error)
        finally:
            try:
                file.close()
            except OSError as error:
                self._give_up(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()
        self.close()

    def _write_line(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text + "\n")
            self._file.flush()
        except OSError as error:
            file, self._file = self._file, None
            self._give_up(error)
            # The buffered rest meets the same full disk; the first error is the one to tell.
            with contextlib.suppress(OSError):
                file.close()

    def _give_up(self, error: OSError) -> None:
        if not self.problem:
            self.problem = (
                f"The run could not be written to {self.path}: {error.strerror or error}. It is whole in memory: "
                "free some space, then call batchlab.journal.save(run)."
            )


def save(run: Run, folder: Path | None = None) -> Path:
    """Write a whole run at once and return its path; all or nothing.

    Raises:
        JournalError: the disk refused; the message says why, and no half file stays.
    """
    folder = folder or workspace.runs_dir()
    run_id = run.run_id or _new_id(run.provenance.model)
    path, draft = folder / f"{run_id}.jsonl", folder / f".{run_id}.draft"
    columns = tuple(run.samples.columns)
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(_header(run, columns) + "\n")
            for row in run.samples.itertuples(index=False, name=None):
                file.write(json.dumps(_plain(row)) + "\n")
            file.write(_footer(run) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise JournalError(
            f"The run could not be saved as {path}: {error.strerror or error}. Free some space or pass another "
            "folder; the run is still whole in memory."
        ) from error
    run.run_id = run_id
    return path


def load(path: Path | str) -> Run:
    """Read a run back, whole or as far as it was written.

    Args:
        path: a file, or the run id of a file in the runs folder.

    Raises:
        JournalError: no such file, or a file that is not a run; the message names the line.
    """
    chosen = Path(path)
    if not chosen.is_file() and chosen.suffix != ".jsonl":
        chosen = workspace.runs_dir() / f"{path}.jsonl"
    try:
        lines = chosen.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise JournalError(f"No run at {chosen}: {error.strerror}.") from error
    header = _parsed(lines[0]) if lines else None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise JournalError(f"{chosen} is not a saved run: its first line is not a {FORMAT} header.")
    columns = tuple(header["columns"])
    rows, footer = [], None
    for number, line in enumerate(lines[1:], start=2):
        value = _parsed(line)
        if isinstance(value, list) and len(value) == len(columns):
            rows.append(value)
        elif isinstance(value, dict) and "partial" in value:
            footer = value
        elif number < len(lines):
            raise JournalError(f"{chosen}, line {number}: neither a sample nor a footer. The file was changed by hand.")
    return Run(
        samples=_frame(rows, columns),
        provenance=Provenance.from_dict(header["provenance"]),
        kind=header["kind"],
        warmup_s=header["warmup_s"],
        settings=header["settings"],
        server=Activity.from_dict(footer["server"]) if footer and footer["server"] else None,
        partial=footer["partial"] if footer else True,
        invalid=footer["invalid"] if footer else [],
        run_id=chosen.stem,
    )


def saved() -> list[Path]:
    """Return the saved runs, oldest first."""
    return sorted(workspace.runs_dir().glob("*.jsonl"), key=lambda path: path.stat().st_mtime)


def _new_id(model: str) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{moment}-{model or 'run'}-{secrets.token_hex(3)}"


def _header(run: Run, columns: tuple[str, ...]) -> str:
    return json.dumps(
        {
            "format": FORMAT,
            "columns": list(columns),
            "kind": run.kind,
            "warmup_s": run.warmup_s,
            "settings": run.settings,
            "provenance": run.provenance.to_dict(),
        }
    )


def _footer(run: Run) -> str:
    server = run.server.to_dict() if run.server else None
    return json.dumps({"partial": run.partial, "invalid": run.invalid, "server": server})


def _frame(rows: list[Any], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    times = dict.fromkeys(("intended_s", "sent_s", "done_s"), float)
    return frame.astype({**times, "batch_size": int, "ok": bool, "error": str})


def _plain(values: tuple[Any, ...]) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in values]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
