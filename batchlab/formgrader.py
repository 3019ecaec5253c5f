"""nbgrader's formgrader on a course folder: 127.0.0.1, a token, a free port, and no kernel behind it.

The settings lie in ``batchlab/data/formgrader/``; elsewhere nbgrader's server extension stays off.
"""

import os
from collections.abc import Callable
from pathlib import Path

from batchlab import jupyter_session, workspace
from batchlab.classroom import Classroom, ClassroomError
from batchlab.jupyter_session import Session

SETTINGS = Path(__file__).parent / "data" / "formgrader"
FIRST_PAGE = "formgrader/gradebook"
HOST = "127.0.0.1"


def run(
    room: Classroom,
    *,
    browser: bool = True,
    timeout_s: float = 60.0,
    on_ready: Callable[[Session], None] = lambda session: None,
) -> int:
    """Serve the formgrader until it ends or this process is told to; return its exit status.

    Args:
        room: the course folder.
        browser: let Jupyter open the user's browser.
        timeout_s: how long it may take to answer.
        on_ready: called once, when it answers.

    Raises:
        ClassroomError: nothing is graded yet.
        JupyterError: not installed, or ended or silent before it answered.
    """
    if not any((room.root / "autograded").glob("*/*/*.ipynb")):
        raise ClassroomError(f"Nothing is graded in {room.root} yet. First: batchlab class grade.")
    options = {"ServerApp.default_url": f"/{FIRST_PAGE}"}
    words = jupyter_session.command("jupyter_server", room.root, options, browser=browser, ip=HOST)
    log_path = workspace.home_dir() / "jupyter" / "formgrader.log"
    environment = jupyter_session.environment(os.environ, SETTINGS)
    # nbgrader finds the course in the folder where it runs.
    return jupyter_session.keep(words, environment, log_path, folder=room.root, timeout_s=timeout_s, on_ready=on_ready)
