"""Finished shards on disk: found again, cut lines survived, other questions kept apart."""

import numpy as np

from batchlab.histogram import Histogram
from batchlab.shard_log import ShardLog
from batchlab.tally import Tally

QUESTION = {"replicas": 3, "seed": 0}


def tally(ms: float) -> Tally:
    return Tally(2, 1, 1, Histogram.of(np.array([ms, 2 * ms])))


def test_the_same_question_finds_its_shards_again(tmp_path) -> None:
    log = ShardLog(tmp_path, QUESTION)
    log.add(4, tally(1.0))
    log.add(0, tally(9.0))
    assert ShardLog(tmp_path, dict(QUESTION)).tallies == {4: tally(1.0), 0: tally(9.0)}


def test_another_question_has_a_file_of_its_own(tmp_path) -> None:
    ShardLog(tmp_path, QUESTION).add(0, tally(1.0))
    assert ShardLog(tmp_path, {**QUESTION, "seed": 1}).tallies == {}
    assert ShardLog(tmp_path, QUESTION).tallies == {0: tally(1.0)}


def test_a_line_cut_by_a_kill_costs_only_itself(tmp_path) -> None:
    log = ShardLog(tmp_path, QUESTION)
    log.add(0, tally(1.0))
    log.add(1, tally(2.0))
    whole = log.path.read_text()
    log.path.write_text(whole[:-30])
    again = ShardLog(tmp_path, QUESTION)
    assert again.tallies == {0: tally(1.0)}
    again.add(1, tally(2.0))
    assert log.path.read_text() == whole


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = ShardLog(None, QUESTION)
    log.add(0, tally(1.0))
    assert log.tallies == {0: tally(1.0)}
    assert list(tmp_path.iterdir()) == []
