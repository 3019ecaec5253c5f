"""What this machine can do: one row a question, each answered by trying, each lack with its remedy.

Imports nothing but the standard library at the top and asks for the rest where it is used, so that it also helps on
half an installation or an unsuitable Python: ``python3 -m batchlab doctor``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from batchlab.doctor import kit, machine
from batchlab.doctor.check import DOCKER_WAY, Check

__all__ = ["DOCKER_WAY", "Check", "able", "examine", "to_json", "to_text", "verdict"]


def examine() -> list[Check]:
    """Ask every question and return the answers in order; a question that fails is itself a row."""
    questions = (
        machine.platform, machine.glibc, machine.python, kit.packages, machine.cores, machine.memory, machine.disk,
        machine.ports, kit.triton, kit.libpython, kit.models, kit.compiler, kit.java, kit.docker, kit.gpu,
        kit.torch_cuda,
    )  # fmt: skip
    return [_asked(question) for question in questions]


def able(checks: list[Check]) -> bool:
    """Whether the labs run on this machine: no row says ``"lack"``."""
    return all(check.state != "lack" for check in checks)


def to_json(checks: list[Check]) -> str:
    """Return the answers for a script: ``{"able": ..., "checks": [...]}``."""
    return json.dumps({"able": able(checks), "checks": [asdict(check) for check in checks]}, indent=2)


def to_text(checks: list[Check]) -> str:
    """Return the table in plain characters, for a machine that lacks the packages for a better one."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.state:5} {check.name:{width}}  {check.finding}")
        if check.remedy:
            lines.append(f"{'':5} {'':{width}}  -> {check.remedy}")
    return "\n".join([*lines, verdict(checks)])


def verdict(checks: list[Check]) -> str:
    """Return the one sentence below the table."""
    lacks = [check.name for check in checks if check.state == "lack"]
    if not lacks:
        return "The labs run on this machine."
    return f"The labs do not run here yet. To mend, from the top: {', '.join(lacks)}."


def _asked(question: Callable[[], Check]) -> Check:
    try:
        return question()
    except Exception as error:
        name = question.__name__.replace("_", " ")
        return Check(name, "note", f"could not be found out: {type(error).__name__}: {error}")
