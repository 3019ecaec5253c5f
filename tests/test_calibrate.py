"""Calibration on a real Triton: the model is put back, the device is found, the twin then agrees."""

import pytest

from batchlab import calibrate, load, simulate, twin
from batchlab.arrivals import poisson
from batchlab.server import Server

MODEL = "bert_t4"

pytestmark = [pytest.mark.server, pytest.mark.alone]


@pytest.fixture(scope="module")
def calibrated(triton: Server):
    triton.load(MODEL)
    before = triton.config(MODEL)
    found = calibrate.calibrate(triton, MODEL, max_batch_size=8, seconds_per_rung=0.5, progress=False)
    return before, found


def test_the_model_is_left_as_it_was(triton: Server, calibrated) -> None:
    before, _ = calibrated
    assert triton.config(MODEL).to_json() == before.to_json()


def test_what_is_found_can_be_true(calibrated) -> None:
    _, found = calibrated
    assert found.service.latency_ms(1) == 1.9  # published for one sentence on a T4
    assert found.service.max_batch == 8
    assert found.shared_device
    assert 0 < found.overheads.round_trip_ms < 20
    assert 0 <= found.overheads.missed_wake <= 1
    assert found.details["runs"] == 5  # four numbers of clients, and traffic in small batches
    assert found.seconds < 60


def test_the_twin_made_of_it_is_of_the_server_s_own_configuration(triton: Server, calibrated) -> None:
    _, found = calibrated
    triton.reconfigure(MODEL, max_batch_size=8, max_queue_delay_microseconds=2000)
    made = twin.of(triton.config(MODEL), found)
    assert made.max_batch == 8
    schedule = poisson(60, 4, 3)
    real = load.open_loop(triton, MODEL, schedule, progress=False)
    played = simulate.simulate(made, schedule)
    # A wide margin: this says that both speak of the same thing. How close they are is the business of bench-twin.
    assert played.percentile_ms(50).value == pytest.approx(real.percentile_ms(50).value, rel=0.6)
    assert played.server is not None
    assert real.server is not None
    assert played.server.mean_batch == pytest.approx(real.server.mean_batch, rel=0.4)
