"""A file that is built once and kept: whole or not there, with a record beside it that says what it is.

The record (``model.built.json`` beside ``model.onnx``) holds the file's SHA-256, the recipe's number and what the maker
measured. Where any of it does not fit, the file counts as missing and is made anew. Of several processes that want it
at once, one makes it, and the others wait.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SCRATCH = ".building-"


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent, title):
            # Whoever held the folder before may have made it.
            present = None if force else kept(path, recipe)
            return _made(path, recipe, make, title, doing) if present is None else present
    except OSError as error:
        raise KeepsakeError(
            f"Cannot build {title} in {path.parent}: {error.strerror or error}. "
            "It needs some 50 MB of free space and a folder that you can write."
        ) from error


def _made(path: Path, recipe: int, make: Callable[[Path], dict[str, Any]], title: str, doing: str) -> dict[str, Any]:
    print(f"{title}: {doing}, once; some seconds ...", flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"{SCRATCH}{os.getpid()}-", dir=path.parent) as scratch:
        part, record = Path(scratch) / path.name, Path(scratch) / "record"
        said = make(part)
        record.write_text(json.dumps({"sha256": sha256(part), "recipe": recipe, **said}, indent=2) + "\n")
        part.replace(path)
        # Last: until the record fits the file, the file counts as damaged.
        record.replace(record_path(path))
    print(f"{title}: built in {time.perf_counter() - began:.0f} s.", flush=True)
    return said


@contextlib.contextmanager
def _alone(folder: Path, title: str) -> Iterator[None]:
    """Hold a folder while something is made in it; the kernel lets go when this process ends, however it does."""
    # Not on Windows, where the modules that build are imported all the same: a server elsewhere can be used from there.
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{title}: another process is at it; waiting ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever makes something holds the folder, so what is left here is of a process that was killed.
        for left in folder.glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def writable(folder: Path) -> bool:
    """Return whether files can be made in a folder; it is made where it is missing."""
    # Asked by trying: a read-only file system refuses even those whom the permissions allow.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


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
