"""One row of the doctor's table."""

from __future__ import annotations

from dataclasses import dataclass

# Where the server cannot run natively, it runs in a Linux container.
DOCKER_WAY = "make docker-lab"


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
