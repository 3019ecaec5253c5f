"""A hosted session of another Python version, from a clean container to answers, by the words of docs/hosted.md.

The container holds Debian and a Python 3.12 without packages. The committed state is cloned into it, and packages come
from this machine's index. Colab, Kaggle and Binder have more installed; this is the least that the page asks for.
"""

import json
from typing import Any

import pytest
from host import CLONE, IMAGE, VERSION, Host
from stack import PROJECT, docker

from batchlab import hosted, wheel

EMULATED = "resnet50_t4_eager"
SESSION = f"""
import json, platform
from importlib import metadata
import torch
from batchlab import arrivals, hosted, server, workspace
from batchlab.load import open_loop
ready = hosted.ready()
with server.start(["null", "{EMULATED}"]) as triton:
    traffic = arrivals.constant(25, 2)
    runs = {{name: open_loop(triton, name, traffic, progress=False) for name in ("null", "{EMULATED}")}}
print(json.dumps({{
    "ready": ready,
    "python": platform.python_version(),
    "glibc": platform.libc_ver(),
    "project": str(workspace.project_dir()),
    "embedded": triton.embedded,
    "answers": {{name: len(run.latencies_ms) for name, run in runs.items()}},
    "median_ms": {{name: run.percentile_ms(50).value for name, run in runs.items()}},
    "torch": torch.__version__,
    "sum": float(torch.arange(4.0).sum()),
    "torchvision": metadata.version("torchvision"),
}}))
"""

pytestmark = pytest.mark.timeout(1500)
"""The first of them waits until the host is set up: three minutes, on a slow day ten."""


def pinned(name: str) -> str:
    """Return the version of a package that ``requirements.txt`` asks for."""
    found = [line for line in (PROJECT / "requirements.txt").read_text().splitlines() if line.startswith(f"{name}==")]
    return found[0].split("#")[0].split("==")[1].strip()


@pytest.fixture(scope="module")
def session(host: Host) -> dict[str, Any]:
    """What a fresh process of the host said after the set-up."""
    return dict(json.loads(host.inside("python3", "-c", SESSION, timeout_s=180).splitlines()[-1]))


def test_the_host_had_nothing_of_the_course(host: Host) -> None:
    everything = len(hosted.missing(PROJECT, lambda name: None))
    assert host.checked == f"The labs can run in this session. Packages to install: {everything}.\n"


def test_the_set_up_asks_for_a_restart(host: Host) -> None:
    assert host.installed.startswith("Installed. Restart the kernel now (Kernel > Restart)")


def test_a_fresh_process_is_ready_on_the_other_python(session: dict[str, Any]) -> None:
    assert session["python"].startswith(f"{VERSION}.")
    assert session["ready"] == f"Ready: the labs run in this session on Python {session['python']}."
    assert session["project"] == CLONE
    name, version = session["glibc"]
    assert name == "glibc"
    assert tuple(int(part) for part in version.split(".")) >= wheel.MIN_GLIBC


def test_a_server_answers_under_load(session: dict[str, Any]) -> None:
    assert session["embedded"]
    assert session["answers"] == {"null": 50, EMULATED: 50}
    # The device plays its published time; nothing but a model that runs through the stub of this Python can.
    assert session["median_ms"]["null"] < session["median_ms"][EMULATED]


def test_torch_is_the_pinned_one_and_computes(session: dict[str, Any]) -> None:
    assert session["torch"].split("+")[0] == pinned("torch")
    assert session["torchvision"] == pinned("torchvision")
    assert session["sum"] == 6.0


def test_a_second_set_up_does_nothing(host: Host) -> None:
    assert host.set_up() == "Nothing to do: everything is there.\n"
    assert host.set_up("--check") == "The labs can run in this session. Packages to install: 0.\n"


def test_the_host_says_what_it_is_made_of(host: Host) -> None:
    label = docker("image", "inspect", "--format", "{{json .Config.Labels}}", IMAGE)
    assert "not the official image" in label
