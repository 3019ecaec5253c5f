"""The GPU's readings over a run: from NVML, from Triton's metrics, and none where there is no GPU."""

from collections.abc import Iterator
from typing import Any

import pytest

from batchlab import gauge, gpu, prometheus
from batchlab.gauge import Gauge

METRICS = """
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 2147483648
nv_gpu_power_usage{gpu_uuid="GPU-1"} 61.5
nv_gpu_power_limit{gpu_uuid="GPU-1"} 70
"""


def test_tritons_metrics_give_readings_with_units() -> None:
    found = gauge.from_metrics(prometheus.parse(METRICS))
    assert found == {"GPU-1": {"busy_percent": 50.0, "memory_used_gib": 2.0, "power_w": 61.5}}


def test_a_server_without_a_gpu_gives_none_and_nothing_is_reported() -> None:
    assert gauge.from_metrics(prometheus.parse("nv_inference_count 3\n")) == {}
    made = Gauge("triton metrics", dict)
    made.take()
    assert made.summary() == {}


def test_mean_and_highest_over_the_run() -> None:
    answers: Iterator[gauge.Rows] = iter([{"0": {"power_w": 50.0}}, {"0": {"power_w": 70.0}}])
    made = Gauge("nvml", lambda: next(answers))
    made.take()
    made.take()
    told = made.summary()
    assert told == {"source": "nvml", "readings": 2, "gpus": {"0": {"power_w": {"mean": 60.0, "highest": 70.0}}}}


def test_a_reading_that_fails_costs_no_run() -> None:
    def broken() -> gauge.Rows:
        raise RuntimeError("the server is gone")

    made = Gauge("triton metrics", broken)
    made.take()
    assert made.summary() == {}


def test_nvml_gives_each_gpu_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = [{"busy_percent": 10.0}, {"busy_percent": 90.0}]
    monkeypatch.setattr(gpu, "readings", lambda: told)
    assert gauge.from_nvml() == {"0": {"busy_percent": 10.0}, "1": {"busy_percent": 90.0}}
