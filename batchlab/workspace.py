"""Where Batchlab reads its project and keeps what a user makes.

Nothing here is remembered between calls: each function looks at the environment anew, so a test (or an
instructor) redirects everything with two variables.

* ``BATCHLAB_PROJECT``: the folder that holds ``triton_repo/`` and ``labs/``.
* ``BATCHLAB_HOME``: the folder for runs, progress and running servers; default ``<project>/.batchlab``.
"""

import os
from pathlib import Path


class WorkspaceError(RuntimeError):
    """The project folder cannot be found or the state folder cannot be written."""


def project_dir() -> Path:
    """Return the folder that holds ``triton_repo/``.

    Looked for in ``BATCHLAB_PROJECT``, then beside the installed package, then upwards from the working
    directory.

    Raises:
        WorkspaceError: no such folder; the message says what to set.
    """
    named = os.environ.get("BATCHLAB_PROJECT")
    if named:
        candidate = Path(named).expanduser().resolve()
        if not (candidate / "triton_repo").is_dir():
            raise WorkspaceError(
                f"BATCHLAB_PROJECT names {candidate}, which has no triton_repo/ folder. "
                "Point it at a clone of Batchlab, or unset it."
            )
        return candidate
    here = Path.cwd().resolve()
    for candidate in (Path(__file__).resolve().parent.parent, here, *here.parents):
        if (candidate / "triton_repo").is_dir():
            return candidate
    raise WorkspaceError(
        f"No triton_repo/ folder found above {here}. Run this inside a clone of Batchlab, "
        "or set BATCHLAB_PROJECT to one."
    )


def repository_dir() -> Path:
    """Return the model repository, ``<project>/triton_repo``."""
    return project_dir() / "triton_repo"


def shared_dir() -> Path:
    """Return the folder of a clone that all homes may read, ``<project>/.batchlab``; perhaps not there, nor writable.

    Raises:
        WorkspaceError: see `project_dir`.
    """
    return project_dir() / ".batchlab"


def home_dir() -> Path:
    """Return the folder for what the user makes, creating it when needed.

    Raises:
        WorkspaceError: the folder cannot be created.
    """
    named = os.environ.get("BATCHLAB_HOME")
    home = Path(named).expanduser().resolve() if named else shared_dir()
    return _made(home)


def runs_dir() -> Path:
    """Return the folder of saved runs, creating it when needed."""
    return _made(home_dir() / "runs")


def servers_dir() -> Path:
    """Return the folder with one subfolder per running embedded server, creating it when needed."""
    return _made(home_dir() / "servers")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"Cannot create {folder}: {error.strerror}. Free some space, fix the permissions, "
            "or set BATCHLAB_HOME to a folder you can write."
        ) from error
    return folder
