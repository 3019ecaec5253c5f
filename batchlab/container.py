"""Whether this process runs inside a container, where a network of its own stands between it and others."""

import os
from pathlib import Path

MARKS = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into every container. Source: moby and podman, each in its own runtime."""


def inside(marks: tuple[str, ...] = MARKS) -> bool:
    """Return whether this is a container of Docker, Podman or Kubernetes."""
    # Kubernetes sets this for every container of every pod.
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(Path(mark).exists() for mark in marks)
