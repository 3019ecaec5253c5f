"""A file that is built once and kept: whole or not there, with a record beside it that says what it is.

The record (``model.built.json`` beside ``model.onnx``) holds the file's SHA-256, the recipe's number and what the maker
measured. Where any of it does not fit, the file counts as missing and is made anew.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class KeepsakeError(RuntimeError):
    """A file that cannot be built, or that does not do what it should."""


def keep(
    path: Path,
    recipe: int,
    make: Callable[[Path], dict[str, Any]],
    title: str,
    *,
    force: bool = False,
    doing: str = "training and writing the network",
) -> dict[str, Any]:
    """Make the file unless it is there whole, and return what its maker measured.

    Args:
        path: the file.
        recipe: another number means another file.
        make: writes the file to the path it is given and returns what is to be remembered, JSON-ready.
        title: what the lines on the screen call it.
        force: make it even when it is there.
        doing: what takes the time, for the line on the screen.

    Raises:
        KeepsakeError: the disk refuses, or the maker does.
    """
    present = None if force else kept(path, recipe)
    if present is not None:
        return present
    print(f"{title}: {doing}, once; some seconds ...", flush=True)
    began = time.perf_counter()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".building-{os.getpid()}-", dir=path.parent) as scratch:
            part, record = Path(scratch) / path.name, Path(scratch) / "record"
            said = make(part)
            record.write_text(json.dumps({"sha256": sha256(part), "recipe": recipe, **said}, indent=2) + "\n")
            part.replace(path)
            # Last: until the record fits the file, the file counts as damaged.
            record.replace(record_path(path))
    except OSError as error:
        raise KeepsakeError(
            f"Cannot build {title} in {path.parent}: {error.strerror or error}. "
            "It needs some 50 MB of free space and a folder that you can write."
        ) from error
    print(f"{title}: built in {time.perf_counter() - began:.0f} s.", flush=True)
    return said


def kept(path: Path, recipe: int) -> dict[str, Any] | None:
    """Return what the maker measured; None where the file is missing, damaged, or of another recipe."""
    try:
        record = json.loads(record_path(path).read_text(encoding="utf-8"))
        if record.pop("recipe") == recipe and record.pop("sha256") == sha256(path):
            return dict(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def record_path(path: Path) -> Path:
    """Return where the record of a file lies."""
    return path.with_suffix(".built.json")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
