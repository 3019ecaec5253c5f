"""The binary in the wheel: found, or a way out named."""

import os
import shutil
from pathlib import Path

import pytest

from batchlab import wheel
from batchlab.wheel import WheelError


@pytest.mark.parametrize(
    ("system", "machine", "libc", "message"),
    [
        ("Darwin", "arm64", ("", ""), "this is Darwin on arm64"),
        ("Windows", "AMD64", ("", ""), "this is Windows on AMD64"),
        ("Linux", "aarch64", ("glibc", "2.39"), "this is Linux on aarch64"),
        ("Linux", "x86_64", ("glibc", "2.31"), "glibc 2.35 or newer; this system has glibc 2.31"),
        ("Linux", "x86_64", ("", ""), "this system has another C library"),
    ],
)
def test_an_unsupported_platform_names_the_docker_way(
    system: str, machine: str, libc: tuple[str, str], message: str
) -> None:
    with pytest.raises(WheelError, match=message) as caught:
        wheel.check_platform(system, machine, libc)
    assert "Docker" in str(caught.value)
    assert "BATCHLAB_URL" in str(caught.value)


@pytest.mark.parametrize("version", ["2.35", "2.36", "2.41", "3.0"])
def test_a_supported_platform_passes(version: str) -> None:
    wheel.check_platform("Linux", "x86_64", ("glibc", version))


def test_a_missing_wheel_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WheelError, match=r"nvidia-pytriton.*not installed.*requirements.txt"):
        wheel.find()


def test_the_backends_are_assembled(tmp_path: Path) -> None:
    environment = wheel.assemble(wheel.find(), tmp_path)
    assert {path.name for path in (tmp_path / "backends").iterdir()} == {
        "python",
        "onnxruntime",
        "emulated",
        "torchvision",
    }
    stub = tmp_path / "backends" / "python" / "triton_python_backend_stub"
    assert os.access(stub, os.X_OK)
    assert wheel.missing_libraries(stub, environment) == []


def test_a_missing_libpython_is_named_with_the_package_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel, "missing_libraries", lambda *_: ["libpython3.11.so.1.0"])
    with pytest.raises(WheelError, match=r"libpython3.11.so.1.0 is missing.*apt-get install libpython3\."):
        wheel.assemble(wheel.find(), tmp_path)


def test_the_loader_tells_what_is_missing(tmp_path: Path) -> None:
    # Away from its folder, and without LD_LIBRARY_PATH, the binary cannot find the libraries that the wheel carries.
    lost = Path(shutil.copy2(wheel.find().binary, tmp_path))
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    missing = wheel.missing_libraries(lost, environment)
    assert missing
    carried = {path.name for path in wheel.find().libraries.iterdir()}
    assert set(missing) <= carried
