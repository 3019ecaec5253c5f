"""Batches as the clients' clocks show them: what the twin does on purpose must be found again."""

import dataclasses

import numpy as np
import pytest

from batchlab import arrivals, cycles, simulate, twin
from batchlab.measure import Run
from batchlab.service import Overheads, ServiceTime

SERVICE = ServiceTime(np.array([1, 8]), np.array([10.0, 24.0]), 0.03)


def cycle_ms(sizes):
    return 8.5 + 2.0 * sizes


def played(load: float = 0.6, seconds: float = 600, max_batch_size: int = 2, levels: int = 2, **terms: float) -> Run:
    overheads = Overheads(**{"dispatch_ms": 0.5, "jitter_ms": 0.3} | terms)
    model = twin.model(
        SERVICE, max_batch_size=max_batch_size, priority_levels=levels, overheads=overheads, shared=False
    )
    return simulate.simulate(model, arrivals.poisson(load * model.capacity_rps(), seconds, 3), seed=4)


@pytest.mark.parametrize("largest", [2, 4])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.25])
def test_missed_ends_are_counted(share: float, largest: int) -> None:
    run = played(max_batch_size=largest, missed_wake=share)
    for lone in (False, True):
        assert cycles.missed(run, cycle_ms, lone=lone) == pytest.approx(share, rel=0.12)


def test_ends_of_single_requests_are_told_from_others() -> None:
    run = played(missed_wake=0.3, missed_lone=0.2)
    assert cycles.missed(run, cycle_ms, lone=False) == pytest.approx(0.3, rel=0.12)
    assert cycles.missed(run, cycle_ms, lone=True) == pytest.approx(0.06, rel=0.2)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_a_row_of_ends_is_known_at_any_load(load: float) -> None:
    run = played(load, seconds=3000, max_batch_size=1, missed_wake=0.3, missed_row=cycles.MISSED_ROW)
    assert cycles.missed(run, cycle_ms, lone=True, row=cycles.MISSED_ROW) == pytest.approx(0.3, rel=0.12)


def test_rows_begin_anew_where_nothing_waits() -> None:
    seen = cycles.of(played(seconds=60, missed_wake=0.1), cycle_ms)
    assert seen.row[seen.waited].min() == 1
    assert set(np.diff(seen.row)[seen.row[1:] > 0]) == {1}
    assert (seen.row == 0).any()


def test_no_end_found_work_waiting() -> None:
    assert cycles.missed(played(0.01, seconds=100, missed_wake=0.5), cycle_ms, lone=False) == 0.0


@pytest.mark.parametrize("variation", [0.03, 0.2])
def test_the_spread_of_one_batch_is_found(variation: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SERVICE", ServiceTime(np.array([1, 8]), np.array([10.0, 24.0]), variation))
    assert cycles.variation(played(levels=0), cycle_ms) == pytest.approx(variation, rel=0.15)


def test_one_hiccup_says_nothing_of_the_spread() -> None:
    run = played(seconds=60, levels=0)
    # The machine stands still for 2 s while a few requests are there; all later ones come as much later.
    late, there = run.samples.copy(), len(run.samples) // 2
    late.loc[there:, "done_s"] += 2.0
    late.loc[there + 5 :, ["intended_s", "sent_s"]] += 2.0
    stalled = dataclasses.replace(run, samples=late)
    assert cycles.of(stalled, cycle_ms).ms.max() > 2000
    assert cycles.variation(stalled, cycle_ms) < 0.05


def test_too_few_batches_say_nothing_of_the_spread() -> None:
    assert cycles.variation(played(0.1, seconds=5, levels=0), cycle_ms) == 0.0


@pytest.mark.parametrize("cold_ms", [0.0, 2.0])
def test_what_a_pause_costs_is_found(cold_ms: float) -> None:
    runs = [played(load, seconds=200, max_batch_size=1, levels=0, cold_ms=cold_ms) for load in (0.3, 0.6)]
    assert cycles.cold_ms(runs) == pytest.approx(cold_ms, abs=0.15)


def test_too_few_pauses_say_nothing() -> None:
    assert cycles.cold_ms([played(0.1, seconds=3, levels=0, cold_ms=5.0)]) == 0.0
