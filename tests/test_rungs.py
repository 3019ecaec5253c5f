"""Reading a calibration's ladder: from runs whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from batchlab import arrivals, rungs, simulate, twin
from batchlab.measure import Run
from batchlab.provenance import Provenance
from batchlab.service import Overheads, ServiceTime
from batchlab.statistics import Activity

LOST_MS, LOST_ITEM_MS, WAY_MS = 0.8, 0.05, 0.6


def service_ms(batch: int) -> float:
    return 10.0 + batch


def ladder_run(clients: int, batches: int = 40, slower: float = 1.0) -> Run:
    """Return what `clients` waiting clients see of a device that is never idle: half of them ride, half wait."""
    size = max(clients // 2, 1)
    cycle_ms = slower * (service_ms(size) + LOST_MS + LOST_ITEM_MS * size)
    ends = np.repeat(np.arange(1, batches + 1) * cycle_ms / 1e3, size)
    latency_ms = cycle_ms + WAY_MS if clients == 1 else 2 * cycle_ms + WAY_MS
    done = ends + WAY_MS / 2 / 1e3
    sent = done - latency_ms / 1e3
    samples = pd.DataFrame(
        {"intended_s": sent - sent.min(), "sent_s": sent - sent.min(), "done_s": done - sent.min(), "batch_size": 1}
    ).assign(ok=True, error="")
    activity = Activity(
        "m", batches * size, 0, batches * size, batches, 0.0, 0.0, slower * service_ms(size), 0.0,
        {size: batches}, {size: slower * service_ms(size)},
    )  # fmt: skip
    return Run(samples, Provenance("cpu", "m", "none"), "closed_loop", server=activity)


def ladder(**changes: Run) -> dict[int, Run]:
    return {clients: ladder_run(clients) for clients in (1, 2, 4, 8, 16, 32)} | {-1: ladder_run(1)}


def test_a_rung_tells_the_time_from_batch_to_batch() -> None:
    found = rungs.rung(16, ladder_run(16))
    assert found.mean_batch == 8
    assert found.batch_ms == pytest.approx(18.0)
    assert found.cycle_ms == pytest.approx(18.0 + LOST_MS + 8 * LOST_ITEM_MS, rel=0.01)


def test_the_ladder_gives_back_what_it_was_made_from() -> None:
    found = rungs.read("m", ladder(), None)
    assert found.service.table_ms(16)[[1, 8, 16]] == pytest.approx([11.0, 18.0, 26.0])
    assert found.overheads.dispatch_ms == pytest.approx(LOST_MS, abs=0.1)
    assert found.overheads.dispatch_item_ms == pytest.approx(LOST_ITEM_MS, abs=0.02)
    assert found.overheads.round_trip_ms == pytest.approx(LOST_MS + LOST_ITEM_MS + WAY_MS, abs=0.1)
    assert found.trusted
    assert not found.shared_device


def test_a_size_that_traffic_shows_often_takes_its_time_from_there() -> None:
    often, seldom = ladder_run(2, batches=40, slower=1.05), ladder_run(8, batches=3, slower=1.1)
    found = rungs.read("m", ladder(), None, traffic=often, singles=seldom)
    assert found.service.table_ms(16)[[1, 4, 8]] == pytest.approx([1.05 * 11.0, 14.0, 18.0])


def test_what_pauses_add_is_found_and_taken_off() -> None:
    model = twin.model(
        ServiceTime(np.array([1, 16]), np.array([11.0, 26.0])), shared=False, overheads=Overheads(cold_ms=3.0)
    )
    runs = {load: simulate.simulate(model, arrivals.poisson(load * 90, 40, 1), seed=2) for load in (0.4, 0.9)}
    found = rungs.read("m", ladder(), None, traffic=runs[0.9], singles=runs[0.4])
    assert found.overheads.cold_ms == pytest.approx(3.0, rel=0.02)
    assert found.service.latency_ms(1) == pytest.approx(11.0, rel=0.02)


def test_a_played_device_is_taken_as_known_and_the_rest_is_the_way() -> None:
    sizes = np.array([1, 16])
    found = rungs.read("m", ladder(), (sizes, np.array([10.5, 25.0])), profile="p")
    assert found.shared_device
    assert found.service.source == "p"
    assert found.service.latency_ms(16) == 25.0
    assert found.overheads.dispatch_ms > LOST_MS


def test_a_machine_that_changes_is_not_trusted() -> None:
    found = rungs.read("m", ladder() | {-1: ladder_run(1, slower=1.3)}, None)
    assert not found.trusted
    assert "the machine changed" in found.warnings[0]


def test_clients_that_cannot_fill_the_batch_are_told() -> None:
    runs = {clients: ladder_run(clients) for clients in (1, 2, 4)}
    found = rungs.read("m", runs, (np.array([1, 64]), np.array([11.0, 74.0])))
    assert "could not fill" in found.warnings[0]
