"""A script that owns another server; a test kills it. Usage: rival_owner.py NAME. Prints one line of JSON."""

import json
import sys

from batchlab import rival_server


def main() -> None:
    rival = rival_server.start(sys.argv[1], "rn50-amp-t4-eager")
    about = {"pid": rival.pid, "port": int(rival.url.rpartition(":")[2]), "folder": str(rival._process.folder)}
    print(json.dumps(about), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
