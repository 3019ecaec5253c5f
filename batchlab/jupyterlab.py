"""JupyterLab on the learner's copies: 127.0.0.1, a token, a free port, nothing fetched from outside.

The settings lie in ``batchlab/data/jupyter/`` and reach JupyterLab through ``JUPYTER_CONFIG_PATH``; the user's own
Jupyter files are neither read from there nor written. Open tabs are kept per Batchlab home, so that an interrupted
session comes back as it was.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from batchlab import jupyter_session, workspace
from batchlab.jupyter_session import JupyterError, Session, running_on

__all__ = ["JupyterError", "Session", "command", "environment", "first_lab", "run", "running_on"]

SETTINGS = Path(__file__).parent / "data" / "jupyter"
FIRST_LAB = "00_start_here.ipynb"


def first_lab(folder: Path) -> str:
    """Return the lab to open: lab 00, or the first there is, or none."""
    names = sorted(path.name for path in folder.glob("*.ipynb"))
    return FIRST_LAB if FIRST_LAB in names else next(iter(names), "")


def run(
    folder: Path,
    *,
    browser: bool = True,
    ip: str = "127.0.0.1",
    timeout_s: float = 60.0,
    on_ready: Callable[[Session], None] = lambda session: None,
) -> int:
    """Run JupyterLab on `folder` until it ends or this process is told to; return its exit status.

    Args:
        folder: the learner's copies.
        browser: let Jupyter open the user's browser.
        ip: address to listen on; anything but the default opens the room's door, with only the token as its lock.
        timeout_s: how long it may take to answer.
        on_ready: called once, when it answers.

    Raises:
        JupyterError: not installed, or ended or silent before it answered.
    """
    words = command(folder, browser=browser, ip=ip)
    log_path = workspace.home_dir() / "jupyter" / "jupyterlab.log"
    return jupyter_session.keep(words, environment(os.environ), log_path, timeout_s=timeout_s, on_ready=on_ready)


def command(folder: Path, *, browser: bool, ip: str = "127.0.0.1") -> list[str]:
    """Return the command line; what never changes lies in `SETTINGS`."""
    lab = first_lab(folder)
    options = {"LabApp.default_url": f"/lab/tree/{lab}" if lab else "/lab"}
    return jupyter_session.command("jupyterlab", folder, options, browser=browser, ip=ip)


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of JupyterLab and its kernels."""
    values = jupyter_session.environment(inherited, SETTINGS)
    values["JUPYTERLAB_WORKSPACES_DIR"] = str(workspace.home_dir() / "jupyter" / "workspaces")
    return values
