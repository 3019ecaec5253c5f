"""A run in windows: a bad stretch shows in its own window and nowhere else."""

import numpy as np
import pytest
from pictures import run_of

from batchlab import windows
from batchlab.slo import Slo, SloError

SLO = Slo(p99_ms=50)


def thirty_seconds():
    """100 requests a second, 10 ms each, but 200 ms from second 10 to 20; the first failed."""
    slow = np.repeat([10.0, 200.0, 10.0], 1000)
    run = run_of(slow, gaps_s=np.concatenate([[0.005], np.full(2999, 0.01)]), batch=2)
    run.samples.loc[0, "ok"] = False
    return run


def test_each_window_tells_its_own_percentile_and_verdict() -> None:
    table = windows.table(thirty_seconds(), SLO, 10.0)
    assert tuple(table.columns) == windows.COLUMNS
    assert table["start_s"].tolist() == [0, 10, 20]
    assert table["requests"].tolist() == [1000, 1000, 1000]
    assert table["misses"].tolist() == [1, 1000, 0]
    assert table["percentile_ms"].tolist() == pytest.approx([10, 200, 10])
    assert table["outcome"].tolist() == ["PASS", "FAIL", "PASS"]


def test_a_window_without_an_answer_has_no_percentile() -> None:
    run = thirty_seconds()
    run.samples.loc[run.samples["intended_s"] < 9.995, "ok"] = False
    table = windows.table(run, SLO, 10.0)
    assert np.isnan(table["percentile_ms"][0])
    assert table["outcome"][0] == "FAIL"


def test_a_window_has_a_length() -> None:
    with pytest.raises(SloError, match="above 0 s"):
        windows.table(thirty_seconds(), SLO, 0)


def test_latencies_belong_to_the_time_of_sending() -> None:
    assert set(windows.latencies_ms(thirty_seconds(), 10.005, 19.995).round(6)) == {200.0}
    assert len(windows.latencies_ms(thirty_seconds(), 40, 50)) == 0


def test_items_count_when_they_are_answered() -> None:
    run = thirty_seconds()
    # Answers of second 19 to 20 that took 200 ms came with those that took 10 ms.
    assert windows.answered_ips(run, 5, 9) == pytest.approx(200, rel=0.01)
    assert windows.answered_ips(run, 20, 20.2) == pytest.approx(400, rel=0.1)
    with pytest.raises(ValueError, match="ends after it starts"):
        windows.answered_ips(run, 5, 5)
