"""A race: everyone runs in turns, ratios are taken within rounds, and a shorter pace shortens it."""

import time

import numpy as np
import pytest

from batchlab.race import FEWEST_ROUNDS, Race, RaceError, race


def test_everyone_runs_equally_often_and_in_changing_order() -> None:
    log: list[str] = []
    found = race({name: lambda name=name: log.append(name) for name in "abc"}, seconds=0.01, warmup_rounds=2)
    assert log[:6] == ["a", "b", "c"] * 2
    counted = log[6:]
    assert {counted.count(name) for name in "abc"} == {found.rounds}
    rounds = {tuple(counted[i : i + 3]) for i in range(0, len(counted), 3)}
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(rounds) > 1


def test_the_slower_one_is_told_apart() -> None:
    found = race({"slow": lambda: time.sleep(0.02), "fast": lambda: time.sleep(0.002)}, seconds=0.2)
    assert found.median_ms("slow") > 20
    assert found.speedup("slow").loc["fast", "speedup"] > 2
    assert found.speedup("slow").loc["slow", "speedup"] == 1
    table = found.table()
    assert (table["low_ms"] <= table["median_ms"]).all()
    assert (table["median_ms"] <= table["high_ms"]).all()


def test_a_slow_minute_of_the_machine_does_not_change_a_ratio() -> None:
    machine = np.array([1.0, 1.0, 5.0, 5.0, 9.0])
    found = Race({"base": 10 * machine, "twice": 5 * machine})
    assert found.speedup("base").loc["twice"].tolist() == [2, 2, 2]


def test_a_short_pace_shortens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLAB_PACE", "0.001")
    began = time.perf_counter()
    found = race({"nap": lambda: time.sleep(0.01)}, seconds=60)
    assert time.perf_counter() - began < 20
    assert found.rounds >= FEWEST_ROUNDS


def test_nonsense_is_refused() -> None:
    with pytest.raises(RaceError, match="0 runners"):
        race({})
    with pytest.raises(RaceError, match="-1 s"):
        race({"a": lambda: None}, seconds=-1)
    with pytest.raises(RaceError, match=r"'b' did not run. There were: a"):
        Race({"a": np.ones(3)}).speedup("b")
