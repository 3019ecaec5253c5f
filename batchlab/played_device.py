"""The emulated device for servers other than Triton: the same curve, clock and lock, and so the same physical limit.

`backends/emulated/model.py` stays one self-contained file, because NVIDIA's image takes it as it is. Here that very
file is loaded, so a batch that another server forms queues at the same device as one that Triton forms.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

SETTINGS_VARIABLE = "BATCHLAB_RIVAL"
NS_PER_MS = 1_000_000
MOST_ITEMS = 4096
STUB = "triton_python_backend_utils"


def emulated() -> ModuleType:
    """Return the emulated backend's own module, loaded outside Triton."""
    path = Path(__file__).parent / "backends" / "emulated" / "model.py"
    spec = importlib.util.spec_from_file_location("batchlab_emulated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # The file imports what only Triton's stub process has, and uses it for requests and answers alone.
    earlier = sys.modules.get(STUB)
    sys.modules[STUB] = earlier or ModuleType(STUB)
    try:
        spec.loader.exec_module(module)
    finally:
        if earlier is None:
            del sys.modules[STUB]
    return module


class PlayedModel:
    """A model that takes as long as a published device took, for whatever server calls it.

    Args:
        curve_ms: device latency by batch size, ``"1:12.66,2:12.82"``.
        device: name of the device; whoever names the same one shares it.
        max_batch_size: largest batch; it must lie on the curve.
        counts: folder in which this process counts its batches by size, None to count nothing.

    Raises:
        ValueError: a curve, device or batch size that the emulated backend refuses, in its words.
    """

    def __init__(self, curve_ms: str, device: str, max_batch_size: int, counts: Path | None = None) -> None:
        module = emulated()
        self._sizes, self._latencies_ms = module.parse_curve(curve_ms)
        module.check_reach("the played model", max_batch_size, self._sizes)
        self._device = module.Device(device)
        self._limit = max_batch_size
        self._counts = None
        if counts is not None:
            self._counts = np.memmap(counts / f"{os.getpid()}.batches", np.uint64, "w+", shape=(MOST_ITEMS + 1,))

    @classmethod
    def from_environment(cls) -> "PlayedModel":
        """Return the model that the settings file named by the environment describes."""
        settings = read_settings()
        folder = Path(os.environ[SETTINGS_VARIABLE]).parent
        return cls(settings["curve_ms"], settings["device"], settings["max_batch_size"], folder)

    def run(self, items: int) -> dict[str, Any]:
        """Keep the device busy for a batch of so many items, and return what each of them is answered.

        Raises:
            ValueError: the server formed a batch larger than it was told to.
        """
        entry_ns = time.monotonic_ns()
        if not 1 <= items <= self._limit:
            raise ValueError(f"A batch of {items} items; 1 to {self._limit} were allowed.")
        busy_ms = float(np.interp(items, self._sizes, self._latencies_ms))
        if self._counts is not None:
            self._counts[items] += np.uint64(1)
        self._device.occupy(entry_ns, int(busy_ms * NS_PER_MS))
        return {"batch_size": items, "device_ms": busy_ms}

    def close(self) -> None:
        """Let go of the device."""
        self._device.close()


def read_settings() -> dict[str, Any]:
    """Return the settings of the server that this process belongs to.

    Raises:
        RuntimeError: the environment names no settings file; such a process is started by `batchlab.rival_server`.
    """
    path = os.environ.get(SETTINGS_VARIABLE, "")
    if not path:
        raise RuntimeError(f"{SETTINGS_VARIABLE} names no settings file: start this server with batchlab.rival_server.")
    settings: dict[str, Any] = json.loads(Path(path).read_text())
    return settings


def counted(folder: Path) -> Mapping[int, int]:
    """Return how many batches of each size the processes of a server have run so far, by size."""
    total = np.zeros(MOST_ITEMS + 1, np.uint64)
    for path in folder.glob("*.batches"):
        counts = np.fromfile(path, np.uint64)
        total[: len(counts)] += counts
    return {int(size): int(total[size]) for size in np.flatnonzero(total)}
