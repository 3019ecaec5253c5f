"""GPUs as the driver names them: with a stand-in driver, and on the real one where there is one."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from batchlab import gpu
from batchlab.doctor import kit


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

    def mig_instance(handle: int, number: int) -> int:
        assert handle == 1
        if number not in (0, 2):
            raise NoDriverError("not found")
        return 10 + number

    def utilisation(handle: int) -> Any:
        if handle == 1:
            raise NoDriverError("not supported with MIG on")
        return SimpleNamespace(gpu=37)

    module.NVMLError = NoDriverError
    module.NVML_DEVICE_MIG_ENABLE = 1
    module.nvmlInit = lambda: opened(1)
    module.nvmlShutdown = lambda: opened(-1)
    module.nvmlDeviceGetCount = lambda: 2
    module.nvmlSystemGetDriverVersion = lambda: b"550.54.15"
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetName = lambda handle: ["Tesla T4", "NVIDIA A100-SXM4-40GB"][handle]
    module.NVML_CLOCK_SM = module.NVML_TEMPERATURE_GPU = 1
    # Handles above 9 are the second GPU's MIG instances; of seven places two are taken.
    sizes = {0: 15, 1: 40, 10: 20, 12: 10}
    module.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=sizes[handle] * 2**30, used=2**30)
    module.nvmlDeviceGetMaxMigDeviceCount = lambda handle: 7
    module.nvmlDeviceGetMigDeviceHandleByIndex = mig_instance
    module.nvmlDeviceGetUtilizationRates = utilisation
    module.nvmlDeviceGetPowerUsage = lambda handle: 61_500
    module.nvmlDeviceGetClockInfo = lambda handle, kind: 1590
    module.nvmlDeviceGetTemperature = lambda handle, kind: 48
    module.nvmlDeviceGetMigMode = mig_mode
    monkeypatch.setitem(sys.modules, "pynvml", module)
    yield module
    assert module.open == 0


def test_gpus_are_named_with_memory_and_mig(nvml: Any) -> None:
    assert [str(found) for found in gpu.gpus()] == [
        "Tesla T4, 15 GiB",
        "NVIDIA A100-SXM4-40GB, 40 GiB, MIG on with instances of 20, 10 GiB",
    ]
    assert gpu.driver() == "550.54.15"


def test_mig_without_an_instance_is_told(nvml: Any) -> None:
    nvml.nvmlDeviceGetMaxMigDeviceCount = lambda handle: 0
    assert str(gpu.gpus()[1]) == "NVIDIA A100-SXM4-40GB, 40 GiB, MIG on with no instance: create one"


def test_the_doctor_names_driver_gpus_memory_and_mig(nvml: Any) -> None:
    check = kit.gpu()
    assert check.state == "ok"
    for words in ("2 GPUs: ", "Tesla T4, 15 GiB", "MIG on with instances of 20, 10 GiB", "driver 550.54.15"):
        assert words in check.finding


def test_readings_have_units_and_leave_out_what_a_gpu_does_not_tell(nvml: Any) -> None:
    whole, split = gpu.readings()
    expected = {"memory_used_gib": 1.0, "power_w": 61.5, "clock_mhz": 1590.0, "heat_celsius": 48.0}
    assert whole == {"busy_percent": 37.0, **expected}
    assert split == expected


def test_without_a_driver_there_are_none(nvml: Any) -> None:
    def missing() -> None:
        raise NoDriverError("driver not loaded")

    nvml.nvmlInit = missing
    assert gpu.gpus() == []
    assert gpu.driver() == ""
    assert gpu.readings() == []


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
