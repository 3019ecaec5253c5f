"""The C++ compiler that ``torch.compile`` calls on a processor: where it is, or what is missing.

Imports nothing but the standard library, so that the doctor may ask on half an installation.

Source: ``torch/_inductor/config.py``, ``cpp.cxx``: the environment's ``CXX``, else ``g++``; its kernels include
``Python.h``.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path


def command() -> str:
    """Return the compiler that torch would call: the environment's ``CXX``, else ``g++``."""
    return os.environ.get("CXX") or "g++"


def lacking() -> str:
    """Return what is not here, the compiler or Python's C header; empty where both are."""
    if shutil.which(command()) is None:
        return command()
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if header.is_file() else str(header)


def problem() -> str:
    """Return why nothing can be compiled, with its remedy; empty where all is there."""
    missing = lacking()
    return (
        f"torch.compile needs a C++ compiler and Python's C header; {missing} is missing. {remedy()}" if missing else ""
    )


def remedy() -> str:
    """Return how to get both on Debian and Ubuntu."""
    return f"Install both: sudo apt-get install g++ python{sys.version_info[0]}.{sys.version_info[1]}-dev."
