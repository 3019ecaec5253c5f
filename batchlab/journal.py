"""Runs on disk: written as they come, loaded back whole or as far as they got.

A run is one file of JSON lines. The first line is the header (provenance, kind, settings), every further line one
sample, the last one the footer (server statistics, verdict on validity, settings known only by then). A file without
a footer belongs to a run that was cut off: it loads as far as it goes and is marked partial. A line that was cut in
the middle is dropped.
"""

import contextlib
import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pandas as pd

from batchlab import runfile, workspace
from batchlab.measure import COLUMNS, Run
from batchlab.provenance import Provenance
from batchlab.statistics import Activity

FLUSH_EVERY = 200
FLUSH_AFTER_S = 0.5


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
        self._flushed = time.monotonic()
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
        self._write_line(runfile.header_line(self._run, self.columns))

    def add(self, *values: Any) -> None:
        """Add one sample, values in the order of `columns`; it is on its way to the disk within half a second or so.

        Raises:
            JournalError: more or fewer values than columns.
        """
        if len(values) != len(self.columns):
            raise JournalError(f"A sample has the {len(self.columns)} values {', '.join(self.columns)}; got {values}.")
        self._rows.append(values)
        self._pending.append(runfile.sample_line(values))
        # Fast runs write in blocks; of a slow one, a crash must not take minutes of measuring with it.
        if len(self._pending) >= FLUSH_EVERY or time.monotonic() - self._flushed > FLUSH_AFTER_S:
            self.flush()

    def flush(self) -> None:
        """Hand everything added so far to the operating system."""
        self._flushed = time.monotonic()
        if self._pending:
            lines, self._pending = "\n".join(self._pending), []
            self._write_line(lines)

    def finish(
        self,
        *,
        server: Activity | None = None,
        partial: bool = False,
        invalid: list[str] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Run:
        """Write the footer and return the run; `settings` are what was known only at the end, added to the plan's."""
        self.flush()
        run, late = self._run, settings or {}
        run.samples = runfile.frame(self._rows, self.columns)
        run.server, run.partial, run.invalid = server, partial, invalid or []
        run.settings = {**run.settings, **late}
        self._write_line(runfile.footer_line(run, late))
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
            file.write(runfile.header_line(run, columns) + "\n")
            for row in run.samples.itertuples(index=False, name=None):
                file.write(runfile.sample_line(row) + "\n")
            file.write(runfile.footer_line(run) + "\n")
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
    try:
        return runfile.parse(lines, chosen.stem)
    except runfile.RunFileError as error:
        raise JournalError(f"{chosen} is {error}") from error


def saved() -> list[Path]:
    """Return the saved runs, oldest first."""
    return sorted(workspace.runs_dir().glob("*.jsonl"), key=lambda path: path.stat().st_mtime)


def _new_id(model: str) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{moment}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', model) or 'run'}-{secrets.token_hex(3)}"
