"""JupyterHub for a room: one machine, learners apart, everything on 127.0.0.1. `make workshop` starts it.

To change a room, copy this file, change the copy, and name it: make workshop OPTIONS="--config my_config.py".
"""

import os
from pathlib import Path

from batchlab import room, seat, seat_session, workshop

c = get_config()  # noqa: F821 - JupyterHub executes this file and gives it

here = room.load(Path(os.environ[workshop.FOLDER]))
ports = [int(port) for port in os.environ[workshop.PORTS].split(",")]
python = os.environ[workshop.PYTHON]
apart = room.networks_apart(here.accounts[0].uid, python)

# The front door, and what stands behind it. Nothing listens on another address than 127.0.0.1: for learners at other
# machines put a web server with TLS in front, as docs/workshop.md says.
c.JupyterHub.bind_url = f"http://127.0.0.1:{ports[0]}/"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = ports[1]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.command = [room.proxy()]
c.ConfigurableHTTPProxy.pid_file = str(here.folder / "proxy.pid")
c.ConfigurableHTTPProxy.should_start = True

# What the hub remembers, readable by root alone.
c.JupyterHub.db_url = f"sqlite:///{here.folder / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(here.folder / "cookie_secret")

# Who may come in, and as whom they work.
c.JupyterHub.authenticator_class = seat.RoomAuthenticator
c.RoomAuthenticator.room = here
c.RoomAuthenticator.allowed_users = {account.name for account in here.accounts}
c.JupyterHub.spawner_class = seat.SeatSpawner
c.SeatSpawner.room = here
c.SeatSpawner.cmd = [python, "-m", "batchlab.seat_session"]
c.SeatSpawner.ip = "127.0.0.1"
c.SeatSpawner.environment = {seat_session.APART: "1" if apart else "0"}
c.SeatSpawner.env_keep = ["PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "BATCHLAB_PROJECT", "BATCHLAB_PACE"]

# Admission: a room that is full says so instead of slowing everybody down.
c.JupyterHub.active_server_limit = here.most_servers
c.JupyterHub.concurrent_spawn_limit = here.most_starts
c.SeatSpawner.mem_limit = room.MEMORY_PER_LEARNER
c.SeatSpawner.poll_interval = 10  # seconds between two looks at a learner's memory
c.SeatSpawner.start_timeout = 180
c.SeatSpawner.http_timeout = 180

# However the hub ends, the learners' servers end with it; their work stays in their homes.
c.JupyterHub.cleanup_servers = True
c.JupyterHub.cleanup_proxy = True
