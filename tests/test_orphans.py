"""Workers end when their owner is killed."""

import os
import subprocess
import sys
import threading
import time

import psutil

from batchlab import orphans

OWNER = """
import os, time, joblib
from batchlab import orphans

def work(owner):
    orphans.end_with(owner)
    time.sleep(0.2)
    return os.getpid()

if __name__ == "__main__":
    with joblib.parallel_config(backend="loky", n_jobs=2):
        print(*set(joblib.Parallel()(joblib.delayed(work)(os.getpid()) for _ in range(8))), flush=True)
        time.sleep(300)
"""


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_idle_workers_end_with_a_killed_owner(tmp_path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        workers = [int(word) for word in owner.stdout.readline().split()]
        assert workers
        assert not any(gone(pid) for pid in workers)
        owner.kill()
    deadline = time.monotonic() + 20
    while not all(gone(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in workers if not gone(pid)] == []


def test_whoever_is_no_child_of_the_owner_watches_nothing() -> None:
    orphans.end_with(os.getpid())
    orphans.end_with(1 if os.getppid() != 1 else 2)
    assert orphans.WATCH not in {thread.name for thread in threading.enumerate()}
