"""The instances' service times: M/M/1 and M/M/c, whose answers are known."""

import numpy as np
import pytest

from batchlab import queueing, simulate, twin
from batchlab.arrivals import poisson
from batchlab.service import ServiceError, ServiceTime

SERVICE_MS = 10.0
SEEDS = range(8)


def latencies_ms(rate_rps: float, instances: int, seed: int) -> np.ndarray:
    service = ServiceTime(np.array([1]), np.array([SERVICE_MS]), law="exponential")
    model = twin.model(service, batching=False, instances=instances, shared=False)
    schedule = poisson(rate_rps, 60_000 / rate_rps, seed)
    return simulate.simulate(model, schedule, seed=seed, warmup_s=2_000 / rate_rps).latencies_ms


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
@pytest.mark.parametrize("instances", [1, 3])
def test_exponential_service_is_the_m_m_queue(load: float, instances: int) -> None:
    rate = load * instances * 1e3 / SERVICE_MS
    known = queueing.mmc(rate, SERVICE_MS, instances)
    runs = [latencies_ms(rate, instances, seed) for seed in SEEDS]
    for seen, told in (
        ([run.mean() for run in runs], known.mean_latency_ms),
        ([np.percentile(run, 50) for run in runs], known.latency_percentile_ms(50)),
        ([np.percentile(run, 99) for run in runs], known.latency_percentile_ms(99)),
    ):
        # Eight seeds: the mean of them lies within four of its standard errors, and those are small.
        error = np.std(seen, ddof=1) / np.sqrt(len(seen))
        assert abs(np.mean(seen) - told) < 4 * error
        assert error < 0.1 * told


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(ServiceError, match="lognormal or exponential, not 'normal'"):
        ServiceTime(np.array([1]), np.array([1.0]), law="normal")  # type: ignore[arg-type]


def test_the_law_survives_its_record() -> None:
    service = ServiceTime(np.array([1, 2]), np.array([1.0, 2.0]), law="exponential")
    assert ServiceTime.from_dict(service.to_dict()).law == "exponential"
