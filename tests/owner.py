"""A script that owns an embedded server; the tests run it and end it in unkind ways.

Usage: owner.py REPOSITORY [--forked]. Starts a server with the model `null` from a thread that then ends, prints one
line of JSON about it, and waits until its input closes. With ``--forked`` it also forks a child that keeps every
descriptor open and outlives it.
"""

import json
import os
import sys
import threading
import time

from batchlab import server


def main() -> None:
    started = []
    thread = threading.Thread(target=lambda: started.append(server.start(["null"], repository=sys.argv[1])))
    thread.start()
    thread.join()
    process = started[0]._process
    child = 0
    if "--forked" in sys.argv:
        child = os.fork()
        if child == 0:
            time.sleep(120)
            os._exit(0)
    about = {
        "url": started[0].url,
        "pid": process.pid,
        "supervisor": process.supervisor,
        "folder": str(process.folder),
        "prefix": process.prefix,
        "child": child,
    }
    print(json.dumps(about), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
