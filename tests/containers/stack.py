"""The labs in containers, brought up on the engine that ``DOCKER_HOST`` names: built, started, asked, ended."""

import json
import os
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = PROJECT / "scripts"
OVERRIDE = Path(__file__).parent / "compose.ci.yaml"
TOKEN = "a-token-that-no-log-may-hold"
PORTS = ("LAB_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")


@dataclass
class Stack:
    """One compose project.

    Attributes:
        environment: what compose reads besides `docker/versions.env`.
        seconds: how long each step took.
    """

    environment: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)

    def compose(self, *words: str, stdin: str | None = None, timeout_s: float = 300) -> str:
        """Run ``docker compose`` with the CPU profile and return what it printed.

        Raises:
            AssertionError: it failed; the message holds its last lines.
        """
        command = [str(SCRIPTS / "compose"), "--file", str(OVERRIDE), "--profile", "cpu", *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, env=self.environment
        )
        assert done.returncode == 0, f"compose {' '.join(words)[:200]}:\n{(done.stdout + done.stderr)[-6000:]}"
        return done.stdout

    def inside(self, service: str, *command: str, stdin: str | None = None) -> str:
        """Run a command in a running container and return what it printed."""
        return self.compose("exec", "-T", service, *command, stdin=stdin)

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine says about the container of a service, running or ended."""
        name = self.compose("ps", "--all", "--quiet", service).split()[0]
        return dict(json.loads(docker("inspect", name))[0])


def docker(*words: str) -> str:
    """Run the docker client and return what it printed."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=120).stdout


def run(*command: str | Path, timeout_s: float = 300) -> str:
    """Run a program and return what it printed.

    Raises:
        AssertionError: it failed; the message holds its last lines.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{' '.join(words)[:200]}:\n{(done.stdout + done.stderr)[-6000:]}"
    return done.stdout


def versions() -> dict[str, str]:
    """Return the tags of ``docker/versions.env``."""
    lines = (PROJECT / "docker" / "versions.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment(pip_conf: Path, torch: str) -> dict[str, str]:
    """Return the environment of a stack: free ports, a token, and what the override asks for."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three, socket.socket() as four:
        holders = [one, two, three, four]
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        ports = {name: str(holder.getsockname()[1]) for name, holder in zip(PORTS, holders, strict=True)}
    return {
        **os.environ,
        **ports,
        "JUPYTER_TOKEN": TOKEN,
        "CI_PIP_CONF": str(pip_conf),
        "CI_TRITON_REPO": str(PROJECT / "triton_repo"),
        "CI_TORCH": torch,
        "CI_TORCH_INDEX_URL": "http://127.0.0.1:9/",
    }
