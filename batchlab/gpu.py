"""The NVIDIA GPUs of this machine, as the driver names them; an empty answer where there are none."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        index: the driver's number.
        name: the product, for example ``"NVIDIA H100 80GB HBM3"``.
        memory_gib: the whole memory.
        mig: whether it is split into instances (MIG), each of which behaves as a smaller GPU.
        instances_gib: memory of each of those instances, in the driver's order; empty where there are none.
    """

    index: int
    name: str
    memory_gib: float
    mig: bool
    instances_gib: tuple[float, ...] = ()

    def __str__(self) -> str:
        split = ""
        if self.mig:
            sizes = ", ".join(f"{size:.0f}" for size in self.instances_gib)
            split = f", MIG on with instances of {sizes} GiB" if sizes else ", MIG on with no instance: create one"
        return f"{self.name}, {self.memory_gib:.0f} GiB{split}"


def gpus() -> list[Gpu]:
    """Return the GPUs that the driver knows, by its number; none without a driver or without ``nvidia-ml-py``."""
    with _driver() as nvml:
        return [_described(nvml, index) for index in range(nvml.nvmlDeviceGetCount())] if nvml else []


def driver() -> str:
    """Return the version of the NVIDIA driver; empty without one."""
    with _driver() as nvml:
        return _text(nvml.nvmlSystemGetDriverVersion()) if nvml else ""


def readings() -> list[dict[str, float]]:
    """Return what each GPU says of itself now, by its number: busy, memory, power, clock, heat; units in the names.

    A quantity that a GPU does not tell is left out; with MIG on, it tells no utilisation of the whole.
    """
    with _driver() as nvml:
        return [_read(nvml, index) for index in range(nvml.nvmlDeviceGetCount())] if nvml else []


def torch_problem() -> str:
    """Return why the installed torch cannot compute on the first GPU; empty when it can. Takes some seconds."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    if not torch.cuda.is_available():
        built_for = torch.version.cuda
        return f"torch {torch.__version__} sees no usable GPU (built for CUDA {built_for or 'none'})"
    try:
        # Availability promises less than it says: an unsupported architecture fails only when it computes.
        torch.ones(1, device="cuda").add(1).item()
    except RuntimeError as error:
        return f"torch {torch.__version__} cannot compute on it: {str(error).splitlines()[0]}"
    return ""


@contextmanager
def _driver() -> Iterator[Any]:
    """Hold the driver's library open; yields None where there is none."""
    if importlib.util.find_spec("pynvml") is None:
        yield None
        return
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _described(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    try:
        mig = nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE
    except nvml.NVMLError:  # most GPUs have no such mode
        mig = False
    name, memory_gib = _text(nvml.nvmlDeviceGetName(handle)), nvml.nvmlDeviceGetMemoryInfo(handle).total / GIB
    return Gpu(index, name, memory_gib, mig, _instances_gib(nvml, handle) if mig else ())


def _instances_gib(nvml: Any, handle: Any) -> tuple[float, ...]:
    found = []
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except nvml.NVMLError:  # a place where no instance was made
            continue
        found.append(nvml.nvmlDeviceGetMemoryInfo(instance).total / GIB)
    return tuple(found)


def _read(nvml: Any, index: int) -> dict[str, float]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    asked = {
        "busy_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "memory_used_gib": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / GIB,
        "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "heat_celsius": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
    }
    told = {}
    for name, ask in asked.items():
        with suppress(nvml.NVMLError):
            told[name] = float(ask())
    return told


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
