"""``batchlab tune``: on a real Triton the search on the twin; without a server one line for each bad input."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from batchlab import service_source
from batchlab.cli import app
from batchlab.server import Server
from batchlab.service import Calibration, Overheads, ServiceTime

pytestmark = pytest.mark.alone

MODEL = "bert_t4"
SMALL = ("--max-batch", "1,2,4", "--max-delay-ms", "0,5", "--instances", "1", "--slo-p99-ms", 400, "--seconds", 1)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TQDM_DISABLE", "1")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


def saved(folder: Path, model: str = MODEL, warnings: tuple[str, ...] = ()) -> Path:
    """Write what a calibration of the emulated T4 finds on a slow machine: the promise of the tests is lax."""
    service = ServiceTime([1, 2, 4], [1.9, 2.3, 3.1], source="made up")
    overheads = Overheads(send_ms=1, dispatch_ms=4, dispatch_item_ms=0.5, answer_ms=1, jitter_ms=0.5)
    made = Calibration(model, service, overheads, shared_device=True, warnings=warnings, details={"runs": 6})
    service_source.write_calibration(folder / "known.json", made)
    return folder / "known.json"


@pytest.fixture(scope="module")
def calibrated(triton: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path, bool]:
    """Tune once with a calibration that has still to be made; return what was told, its file, and the model's peace."""
    triton.load(MODEL)
    before = triton.config(MODEL)
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(folder))
        patch.setenv("TQDM_DISABLE", "1")
        done = run(
            MODEL, "--url", triton.url, "--on-twin", "--calibration", folder / "new.json", "--json", *SMALL,
            "--csv", folder / "points.csv", "--out", folder / "front.png",
        )  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout), folder, triton.config(MODEL).to_json() == before.to_json()


@pytest.mark.server
def test_a_search_on_the_twin_is_proven_on_the_server(calibrated) -> None:
    told, _, untouched = calibrated
    assert told["considered"] == 5  # a batch of 1 never waits for company
    assert told["simulated_runs"] >= told["considered"]
    measured = told["measured"]
    assert measured
    assert {row["purpose"] for row in measured} == {"confirm"}
    assert told["live_measurements"] == told["calibration"]["details"]["runs"] + len(measured)
    if told["confirmed"]:
        assert told["confirmed"]["outcome"] == "PASS"
        assert told["confirmed"]["run_id"] in {row["run_id"] for row in measured}
    assert untouched


@pytest.mark.server
def test_what_was_simulated_is_told_apart_from_what_was_measured(calibrated) -> None:
    told, folder, _ = calibrated
    points = pd.read_csv(folder / "points.csv")
    assert set(points["tier"]) == {"simulated", "emulated"}
    assert (points["tier"] == "emulated").sum() == len(told["measured"])
    assert (folder / "front.png").stat().st_size > 5000


@pytest.mark.server
def test_a_calibration_is_kept_and_is_that_of_the_result(calibrated) -> None:
    told, folder, _ = calibrated
    kept = service_source.read_calibration(folder / "new.json")
    assert kept.to_dict() == told["calibration"]
    assert kept.model == MODEL
    assert kept.service.max_batch == 4


@pytest.mark.server
def test_a_saved_calibration_is_used_as_it_is_and_its_doubts_are_said(triton: Server, tmp_path: Path) -> None:
    triton.load(MODEL)
    path = saved(tmp_path, warnings=("The machine changed.",))
    before = path.read_bytes()
    done = run(MODEL, "--url", triton.url, "--on-twin", "--calibration", path, *SMALL)
    assert done.exit_code in (0, 1), done.output
    assert path.read_bytes() == before
    assert "The twin considered 5 configurations" in done.stdout
    assert "not to be trusted: The machine changed." in done.stdout
    assert "Warning: The machine changed." in done.stderr
    assert "Predicted by the twin (simulated)" in done.stderr


@pytest.mark.server
@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        ("another", (), "The calibration is of 'another'"),
        (MODEL, ("--max-batch", "64"), "known up to batch 4"),
    ],
)
def test_a_calibration_that_does_not_fit_is_one_line(triton: Server, tmp_path: Path, model, arguments, words) -> None:
    triton.load(MODEL)
    path = saved(tmp_path, model)
    done = run(MODEL, "--url", triton.url, "--on-twin", "--calibration", path, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--calibration", "c.json"), "add --on-twin"),
        (("--on-twin", "--calibration", "no/such/c.json"), "there is no folder"),
        (("--on-twin", "--calibration", "broken.json"), "broken.json holds no calibration"),
        (("--csv", "no/such/points.csv"), "there is no folder"),
        (("--max-batch", "1,two"), "'1,two' is not a comma-separated list of numbers"),
        (("--on-twin", "--max-batch", "0"), "max_batch_size = 0 is out of range"),
        (("--max-delay-ms", "-1"), "max_delay_ms = -1.0 is out of range"),
        (("--burstiness", "0"), "burstiness must be"),
        (("--slo-p99-ms", "0"), "number of milliseconds above 0"),
    ],
)
def test_bad_input_is_one_clear_line_and_starts_nothing(tmp_path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text("[1, 2]")
    monkeypatch.setattr("batchlab.server.start", lambda *_, **__: pytest.fail("a server was started"))
    done = run(MODEL, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.server
def test_an_interrupted_search_says_how_to_go_on(triton: Server, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("batchlab.search_order.SearchOrder.on_server", interrupted)
    triton.load(MODEL)
    before = triton.config(MODEL).to_json()
    done = run(MODEL, "--url", triton.url, "--folder", tmp_path / "search")
    assert done.exit_code == 130
    assert "Run the same command again to go on" in done.stderr
    assert "Give --folder" in run(MODEL, "--url", triton.url).stderr
    assert triton.config(MODEL).to_json() == before
