"""Whether this is a container: by the marks that the engines leave."""

from pathlib import Path

import pytest

from batchlab import container, launch


def test_a_mark_or_kubernetes_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    mark = tmp_path / ".dockerenv"
    assert not container.inside((str(mark),))
    mark.touch()
    assert container.inside((str(mark),))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert container.inside(())


def test_a_server_outside_a_container_listens_to_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "inside", lambda: False)
    with pytest.raises(launch.StartError, match=r"listens on 127\.0\.0\.1 only; 0\.0\.0\.0 is for a container"):
        launch.start(launch.Options(str(tmp_path), host="0.0.0.0"), reuse=False, timeout_s=1)


def test_inside_one_the_address_reaches_triton(tmp_path: Path) -> None:
    options = launch.Options(str(tmp_path), host="0.0.0.0")
    command = launch._command(tmp_path / "tritonserver", tmp_path, options, (1, 2, 3))
    assert [command[command.index(f"--{name}-address") + 1] for name in launch.PORT_NAMES] == ["0.0.0.0"] * 3
