"""Questions about what is installed: packages, the server, the models, Docker, the GPU."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from batchlab.doctor.check import DOCKER_WAY, Check

PROJECT = Path(__file__).resolve().parents[2]


def packages() -> Check:
    """Compare with requirements.txt: a differing version mostly works, a missing one never."""
    from importlib import metadata

    requirements = PROJECT / "requirements.txt"
    if not requirements.is_file():
        return Check("packages", "note", "no requirements.txt beside the package to compare with")
    wanted = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==(\S+)", requirements.read_text(), flags=re.MULTILINE)
    missing, other = [], []
    for name, version in wanted:
        try:
            # Torch calls its build for processors only 2.x.y+cpu; that is the same version.
            found = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            missing.append(name)
        else:
            if found != version:
                other.append(f"{name} {found} instead of {version}")
    if missing:
        return Check("packages", "lack", f"missing: {', '.join(missing)}", "make setup")
    if other:
        return Check("packages", "note", "; ".join(other), "make setup, for the versions that were tested")
    return Check("packages", "ok", f"all {len(wanted)} of requirements.txt")


def triton() -> Check:
    wheel = _wheel()
    if wheel is None:
        return Check("Triton", "lack", "the wheel nvidia-pytriton is not installed", "make setup")
    binary = wheel / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    if not binary.is_file():
        return Check("Triton", "lack", f"{binary} is missing", "pip install --force-reinstall nvidia-pytriton")
    libraries = wheel / "nvidia_pytriton.libs"
    answer = _output([str(binary), "--help"], timeout_s=20, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    if "tritonserver" not in answer or "--model-repository" not in answer:
        first = answer.strip().splitlines()[:1] or ["no output"]
        return Check("Triton", "lack", f"the server does not start: {first[0]}", f"Use Docker: {DOCKER_WAY}")
    version = _version("nvidia-pytriton")
    return Check("Triton", "ok", f"the server of nvidia-pytriton {version} starts")


def libpython() -> Check:
    """Triton's Python stub loads libpython at run time; without it the server hangs instead of saying so."""
    from batchlab import wheel

    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel.assemble(wheel.find(), Path(folder))
    except wheel.WheelError as error:
        return Check("Triton's Python", "lack", "its backend cannot start", str(error))
    return Check("Triton's Python", "ok", f"{sys.version_info[0]}.{sys.version_info[1]}, with every library it loads")


def models() -> Check:
    repository = Path(os.environ.get("BATCHLAB_PROJECT") or PROJECT) / "triton_repo"
    configs = sorted(repository.glob("*/config.pbtxt"))
    if not configs:
        return Check("models", "lack", f"no models in {repository}", "Run this inside a clone of Batchlab.")
    unbuilt = [
        config.parent.name
        for config in configs
        if 'backend: "onnxruntime"' in config.read_text() and not (config.parent / "1" / "model.onnx").is_file()
    ]
    if unbuilt:
        return Check("models", "note", f"to build: {', '.join(unbuilt)}", "make lab builds them")
    return Check("models", "ok", f"{len(configs)} in {repository}")


def docker() -> Check:
    if not shutil.which("docker"):
        return Check("Docker", "note", "not installed; no lab needs it")
    engine = _output(["docker", "version", "--format", "{{.Server.Version}}"], timeout_s=10).strip().splitlines()
    if engine and re.match(r"\d+\.", engine[-1]):
        return Check("Docker", "ok", f"engine {engine[-1]}")
    return Check(
        "Docker", "note", "client only, no engine answers; no lab needs it", "Start the Docker engine to use it."
    )


def compiler() -> Check:
    """Only torch.compile needs one, in lab 06: without it that row of a table is left out."""
    from batchlab import compiler

    if compiler.problem():
        return Check("C++ compiler", "note", f"no {compiler.lacking()}; torch.compile is left out", compiler.remedy())
    return Check("C++ compiler", "ok", f"{compiler.command()}, with Python's header")


def java() -> Check:
    """Only TorchServe needs it, in lab 10: the other servers there run without."""
    from batchlab import java

    missing = java.lacking()
    if missing:
        return Check("Java", "note", f"{missing}; TorchServe, in lab 10, needs {java.ASKED_FOR}", java.remedy())
    return Check("Java", "ok", f"{java.version()} at {java.command()}")


def gpu() -> Check:
    from batchlab import gpu

    found = gpu.gpus()
    if not found:
        return Check("GPU", "note", "no NVIDIA GPU with a driver; no lab needs one")
    count = "" if len(found) == 1 else f"{len(found)} GPUs: "
    return Check("GPU", "ok", f"{count}{'; '.join(map(str, found))}; driver {gpu.driver()}")


def torch_cuda() -> Check:
    from batchlab import gpu

    if not gpu.gpus():
        return Check("torch on GPU", "note", "not asked: no GPU")
    problem = gpu.torch_problem()
    if not problem:
        return Check("torch on GPU", "ok", "computes")
    return Check("torch on GPU", "note", problem, "The gpu tier is off; update the NVIDIA driver, or see the message.")


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("pytriton")
    return Path(spec.origin).parent.parent if spec and spec.origin else None


def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)


def _output(command: list[str], timeout_s: float, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=env)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr
