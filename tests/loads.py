"""Load runs on the fake server, as several tests send them."""

import threading
import time

from fake_server import MODEL

from batchlab.arrivals import Arrivals
from batchlab.load import open_loop

LOOSE_MS = 1000.0  # a bound on lateness that no busy test machine breaks


def schedule(times_s, sizes=None, size_name=""):
    return Arrivals(times_s, max([*times_s, 0.001]), seed=3, sizes=sizes, size_name=size_name)


def send(server, arrivals, model=MODEL, **options):
    return open_loop(server, model, arrivals, **{"progress": False, "max_lateness_ms": LOOSE_MS, **options})


def once_sampled(folder, action):
    """Do `action` when a run in `folder` has some samples on disk; return the waiting thread."""

    def wait():
        deadline = time.monotonic() + 60
        while not any(path.read_text().count("\n") > 20 for path in (folder / "runs").glob("*.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread
