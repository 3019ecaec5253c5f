"""A room of thirty, ten of them hostile, graded in one command: the right points, nothing hung, nothing touched."""

import csv
import hashlib
import io
import socket
import time
from pathlib import Path

import pytest
from handed_in import BAD, GOOD, NAME, hostile
from remains import inmates
from typer.testing import CliRunner

from batchlab import cli, marking
from batchlab.classroom import Classroom

LIMITS = ["--wall-s", "60", "--cell-s", "5", "--memory-mib", "501", "--processes", "64", "--disk-mib", "16"]
OWN = '"memory_mib": 501'


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.notebook
@pytest.mark.timeout(420)
def test_thirty_submissions(room: Classroom, walled: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(inmates(OWN))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        submissions = [*GOOD, *BAD, *hostile(str(room.root), listener.getsockname()[1])]
        assert len(submissions) == 30
        for one in submissions:
            place = room.submitted(one.name, NAME)
            place.mkdir(parents=True)
            (place / f"{NAME}.ipynb").write_bytes(one.content())
        kept = {name: digests(room.root / name) for name in ("submitted", "hidden")}
        outside = sorted(path.name for path in Path("/tmp").iterdir())

        began = time.monotonic()
        told = CliRunner().invoke(cli.app, ["class", "grade", "--course", str(room.root), *LIMITS])
        wall_s = time.monotonic() - began
        with capsys.disabled():
            print(f"\n30 submissions, 10 of them hostile: {wall_s:.0f} s")
        assert told.exit_code == 0, told.output
        with pytest.raises(BlockingIOError):
            listener.accept()

    results = {one.name: marking.read(room.result(one.name, NAME)) for one in submissions}
    points = {name: result["points"] for name, result in results.items() if result}
    assert points == {one.name: one.points for one in submissions}
    assert set(inmates(OWN)) <= before
    assert {name: digests(room.root / name) for name in kept} == kept
    new = {path.name for path in Path("/tmp").iterdir()} - set(outside)
    assert not [name for name in new if name.startswith(("full", "mine"))]
    assert all(room.result(one.name, NAME).stat().st_size < 500_000 for one in submissions)
    assert "memory" in results["hostile-memory"]["ended"]
    assert "broken JSON" in results["hostile-json"]["ended"]
    assert "30 graded now" in told.output

    # Again: nothing is judged a second time; the table says the same and leaves the essay to a person.
    again = CliRunner().invoke(cli.app, ["class", "grade", "--course", str(room.root), *LIMITS])
    assert "30 submissions, 0 graded now" in again.output
    target = tmp_path / "grades.csv"
    assert CliRunner().invoke(cli.app, ["class", "export", str(target), "--course", str(room.root)]).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    sums = {row["learner"]: float(row["points"]) for row in rows if row["lab"] == "all labs"}
    assert sums == points
    assert {row["state"] for row in rows if row["question"] == "essay"} == {"to be graded by hand"}
