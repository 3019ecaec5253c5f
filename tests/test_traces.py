"""Traces on disk and the files of other tools: round trips, and complaints that name the line."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from batchlab import arrivals, traces
from batchlab.arrivals import ArrivalsError, Sizes
from batchlab.traces import TraceError


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("sized", [False, True])
def test_a_saved_schedule_replays_exactly(tmp_path: Path, ending: str, sized: bool) -> None:
    made = arrivals.gamma(100, 5, 4, seed=2)
    if sized:
        made = made.with_sizes(Sizes.choice([16, 128], name="seq_len"), seed=1)
    path = made.save(tmp_path / f"trace.{ending}")
    again = arrivals.replay(path, seconds=made.seconds)
    assert again.digest == made.digest
    assert again.size_name == ("seq_len" if sized else "")
    assert arrivals.Arrivals.from_dict(json.loads(json.dumps(again.to_dict()))).digest == made.digest


def test_milliseconds_headers_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("batch,time_ms\n4,0\n\n8, 250\n")
    times, sizes, name = traces.read(path)
    assert times.tolist() == [0.0, 0.25]
    assert sizes is not None
    assert sizes.tolist() == [4, 8]
    assert name == "batch"


def test_a_bare_column_of_seconds(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("0.5\n0.75\n")
    assert traces.read(path)[0].tolist() == [0.5, 0.75]


def test_replay_takes_its_length_from_the_mean_gap_and_rebases(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time_s\n1700000000\n1700000001\n1700000003\n")
    made = arrivals.replay(path, rebase=True)
    assert made.times_s.tolist() == [0.0, 1.0, 3.0]
    assert made.seconds == 4.5


def test_replay_of_one_moment_needs_a_length(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("1\n")
    with pytest.raises(ArrivalsError, match="pass seconds="):
        arrivals.replay(path)
    assert len(arrivals.replay(path, seconds=2)) == 1


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "time_s\n", "is empty"),
        ("t.csv", "time_s\n0\n1\nsoon\n", r"t\.csv, line 4: 'soon' is not a finite number"),
        ("t.csv", "time_s\n0\n2\n1\n", r"t\.csv, line 4: 1\.0 s lies before .* 2\.0 s\. Sort"),
        ("t.csv", "time_s\n0\n-1\n", r"line 3: a send time is 0 or later"),
        ("t.csv", "time_s\n0\nnan\n", r"line 3: 'nan' is not a finite"),
        ("t.csv", "time_s,batch\n0,1\n1\n", r"line 3: 1 values where the columns are time_s, batch"),
        ("t.csv", "time_s,batch\n0,1.5\n", r"line 2: batch is a whole number"),
        ("t.csv", "time_s,time_ms\n0,0\n", r"line 2: give one of time_s, time_ms"),
        ("t.csv", "when\n0\n", r"line 1: 'when' is not a finite number"),
        ("t.jsonl", "", "is empty"),
        ("t.jsonl", "0\n{oops\n", r"t\.jsonl, line 2: not JSON"),
        ("t.jsonl", "0\ntrue\n", r"line 2: True is not a finite number"),
        ("t.jsonl", '{"time_s": 0, "n": 3}\n1\n', r"line 2: its size is called ''"),
        ("t.jsonl", '{"at": 0}\n', r"line 1: give one of"),
        ("t.json", "[]", "is empty"),
        ("t.json", "[0,\n1,\n", r"t\.json, line \d: not JSON"),
        ("t.json", '{"time_s": 0}', "is one list"),
        ("t.json", "[0, 1, null]", r"entry 3: None is not a finite number"),
        ("t.txt", "0", r"ends in \.csv, \.json or \.jsonl"),
    ],
)
def test_a_bad_trace_is_refused_by_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TraceError, match=says):
        traces.read(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        traces.read(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"0\n\xff\xfe\n")
    with pytest.raises(TraceError, match="not a text file"):
        traces.read(tmp_path / "bytes.csv")
    with pytest.raises(TraceError, match="ends in"):
        traces.write(tmp_path / "trace.xml", np.array([0.0]))


def test_intervals_are_perf_analyzers_own_example(tmp_path: Path) -> None:
    """docs/inference_load_modes.md: gaps 100000, 200000, 500000 send at 0.1, 0.3 and 0.8 s."""
    path = traces.write_intervals(tmp_path / "my_intervals.txt", np.array([0.1, 0.3, 0.8]))
    assert path.read_text() == "100000\n200000\n500000\n"
    assert traces.read_intervals(path).tolist() == [0.1, 0.3, 0.8]


def test_intervals_do_not_pile_up_rounding(tmp_path: Path) -> None:
    times = arrivals.gamma(3000, 100, 4, seed=3).times_s
    back = traces.read_intervals(traces.write_intervals(tmp_path / "gaps", times))
    assert np.abs(back - times).max() <= 0.5e-6 + 1e-9
    again = traces.write_intervals(tmp_path / "again", back)
    assert again.read_text() == (tmp_path / "gaps").read_text()


@pytest.mark.parametrize("text", ["", "100\n1.5\n", "100\n-3\n", "100\nten\n", "100\n\n5\n"])
def test_bad_interval_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gaps"
    path.write_text(text)
    with pytest.raises(TraceError, match=r"line 2|is empty"):
        traces.read_intervals(path)


def test_vegeta_targets_carry_bodies_in_order(tmp_path: Path) -> None:
    bodies = [b'{"a": 1}', bytes(range(256))]
    path = traces.write_vegeta_targets(tmp_path / "targets.json", "http://127.0.0.1:8000/x", bodies)
    targets = [json.loads(line) for line in path.read_text().splitlines()]
    assert [base64.b64decode(target["body"]) for target in targets] == bodies
    assert targets[0]["method"] == "POST"
    assert targets[0]["header"] == {"Content-Type": ["application/json"]}
