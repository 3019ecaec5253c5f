"""The CPU profile on a real engine: built, started, lab 01 done in one container on the Triton of another, killed.

``make test-containers`` runs this, on an engine of its own. No registry is needed: compose.ci.yaml says what stands in.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, wait

import package_index
import psutil
import pytest
import stack as stacks
from host import Host
from stack import PROJECT, SCRIPTS, TOKEN, Stack, docker, versions

# Why not 1.2 GB: docker/README.md says what takes how much.
LARGEST_GB = 2.2
LAB_01 = "01_sweep_static_batches"
PACE = "0.02"
EMULATED = "resnet50_t4_eager"
EXECUTE = f"""
import json, sys
import nbformat
from pathlib import Path
from batchlab import execution
notebook = execution.run(nbformat.reads(sys.stdin.read(), as_version=4), Path.home(), {{"BATCHLAB_PACE": "{PACE}"}})
printed = "".join(o.text for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "stream")
print(json.dumps({{"verdicts": execution.verdicts(notebook), "printed": printed}}))
"""
KILL_TRITON = """
import psutil
[p.kill() for p in psutil.process_iter() if p.name() == "tritonserver"]
"""
SERVES_ITSELF = f"""
from batchlab import arrivals, server
from batchlab.load import open_loop
with server.start("{EMULATED}") as triton:
    run = open_loop(triton, "{EMULATED}", arrivals.constant(25, 1), progress=False)
    print("embedded" if triton.embedded else triton, len(run.latencies_ms), sep=": ", end=" answers\\n")
"""
TRIES_ROOT = "import pathlib, sys\ntry: pathlib.Path('/written').touch()\nexcept OSError as error: print(error.errno)"
READ_ONLY = 30  # EROFS


pytestmark = pytest.mark.timeout(1500)
"""The first of them waits until the image is built, which takes minutes, on a slow day ten of them."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, coming_host: Future[Host] | None) -> Iterator[Stack]:
    """The CPU profile, up; everything of it is ended and deleted afterwards, volumes too."""
    torch = package_index.torch_for_processors()
    assert torch, "No folder in pip's find-links holds a wheel of torch for processors, which the lab image needs here."
    with package_index.reachable(any_python=True) as pip_conf:
        secret = tmp_path_factory.mktemp("build") / "pip.conf"
        secret.write_text(pip_conf)
        made = Stack(stacks.environment(secret, torch))
        began = time.monotonic()
        stacks.run(SCRIPTS / "stand-in-python-image", versions()["PYTHON_IMAGE"])
        made.seconds["stand-in for the Python image"] = time.monotonic() - began
        began = time.monotonic()
        made.compose("build", "lab", timeout_s=1200)
        made.seconds["lab image"] = time.monotonic() - began
    # What follows sends traffic and has limits of time: the host must not be at its packages still.
    wait([coming_host] if coming_host else [])
    try:
        began = time.monotonic()
        made.compose("up", "--detach", "--wait")
        made.seconds["up"] = time.monotonic() - began
        yield made
    except AssertionError:
        print(made.compose("logs", "--tail", "40"))
        raise
    finally:
        made.compose("down", "--volumes", "--timeout", "5")
        print("\n" + ", ".join(f"{step} {seconds:.0f} s" for step, seconds in made.seconds.items()))


def answer(port: str, path: str) -> tuple[int, bytes]:
    """Ask a published port for a page; return status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_the_lab_image_is_as_small_as_stated(stack: Stack) -> None:
    image = json.loads(docker("image", "inspect", versions()["LAB_IMAGE"]))[0]
    size_gb = image["Size"] / 1e9
    print(f"\nLab image: {size_gb:.2f} GB in {len(image['RootFS']['Layers'])} layers.")
    assert size_gb < LARGEST_GB
    assert image["Config"]["User"] == "1000:1000"


def test_no_secret_of_the_build_is_in_the_image(stack: Stack) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", versions()["LAB_IMAGE"])
    assert "pip install" in history
    assert "extra-index-url" not in history
    # Docker may leave an empty file where the secret was mounted.
    find = "find /etc/pip.conf /run/secrets /opt/venv/pip.conf -size +0 -type f 2>/dev/null || true"
    assert stack.inside("lab", "sh", "-c", find) == ""


@pytest.mark.parametrize("service", ["lab", "triton"])
def test_nobody_is_root_and_the_image_is_read_only(stack: Stack, service: str) -> None:
    assert stack.inside(service, "id", "-u").strip() == "1000"
    assert int(stack.inside(service, "python3", "-c", TRIES_ROOT)) == READ_ONLY
    host = stack.inspect(service)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]


def test_ports_are_published_on_this_machine_only(stack: Stack) -> None:
    published = {}
    for service in ("lab", "triton"):
        for bindings in stack.inspect(service)["NetworkSettings"]["Ports"].values():
            published |= {int(bound["HostPort"]): bound["HostIp"] for bound in bindings or ()}
    assert sorted(published) == sorted(int(stack.environment[name]) for name in stacks.PORTS)
    assert set(published.values()) == {"127.0.0.1"}
    # What the kernel says, too.
    heard = [c.laddr for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.laddr.port in published]
    assert {address.ip for address in heard} == {"127.0.0.1"}


def test_jupyter_asks_for_the_token(stack: Stack) -> None:
    port = stack.environment["LAB_PORT"]
    assert answer(port, "/api")[0] == 200
    assert answer(port, "/api/contents")[0] == 403
    status, body = answer(port, f"/api/contents?token={TOKEN}")
    assert status == 200
    assert b"00_start_here.ipynb" in body


def test_lab_01_is_done_on_the_triton_of_the_other_container(stack: Stack) -> None:
    notebook = (PROJECT / "solutions" / f"{LAB_01}.ipynb").read_text(encoding="utf-8")
    began = time.monotonic()
    told = json.loads(stack.inside("lab", "python3", "-c", EXECUTE, stdin=notebook).splitlines()[-1])
    stack.seconds["lab 01"] = time.monotonic() - began
    assert "at triton:8000: " in told["printed"]
    # No server of its own was started in the lab's container.
    assert "tritonserver" not in stack.inside("lab", "sh", "-c", "cat /proc/[0-9]*/comm")
    assert "tritonserver" in stack.inside("triton", "sh", "-c", "cat /proc/[0-9]*/comm")
    assert told["verdicts"]
    # A prediction is right or wrong by how busy the machine is; all else must be right.
    asked = {question: words for question, words in told["verdicts"].items() if not question.startswith("predict")}
    assert len(asked) >= 5
    assert not {question: words for question, (points, words) in asked.items() if points == 0}


def test_a_killed_triton_comes_back_by_its_policy(stack: Stack) -> None:
    before = stack.inspect("triton")
    assert before["RestartCount"] == 0
    stack.inside("triton", "python3", "-c", KILL_TRITON)
    port, deadline = stack.environment["TRITON_HTTP_PORT"], time.monotonic() + 90
    while time.monotonic() < deadline:
        after = stack.inspect("triton")
        if after["RestartCount"] == 1 and after["State"].get("Health", {}).get("Status") == "healthy":
            break
        time.sleep(0.5)
    else:
        pytest.fail(f"Triton did not come back: {after['State']}, {after['RestartCount']} restarts.")
    assert after["Id"] == before["Id"]
    assert answer(port, "/v2/health/ready")[0] == 200


def test_no_token_is_in_a_log(stack: Stack) -> None:
    logs = stack.compose("logs", "--no-color")
    assert "JupyterLab answers" in logs
    assert TOKEN not in logs
    written = stack.inside("lab", "sh", "-c", 'cat "$HOME"/.batchlab/jupyter/*.log')
    assert TOKEN not in written


def test_the_lab_alone_keeps_the_work_and_serves_itself(stack: Stack) -> None:
    """What `make docker-lab` starts: the learner's volumes, and no Triton but the embedded one."""
    stack.inside("lab", "sh", "-c", "echo kept > /home/learner/my_labs/note")
    stack.compose("rm", "--stop", "--force", "lab", "triton")
    stack.environment["BATCHLAB_URL"] = ""
    stack.compose("up", "--detach", "--wait", "--no-deps", "lab")
    assert stack.inside("lab", "cat", "/home/learner/my_labs/note") == "kept\n"
    assert stack.inside("lab", "python3", "-c", SERVES_ITSELF).splitlines()[-1] == "embedded: 25 answers"


def test_the_stand_in_says_what_it_is(stack: Stack) -> None:
    # So that nobody takes it for the official image.
    label = docker("image", "inspect", "--format", "{{json .Config.Labels}}", versions()["PYTHON_IMAGE"])
    assert "not the official image" in label
