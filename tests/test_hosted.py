"""A hosted session: refused with one sentence where the labs cannot run, made ready elsewhere."""

import os
import subprocess
import sys
import types
import venv
from pathlib import Path

import pytest

from batchlab import hosted
from batchlab.hosted import HostedError

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text(
        "# Words\nnumpy==1.26.4  # why\ntorch==2.14.1\ntritonclient[http,grpc]==2.73.0\njupyterlab==4.6.6\n"
    )
    (tmp_path / "constraints.txt").write_text(
        "# Words\nnumpy==1.26.4\ntorch==2.14.1\njupyter_client==8.1\nnvidia-cublas==13.1\nnvidia-pytriton==0.7.0\n"
        "anyio==4.1\n"
    )
    return tmp_path


def test_the_host_is_known_by_its_environment() -> None:
    assert hosted.host({"COLAB_RELEASE_TAG": "r1"}) == "Colab"
    assert hosted.host({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}) == "Kaggle"
    assert hosted.host({}) == "this session"


@pytest.mark.parametrize("version", [(3, 10), (3, 13), (2, 7)])
def test_a_python_without_packages_is_refused(version: tuple[int, int]) -> None:
    with pytest.raises(HostedError, match=rf"3\.11 or 3\.12, and this session has {version[0]}\.{version[1]}"):
        hosted.check_python(version)


def test_every_python_that_is_promised_has_its_stub() -> None:
    import pytriton

    stubs = Path(pytriton.__file__).parent / "tritonserver" / "python_backend_stubs"
    for major, minor in hosted.PYTHONS:
        assert (stubs / f"{major}.{minor}" / "triton_python_backend_stub").is_file()


def test_a_wrong_platform_is_refused(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(HostedError, match="x86-64"):
        hosted.check(project)


def test_a_full_disk_is_refused_before_anything_is_installed(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setattr(hosted, "DISK_GIB", 10**9)
    monkeypatch.setattr(hosted, "missing", lambda project: ["numpy==1.26.4"])
    with pytest.raises(HostedError, match="GiB of disk"):
        hosted.check(project)


def test_only_what_is_missing_or_old_is_installed(project: Path) -> None:
    assert hosted.missing(project, {"numpy": "2.3.1", "torch": "2.9.0+cu128"}.get) == [
        "numpy==1.26.4",
        "tritonclient[http,grpc]==2.73.0",
    ]
    assert hosted.missing(project, {"numpy": "1.26.4", "tritonclient": "2.73.0"}.get) == ["torch==2.14.1"]


def test_the_host_s_jupyter_and_torch_are_left_alone(project: Path) -> None:
    pins = hosted.constraints(project, {"torch": "2.9.0+cu128"}.get).split()
    assert pins == ["numpy==1.26.4", "nvidia-pytriton==0.7.0", "anyio==4.1"]
    assert "torch==2.14.1" in hosted.constraints(project, {}.get)


def test_every_package_left_out_is_known_to_the_project() -> None:
    names = {
        line.split("==")[0].split("[")[0].lower() for line in (PROJECT / "requirements.txt").read_text().splitlines()
    }
    assert {"jupyterlab", "nbgrader", "pytest", "playwright"} <= names & set(hosted.LEFT_OUT)


def test_a_kernel_with_old_packages_is_told_to_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_RELEASE_TAG", "r1")
    old = types.ModuleType("numpy")
    old.__version__ = "2.3.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numpy", old)
    with pytest.raises(HostedError, match=r"old numpy: restart it \(Runtime > Restart session\)"):
        hosted.ready(PROJECT)


def test_packages_that_are_missing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "missing", lambda project: ["numpy==1.26.4"])
    with pytest.raises(HostedError, match="scripts/hosted-setup"):
        hosted.ready(PROJECT)


def test_a_failed_pip_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(HostedError, match=r"ERROR: no network.*internet"):
        hosted._pip(["numpy"])


@pytest.mark.server
def test_a_clean_environment_goes_from_the_script_to_an_answer(tmp_path: Path) -> None:
    """A new virtual environment, an empty environment, an empty home: check, ready, and a request to a real server.

    The packages are lent by the environment that runs this test, so that nothing is downloaded; the Python is the
    same version as that one's. Another version, and the installation itself: containers/test_host.py.
    """
    clean = tmp_path / "clean"
    venv.create(clean, symlinks=True)
    site = next((clean / "lib").glob("python*/site-packages"))
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join([*lent, str(PROJECT)]) + "\n")
    environment = {"PATH": f"{clean / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path), "COLAB_RELEASE_TAG": "trial"}
    environment |= {"BATCHLAB_HOME": str(tmp_path / "state"), "BATCHLAB_DEVICES": str(tmp_path / "devices")}
    checked = subprocess.run(
        [PROJECT / "scripts" / "hosted-setup", "--check"], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "The labs can run in Colab." in checked.stdout
    cell = (
        "from batchlab import hosted, server\n"
        "print(hosted.ready())\n"
        "import numpy as np\n"
        "triton = server.start(['null'])\n"
        "print(sorted(triton.infer('null', {'item': np.zeros((2, 1), np.int32)})))\n"
    )
    done = subprocess.run(
        [clean / "bin" / "python", "-c", cell],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Ready: the labs run in Colab" in done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert os.environ.get("COLAB_RELEASE_TAG") is None
