"""Fixtures of the notebook tests: a lab each, and a folder that all tests of a session share for building."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs_under_test import labs


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(autouse=True)
def learner_not_grader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.delenv("BATCHLAB_COURSE", raising=False)


@pytest.fixture(autouse=True)
def a_core_of_its_own(request: pytest.FixtureRequest, worker_id: str) -> Iterator[None]:
    """Hold a notebook that shares the machine with others on one core, with its server and its threads.

    Two that each take all cores wait for each other's threads, and both take longer.
    """
    allowed = sorted(os.sched_getaffinity(0))
    shared = worker_id != "master" and request.node.get_closest_marker("alone") is None
    if shared:
        os.sched_setaffinity(0, {allowed[int(worker_id.removeprefix("gw")) % len(allowed)]})
    yield
    os.sched_setaffinity(0, allowed)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `lab` once per lab."""
    if "lab" in metafunc.fixturenames:
        measures = getattr(metafunc.module, "MEASURES", False)
        for_itself = [pytest.mark.alone] if measures else []
        chosen = [pytest.param(lab, marks=for_itself if lab.measures else [], id=lab.name) for lab in labs()]
        metafunc.parametrize("lab", chosen)
