"""GPUs as the driver names them: with a stand-in driver, and on the real one where there is one."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from batchlab import gpu


class NoDriverError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A driver with two GPUs, the second split by MIG."""
    module: Any = ModuleType("pynvml")
    module.__spec__ = SimpleNamespace()
    module.open = 0

    def opened(step: int) -> None:
        module.open += step

    def mig_mode(handle: int) -> list[int]:
        if handle == 0:
            raise NoDriverError("not supported")
        return [1, 1]

    module.NVMLError = NoDriverError
    module.NVML_DEVICE_MIG_ENABLE = 1
    module.nvmlInit = lambda: opened(1)
    module.nvmlShutdown = lambda: opened(-1)
    module.nvmlDeviceGetCount = lambda: 2
    module.nvmlSystemGetDriverVersion = lambda: b"550.54.15"
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetName = lambda handle: ["Tesla T4", "NVIDIA A100-SXM4-40GB"][handle]
    module.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=[15, 40][handle] * 2**30)
    module.nvmlDeviceGetMigMode = mig_mode
    monkeypatch.setitem(sys.modules, "pynvml", module)
    yield module
    assert module.open == 0


def test_gpus_are_named_with_memory_and_mig(nvml: Any) -> None:
    assert [str(found) for found in gpu.gpus()] == ["Tesla T4, 15 GiB", "NVIDIA A100-SXM4-40GB, 40 GiB, MIG on"]
    assert gpu.driver() == "550.54.15"


def test_without_a_driver_there_are_none(nvml: Any) -> None:
    def missing() -> None:
        raise NoDriverError("driver not loaded")

    nvml.nvmlInit = missing
    assert gpu.gpus() == []
    assert gpu.driver() == ""


def torch_stand_in(available: bool, computes: bool) -> Any:
    torch: Any = ModuleType("torch")
    torch.__spec__ = SimpleNamespace()
    torch.__version__ = "2.14.1"
    torch.version = SimpleNamespace(cuda="13.0")
    torch.cuda = SimpleNamespace(is_available=lambda: available)

    def ones(size: int, device: str) -> Any:
        if not computes:
            raise RuntimeError("no kernel image is available\nmore lines")
        return SimpleNamespace(add=lambda value: SimpleNamespace(item=lambda: 2.0))

    torch.ones = ones
    return torch


@pytest.mark.parametrize(
    ("available", "computes", "problem"),
    [
        (True, True, ""),
        (False, False, "torch 2.14.1 sees no usable GPU (built for CUDA 13.0)"),
        (True, False, "torch 2.14.1 cannot compute on it: no kernel image is available"),
    ],
)
def test_torch_is_tried_and_not_believed(
    monkeypatch: pytest.MonkeyPatch, available: bool, computes: bool, problem: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch_stand_in(available, computes))
    assert gpu.torch_problem() == problem


@pytest.mark.gpu
def test_the_real_gpu_computes() -> None:
    if not gpu.gpus():
        pytest.skip("no NVIDIA GPU")
    assert gpu.driver()
    assert gpu.gpus()[0].memory_gib > 1
    assert gpu.torch_problem() == ""
