"""Marking a whole room: every submission judged, several at once, each result on disk as soon as it is there.

A result carries a fingerprint of everything that it depends on. A second call, also after a kill, takes up what is
there and judges the rest.
"""

import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from batchlab import __version__, evidence, judgement, orphans, sandbox
from batchlab.classroom import Classroom, write
from batchlab.judgement import Paper
from batchlab.walls import Limits

NOTEBOOK_READ = 2**27


@dataclass
class Marked:
    """What a call to `mark` did.

    Attributes:
        results: (learner, lab) -> the result, as it is on disk.
        fresh: how many were judged now.
        failed: (learner, lab) of those for which the grader itself failed; they are tried again by the next call.
    """

    results: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    fresh: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def mark(
    room: Classroom,
    labs: Iterable[str] = (),
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
    on_done: Callable[[str, str, dict[str, Any]], None] = lambda *_: None,
) -> Marked:
    """Judge everything that was handed in and is not judged yet.

    Args:
        room: the course folder.
        labs: these labs only.
        workers: how many at once, default one for each core.
        limits: what one submission may use.
        environment: further variables inside the sandbox.
        on_done: called with learner, lab and result, also for those judged earlier.

    Raises:
        SandboxError: no sandbox can be made here; nothing was judged.
    """
    limits, environment = limits or Limits(), environment or {}
    sandbox.check()
    marked = Marked()
    waiting: list[tuple[str, str, str, Paper]] = []
    pairs = room.submissions(labs)
    papers = {lab: room.paper(lab) for lab in {lab for _, lab in pairs}}
    for learner, lab in pairs:
        paper = papers[lab].of(learner)
        print_of = fingerprint(room, learner, paper, limits, environment)
        old = read(room.result(learner, lab))
        if old and old.get("fingerprint") == print_of:
            marked.results[learner, lab] = old
            on_done(learner, lab, old)
        else:
            waiting.append((learner, lab, print_of, paper))
    # A fresh process for each submission: what one leaves behind in its judge cannot reach the next.
    context = multiprocessing.get_context("fork")
    most = workers or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="batchlab-class-") as folder:
        course_file = Path(folder, "course.json")
        course_file.write_text(room.course_text(), encoding="utf-8")
        running: dict[int, tuple[BaseProcess, str, str]] = {}
        while waiting or running:
            while waiting and len(running) < most:
                learner, lab, print_of, paper = waiting.pop(0)
                args = (os.getpid(), room, learner, paper, print_of, limits, dict(environment), course_file)
                process = context.Process(target=_one, args=args)
                process.start()
                running[process.sentinel] = (process, learner, lab)
            for sentinel in wait(list(running)):
                ended, learner, lab = running.pop(cast(int, sentinel))
                ended.join()
                result = read(room.result(learner, lab))
                if ended.exitcode != 0 or result is None:
                    marked.failed.append((learner, lab))
                    continue
                marked.fresh += 1
                marked.results[learner, lab] = result
                on_done(learner, lab, result)
    return marked


def _one(
    owner: int,
    room: Classroom,
    learner: str,
    paper: Paper,
    print_of: str,
    limits: Limits,
    environment: dict[str, str],
    course_file: Path,
) -> None:
    if os.getppid() != owner:
        os._exit(1)  # the grader was killed before this judge could begin to watch it
    orphans.end_with(owner)
    judgement.prepare(course_file)
    place = room.submitted(learner, paper.lab)
    found = judgement.judge(paper, content(place / f"{paper.lab}.ipynb"), limits, environment)
    found.remarks += evidence.remarks(place, room.key(learner))
    # Right on the learner's machine and wrong on this one: timings may be to blame, so a person decides.
    at_home = evidence.right_at_home(place, room.key(learner))
    doubtful = [name for name, verdict in found.verdicts.items() if verdict.state != "right" and name in at_home]
    found.remarks += [
        f"{name}: right on the learner's own machine, by their record ({at_home[name]})." for name in doubtful
    ]
    known = {"learner": learner, "lab": paper.lab, "fingerprint": print_of, "runs": evidence.recomputed(place)}
    result = {**known, "by_hand": doubtful, **found.to_dict()}
    write(room.result(learner, paper.lab), json.dumps(result, indent=1) + "\n")


def content(path: Path) -> bytes:
    """Return a notebook's bytes, no more than can be judged; a link counts as empty."""
    if path.is_symlink() or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(NOTEBOOK_READ)


def fingerprint(room: Classroom, learner: str, paper: Paper, limits: Limits, environment: Mapping[str, str]) -> str:
    """Return a digest of everything that a result depends on."""
    digest = hashlib.sha256()
    place = room.submitted(learner, paper.lab)
    for path in sorted(place.rglob("*")):
        if path.is_file() and not path.is_symlink():
            digest.update(str(path.relative_to(place)).encode() + b"\0" + hashlib.sha256(content(path)).digest())
    most = {name: float(value) for name, value in asdict(limits).items()}
    known = {**asdict(paper), "files": sorted(paper.files)}
    digest.update(json.dumps([known, most, dict(environment), __version__], sort_keys=True).encode())
    return digest.hexdigest()


def read(path: Path) -> dict[str, Any] | None:
    """Return a result, None where there is none that can be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and "verdicts" in values else None
