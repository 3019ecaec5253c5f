"""Several schedules from one start: one clock, a record for each, one end for all."""

import numpy as np
import pytest
from fake_server import MODEL, FakeServer
from loads import once_sampled, schedule

from batchlab.load import LoadError, Traffic, mixed

pytestmark = [pytest.mark.usefixtures("home"), pytest.mark.alone]


def test_several_models_share_one_start():
    steady, late = schedule(np.arange(40) * 0.02), Traffic(schedule([0.4, 0.41, 0.42]), workers=2, priority=3)
    with FakeServer(service_ms=1, models=(MODEL, "other")) as server:
        runs = mixed(server, {MODEL: steady, "other": late}, progress=False)
        notes = server.fetch("/arrivals")
    assert list(runs) == [MODEL, "other"]
    assert [len(run.samples) for run in runs.values()] == [40, 3]
    assert runs["other"].provenance.model == "other"
    assert set(runs["other"].samples["priority"]) == {3}
    assert "priority" not in runs[MODEL].samples
    assert runs[MODEL].settings["beside"] == ["other"]
    others = np.array([path.split("/")[3] == "other" for path in notes["paths"]])
    assert others.sum() == 1 + 3
    # One clock: what the server saw of both lies at the same distance from both plans.
    moments = np.array(notes["arrivals"])
    starts = [
        np.median(np.sort(moments[chosen])[1:] - np.sort(run.samples["intended_s"]))
        for chosen, run in ((~others, runs[MODEL]), (others, runs["other"]))
    ]
    assert starts[0] == pytest.approx(starts[1], abs=0.1)


def test_two_classes_of_request_on_one_model_are_two_runs():
    parts = {"urgent": Traffic(schedule([0.0]), model=MODEL, priority=1), "rest": Traffic(schedule([0.0]), model=MODEL)}
    with FakeServer() as server:
        runs = mixed(server, parts, progress=False)
    assert [run.provenance.model for run in runs.values()] == [MODEL, MODEL]
    assert runs["urgent"].run_id != runs["rest"].run_id


def test_a_part_of_the_mix_may_go_to_a_server_of_its_own():
    with FakeServer() as server, FakeServer(models=("other",)) as own:
        runs = mixed(
            server, {MODEL: schedule([0.0, 0.1]), "other": Traffic(schedule([0.0]), server=own)}, progress=False
        )
        assert [len(side.fetch("/arrivals")["arrivals"]) for side in (server, own)] == [1 + 2, 1 + 1]
    assert [len(run.answered) for run in runs.values()] == [2, 1]


def test_a_server_gone_ends_all_of_the_mix(home):
    long = schedule(np.arange(3000) * 0.01)
    with FakeServer(models=(MODEL, "other")) as server:
        once_sampled(home, server.kill)
        runs = mixed(server, {MODEL: long, "other": long}, progress=False)
    assert all(run.partial and "server was gone" in run.invalid[0] for run in runs.values())


def test_a_mix_cut_by_the_pace_keeps_its_priorities(monkeypatch):
    monkeypatch.setenv("BATCHLAB_PACE", "0.2")
    with FakeServer() as server:
        parts = {MODEL: Traffic(schedule(np.arange(101) * 0.01), priority=np.arange(101))}
        run = mixed(server, parts, progress=False)[MODEL]
    assert sorted(run.samples["priority"]) == list(range(20))


def test_an_empty_mix_and_one_of_too_many_senders_are_named():
    with FakeServer() as server:
        with pytest.raises(LoadError, match="name at least one model"):
            mixed(server, {})
        crowd = {f"m{number}": Traffic(schedule([0.0]), model=MODEL, workers=40) for number in range(2)}
        with pytest.raises(LoadError, match="at most 64 in all, got 80"):
            mixed(server, crowd)
