"""A search's order: which grid, which traffic, and what either way of carrying it out is given."""

import numpy as np
import pytest

from batchlab import service_source, twin
from batchlab.points import Knobs
from batchlab.search_order import TWIN_DELAYS_MS, SearchOrder
from batchlab.service import Calibration, Overheads, ServiceTime
from batchlab.slo import Slo

SLO = Slo(p99_ms=100)


def calibration(max_batch: int = 32, *, shared: bool = True) -> Calibration:
    service = ServiceTime.from_function(lambda b: 10 + b, range(1, max_batch + 1))
    return Calibration("m", service, Overheads(dispatch_ms=1), shared_device=shared, details={"runs": 5})


class Stub:
    """A server that has one model, and no other call that the test does not count."""

    def __init__(self) -> None:
        self.asked = twin.model(calibration(64), max_batch_size=64).config

    def config(self, model):
        return self.asked


def test_what_is_measured_is_few_and_what_is_simulated_is_many() -> None:
    order = SearchOrder("m", SLO)
    assert len(order.cells()) < 12
    cells = order.twin_cells(calibration(64))
    assert len(cells) > 500
    assert {cell.instances for cell in cells} == {1, 2, 4}
    assert {cell.max_delay_us for cell in cells} == {1000 * ms for ms in TWIN_DELAYS_MS}


def test_the_twin_s_grid_ends_where_its_knowledge_ends() -> None:
    cells = SearchOrder("m", SLO).twin_cells(calibration(10, shared=False))
    assert max(cell.max_batch_size for cell in cells) == 10
    assert {cell.instances for cell in cells} == {1}  # how copies share a processor no calibration tells


def test_what_is_given_counts_on_both_ways() -> None:
    order = SearchOrder("m", SLO, [4], [0, 2], [3], [0, 20])
    wanted = {Knobs(4, wait, 3, queue) for wait in (0, 2000) for queue in (0, 20)}
    assert set(order.cells()) == set(order.twin_cells(calibration())) == wanted


@pytest.mark.parametrize(("burstiness", "low", "high"), [(1.0, 0.8, 1.2), (9.0, 5.0, 13.0)])
def test_traffic_is_as_bursty_as_was_said(burstiness, low, high) -> None:
    gaps = np.diff(SearchOrder("m", SLO, burstiness=burstiness).traffic(200, 60, seed=3).times_s)
    assert low < gaps.var() / gaps.mean() ** 2 < high


def test_a_calibration_that_is_missing_is_made_once_and_kept(tmp_path, monkeypatch) -> None:
    made = []

    def calibrate(server, model, *, max_batch_size):
        made.append(max_batch_size)
        return calibration(max_batch_size)

    monkeypatch.setattr("batchlab.search_order.calibrate", calibrate)
    played = []

    def search(config, known, slo, live, pattern, cells, **more):
        played.append((known, len(cells), more["live_seconds"]))
        return "found"

    monkeypatch.setattr("batchlab.twin_tune.search", search)
    path, order = tmp_path / "kept.json", SearchOrder("m", SLO, max_batch_size=[8, 16], seconds=2)
    assert order.on_twin(Stub(), None, path, lambda point: None) == "found"
    assert made == [16]
    kept = service_source.read_calibration(path)
    order.on_twin(Stub(), kept, path, lambda point: None)
    assert made == [16]
    assert [known.to_dict() for known, *_ in played] == 2 * [calibration(16).to_dict()]
    assert played[0][2] == 2
    SearchOrder("m", SLO).on_twin(Stub(), None, None, lambda point: None)
    assert made == [16, 64]
