"""The project's folder is found, the user's folder is made, and an error says what to set."""

import os

import pytest

from batchlab import workspace
from batchlab.workspace import WorkspaceError


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "project" / "triton_repo").mkdir(parents=True)
    monkeypatch.setenv("BATCHLAB_PROJECT", str(tmp_path / "project"))
    monkeypatch.delenv("BATCHLAB_HOME", raising=False)
    return tmp_path / "project"


@pytest.fixture
def installed_elsewhere(tmp_path, monkeypatch):
    """A package in site-packages, with no project around it."""
    monkeypatch.delenv("BATCHLAB_PROJECT", raising=False)
    monkeypatch.setattr(workspace, "__file__", str(tmp_path / "site-packages" / "batchlab" / "workspace.py"))
    return tmp_path


def test_the_variable_names_the_project(project):
    assert workspace.project_dir() == project
    assert workspace.repository_dir() == project / "triton_repo"


def test_a_variable_that_names_no_project(project, monkeypatch):
    monkeypatch.setenv("BATCHLAB_PROJECT", str(project / "triton_repo"))
    with pytest.raises(WorkspaceError, match=r"BATCHLAB_PROJECT names .* no triton_repo"):
        workspace.project_dir()


def test_found_upwards_from_the_working_directory(installed_elsewhere, monkeypatch):
    deep = installed_elsewhere / "clone" / "labs" / "deep"
    deep.mkdir(parents=True)
    (installed_elsewhere / "clone" / "triton_repo").mkdir()
    monkeypatch.chdir(deep)
    assert workspace.project_dir() == installed_elsewhere / "clone"


def test_not_found_says_what_to_do(installed_elsewhere, monkeypatch):
    monkeypatch.chdir(installed_elsewhere)
    with pytest.raises(WorkspaceError, match="set BATCHLAB_PROJECT"):
        workspace.project_dir()


def test_home_lies_in_the_project_unless_set(project, monkeypatch, tmp_path):
    assert workspace.home_dir() == project / ".batchlab"
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "mine"))
    assert workspace.home_dir() == tmp_path / "mine"
    assert workspace.home_dir().is_dir()
    # What homes share stays where it was.
    assert workspace.shared_dir() == project / ".batchlab"


def test_home_needs_no_project_when_set(installed_elsewhere, monkeypatch):
    monkeypatch.chdir(installed_elsewhere)
    monkeypatch.setenv("BATCHLAB_HOME", str(installed_elsewhere / "home"))
    assert workspace.runs_dir() == installed_elsewhere / "home" / "runs"
    assert workspace.servers_dir() == installed_elsewhere / "home" / "servers"
    assert workspace.runs_dir().is_dir()


def test_nothing_is_remembered(monkeypatch, tmp_path):
    for name in ("one", "two"):
        monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / name))
        assert workspace.home_dir().name == name


def test_a_tilde_is_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BATCHLAB_HOME", "~/state")
    assert workspace.home_dir() == tmp_path / "state"


def test_a_file_in_the_way(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BATCHLAB_HOME", os.fspath(tmp_path / "file" / "home"))
    with pytest.raises(WorkspaceError, match="set BATCHLAB_HOME to a folder you can write"):
        workspace.home_dir()
