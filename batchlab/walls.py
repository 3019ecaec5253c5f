"""The walls of a sandbox: bubblewrap's command line, what it lets in, and the limits."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchlab import workspace

HOME = "/home/learner"
COURSE = "/course/course.json"
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin", "/sys/devices/system/cpu")
SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/etc/mime.types")
# A user of its own for each sandbox, where the grader is root: processes are then counted per sandbox.
FIRST_USER, USERS = 200_000, 50_000
NOTHING = "and nothing is graded without it"
HOW = "Install the package bubblewrap (scripts/install-system-packages does), on a Linux that allows user namespaces."


class SandboxError(RuntimeError):
    """No sandbox can be made here; the message says why, and what to do."""


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        wall_s: seconds for the whole of it.
        cell_s: seconds for one cell; the next ones still run.
        memory_mib: memory of all its processes together.
        processes: processes and threads.
        disk_mib: each of its scratch folders, and each file.
        output_kib: text that is kept of one cell.
        message_mib: one value handed to the judge.
    """

    wall_s: float = 1800
    cell_s: float = 600
    memory_mib: int = 6144
    processes: int = 1024
    disk_mib: int = 1024
    output_kib: int = 64
    message_mib: int = 32


def command(
    limits: Limits, files: Mapping[str, int], environment: Mapping[str, str], rules: int | None = None
) -> list[str]:
    """Return bubblewrap's command line, up to the program.

    Args:
        limits: what the program may use.
        files: path inside -> file descriptor with its content.
        environment: variables inside.
        rules: file descriptor with a seccomp filter.

    Raises:
        SandboxError: no bubblewrap.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError(f"There is no bubblewrap here, {NOTHING}. {HOW}")
    project = workspace.project_dir()
    package = Path(__file__).resolve().parent
    words = [program, "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
    words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if own_user() is None:
        words += ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    else:
        # A real other user instead: the program takes it on before it touches anything of the learner's.
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    if rules is not None:
        words += ["--seccomp", str(rules)]
    java = sorted(map(str, Path("/etc").glob("java*")))  # for JMeter
    # Editions of networks, built once for everybody: lab 06 would spend a minute on building them again.
    models = (str(project / "triton_repo"), str(workspace.shared_dir() / "editions"))
    places = (*SYSTEM, *SETTINGS, *java, *python_folders(), str(package), *models)
    # First, for what is let in may lie below one of them: a clone in /tmp.
    words += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm", HOME):
        words += ["--perms", "1777", "--size", str(limits.disk_mib * 2**20), "--tmpfs", place]
    # Bubblewrap makes the folders above a place for its own user alone; made beforehand they are open to read.
    for folder in sorted({str(above) for place in (*places, *files) for above in Path(place).parents} - {"/"}):
        words += ["--perms", "0755", "--dir", folder]
    for place in places:
        words += ["--ro-bind-try", place, place]
    for name, descriptor in files.items():
        words += ["--perms", "0444", "--ro-bind-data", str(descriptor), name]
    for place in ("/dev", "/"):
        words += ["--remount-ro", place]
    inside = {
        "HOME": HOME,
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "TQDM_DISABLE": "1",
        "NUMBA_CACHE_DIR": f"{HOME}/.numba",
        "BATCHLAB_HOME": f"{HOME}/batchlab",
        "BATCHLAB_DEVICES": "/tmp/devices",
        "BATCHLAB_PROJECT": str(project),
        "NBGRADER_EXECUTION": "autograde",
        **environment,
    }
    for name, value in inside.items():
        words += ["--setenv", name, value]
    return [*words, "--chdir", HOME, "--"]


def python_folders() -> list[str]:
    """Return the folders of this Python and of its environment, outermost only; a link by both its names."""
    prefixes = {place for prefix in (sys.prefix, sys.base_prefix) for place in (prefix, str(Path(prefix).resolve()))}
    chosen = sorted(prefixes - {"/usr"})
    # Other folders on the path, such as a shared environment that this one is layered on; never a project's sources.
    others = [str(Path(place).resolve()) for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    for place in others:
        if not any(Path(place).is_relative_to(outer) for outer in (*chosen, "/usr")):
            chosen.append(place)
    return chosen


def own_user() -> int | None:
    """Return the user that the program inside becomes; None where this process is not root: a namespace then."""
    return FIRST_USER + os.getpid() % USERS if os.geteuid() == 0 else None
