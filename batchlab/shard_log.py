"""Finished shards of a simulated fleet on disk: one JSON line each, safe to cut anywhere, so a kill costs one shard."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchlab.tally import Tally


class ShardLog:
    """The finished shards of one simulation.

    The file is named after everything that decides the numbers, so that the same question finds its answers again and
    another one never does.

    Args:
        folder: where the file lies, created when needed; None keeps nothing on disk.
        question: JSON-ready values that decide every number; the file's first line.
    """

    def __init__(self, folder: Path | None, question: Mapping[str, Any]) -> None:
        self.tallies: dict[int, Tally] = {}
        self.path: Path | None = None
        if folder is None:
            return
        first = json.dumps(question, sort_keys=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{hashlib.sha256(first.encode()).hexdigest()[:16]}.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        if lines and lines[0] == first:
            for line in lines[1:]:
                found = _parsed(line)
                if found is not None:
                    self.tallies[found[0]] = found[1]
        # Written anew, so that a line that was cut by a kill does not swallow the next one.
        draft = self.path.with_suffix(".draft")
        whole = [first, *(_line(number, tally) for number, tally in self.tallies.items())]
        draft.write_text("\n".join(whole) + "\n", encoding="utf-8")
        draft.replace(self.path)

    def add(self, number: int, tally: Tally) -> None:
        """Keep a finished shard, on disk first."""
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(number, tally) + "\n")
        self.tallies[number] = tally


def _line(number: int, tally: Tally) -> str:
    return json.dumps({"shard": number, **tally.to_dict()})


def _parsed(line: str) -> tuple[int, Tally] | None:
    try:
        values = json.loads(line)
        return int(values["shard"]), Tally.from_dict(values)
    except (ValueError, KeyError, TypeError, IndexError):
        return None
