"""Fixtures of the notebook tests: a lab each, and a folder that all tests of a session share for building."""

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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `lab` once per lab."""
    if "lab" in metafunc.fixturenames:
        measures = getattr(metafunc.module, "MEASURES", False)
        for_itself = [pytest.mark.alone] if measures else []
        chosen = [pytest.param(lab, marks=for_itself if lab.measures else [], id=lab.name) for lab in labs()]
        metafunc.parametrize("lab", chosen)
