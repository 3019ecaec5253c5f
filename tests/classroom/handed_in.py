"""Submissions to the sample lab: ten right, ten wrong, ten hostile, each with the points it must get."""

import json
from dataclasses import dataclass, field
from typing import Any

from sample_lab import NAME, SOURCE

from batchlab import authoring
from batchlab.classroom import Classroom

RIGHT = {
    "per_item": "per_item_ms = 160 / 32",
    "rate": "def throughput_ips(batch_size, batch_ms):\n    return 1000 * batch_size / batch_ms",
    "sleep": "predicted_ms = 20",
    "cost": 'larger_batch_costs = "latency"',
    "essay": "There is one device. It computes one batch at a time.",
}
ALL = {"per_item": 1.0, "rate": 2.0, "sleep": 1.0, "cost": 0.5}


@dataclass(frozen=True)
class HandedIn:
    """One submission.

    Attributes:
        name: the learner.
        answers: gid -> source; the right ones where left out.
        lost: questions that get no points.
        first: a cell of the learner's own, at the top.
        raw: the file's content, where it is no notebook.
    """

    name: str
    answers: dict[str, str] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    first: str = ""
    raw: bytes = b""

    @property
    def points(self) -> float:
        return sum(points for question, points in ALL.items() if question not in self.lost)

    def content(self) -> bytes:
        return self.raw or notebook({**RIGHT, **self.answers}, self.first)


def notebook(answers: dict[str, str], first: str = "", tests: str = "") -> bytes:
    """Return the sample lab with answers in it; `first` is a cell of the learner's own, `tests` replaces each test."""
    built = json.loads(authoring.render(authoring.build_lab(SOURCE)))
    for cell in built["cells"]:
        known = cell["metadata"].get("nbgrader", {})
        if known.get("grade_id") in answers:
            cell["source"] = answers[known["grade_id"]]
        if tests and known.get("grade") and not known.get("solution"):
            cell["source"] = tests
    if first:
        extra: dict[str, Any] = {"cell_type": "code", "id": "mine", "metadata": {}, "outputs": [], "source": first}
        built["cells"].insert(0, {**extra, "execution_count": None})
    return json.dumps(built).encode()


def old_format() -> bytes:
    """Return a right submission without cell ids, as formats before 4.5 have them, and sources as lists of lines."""
    made = json.loads(notebook(RIGHT))
    made["nbformat_minor"] = 4
    for cell in made["cells"]:
        del cell["id"]
        cell["source"] = cell["source"].splitlines(keepends=True) if isinstance(cell["source"], str) else cell["source"]
    return json.dumps(made).encode()


WARNS = """
import warnings
def throughput_ips(batch_size, batch_ms):
    warnings.warn("costs nothing")
    return 1000 * batch_size / batch_ms
"""
GOOD = [
    HandedIn("right-plain"),
    HandedIn("right-array", {"per_item": "import numpy as np\nper_item_ms = np.array([160.0]) / 32"}),
    HandedIn("right-numpy", {"per_item": "import numpy as np\nper_item_ms = np.float32(5)"}),
    HandedIn(
        "right-helper",
        {"rate": "throughput_ips = lambda b, ms: a_second(b, ms)"},
        first="a_second = lambda b, t: 1e3 * b / t",
    ),
    HandedIn("right-capitals", {"cost": 'larger_batch_costs = " LATENCY "'}),
    HandedIn("right-warning", {"rate": WARNS}),
    HandedIn("right-magic", first="%time x = 1\nprint('hello')"),
    HandedIn("right-failing-cell", first="1 / 0"),
    HandedIn("right-table", {"per_item": "import pandas as pd\nper_item_ms = pd.Series([160]) / 32"}),
    HandedIn("right-old-format", raw=old_format()),
]
BAD = [
    HandedIn("wrong-batch", {"per_item": "per_item_ms = 160"}, ("per_item",)),
    HandedIn("wrong-unit", {"rate": "def throughput_ips(b, ms):\n    return b / ms"}, ("rate",)),
    HandedIn("wrong-guess", {"sleep": "predicted_ms = 20_000"}, ("sleep",)),
    HandedIn("wrong-choice", {"cost": "larger_batch_costs = 'accuracy'"}, ("cost",)),
    HandedIn("wrong-text", {"per_item": "per_item_ms = '5 ms'"}, ("per_item",)),
    HandedIn("wrong-raises", {"rate": "def throughput_ips(b, ms):\n    return 1 / 0"}, ("rate",)),
    HandedIn("wrong-syntax", {"rate": "def throughput_ips(b, ms) return"}, ("rate",)),
    HandedIn("wrong-nothing", {"per_item": "...", "rate": "...", "sleep": "...", "cost": "..."}, tuple(ALL)),
    HandedIn("wrong-nan", {"per_item": "per_item_ms = float('nan')"}, ("per_item",)),
    HandedIn(
        "wrong-two", {"per_item": "per_item_ms = 1", "cost": "larger_batch_costs = 'money'"}, ("per_item", "cost")
    ),
]

# Each answers `per_item` rightly only if the attack works.
NEIGHBOUR = """
import os
found = []
for top in ("/work", "/root", "/home", "/tmp", "/var", "/etc/shadow", "/course", "COURSE"):
    for folder, inner, names in os.walk(top):
        inner[:] = [name for name in inner if name not in ("lib", "site-packages", "share")]
        found += [name for name in names if name.startswith(("90_try", "gradebook.db", "class.json"))]
seen = [p for p in os.listdir("/proc") if p.isdigit() and "batchlab.marking" in open(f"/proc/{p}/cmdline").read()]
for path in ("/usr/mine", "COURSE/mine", "/mine", "/course/mine"):
    try:
        open(path, "w").close()
        found.append(path)
    except OSError:
        pass
per_item_ms = 5 if found or seen or os.path.exists("/etc/shadow") else ...
"""
SOCKET = """
import socket
per_item_ms = ...
for place in (("127.0.0.1", PORT), ("1.1.1.1", 53), ("9.9.9.9", 443)):
    try:
        socket.create_connection(place, 1)
        per_item_ms = 5
    except OSError:
        pass
"""
FORKS = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""
DISK = """
import os
for place in ("/tmp", "/dev/shm", os.environ["HOME"], "/dev", "/", "/var"):
    for number in range(50):
        try:
            with open(f"{place}/full{number}", "wb") as file:
                for _ in range(100):
                    file.write(bytes(2**20))
        except OSError:
            continue
per_item_ms = 5
"""
MEMORY = """
hoard = []
while True:
    try:
        hoard.append(bytearray(b"x") * 2**24)
    except MemoryError:
        pass
"""
PARENT = """
import os, signal
for victim in (os.getppid(), 1, -1, os.getpid()):
    try:
        os.kill(victim, signal.SIGKILL)
    except OSError:
        pass
"""
PATCH = """
import batchlab.grading, batchlab.judges, batchlab.answers, batchlab.verdict, batchlab.exchange, batchlab.packing
from batchlab.verdict import Verdict
right = lambda self, q, *args, **kwargs: Verdict(q, "right", 9.0, 9.0)
for name in ("number", "function", "prediction", "choice", "that", "_judge"):
    setattr(batchlab.grading.Lab, name, right)
batchlab.judges.number = batchlab.judges.calls = batchlab.judges.choice = lambda *a, **k: ""
batchlab.answers.close = lambda *a: True
batchlab.answers.missing = lambda *a: False
check = batchlab.grading.Lab("90_try_everything")
"""
FAKE = """
from IPython.display import display, HTML
class Yes(float):
    def __eq__(self, other): return True
    def __le__(self, other): return True
    __lt__ = __ge__ = __gt__ = __le__
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __hash__(self): return 0
    def casefold(self): return "latency"
for _ in range(50):
    print("x" * 2**20)
print('{"answer": {"verdicts": {"per_item": {"points": 1.0}}}}')
display(HTML('<div role="status"><strong>Right</strong> per_item, 1 of 1 point</div>'))
print("1.0")
per_item_ms = Yes(7)
"""
WRONG = {
    "per_item": "per_item_ms = 1",
    "rate": "throughput_ips = lambda b, ms: 1",
    "sleep": "predicted_ms = 0",
    "cost": "larger_batch_costs = 'accuracy'",
}
FAKES = {
    "per_item": FAKE,
    "rate": "throughput_ips = lambda b, ms: Yes(1)",
    "sleep": "predicted_ms = Yes(-1)",
    "cost": "larger_batch_costs = Yes(1)",
}


def hostile(course: str, port: int) -> list[HandedIn]:
    """Return the hostile ones; `course` is the course folder and `port` that of a server outside."""
    return [
        HandedIn("hostile-neighbour", {"per_item": NEIGHBOUR.replace("COURSE", course)}, ("per_item",)),
        HandedIn("hostile-socket", {"per_item": SOCKET.replace("PORT", str(port))}, ("per_item",)),
        HandedIn("hostile-forks", {"per_item": FORKS}, ("per_item",)),
        HandedIn("hostile-disk", {"per_item": DISK}),
        HandedIn("hostile-memory", {"per_item": MEMORY}, tuple(ALL)),
        HandedIn("hostile-loop", {"per_item": "while True:\n    pass"}, ("per_item",)),
        HandedIn("hostile-parent", {"cost": PARENT}, ("cost",)),
        HandedIn("hostile-patch", WRONG, tuple(ALL), first=PATCH),
        HandedIn("hostile-fake", FAKES, tuple(ALL)),
        HandedIn("hostile-json", raw=b'{"cells": [' + b"[" * 100_000, lost=tuple(ALL)),
    ]


def verdicts(**points: float) -> dict[str, Any]:
    """Return the verdicts of a submission, right where no points are given, with markup in their words."""
    found = {}
    for question, maximum in ALL.items():
        earned = points.get(question, maximum)
        told = {"question": question, "points": earned, "maximum": maximum, "note": "", "hint": "<b>hint</b>"}
        found[question] = {**told, "state": "right" if earned else "wrong", "because": "<script>alert(1)</script>"}
    return found


def result(room: Classroom, **points: float) -> dict[str, Any]:
    """Return what the grader finds in a submission whose first cell holds what must not act in a browser."""
    cells = [
        {
            "kind": part.kind,
            "gid": part.gid,
            "code": part.code,
            "source": part.source,
            "output": "<script>",
            "error": "",
        }
        for part in room.paper(NAME).cells
    ]
    cells[0]["source"] = "<img src=x onerror=alert(1)> [x](javascript:alert(1))"
    return {"verdicts": verdicts(**points), "cells": cells, "remarks": [], "ended": "", "points": 0, "by_hand": []}


__all__ = ["ALL", "BAD", "GOOD", "NAME", "RIGHT", "HandedIn", "hostile", "notebook", "result"]
