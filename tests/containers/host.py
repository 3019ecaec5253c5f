"""A host such as Colab: a container with Python 3.12 and nothing of the course, which is cloned and set up in it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import package_index
import stack as stacks
from stack import PROJECT, SCRIPTS

VERSION = "3.12"
IMAGE = f"batchlab-host:{VERSION}"
CLONE = "/content/batchlab"
PROBE = f"""
import pathlib, sys, sysconfig
library = pathlib.Path(sys.base_prefix, "lib", "libpython{VERSION}.so.1.0")
own = sys.version_info[:2] == ({VERSION.replace(".", ", ")}) and sys.base_prefix != "/usr" and library.is_file()
print(sys.base_prefix + "/bin/python{VERSION}" if own else "")
"""


@dataclass
class Host:
    """One host that runs.

    Attributes:
        container: its name.
        checked: what ``scripts/hosted-setup --check`` said before anything was installed.
        installed: what the set-up said when it was done.
        seconds: how long each step took.
    """

    container: str
    checked: str = ""
    installed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def inside(self, *command: str, timeout_s: float = 120) -> str:
        """Run a command in it, outside of the clone, and return what it printed."""
        return stacks.run("docker", "exec", "--workdir", "/root", self.container, *command, timeout_s=timeout_s)

    def set_up(self, *options: str) -> str:
        """Run ``scripts/hosted-setup`` in it, as the docs say; ten minutes are for a slow day."""
        return self.inside(f"{CLONE}/scripts/hosted-setup", *options, timeout_s=600)


def python() -> Path:
    """Return a Python of this machine that can be taken elsewhere: in a folder of its own, with its shared library.

    Raises:
        AssertionError: there is none; the message says how to get one.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [shutil.which(f"python{VERSION}"), *sorted(pyenv.glob(f"versions/{VERSION}.*/bin/python{VERSION}"))]
    for candidate in filter(None, candidates):
        # The first may be pyenv's shim, which fails where no version is chosen.
        asked = subprocess.run([candidate, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30)
        if asked.returncode == 0 and asked.stdout.strip():
            return Path(asked.stdout.strip())
    raise AssertionError(
        f"No Python {VERSION} on this machine that a container can be given: 'PYTHON_CONFIGURE_OPTS=--enable-shared "
        f"pyenv install {VERSION}' brings one; Debian 12 has none, and a system's own, in /usr, cannot be taken along."
    )


@contextmanager
def running(folder: Path) -> Iterator[Host]:
    """Make the host, set the course up in it, and yield it; its container is deleted afterwards.

    Args:
        folder: an empty folder for the clone and the pip.conf.

    Raises:
        AssertionError: a step failed; the message holds its last lines.
    """
    host = Host("batchlab-host")
    began = time.monotonic()
    stacks.run(SCRIPTS / "stand-in-python-image", IMAGE, python())
    host.seconds["image"] = time.monotonic() - began
    stacks.run("git", "clone", "--quiet", "--depth", "1", f"file://{PROJECT}", folder / "batchlab")
    with package_index.reachable(any_python=False) as pip_conf:
        (folder / "pip.conf").write_text(pip_conf)
        # Triton and its stubs share memory: hosts give more of it than Docker does unasked.
        started = ["--detach", "--init", "--name", host.container, "--network", "host", "--shm-size", "1g"]
        handed_in = ["--volume", f"{folder / 'pip.conf'}:/etc/pip.conf:ro"]
        stacks.run("docker", "run", *started, *handed_in, IMAGE, "sleep", "infinity")
        try:
            host.inside("mkdir", "/content")
            stacks.run("docker", "cp", "--quiet", folder / "batchlab", f"{host.container}:{CLONE}")
            host.checked = host.set_up("--check")
            began = time.monotonic()
            host.installed = host.set_up()
            host.seconds["scripts/hosted-setup"] = time.monotonic() - began
            yield host
        finally:
            stacks.run("docker", "rm", "--force", "--volumes", host.container)
