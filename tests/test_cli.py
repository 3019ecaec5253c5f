"""The command line: what it prints for people, what for scripts, and how it fails. Real Triton where one is asked."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from batchlab import cli, doctor, handout, jupyterlab, server
from batchlab.doctor import Check

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("BATCHLAB_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("BATCHLAB_URL", raising=False)
        with server.start(["null"], reuse=False) as running:
            yield running


def run(*words: str) -> Any:
    return CliRunner().invoke(cli.app, list(words))


# Help


def test_without_a_command_the_help_names_each_and_how_to_start() -> None:
    text = run().output
    for name in ("doctor", "labs", "serve", "models", "profiles", "sweep"):
        assert f" {name} " in text
    assert "batchlab doctor" in text


def names() -> list[str]:
    registered = (*cli.app.registered_commands, *cli.app.registered_groups)
    return [str(command.name) for command in registered]


@pytest.mark.parametrize("name", names())
def test_every_command_shows_examples(name: str) -> None:
    text = run(name, "--help").output
    assert "Examples:" in text
    assert f"batchlab {name}" in text


def test_every_module_named_cli_is_a_command() -> None:
    modules = {path.stem.removeprefix("cli_") for path in Path(cli.__file__).parent.glob("cli_*.py")}
    assert modules == set(names())


def test_the_version() -> None:
    assert run("--version").output == "batchlab 0.1.0\n"


# Failing


def test_our_own_error_is_one_line_and_a_programming_error_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(**_: object) -> None:
        raise handout.HandoutError("the disk is full")

    monkeypatch.setattr(doctor, "examine", refuses)
    failed = run("doctor")
    assert failed.exit_code == 1
    assert failed.stderr == "Error: the disk is full\n"

    def slips(**_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(doctor, "examine", slips)
    assert isinstance(run("doctor").exception, KeyError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep", "nul"], "Did you mean 'null'?"),
        (["serve", "nul"], "Did you mean 'null'?"),
        (["serve", "null", "--ports", "8000"], "is not three port numbers"),
        (["sweep", "null", "--batch-sizes", "1,two"], "'1,two' is not a comma-separated list"),
        (["sweep", "null", "--batch-sizes", "0"], "A batch size is a whole number from 1 on; got 0."),
        (["sweep", "null", "--batch-sizes", ""], "batch_sizes is empty"),
        (["sweep", "null", "--seconds", "0"], "--seconds"),
        (["sweep", "null", "--out", "curve.txt"], "must end in .png, .svg or .pdf"),
        (["sweep", "null", "--csv", "no/such/folder/t.csv"], "there is no folder"),
        (["models", "--difference", "null", "nul"], "Did you mean 'null'?"),
        (["profiles", "no_such_gpu"], "no profile 'no_such_gpu'"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_bad_input_is_told_before_anything_starts(words: list[str], said: str) -> None:
    failed = run(*words)
    assert failed.exit_code == 2
    assert said in " ".join(failed.stderr.replace("│", " ").split())
    assert not (Path(os.environ["BATCHLAB_HOME"]) / "servers").exists()


def test_nobody_at_the_address_is_a_failure() -> None:
    failed = run("sweep", "null", "--url", "127.0.0.1:9")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: No Triton answers at 127.0.0.1:9")
    assert failed.stderr.count("\n") == 1


# doctor


def test_doctor_ends_with_the_verdict_and_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Check("disk", "ok", "9 GiB free"), Check("GPU", "note", "none")]
    monkeypatch.setattr(doctor, "examine", lambda: rows)
    assert run("doctor").exit_code == 0
    assert "The labs run on this machine." in run("doctor").output
    rows.append(Check("Triton", "lack", "not [installed]", "make setup"))
    failed = run("doctor")
    assert failed.exit_code == 1
    assert "not [installed]" in failed.output
    assert "make setup" in failed.output
    assert json.loads(run("doctor", "--json").output)["able"] is False


# models and profiles


def test_models_lists_the_repository() -> None:
    assert "onnxruntime" in run("models").output
    names = [config["name"] for config in json.loads(run("models", "--json").output)]
    assert {"null", "resnet50"} <= set(names)
    assert names == sorted(names)


def test_models_compares_two_configurations_by_name_or_file(home: Path) -> None:
    assert "backend: python -> onnxruntime" in run("models", "--difference", "null", "resnet50").output
    assert run("models", "--difference", "null", "null").output == "No difference.\n"
    changed = home / "config.pbtxt"
    changed.write_text('name: "null"\nbackend: "python"\nmax_batch_size: 4\n')
    lines = json.loads(run("models", "--difference", "null", str(changed), "--json").output)
    assert "max_batch_size: 128 -> 4" in lines


def test_models_in_an_empty_folder(home: Path) -> None:
    failed = run("models", "--repository", str(home))
    assert failed.exit_code == 2
    assert "holds no */config.pbtxt" in failed.stderr


def test_profiles_lists_each_with_its_source() -> None:
    known = json.loads(run("profiles", "--json").output)
    assert len(known) >= 10
    first = known[0]
    assert first["source"]
    assert len(first["batch_sizes"]) == len(first["latencies_ms"])
    assert first["name"] in run("profiles").output
    shown = run("profiles", first["name"]).output
    assert "Source: " in shown
    assert "Scope: " in shown


# sweep


@pytest.mark.server
def test_sweep_of_any_triton_gives_table_picture_csv_and_json(triton: server.Server, home: Path) -> None:
    picture, table = home / "curve.png", home / "curve.csv"
    words = ["sweep", "null", "--url", triton.url, "--batch-sizes", "4,1", "--seconds", "0.3"]
    shown = run(*words, "--out", str(picture), "--csv", str(table))
    assert shown.exit_code == 0, shown.output
    assert "Knee: batch" in shown.output
    assert picture.read_bytes().startswith(PNG)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["batch_size"] for row in rows] == ["1", "4"]
    assert {row["model"] for row in rows} == {"null"}
    assert all(row["tier"] and row["date"] for row in rows)

    machine = run(*words, "--json")
    values = json.loads(machine.stdout)
    assert [row["batch_size"] for row in values["rows"]] == [1, 4]
    assert values["knee"] in (1, 4)
    assert values["provenance"]["model"] == "null"
    assert values["partial"] is False
    assert triton.alive


@pytest.mark.server
def test_sweep_beyond_the_maximum_or_of_a_model_that_is_not_there(triton: server.Server) -> None:
    failed = run("sweep", "null", "--url", triton.url, "--batch-sizes", "1,4096")
    assert failed.exit_code == 2
    assert "Batch 4096 is above the max_batch_size" in failed.stderr
    failed = run("sweep", "no_such_model", "--url", triton.url)
    assert failed.exit_code == 1
    assert "no_such_model" in failed.stderr
    assert failed.stderr.startswith("Error: ")


# serve


def served(*words: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "batchlab", "serve", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background inherits an ignored Ctrl-C; a terminal's does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.mark.server
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_its_addresses_and_ends_cleanly(ending: signal.Signals) -> None:
    process, addresses = served("null")
    assert addresses["models"] == ["null"]
    connected = server.connect(addresses["http"])
    assert connected.loaded() == ["null"]
    os.killpg(process.pid, ending)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert not connected.alive


@pytest.mark.server
def test_serve_holds_its_server_on_a_core() -> None:
    core = max(os.sched_getaffinity(0))
    process, _ = served("null", "--cores", str(core))
    triton = _tritonserver_of(process.pid)
    threads = [int(path.name) for path in Path(f"/proc/{triton}/task").iterdir()]
    assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({core})}
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)


def test_cores_that_are_not_there_are_told() -> None:
    failed = run("serve", "null", "--cores", "4711")
    assert failed.exit_code == 1
    assert "cannot be held on the cores [4711]: this process may use [" in failed.stderr
    assert run("serve", "null", "--cores", "one").exit_code == 2


@pytest.mark.server
def test_serve_says_so_when_triton_dies() -> None:
    process, addresses = served("null")
    record = Path(os.environ["BATCHLAB_HOME"]) / "servers"
    triton = server.connect(addresses["http"])
    pid = _tritonserver_of(process.pid)
    os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Error: Triton ended by itself." in errors
    assert not triton.alive
    assert record.is_dir()


def _tritonserver_of(parent: int) -> int:
    import psutil

    for child in psutil.Process(parent).children(recursive=True):
        if child.name() == "tritonserver":
            return child.pid
    raise AssertionError("no tritonserver below batchlab serve")


# labs


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand-ins for the model build and for JupyterLab; each start is noted."""
    from batchlab import cli_labs

    starts: list[dict[str, Any]] = []

    def start(folder: Path, **options: Any) -> int:
        starts.append({"folder": folder, **options})
        options["on_ready"](jupyterlab.Session("http://127.0.0.1:8890/", "secret", 1))
        return 0

    monkeypatch.setattr(cli_labs, "_build_models", lambda: None)
    monkeypatch.setattr(jupyterlab, "run", start)
    monkeypatch.setattr(jupyterlab, "running_on", lambda folder: None)
    return starts


def test_labs_hands_out_and_prints_the_address(opened: list[dict[str, Any]], home: Path) -> None:
    shown = run("labs", "--no-browser", "--to", str(home / "mine"))
    assert shown.exit_code == 0, shown.output
    assert "http://127.0.0.1:8890/lab/tree/00_start_here.ipynb?token=secret" in shown.output
    assert "00_start_here.ipynb: handed out." in shown.output
    assert (home / "mine" / "00_start_here.ipynb").is_file()
    assert opened[0]["browser"] is False
    assert opened[0]["ip"] == "127.0.0.1"
    again = run("labs", "--no-browser", "--to", str(home / "mine"))
    assert "handed out" not in again.output


def test_labs_already_open_are_opened_again_and_not_started_twice(
    opened: list[dict[str, Any]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = jupyterlab.Session("http://127.0.0.1:8888/", "secret", 1)
    launched: list[str] = []
    monkeypatch.setattr(jupyterlab, "running_on", lambda folder: session)
    monkeypatch.setattr(typer, "launch", launched.append)
    shown = run("labs", "--to", str(home / "mine"))
    assert "already open" in shown.output
    assert launched == [session.url("00_start_here.ipynb")]
    assert opened == []


def test_labs_build_only_opens_nothing(opened: list[dict[str, Any]], home: Path) -> None:
    shown = run("labs", "--build-only", "--to", str(home / "mine"))
    assert "Models ready" in shown.output
    assert not (home / "mine").exists()
    assert opened == []


def test_the_import_of_the_command_line_stays_light() -> None:
    began = time.perf_counter()
    heavy = "torch", "matplotlib", "jupyterlab", "onnxruntime"
    code = f"import sys, batchlab.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
    assert time.perf_counter() - began < 30
