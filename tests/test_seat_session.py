"""What starts at a learner's seat: labs handed out, a kernel described, options for the server."""

import json
import sys
from pathlib import Path

import pytest

from batchlab import handout, seat_session


@pytest.fixture(autouse=True)
def _labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "triton_repo").mkdir(parents=True)
    (project / "labs").mkdir()
    (project / "labs" / "00_start_here.ipynb").write_text("{}")
    monkeypatch.setenv("BATCHLAB_PROJECT", str(project))


def kernel(home: Path) -> list[str]:
    return json.loads((home / "jupyter" / "kernels" / "python3" / "kernel.json").read_text())["argv"]


def test_labs_are_handed_out_and_the_first_is_opened(tmp_path: Path) -> None:
    options = seat_session.prepare(tmp_path, apart=False)
    assert (tmp_path / "my_labs" / "00_start_here.ipynb").read_text() == "{}"
    assert f"--ServerApp.root_dir={tmp_path / 'my_labs'}" in options
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in options
    assert kernel(tmp_path)[:3] == [sys.executable, "-m", "ipykernel_launcher"]
    assert not any("transport" in option for option in options)


def test_kernels_apart_speak_through_sockets_in_the_learner_s_folder(tmp_path: Path) -> None:
    options = seat_session.prepare(tmp_path, apart=True)
    assert "--KernelManager.transport=ipc" in options
    assert kernel(tmp_path)[2] == "batchlab.kernel_apart"
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


def test_a_second_start_keeps_the_learner_s_work(tmp_path: Path) -> None:
    seat_session.prepare(tmp_path, apart=True)
    (tmp_path / "my_labs" / "00_start_here.ipynb").write_text('{"mine": 1}')
    seat_session.prepare(tmp_path, apart=True)
    assert (tmp_path / "my_labs" / "00_start_here.ipynb").read_text() == '{"mine": 1}'


def test_labs_that_cannot_be_found_are_told(tmp_path: Path) -> None:
    (tmp_path / "project" / "labs" / "00_start_here.ipynb").unlink()
    with pytest.raises(handout.HandoutError, match="No labs"):
        seat_session.prepare(tmp_path, apart=True)
