"""Curves from files: a tuner's table, its log, saved runs; other files are told apart in words."""

import json

import numpy as np
import pandas as pd
import pytest
from pictures import provenance, run_of
from test_capacity import KNOBS, measured

from batchlab import capacity_file, journal
from batchlab.capacity import CapacityError
from batchlab.points import Knobs, PointLog
from batchlab.slo import Slo

SLO = Slo(p99_ms=100)
POINTS = [measured(100, 20), measured(200, 60), measured(300, 400), measured(150, 50, knobs=Knobs(32, 5000))]


def test_a_table_of_batchlab_tune(tmp_path) -> None:
    path = tmp_path / "points.csv"
    pd.DataFrame([point.to_dict() for point in POINTS]).to_csv(path, index=False)
    first, second = capacity_file.read(path, SLO)
    assert (first.name, first.rate_rps, second.rate_rps) == (str(KNOBS), 200, 150)
    assert "tier not in the file" in first.note
    assert "points.csv" in first.note
    # A stricter limit than the search's is judged anew; only what its P99 proves counts as in time.
    strict = capacity_file.read(path, Slo(p99_ms=30))[0]
    assert strict.rate_rps == 100
    assert strict.highest.share_within == pytest.approx(0.99)


def test_tiers_in_one_table_stay_apart(tmp_path) -> None:
    path = tmp_path / "points.csv"
    rows = [{**measured(rate, 20).to_dict(), "tier": tier} for rate, tier in ((900, "simulated"), (100, "emulated"))]
    pd.DataFrame(rows).to_csv(path, index=False)
    found = {curve.name: curve for curve in capacity_file.read(path, SLO)}
    assert found[f"{KNOBS}, simulated"].rate_rps == 900
    assert found[f"{KNOBS}, emulated"].rate_rps == 100
    assert found[f"{KNOBS}, emulated"].note.startswith("emulated: measurements in")


def test_the_folder_of_a_tuner_even_when_cut(tmp_path) -> None:
    log = PointLog(tmp_path, {"model": "m"})
    for point in POINTS[:2]:
        log.add(point)
    with (tmp_path / "points.jsonl").open("a") as file:
        file.write('{"max_batch_size": 8, "max_de')
    for path in (tmp_path, tmp_path / "points.jsonl"):
        (curve,) = capacity_file.read(path, SLO)
        assert curve.rate_rps == 200


def test_a_folder_of_runs(tmp_path) -> None:
    for rate, tail in ((10, 20.0), (20, 30.0), (40, 500.0)):
        journal.save(run_of(np.full(300, tail), gaps_s=np.full(300, 1 / rate), origin=provenance(seed=1)), tmp_path)
    (curve,) = capacity_file.read(tmp_path, SLO)
    assert curve.rate_rps == pytest.approx(20)
    assert curve.provenance is not None
    assert curve.provenance.tier == "emulated"
    one = sorted(tmp_path.glob("*.jsonl"))[0]
    assert len(capacity_file.read(one, SLO)[0].points) == 1


def test_other_files_are_told_in_words(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "none.csv").write_text(",".join(POINTS[0].to_dict()) + "\n")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "points.jsonl").write_text(json.dumps({"model": "m"}) + "\n{")
    (tmp_path / "raw.csv").write_bytes(b"\xff\xfe\x00")
    for name, words in (
        ("empty", "neither points.jsonl of a search nor saved runs"),
        ("missing.csv", "There is no file or folder"),
        ("other.csv", "no table of measurements"),
        ("none.csv", "holds no measurement"),
        ("cut", "holds no measurement"),
        ("raw.csv", "no table of measurements"),
    ):
        with pytest.raises(CapacityError, match=words):
            capacity_file.read(tmp_path / name, SLO)
