"""Questions about the machine itself: system, Python, cores, memory, disk, ports."""

from __future__ import annotations

import importlib.util
import os
import platform as system
import re
import shutil
import socket
import sys
from pathlib import Path

from batchlab.doctor.check import DOCKER_WAY, Check

GIB = 2**30
OLDEST_GLIBC = (2, 35)
MEMORY_GIB = 4.0
INSTALL_GIB = 10.0
RUN_GIB = 1.0
PORTS = {8000: "Triton HTTP", 8001: "Triton gRPC", 8002: "Triton metrics", 8888: "JupyterLab"}


def platform() -> Check:
    found = f"{system.system()} {system.machine()}"
    if found == "Linux x86_64":
        return Check("platform", "ok", found)
    return Check(
        "platform",
        "lack",
        f"{found}; the server is built for Linux x86_64",
        f"Use Docker: {DOCKER_WAY}",
    )


def glibc() -> Check:
    library, version = system.libc_ver()
    oldest = ".".join(map(str, OLDEST_GLIBC))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if library == "glibc" and numbers >= OLDEST_GLIBC:
        return Check("glibc", "ok", version)
    found = f"{library} {version}".strip() or "another C library"
    return Check("glibc", "lack", f"{found}; the server asks for glibc {oldest}", f"Use Docker: {DOCKER_WAY}")


def python() -> Check:
    found = f"{system.python_version()} at {sys.executable}"
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Check("Python", "ok", found)
    return Check(
        "Python", "lack", f"{found}; Batchlab runs on 3.11 and 3.12", "Install python3.11 and its venv, then: make lab"
    )


def cores() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores >= 2:
        return Check("cores", "ok", str(cores))
    return Check("cores", "note", "1", "The labs run; client and server share the core, so expect noisy timings.")


def memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    found = f"{total:.1f} GiB"
    if total >= MEMORY_GIB:
        return Check("memory", "ok", found)
    return Check("memory", "note", found, f"Below {MEMORY_GIB:.0f} GiB: keep one notebook open at a time.")


def disk() -> Check:
    free = shutil.disk_usage(Path(__file__).resolve().parent).free / GIB
    installed = importlib.util.find_spec("torch") is not None
    need = RUN_GIB if installed else INSTALL_GIB
    purpose = "for models and runs" if installed else "to install"
    if free >= need:
        return Check("disk", "ok", f"{free:.0f} GiB free")
    return Check("disk", "lack", f"{free:.1f} GiB free", f"Free some: {need:.0f} GiB are needed {purpose}.")


def ports() -> Check:
    taken = [f"{port} ({use})" for port, use in PORTS.items() if not _free(port)]
    if not taken:
        return Check("ports", "ok", f"free: {', '.join(map(str, PORTS))}")
    return Check("ports", "ok", f"taken: {', '.join(taken)}; Batchlab takes other free ones")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: an old connection in TIME_WAIT does not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
