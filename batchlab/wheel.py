"""The tritonserver binary inside the `nvidia-pytriton` wheel: whether it can run here, and the folders it needs."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

DOCKER_WAY = (
    "Use Triton in Docker instead: see README.md, then set BATCHLAB_URL=127.0.0.1:8000. The notebooks stay the same."
)
MIN_GLIBC = (2, 35)


class WheelError(RuntimeError):
    """The embedded server cannot run on this machine; the message names the way out."""


@dataclass(frozen=True)
class Wheel:
    """Where the parts of the embedded server lie."""

    binary: Path
    libraries: Path
    python_backend: Path
    stub: Path


def find() -> Wheel:
    """Find the wheel's parts and make sure that they can run.

    Raises:
        WheelError: wrong platform, wheel missing, or a library missing; the message says what to do.
    """
    check_platform(platform.system(), platform.machine(), platform.libc_ver())
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise WheelError(
            f"The package nvidia-pytriton, which carries the server, is not installed in {sys.prefix}. "
            "Install it with `pip install -r requirements.txt`, or run `make lab`."
        )
    package = Path(spec.origin).parent
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = Wheel(
        binary=package / "tritonserver" / "bin" / "tritonserver",
        libraries=package.parent / "nvidia_pytriton.libs",
        python_backend=package / "tritonserver" / "backends" / "python",
        stub=package / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub",
    )
    for part in (wheel.binary, wheel.libraries, wheel.python_backend, wheel.stub):
        if not part.exists():
            raise WheelError(
                f"The installed nvidia-pytriton has no {part.relative_to(package.parent)}. "
                "Reinstall the pinned version: `pip install --force-reinstall --no-deps -r requirements.txt`."
            )
    return wheel


def check_platform(system: str, machine: str, libc: tuple[str, str]) -> None:
    """Make sure that the binary was built for this platform: Linux, x86-64, glibc 2.35 or newer.

    Raises:
        WheelError: it was not.
    """
    if (system, machine) != ("Linux", "x86_64"):
        raise WheelError(f"The embedded server needs Linux on x86-64; this is {system} on {machine}. {DOCKER_WAY}")
    name, version = libc
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name != "glibc" or numbers < MIN_GLIBC:
        raise WheelError(
            f"The embedded server needs glibc {'.'.join(map(str, MIN_GLIBC))} or newer; this system has "
            f"{' '.join(libc).strip() or 'another C library'}. {DOCKER_WAY}"
        )


def assemble(wheel: Wheel, folder: Path) -> dict[str, str]:
    """Build the backend folder and return the environment to start the server in.

    Args:
        folder: an existing folder; ``backends/`` and ``lib/`` are made in it.

    Raises:
        WheelError: the Python backend's stub lacks a library. It would hang instead of telling.
    """
    backends, lib = folder / "backends", folder / "lib"
    lib.mkdir()
    # The interpreter's own libpython comes first: the stub then runs the very Python that the models' packages fit.
    own = _own_libpython()
    if own is not None:
        (lib / own.name).symlink_to(own)
    shutil.copytree(wheel.python_backend, backends / "python", ignore=shutil.ignore_patterns("__pycache__"))
    stub = Path(shutil.copy2(wheel.stub, backends / "python"))
    for source in sorted((Path(__file__).parent / "backends").glob("*/model.py")):
        (backends / source.parent.name).mkdir()
        shutil.copy2(source, backends / source.parent.name)
    environment = dict(os.environ)
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(
        part for part in (str(lib), str(wheel.libraries), environment.get("LD_LIBRARY_PATH", "")) if part
    )
    # The stub takes its packages from the first python3 on PATH, and ignores PYTHONPATH and its kin: it is isolated.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    missing = missing_libraries(stub, environment)
    if missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        hint = (
            f"It comes with a shared build of Python: `apt-get install libpython{version}` on Debian and Ubuntu, "
            f"`dnf install python{version}-libs` on Fedora, or a conda Python."
            if any(name.startswith("libpython") for name in missing)
            else "Install the system package that carries it."
        )
        raise WheelError(f"Triton's Python backend cannot start here: {', '.join(missing)} is missing. {hint}")
    return environment


def missing_libraries(program: Path, environment: dict[str, str]) -> list[str]:
    """Return the names of the shared libraries that the loader cannot find for `program`."""
    traced = {**environment, "LD_TRACE_LOADED_OBJECTS": "1"}
    listing = subprocess.run([program], env=traced, capture_output=True, text=True, timeout=30, check=False).stdout
    return [line.split("=>")[0].strip() for line in listing.splitlines() if "not found" in line]


def _own_libpython() -> Path | None:
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if not folder or not str(name).endswith(".so.1.0"):
        return None
    library = Path(folder) / name
    return library if library.is_file() else None
