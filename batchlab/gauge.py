"""The GPU's own readings while a run lasts: how busy it was, its memory, power, clock and heat.

From NVML where the server is this process's own, else from Triton's metrics, which pass NVML's readings on. Nothing is
read, and nothing reported, where there is no GPU.
"""

from collections.abc import Callable
from typing import Any

from batchlab import gpu

Rows = dict[str, dict[str, float]]
"""Readings by GPU (its number, or its UUID), then by quantity, with the unit in the name."""

# Triton's metric: what it is called here, and the factor to its unit. Source: Triton's docs/user_guide/metrics.md.
METRICS = {
    "nv_gpu_utilization": ("busy_percent", 100.0),
    "nv_gpu_memory_used_bytes": ("memory_used_gib", 1 / gpu.GIB),
    "nv_gpu_power_usage": ("power_w", 1.0),
}


class Gauge:
    """Readings gathered over a run.

    Attributes:
        source: ``"nvml"`` or ``"triton metrics"``.
    """

    def __init__(self, source: str, read: Callable[[], Rows]) -> None:
        """Hold where readings come from: `read` returns those of now."""
        self.source, self._read = source, read
        self._taken: list[Rows] = []

    def take(self) -> None:
        """Read once; a reading that fails is left out, for a run is worth more than its gauge."""
        try:
            rows = self._read()
        except (OSError, RuntimeError, ValueError):
            return
        if rows:
            self._taken.append(rows)

    def summary(self) -> dict[str, Any]:
        """Return mean and highest of each quantity by GPU, and how many readings; {} without any.

        A mean over a second's readings misses what lasts milliseconds: it tells of the run, not of a batch.
        """
        if not self._taken:
            return {}
        found: dict[str, dict[str, list[float]]] = {}
        for rows in self._taken:
            for name, quantities in rows.items():
                for quantity, value in quantities.items():
                    found.setdefault(name, {}).setdefault(quantity, []).append(value)
        gpus = {
            name: {
                quantity: {"mean": round(sum(values) / len(values), 3), "highest": round(max(values), 3)}
                for quantity, values in quantities.items()
            }
            for name, quantities in found.items()
        }
        return {"source": self.source, "readings": len(self._taken), "gpus": gpus}


def from_metrics(samples: dict[str, list[tuple[dict[str, str], float]]]) -> Rows:
    """Return the readings in Triton's metrics, as `batchlab.prometheus` reads them; {} without a GPU there."""
    rows: Rows = {}
    for metric, (quantity, factor) in METRICS.items():
        for labels, value in samples.get(metric, ()):
            rows.setdefault(labels.get("gpu_uuid", "gpu"), {})[quantity] = value * factor
    return rows


def from_nvml() -> Rows:
    """Return the readings of this machine's GPUs; {} without a driver."""
    return {str(number): dict(readings) for number, readings in enumerate(gpu.readings())}
