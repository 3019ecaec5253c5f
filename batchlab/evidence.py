"""The evidence beside a notebook: saved runs with raw samples, sealed with a digest, and what speaks against them.

`pack` makes what a learner hands in. `remarks` looks at it on the grader's side. Nothing here takes points away: what
does not fit is told, for a person to judge. The seal shows that a file was changed after packing, or packed by
somebody else; who holds the learner's folder holds the key, too, and can seal anything.
"""

import contextlib
import hashlib
import hmac
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import provenance, runfile
from batchlab.measure import Run

RECORD = "record.json"
RUNS = "runs"
TICKET = "learner.json"
RUN_MIB = 32
NEAR = 1e-6


class EvidenceError(ValueError):
    """What is to be packed is not there; the message says what to do."""


def pack(
    notebook: Path, runs: Iterable[Path], ticket: Path, target: Path, right: Mapping[str, str] | None = None
) -> Path:
    """Write the zip that a learner hands in: notebook, runs, and the sealed record of them.

    Args:
        notebook: the lab.
        runs: saved runs, as `batchlab.journal.saved` lists them.
        ticket: the file ``learner.json`` that came with the labs.
        target: folder for the zip.
        right: question -> answer, for what the checks called right on the learner's own machine.

    Raises:
        EvidenceError: a file cannot be read, or the ticket is none.
    """
    try:
        known = json.loads(ticket.read_text(encoding="utf-8"))
        learner, key = str(known["learner"]), str(known["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvidenceError(
            f"{ticket} is not the ticket that came with the labs ({type(error).__name__}). "
            "Keep learner.json beside them, or name it with --ticket."
        ) from error
    try:
        files = {notebook.name: notebook.read_bytes(), **{f"{RUNS}/{path.name}": path.read_bytes() for path in runs}}
    except OSError as error:
        raise EvidenceError(f"{error.filename} cannot be read: {error.strerror}.") from error
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    machine = provenance.this_machine()
    record = {"learner": learner, "machine": str(machine), "files": digests, "right": dict(right or {})}
    record["seal"] = seal(record, key)
    place = target / f"{learner}.{notebook.stem}.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{notebook.stem}/{name}", content)
        archive.writestr(f"{notebook.stem}/{RECORD}", json.dumps(record, indent=1) + "\n")
    return place


def seal(record: dict[str, Any], key: str) -> str:
    """Return the keyed digest (HMAC-SHA256, RFC 2104) of a record, its own field ``seal`` left out."""
    text = json.dumps({name: value for name, value in record.items() if name != "seal"}, sort_keys=True)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def remarks(place: Path, key: str) -> list[str]:
    """Return what speaks against the evidence in a submission's folder; empty where nothing does.

    A submission without a record has none: many learners hand in the bare notebook.
    """
    path = place / RECORD
    runs = sorted((place / RUNS).glob("*.jsonl"))
    if not path.is_file():
        return [f"There are {len(runs)} saved runs without a record."] if runs else []
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        files, sealed, machine = dict(record["files"]), str(record["seal"]), str(record["machine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"The record cannot be read ({type(error).__name__})."]
    told = []
    if not hmac.compare_digest(sealed, seal(record, key)):
        told.append(
            "The record's seal is not this learner's: changed by hand, or packed with another learner's folder."
        )
    for name, digest in sorted(files.items()):
        file = place / name
        if ".." in Path(name).parts or not file.is_file() or file.is_symlink():
            told.append(f"{name} is in the record and was not handed in.")
        elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            told.append(f"{name} was changed after it was packed.")
    told += [f"{RUNS}/{run.name} is not in the record." for run in runs if f"{RUNS}/{run.name}" not in files]
    for run in runs:
        told += [f"{RUNS}/{run.name}: {remark}" for remark in _run_remarks(run, machine)]
    return told


def right_at_home(place: Path, key: str) -> dict[str, str]:
    """Return question -> answer, for what was right on the learner's machine, by a record whose seal fits.

    A guess about timings can be right on a slow laptop and wrong on the grader's machine.
    """
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        fits = hmac.compare_digest(str(record["seal"]), seal(record, key))
        return {str(name): str(answer)[:200] for name, answer in record["right"].items()} if fits else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def recomputed(place: Path) -> list[str]:
    """Return one line for each saved run with the numbers that its raw samples give, whatever the notebook shows."""
    told = []
    for path in sorted((place / RUNS).glob("*.jsonl")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            if path.is_symlink() or path.stat().st_size > RUN_MIB * 2**20:
                continue
            run = runfile.parse(path.read_text(encoding="utf-8", errors="replace").splitlines(), path.stem)
            numbers = f"P50 {run.percentile_ms(50).value:.4g} ms, P99 {run.percentile_ms(99).value:.4g} ms"
            who = f"{run.provenance.tier}, {run.provenance.model}"
            told.append(f"{path.name}: {who}, {len(run.samples)} samples, {run.throughput_rps:.4g}/s, {numbers}")
    return told


def _run_remarks(path: Path, machine: str) -> list[str]:
    if path.is_symlink() or path.stat().st_size > RUN_MIB * 2**20:
        return [f"not read: a link, or more than {RUN_MIB} MiB."]
    try:
        run = runfile.parse(path.read_text(encoding="utf-8", errors="replace").splitlines(), path.stem)
    except (runfile.RunFileError, ValueError, TypeError) as error:
        return [str(error)]
    told = [] if str(run.provenance.machine) == machine else [f"measured on another machine: {run.provenance.machine}."]
    return told + doubts(run)


def doubts(run: Run) -> list[str]:
    """Return what in a run's raw samples cannot be, or hardly can be, the result of a measurement."""
    samples, told = run.samples, []
    if samples.empty:
        return ["it holds no samples."]
    intended, sent, done = (samples[name].to_numpy(float) for name in ("intended_s", "sent_s", "done_s"))
    if (sent < intended - NEAR).any() or (done < sent - NEAR).any():
        told.append("answers that came before their request was sent.")
    latencies = np.round(done - intended, 9)
    latencies = latencies[np.isfinite(latencies)]
    if run.kind != "simulated" and latencies.size >= 50:
        most = Counter(latencies.tolist()).most_common(1)[0][1]
        if most > 0.05 * latencies.size:
            told.append(f"{most} of {latencies.size} latencies are the same to a nanosecond: copied lines?")
    if run.server is not None and not run.partial:
        counted, answered = run.server.requests, int(samples["ok"].sum())
        if answered > counted:
            told.append(f"{answered} answers, and the server counted {counted:g}.")
    return told


def shared(places: dict[str, Path]) -> dict[str, list[str]]:
    """Return remarks for learners whose saved runs are also in another learner's submission.

    Args:
        places: learner -> folder of the submission.
    """
    owners: dict[str, list[tuple[str, str]]] = {}
    for learner, place in sorted(places.items()):
        for path in sorted((place / RUNS).glob("*.jsonl")):
            if path.is_symlink() or path.stat().st_size > RUN_MIB * 2**20:
                continue
            # The samples only: whoever renames a run or edits its header keeps them.
            lines = path.read_bytes().splitlines()[1:-1]
            if lines:
                owners.setdefault(hashlib.sha256(b"\n".join(lines)).hexdigest(), []).append((learner, path.name))
    told: dict[str, list[str]] = {}
    for held in owners.values():
        names = sorted({learner for learner, _ in held})
        for learner, run in held if len(names) > 1 else ():
            others = ", ".join(name for name in names if name != learner)
            told.setdefault(learner, []).append(f"{RUNS}/{run} has the very samples of a run of {others}.")
    return told
