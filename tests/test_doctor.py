"""The doctor: every question answered by trying, every lack with its remedy, on half an installation too."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from batchlab import doctor, gpu
from batchlab.doctor import Check, kit, machine

PROJECT = Path(__file__).parent.parent


def test_every_question_has_an_answer_in_order() -> None:
    names = [check.name for check in doctor.examine()]
    assert names == [
        "platform", "glibc", "Python", "packages", "cores", "memory", "disk", "ports",
        "Triton", "Triton's Python", "models", "C++ compiler", "Java", "Docker", "GPU", "torch on GPU",
    ]  # fmt: skip


def test_a_lack_comes_with_a_remedy_and_an_ok_without() -> None:
    for check in doctor.examine():
        assert check.state in ("ok", "note", "lack")
        assert check.finding
        if check.state == "lack":
            assert check.remedy
        if check.state == "ok":
            assert not check.remedy


def test_only_a_lack_makes_the_machine_unable() -> None:
    fine = [Check("a", "ok", "yes"), Check("b", "note", "no")]
    assert doctor.able(fine)
    assert doctor.verdict(fine) == "The labs run on this machine."
    lacking = [*fine, Check("disk", "lack", "full", "Free some.")]
    assert not doctor.able(lacking)
    assert "disk" in doctor.verdict(lacking)
    assert json.loads(doctor.to_json(lacking))["able"] is False
    assert json.loads(doctor.to_json(lacking))["checks"][2]["remedy"] == "Free some."
    assert "-> Free some." in doctor.to_text(lacking)


def test_a_question_that_fails_is_a_row_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Check:
        raise OSError("no such luck")

    monkeypatch.setattr(machine, "memory", broken)
    rows = doctor.examine()
    assert any(row.finding == "could not be found out: OSError: no such luck" for row in rows)


@pytest.mark.parametrize(("system", "processor"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "aarch64")])
def test_a_foreign_platform_names_the_docker_way(monkeypatch: pytest.MonkeyPatch, system: str, processor: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    check = machine.platform()
    assert check.state == "lack"
    assert "make docker-lab" in check.remedy


@pytest.mark.parametrize(
    ("library", "state"),
    [(("glibc", "2.35"), "ok"), (("glibc", "2.41"), "ok"), (("glibc", "2.31"), "lack"), (("", ""), "lack")],
)
def test_glibc_is_compared_by_number(monkeypatch: pytest.MonkeyPatch, library: tuple[str, str], state: str) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    assert machine.glibc().state == state


@pytest.mark.parametrize(("version", "state"), [((3, 10), "lack"), ((3, 11), "ok"), ((3, 12), "ok"), ((3, 13), "lack")])
def test_python_versions(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], state: str) -> None:
    monkeypatch.setattr(machine, "sys", SimpleNamespace(version_info=(*version, 0), executable="python"))
    assert machine.python().state == state


def test_a_taken_port_is_named_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setattr(machine, "PORTS", {port: "something"})
        check = machine.ports()
    assert check.state == "ok"
    assert f"taken: {port} (something)" in check.finding
    assert machine.ports().finding == f"free: {port}"


def test_too_little_disk_says_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**28))
    check = machine.disk()
    assert check.state == "lack"
    assert check.finding == "0.2 GiB free"
    assert "1 GiB are needed for models and runs" in check.remedy


def test_packages_missing_or_of_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kit, "PROJECT", tmp_path)
    assert kit.packages().state == "note"
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# pins\nno-such-package==1.0\ntritonclient[http,grpc]==0.0.1 # old\n")
    assert kit.packages().state == "lack"
    assert "no-such-package" in kit.packages().finding
    requirements.write_text("tritonclient[http,grpc]==0.0.1 # old\n")
    assert kit.packages().state == "note"
    assert "instead of 0.0.1" in kit.packages().finding


def test_triton_starts_on_this_machine() -> None:
    assert kit.triton().state == "ok"
    assert kit.libpython().state == "ok"


def test_triton_without_its_wheel_or_its_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kit, "_wheel", lambda: None)
    assert kit.triton().remedy == "make setup"
    monkeypatch.setattr(kit, "_wheel", lambda: tmp_path)
    assert "is missing" in kit.triton().finding


def test_triton_that_does_not_start_shows_its_own_first_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\necho 'cannot open libcudart' >&2; exit 127\n")
    binary.chmod(0o755)
    monkeypatch.setattr(kit, "_wheel", lambda: tmp_path)
    check = kit.triton()
    assert check.state == "lack"
    assert check.finding == "the server does not start: cannot open libcudart"


def test_models_to_build_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATCHLAB_PROJECT", str(tmp_path))
    assert kit.models().state == "lack"
    for name, backend in (("net", "onnxruntime"), ("null", "python")):
        folder = tmp_path / "triton_repo" / name
        folder.mkdir(parents=True)
        (folder / "config.pbtxt").write_text(f'backend: "{backend}"\n')
    assert kit.models().finding == "to build: net"
    built = tmp_path / "triton_repo" / "net" / "1" / "model.onnx"
    built.parent.mkdir()
    built.touch()
    assert kit.models().state == "ok"


@pytest.mark.parametrize(
    ("says", "state"),
    [("echo 28.2.2", "ok"), ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "note")],
)
def test_docker_needs_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, state: str) -> None:
    client = tmp_path / "docker"
    client.write_text(f"#!/bin/sh\n{says}\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert kit.docker().state == state


def test_no_docker_at_all_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kit.docker() == Check("Docker", "note", "not installed; no lab needs it")


def test_a_gpu_that_torch_cannot_use_keeps_the_labs_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "gpus", lambda: [gpu.Gpu(0, "NVIDIA T4", 15.0, mig=False)])
    monkeypatch.setattr(gpu, "driver", lambda: "550.54")
    monkeypatch.setattr(gpu, "torch_problem", lambda: "torch sees no usable GPU")
    assert kit.gpu().finding == "NVIDIA T4, 15 GiB; driver 550.54"
    assert kit.torch_cuda().state == "note"
    assert kit.torch_cuda().finding == "torch sees no usable GPU"


def test_it_answers_with_the_standard_library_alone() -> None:
    # -S leaves site-packages out: nothing that pip installed can be imported.
    command = [sys.executable, "-S", "-m", "batchlab", "doctor"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "lack  packages" in done.stdout
    assert "lack  Triton" in done.stdout
    assert "Traceback" not in done.stderr


def test_another_command_on_half_an_installation_says_what_to_do() -> None:
    command = [sys.executable, "-S", "-m", "batchlab", "serve"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip() == ("The package typer is not installed. Run 'make setup', then the same command again.")
