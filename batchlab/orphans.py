"""Worker processes that end with their owner, however it ends: a pool left by a kill would go on computing."""

import os
import threading
import time

WATCH = "batchlab-owner-watch"
EVERY_S = 0.5


def end_with(owner: int) -> None:
    """Make this process end soon after its parent `owner` does; called again, or in another process, it does nothing.

    Only a direct child watches: the owner itself, and workers of a cluster, whose parents are others, are left alone.

    Args:
        owner: process id of whoever started the work.
    """
    if os.getppid() != owner or any(thread.name == WATCH for thread in threading.enumerate()):
        return
    threading.Thread(target=_watch, args=(owner,), name=WATCH, daemon=True).start()


def _watch(owner: int) -> None:
    # An orphan is given another parent by the kernel, so its number cannot be mistaken for a new process's.
    while os.getppid() == owner:
        time.sleep(EVERY_S)
    os._exit(1)
