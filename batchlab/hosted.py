"""A hosted notebook session (Colab, Kaggle, Binder) made ready for the labs, without Docker.

Imports nothing but the standard library: it runs in a Python that has none of the course's packages yet. The packages
go into the session's own Python, since its kernel cannot be chosen. Jupyter itself is left as the host has it, and so
is a torch that is there, which fits the host's GPU.

``python -m batchlab.hosted`` (``scripts/hosted-setup``) installs; `ready` in a first cell says whether the labs can
begin, and does nothing more.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from batchlab import wheel, workspace

PYTHONS = ((3, 11), (3, 12))  # those that the pinned packages and Triton's Python backend both know
GIB = 1024**3
DISK_GIB = 9
# What the host's own notebook server brings, and what only serves to develop the course.
LEFT_OUT = ("jupyterlab", "ipywidgets", "nbgrader", "nbval", "jupytext", "pytest", "pytest-timeout", "ruff", "mypy",
            "playwright", "simpy", "jupyterhub", "myst-nb", "furo", "sphinx", "latex2mathml")  # fmt: skip
KEPT_IF_THERE = ("torch", "torchvision")
HOSTS = {"COLAB_RELEASE_TAG": "Colab", "KAGGLE_KERNEL_RUN_TYPE": "Kaggle", "BINDER_LAUNCH_HOST": "Binder"}
RESTART = {"Colab": "Runtime > Restart session", "Kaggle": "Run > Restart session"}
HELD = ("numpy", "pandas", "matplotlib", "scipy")  # a host's kernel may hold these from its start
PIN = re.compile(r"([A-Za-z0-9_.-]+)(\[[^\]]+\])?==([^\s#]+)")


class HostedError(RuntimeError):
    """The labs cannot run in this session; the message is one sentence that says why, and what to do."""


def host(environment: Mapping[str, str] | None = None) -> str:
    """Return the host's name, ``"this session"`` for one that is not known."""
    environment = os.environ if environment is None else environment
    return next((name for variable, name in HOSTS.items() if variable in environment), "this session")


def check(project: Path) -> None:
    """Make sure that the server can run here and that the packages have room.

    Raises:
        HostedError: wrong platform or Python, no shared libpython, or too little disk.
    """
    try:
        wheel.check_platform(platform.system(), platform.machine(), platform.libc_ver())
    except wheel.WheelError as error:
        raise HostedError(str(error)) from error
    check_python(sys.version_info[:2])
    if not _has_libpython():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise HostedError(
            f"Triton's Python backend needs libpython{version}.so.1.0, which is missing here: run "
            f"'!apt-get install -y libpython{version}' in a cell, then this again."
        )
    free = shutil.disk_usage(project).free / GIB
    if missing(project) and free < DISK_GIB:
        raise HostedError(f"The packages need {DISK_GIB} GiB of disk and {free:.1f} are free: take a larger session.")


def check_python(version: tuple[int, int]) -> None:
    """Make sure that the course's packages exist for this Python.

    Raises:
        HostedError: they do not.
    """
    if version not in PYTHONS:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise HostedError(
            f"The course's pinned packages need Python {wanted}, and this session has {version[0]}.{version[1]}: "
            "choose a runtime version that has one of these, or work on your own computer."
        )


def missing(project: Path, installed: Callable[[str], str | None] | None = None) -> list[str]:
    """Return the requirements, as pip reads them, that this Python lacks or has in another version.

    Args:
        project: holds ``requirements.txt``.
        installed: package -> its version, None when it is not there; default asks this Python.
    """
    installed = installed or _version
    wanted = []
    for line in (project / "requirements.txt").read_text(encoding="utf-8").splitlines():
        match = PIN.match(line.strip())
        if match is None or _plain(match[1]) in LEFT_OUT:
            continue
        found = installed(match[1])
        if found is None or (found != match[3] and _plain(match[1]) not in KEPT_IF_THERE):
            wanted.append(match[0])
    return wanted


def constraints(project: Path, installed: Callable[[str], str | None] | None = None) -> str:
    """Return the pins of ``constraints.txt``, without those of packages that stay as the host has them."""
    installed = installed or _version
    kept = {name for name in KEPT_IF_THERE if installed(name)} | set(LEFT_OUT)
    lines = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [match for line in lines if (match := PIN.match(line.strip()))]
    host_s = re.compile(r"(jupyter|ipykernel|ipython|nvidia-(?!pytriton)|cuda|triton$|tornado|traitlets|pyzmq)")
    return "".join(f"{m[0]}\n" for m in pins if _plain(m[1]) not in kept and not host_s.match(_plain(m[1])))


def install(project: Path) -> bool:
    """Install what is missing into this Python; return whether anything was.

    Raises:
        HostedError: the session cannot run the labs, or pip failed; its own last line is in the message.
    """
    check(project)
    wanted = missing(project)
    if not wanted and _version("batchlab"):
        return False
    pins = project / "build" / "hosted-constraints.txt"
    pins.parent.mkdir(exist_ok=True)
    pins.write_text(constraints(project), encoding="utf-8")
    _pip([*wanted, "-c", str(pins)] if wanted else [])
    _pip(["--no-deps", "--no-build-isolation", "--editable", str(project)])
    return True


def ready(project: Path | None = None) -> str:
    """Return one sentence when the labs can begin in this kernel. For the first cell of a hosted notebook.

    Raises:
        HostedError: the set-up was not run, or this kernel still holds the packages of before it.
    """
    project = project or workspace.project_dir()
    check(project)
    lacking = missing(project)
    if lacking:
        raise HostedError(f"Run '!scripts/hosted-setup' in {project} first: {len(lacking)} packages are missing.")
    stale = sorted(name for name, module in list(sys.modules.items()) if _is_stale(name, module))
    if stale:
        how = RESTART.get(host(), "Kernel > Restart")
        raise HostedError(f"This kernel still holds the old {', '.join(stale)}: restart it ({how}), run this again.")
    return f"Ready: the labs run in {host()} on Python {platform.python_version()}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, install, and say what to do next; 1 when the labs cannot run here."""
    parser = argparse.ArgumentParser(prog="scripts/hosted-setup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the labs can run here")
    chosen = parser.parse_args(arguments)
    project = Path(__file__).resolve().parent.parent
    try:
        check(project)
        if chosen.check:
            count = len(missing(project))
            print(f"The labs can run in {host()}. Packages to install: {count}.")
            return 0
        changed = install(project)
    except HostedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if changed:
        how = RESTART.get(host(), "Kernel > Restart")
        print(f"Installed. Restart the kernel now ({how}), then: from batchlab import hosted; hosted.ready()")
    else:
        print("Nothing to do: everything is there.")
    return 0


def _pip(options: list[str]) -> None:
    if not options:
        return
    # Compiling every module would take longer than an import takes to compile those that a lab uses.
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise HostedError(f"pip could not install the packages ({last[0]}): check the session's internet access.")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_stale(name: str, module: object) -> bool:
    if name not in HELD:
        return False
    held = getattr(module, "__version__", None)
    return held is not None and held != _version(name)


def _has_libpython() -> bool:
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    folders = [sysconfig.get_config_var("LIBDIR"), "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/lib"]
    return any(folder and (Path(folder) / name).exists() for folder in folders)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
