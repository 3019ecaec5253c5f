"""One row of the doctor's table."""

from __future__ import annotations

from dataclasses import dataclass

# Where the server cannot run natively, it runs in a plain Linux container of this folder.
DOCKER_WAY = (
    "docker run --rm -it --platform linux/amd64 --shm-size 1g -p 127.0.0.1:8888:8888 "
    '-v "$PWD":/batchlab -w /batchlab '
    'python:3.11-bookworm make lab OPTIONS="--ip 0.0.0.0 --no-browser"'
)


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes:
        name: what was asked.
        state: ``"ok"``; ``"lack"``, labs cannot run without it; ``"note"``, worth knowing, but labs run.
        finding: what was found.
        remedy: what to do; empty where nothing is lacking.
    """

    name: str
    state: str
    finding: str
    remedy: str = ""
