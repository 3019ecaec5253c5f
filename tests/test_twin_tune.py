"""The tuner on the twin, against the exhaustive one on the same space, both without a server."""

import dataclasses

import pytest

from batchlab import arrivals, twin, twin_tune
from batchlab.points import Knobs
from batchlab.service import Calibration, Overheads, ServiceTime
from batchlab.slo import Slo
from batchlab.tune import TuneError, Tuner, configured, grid

SLO = Slo(p99_ms=100)
CURVES = {
    "affine": lambda b: 10 + b,
    "hinge": lambda b: max(12.0, 0.8 * b + 4),
    "steep": lambda b: 4 + 2.2 * b,
}
SPACE = grid((1, 2, 4, 8, 16, 32), (0, 1, 2, 5, 10, 20), (1, 2))


def calibration(name: str, **overheads: float) -> Calibration:
    service = ServiceTime.from_function(CURVES[name], range(1, 33))
    return Calibration(name, service, Overheads(**overheads), shared_device=True, details={"runs": 8})


def config(name: str):
    return twin.model(calibration(name), max_batch_size=32).config


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("pattern", [arrivals.poisson, lambda rate, s, seed: arrivals.gamma(rate, s, 4.0, seed)])
def test_it_finds_what_the_exhaustive_tuner_finds_at_a_tenth_of_the_price(name, pattern) -> None:
    # The "server" is a twin that is a little slower and wavers, so that no prediction is exact.
    known = calibration(name, send_ms=0.3, dispatch_ms=0.8, dispatch_item_ms=0.03, answer_ms=0.3, jitter_ms=0.2)
    slower = dataclasses.replace(known.service, mean_ms=known.service.mean_ms * 1.02, variation=0.05)
    real = dataclasses.replace(known, service=slower)
    live = twin_tune.TwinDrive(config(name), real)
    exhaustive = Tuner(name, SLO, live, pattern, seconds=5.0, tolerance=0.1).search(
        SPACE, 10.0, 1.05 * twin.of(config(name), real).capacity_rps()
    )
    cheap = twin_tune.search(config(name), known, SLO, live, pattern, SPACE, live_seconds=5.0)
    assert len(SPACE) >= 60
    assert exhaustive.confirmed is not None
    assert cheap.confirmed is not None
    assert cheap.confirmed.outcome == "PASS"
    assert cheap.confirmed.rate_rps >= 0.95 * exhaustive.confirmed.rate_rps
    assert cheap.live_measurements <= 0.10 * len(exhaustive.points)


def test_a_promise_that_nothing_keeps_is_said() -> None:
    known = calibration("affine")
    found = twin_tune.search(
        config("affine"),
        known,
        Slo(p99_ms=5),
        twin_tune.TwinDrive(config("affine"), known),
        arrivals.poisson,
        [Knobs(8, 0)],
        simulated_requests=2000,
    )
    assert found.confirmed is None
    assert found.considered == 1
    assert "nothing was measured" in str(found)


def test_an_untrusted_calibration_is_said_with_the_result() -> None:
    known = dataclasses.replace(calibration("affine"), warnings=("The machine changed.",))
    live = twin_tune.TwinDrive(config("affine"), known)
    found = twin_tune.search(config("affine"), known, SLO, live, arrivals.poisson, [Knobs(8, 0)])
    assert "not to be trusted: The machine changed." in str(found)
    assert found.live_measurements == 8 + len(found.live.points)


def test_an_empty_grid_is_refused() -> None:
    known = calibration("affine")
    with pytest.raises(TuneError, match="empty"):
        twin_tune.search(config("affine"), known, SLO, lambda k, a: None, arrivals.poisson, [])


def test_the_twin_is_driven_with_the_knobs_it_is_given() -> None:
    known = calibration("affine")
    run = twin_tune.TwinDrive(config("affine"), known)(Knobs(4, 3000, 2), arrivals.poisson(50, 2, 1))
    assert run.provenance.tier == "simulated"
    assert configured(config("affine"), Knobs(4, 3000, 2)).to_json() == run.settings["config"]
