"""What the tests share: a home of their own, one embedded Triton, and a project with the sample lab."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dealing import dealt
from sample_lab import FIXTURES

from batchlab import server
from batchlab.server import Server

# They need an engine: `make test-containers` starts one and says so.
collect_ignore = [] if os.environ.get("BATCHLAB_CONTAINERS") else ["containers"]


@pytest.hookimpl(trylast=True)  # after the marks have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the notebooks, as many at each worker: the long ones must not be left to one of them at the end."""
    shared_out = getattr(config, "workerinput", None)
    if shared_out:
        is_long = [item.get_closest_marker("notebook") is not None for item in items]
        items[:] = dealt(items, is_long, shared_out["workercount"])


@pytest.fixture(scope="session", autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep a reader's own server out of the tests, and the tests' emulated devices apart from the reader's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BATCHLAB_URL", "BATCHLAB_GRPC_URL", "BATCHLAB_METRICS_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("BATCHLAB_DEVICES", str(tmp_path_factory.mktemp("devices")))
        yield


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One embedded Triton on the project's repository, no model loaded, shared by the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        started = server.start(reuse=False)
    with started:
        yield started


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh BATCHLAB_HOME."""
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the sample lab as its only source."""
    shutil.copytree(FIXTURES / "solutions", tmp_path / "solutions")
    return tmp_path
