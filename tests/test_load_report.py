"""What a run felt like, as a table and as plain values."""

import json

import pandas as pd

from batchlab.load_report import numbers_of, show_run
from batchlab.measure import COLUMNS, Run
from batchlab.provenance import Provenance
from batchlab.slo import Slo, verdict


def a_run(rows, **changes):
    origin = Provenance("cpu", "m", "mosec", details={"protocol": "mosec"})
    samples = pd.DataFrame(rows, columns=list(COLUMNS))
    return Run(samples, origin, "open_loop", **changes)


def test_no_number_is_null_and_never_nan():
    told = numbers_of(a_run([(0.0, 0.0, 1.0, 1, False, "503 full")]), 100.0, None)
    assert told["p99_ms"] is None
    assert told["mean_batch"] is None
    assert told["errors_by_text"] == {"503 full": 1}
    assert json.loads(json.dumps(told, allow_nan=False))["goodput_rps"] == 0


def test_the_table_tells_the_lateness_and_what_speaks_against_the_run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    rows = [(0.1 * n, 0.1 * n + 0.002, 0.1 * n + 0.03, 1, True, "") for n in range(20)]
    run = a_run(rows, invalid=["The sender was late."], settings={"clients": 1})
    show_run(run, None, 100.0, verdict(run, Slo(p99_ms=100)))
    shown = capsys.readouterr().out
    assert "lateness P99" in shown
    assert "2.00 ms" in shown
    assert "NOT VALID: The sender was late." in shown
    assert "answered within 100 ms" in shown
    assert "mean batch" not in shown
