"""Triton's log, told to a learner: harmless noise left out, the reason of a failure found."""

import re
from pathlib import Path

NOISE = re.compile(
    r"NVML|DCGM|CudaDriverHelper|cuda_memory_manager|pinned_memory_manager|CUDA driver version is insufficient"
    r"|^\s*$|^[+|]|Collecting CPU metrics",
)
PREFIX = re.compile(r"^[IWEF]\d{4} [\d:.]+ \d+ (?P<source>[\w.]+:\d+)\] ?(?P<text>.*)$")
PORT_TAKEN = re.compile(r"[Ss]ocket '?[\d.]+:(\d+)'? already in use|[Aa]ddress already in use")


def clean(text: str) -> list[str]:
    """Return the lines of `text` that mean something, oldest first."""
    # A refused argument is told in one line, then comes the whole manual.
    text = text.partition("Usage: tritonserver")[0]
    return [line.rstrip() for line in text.splitlines() if not NOISE.search(line)]


def read(path: Path, start: int = 0) -> str:
    """Return the log from byte `start` on; empty when there is none."""
    try:
        with path.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def size(path: Path) -> int:
    """Return the log's size in bytes."""
    return path.stat().st_size if path.exists() else 0


def port_taken(text: str) -> bool:
    """Tell whether the server ended because a port was taken."""
    return bool(PORT_TAKEN.search(text))


def reason(text: str, model: str) -> str:
    """Return why loading `model` failed, in Triton's words; empty when the log does not say.

    A configuration that protobuf cannot parse is told in the line *before* Triton's own, so both are looked at.
    """
    lines = clean(text)
    folder = re.compile(rf"(model directory|poll model) '{re.escape(model)}'")
    for number, line in enumerate(lines):
        if folder.search(line):
            story = _text(line)
            before = lines[number - 1] if number else ""
            if "Error parsing text-format" in before:
                story = f"{story.rstrip('.')}: {before.partition('inference.ModelConfig:')[2].strip()}"
            return story
    return ""


def _text(line: str) -> str:
    found = PREFIX.match(line)
    text = found["text"] if found else line
    return text.strip().strip('"')
