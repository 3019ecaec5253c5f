"""Where a number comes from: its tier, and the machine, server, model, profile, seed and date behind it."""

import dataclasses
import os
import platform
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from batchlab import __version__

Tier = Literal["simulated", "emulated", "cpu", "gpu"]
TIERS: tuple[str, ...] = get_args(Tier)

TIER_NOTES: dict[str, str] = {
    "simulated": "simulated: no server, the digital twin",
    "emulated": "emulated: real Triton, accelerator played back from published latencies",
    "cpu": "cpu: real model on this machine's processor",
    "gpu": "gpu: real model on an NVIDIA GPU",
}

MADE_UP = "synthetic"
"""So begins the name of a profile that nobody published."""


@dataclass(frozen=True)
class Machine:
    """The computer that made a number."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}"


def this_machine() -> Machine:
    """Describe the machine this process runs on; cores are those the process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        processor=_processor_name(),
        cores=cores,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown processor"


@dataclass(frozen=True)
class Provenance:
    """Everything a reader needs to judge, and to repeat, a result.

    Attributes:
        tier: where the time comes from, one of `TIERS`.
        model: the model's name on the server.
        server: server name and version, and where it ran: ``"Triton 2.51.0 (embedded)"``, or its host and port.
        profile: the accelerator profile played back; empty outside the tiers `emulated` and `simulated`.
        seed: the seed of the schedule, None where nothing was random.
        date: UTC time at the start of the run, ISO 8601.
        details: anything else worth keeping, such as GPU name or client library.
    """

    tier: Tier
    model: str
    server: str
    machine: Machine = field(default_factory=this_machine)
    profile: str = ""
    seed: int | None = None
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    batchlab: str = __version__
    details: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise ValueError(f"tier {self.tier!r} is unknown; use one of {', '.join(TIERS)}.")

    @property
    def note(self) -> str:
        """The tier in words: a model that computes nothing is not called real, a made-up curve not published."""
        if self.details.get("computes") == "nothing":
            return f"{self.tier}: no model computes, the time is the server's and the client's own"
        note = TIER_NOTES[self.tier]
        if self.tier == "emulated" and self.profile.startswith(MADE_UP):
            note = "emulated: real Triton, accelerator played back from made-up latencies"
        if self.details.get("protocol"):
            # Reached by another protocol than Triton's: it is no Triton, and need not be on this machine.
            note = note.replace("real Triton", "real server").replace("this machine's", "the server's")
        return note

    @property
    def served_by(self) -> str:
        """The server in words, without its port: that differs from run to run and changes no number."""
        found = re.fullmatch(r"(.+) \(([^()]+?)(?::\d+)?\)", self.server)
        if found is None:
            return self.server
        name, place = found.groups()
        return f"embedded {name}" if place == "embedded" else f"{name} at {place}"

    def caption(self) -> str:
        """One line for the foot of a figure: tier first, then what made the number."""
        parts = [self.note, self.model]
        if self.profile:
            parts.append(f"profile {self.profile}")
        parts += [self.served_by, str(self.machine)]
        if self.seed is not None:
            parts.append(f"seed {self.seed}")
        parts.append(self.date[:10])
        return " | ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Provenance":
        """Rebuild from `to_dict`; unknown keys of a newer version are kept in `details`.

        Raises:
            ValueError: a key is missing, or the tier is unknown.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        extra = {key: str(value) for key, value in values.items() if key not in known}
        chosen = {key: value for key, value in values.items() if key in known}
        machine = chosen.get("machine", {})
        names = [f.name for f in dataclasses.fields(Machine)]
        extra |= {f"machine.{key}": str(value) for key, value in machine.items() if key not in names}
        missing = [name for name in ("tier", "model", "server") if name not in chosen]
        missing += [f"machine.{name}" for name in names if name not in machine]
        if missing:
            raise ValueError(f"A provenance lacks {', '.join(missing)}.")
        chosen["machine"] = Machine(**{name: machine[name] for name in names})
        chosen["details"] = {**chosen.get("details", {}), **extra}
        return cls(**chosen)
