"""A workshop: JupyterHub and its proxy, started for a room, watched until they answer, ended together.

``python -m batchlab.workshop`` (``make workshop``) opens a trial room on this machine's loopback.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from batchlab import room, workspace
from batchlab.jupyter_session import die_with_parent
from batchlab.launch import StartError, pick_ports
from batchlab.room import Room, RoomError

FOLDER = "BATCHLAB_WORKSHOP"
PORTS = "BATCHLAB_WORKSHOP_PORTS"
PYTHON = "BATCHLAB_WORKSHOP_PYTHON"
START_S = 90.0
LOG_LINES = 15


class Workshop:
    """A running hub. Use it in a ``with`` block; leaving it ends hub, proxy, and the learners' servers.

    Args:
        place: the room.
        port: of the front door on 127.0.0.1; 0 picks a free one.
        config: JupyterHub's configuration, default the one of ``deploy/workshop/``.
        python: the Python that learners run.

    Raises:
        RoomError: JupyterHub is not installed, or does not answer; with the last lines of its log.
    """

    def __init__(self, place: Room, port: int = 0, config: Path | None = None, python: str = sys.executable) -> None:
        if find_spec("jupyterhub") is None:
            raise RoomError("JupyterHub is not installed. Run 'make setup', which installs requirements.txt.")
        self.room = place
        config = config or workspace.project_dir() / "deploy" / "workshop" / "jupyterhub_config.py"
        ports = pick_ports((port, 0, 0))
        self.url = f"http://127.0.0.1:{ports[0]}"
        environment = {**os.environ, FOLDER: str(place.folder), PORTS: ",".join(map(str, ports)), PYTHON: python}
        # The proxy's secret is made by the hub for each run: one that lies around in the shell is not taken.
        environment.pop("CONFIGPROXY_AUTH_TOKEN", None)
        handle = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._hub = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                env=environment,
                cwd=place.folder,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                umask=0o077,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        finally:
            os.close(handle)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Workshop":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the hub."""
        return self._hub.pid

    def wait(self) -> int:
        """Wait until the hub ends, and return its exit status."""
        return self._hub.wait()

    def close(self) -> None:
        """End the hub, which ends its proxy and the learners' servers first."""
        if self._hub.poll() is None:
            self._hub.terminate()
            try:
                self._hub.wait(timeout=90)
            except subprocess.TimeoutExpired:
                self._hub.kill()
                self._hub.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._hub.poll() is not None:
                raise RoomError(f"JupyterHub ended before it answered. Its last lines:\n{self._tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/hub/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RoomError(f"JupyterHub did not answer within {START_S:.0f} s. Its last lines:\n{self._tail()}")

    def _tail(self) -> str:
        lines = self.room.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:]) or "  (it said nothing)"


def main(arguments: list[str] | None = None) -> int:
    """Open a room until Ctrl-C; 1 when it cannot be opened."""
    parser = argparse.ArgumentParser(prog="make workshop", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--learners", type=int, default=2, help="accounts to have (default: 2)")
    parser.add_argument("--folder", type=Path, default=room.DEFAULT_FOLDER, help="the room's folder")
    parser.add_argument("--port", type=int, default=8000, help="of the front door; 0 picks a free one")
    parser.add_argument("--python", default=sys.executable, help="that learners run, where they cannot read this one")
    parser.add_argument("--config", type=Path, help="a configuration of your own")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        place = room.prepare(chosen.folder, chosen.learners, chosen.python)
        with Workshop(place, chosen.port, chosen.config, chosen.python) as workshop:
            print(f"The room is open at {workshop.url} for {len(place.accounts)} learners; Ctrl-C here ends it.")
            print(
                f"At most {place.most_servers} of them work at once. Names and passwords: {place.folder}/accounts.csv"
            )
            if not room.networks_apart(place.accounts[0].uid, chosen.python):
                print(
                    "Note: user namespaces are switched off here, so a learner could reach another's model server. "
                    "Files, notebooks and kernels are apart all the same."
                )
            return workshop.wait()
    except KeyboardInterrupt:
        return 0
    except (RoomError, StartError, workspace.WorkspaceError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
