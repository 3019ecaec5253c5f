"""The format of a run: exact floats, strict JSON, and a name for every line that does not hold together."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from batchlab import runfile
from batchlab.measure import COLUMNS, Run
from batchlab.provenance import Machine, Provenance
from batchlab.runfile import RunFileError, parse
from batchlab.statistics import Activity


def run_of(rows, columns=COLUMNS, **options):
    origin = Provenance("cpu", "m", "triton", Machine("p", 2, 8.0, "Linux", "3.11"))
    return Run(runfile.frame(rows, columns), origin, "open_loop", **options)


def lines_of(run):
    samples = [runfile.sample_line(row) for row in run.samples.itertuples(index=False, name=None)]
    return [runfile.header_line(run, list(run.samples.columns)), *samples, runfile.footer_line(run)]


def strict(line):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(line, parse_constant=refuse)


ROW = (0.0, 0.0, 0.1, 1, True, "")


def test_floats_come_back_bit_for_bit():
    random = np.random.default_rng(0)
    awkward = [0.1 + 0.2, 1 / 3, 5e-324, 1e308, -0.0, math.pi * 1e6, *random.random(200)]
    run = run_of([(value, value, value, 1, True, "") for value in awkward])
    again = parse(lines_of(run)).samples["done_s"].to_numpy()
    assert again.tobytes() == np.array(awkward).tobytes()


def test_nan_and_infinity_are_strict_json_and_come_back():
    columns = (*COLUMNS, "device_ms")
    rows = [(0.0, 0.0, math.nan, 1, False, "x", math.inf), (0.0, 0.0, math.inf, 1, True, "", math.nan)]
    run = run_of(rows, columns, settings={"limit": math.inf, "low": np.float64("nan")})
    lines = lines_of(run)
    assert [strict(line) for line in lines]
    samples = parse(lines).samples
    assert np.isnan(samples["done_s"][0])
    assert samples["done_s"][1] == math.inf
    assert samples["device_ms"][0] == math.inf
    assert np.isnan(samples["device_ms"][1])
    assert parse(lines).settings == {"limit": "Infinity", "low": None}


def test_statistics_that_are_not_numbers_do_not_break_the_footer():
    activity = Activity("m", 0, 0, 0, 0, math.nan, 0.0, 0.0, 0.0, {}, {})
    strict(runfile.footer_line(run_of([ROW], server=activity)))


def test_numpys_values_are_written_as_plain_ones():
    row = (np.float64(0.5), np.float32(0.25), np.float64(1), np.int64(8), np.bool_(True), "")
    assert strict(runfile.sample_line(row)) == [0.5, 0.25, 1.0, 8, True, ""]
    run = run_of([ROW], settings={"sizes": np.array([1, 2]), "n": np.int32(3), 4: (1, 2)})
    assert strict(runfile.header_line(run, COLUMNS))["settings"] == {"sizes": [1, 2], "n": 3, "4": [1, 2]}


def test_error_texts_come_back_whatever_they_hold():
    texts = ['a "quoted"\nline', "\u2028 separator", "Infinity", "ü", "null"]
    run = run_of([(0.0, 0.0, 0.1, 1, False, text) for text in texts])
    assert parse("\n".join(lines_of(run)).splitlines()).samples["error"].tolist() == texts


def test_no_error_is_an_empty_text():
    frame = runfile.frame([(0.0, 0.0, 0.1, 1, True, None)], COLUMNS)
    assert frame["error"].tolist() == [""]


def test_a_run_without_samples():
    again = parse(lines_of(run_of([])))
    assert len(again.samples) == 0
    assert str(again.samples.dtypes["batch_size"]) == "int64"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('["0.1", 0.1, 0.2, 1, true, ""]', "'0.1' is no value of the column intended_s"),
        ('[true, 0.1, 0.2, 1, true, ""]', "True is no value of the column intended_s"),
        ('[0.1, 0.1, 0.2, 1.5, true, ""]', "1.5 is no value of the column batch_size"),
        ('[0.1, 0.1, 0.2, 1, 1, ""]', "1 is no value of the column ok"),
        ("[0.1, 0.1, 0.2, 1, true, 5]", "5 is no value of the column error"),
        ("[0.1, 0.1, 0.2, 1, true]", "5 values for 6 columns"),
        ("[0.1, 0.1,", "neither a sample nor a footer"),
        ("7", "neither a sample nor a footer"),
        ("", "neither a sample nor a footer"),
        ('{"partial": false}', "footer does not hold together"),
        ('{"partial": false, "invalid": [], "server": {"a": 1}}', "footer does not hold together"),
        ('{"partial": false, "invalid": [], "server": null, "settings": 5}', "footer does not hold together"),
    ],
)
def test_a_line_that_was_changed_is_named(line, said):
    lines = lines_of(run_of([ROW] * 3))
    lines[2] = line
    with pytest.raises(RunFileError, match=f"line 3: .*{said}"):
        parse(lines)


def test_nothing_follows_the_footer():
    lines = lines_of(run_of([ROW]))
    with pytest.raises(RunFileError, match="line 4: a line after the footer"):
        parse([*lines, lines[1]])


@pytest.mark.parametrize("gone", ["columns", "provenance", "kind", "warmup_s", "settings"])
def test_a_header_that_lacks_something(gone):
    header, *rest = lines_of(run_of([ROW]))
    values = json.loads(header)
    del values[gone]
    with pytest.raises(RunFileError, match=f"line 1: the header .*{gone}"):
        parse([json.dumps(values), *rest])


@pytest.mark.parametrize("lines", [[], ["hello"], ['{"format": "other"}'], ["[1]"]])
def test_not_a_run(lines):
    with pytest.raises(RunFileError, match="not a saved run"):
        parse(lines)


def test_frame_has_the_types_of_a_run():
    frame = runfile.frame([ROW], COLUMNS)
    assert isinstance(frame, pd.DataFrame)
    assert [str(frame.dtypes[name]) for name in ("intended_s", "batch_size", "ok")] == ["float64", "int64", "bool"]
