"""The Java that TorchServe runs on: where it is, which version, or what is missing.

Imports nothing but the standard library, so that the doctor may ask on half an installation.

Source: TorchServe's documentation, "Getting started", asks for Java 17; its script takes ``JAVA_HOME`` before ``PATH``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ASKED_FOR = 17
ANSWER_S = 20.0


def wanted() -> str:
    """Return what would be called: the ``java`` of the environment's ``JAVA_HOME``, else that of ``PATH``."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def command() -> str:
    """Return the path of that Java; empty where there is none."""
    return shutil.which(wanted()) or ""


def version() -> str:
    """Return its version as it says it, such as ``17.0.15``; empty where there is none, or where it does not start."""
    if not command():
        return ""
    try:
        done = subprocess.run([command(), "-version"], capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # Java tells its version on stderr, behind whatever else it has to say there.
    found = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return found[1] if found and done.returncode == 0 else ""


def lacking() -> str:
    """Return what keeps TorchServe from Java, in words; empty where nothing does."""
    if not command():
        return f"no {wanted()}"
    said = version()
    if not said:
        return f"{command()} does not start"
    # Up to Java 8 the first number was a 1.
    major = re.match(r"(?:1\.)?(\d+)", said)
    if major is None or int(major[1]) < ASKED_FOR:
        return f"Java {said} at {command()} is older than {ASKED_FOR}"
    return ""


def remedy() -> str:
    """Return how to get it on Debian and Ubuntu."""
    package = f"openjdk-{ASKED_FOR}-jre-headless"
    return f"Install Java {ASKED_FOR} (Debian, Ubuntu: sudo apt-get install {package}), or set JAVA_HOME."
