"""A network made faster by one technique: what runs it, and how alike its answers are.

    plain = variants.make(networks.text_encoder(), "eager")
    fast = variants.make(networks.text_encoder(), "onnx-all")
    fast.run(feed)

Every variant takes the same inputs and answers scores of shape ``(batch, classes)``.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batchlab import compiler, editions, gpu
from batchlab.networks import Feed, Network
from batchlab.pbtxt import nearest

TECHNIQUES = {
    "eager": "PyTorch as it comes: one kernel per operator, called from Python",
    "compiled": "torch.compile: kernels written for this network by TorchInductor, built by a C++ compiler",
    "onnx-none": "ONNX Runtime, the graph as exported",
    "onnx-basic": "ONNX Runtime, constants folded and what is superfluous left out",
    "onnx-extended": "ONNX Runtime, and nodes fused",
    "onnx-all": "ONNX Runtime, and memory laid out for the processor",
    "transformer": "ONNX Runtime, the file first rewritten with the patterns of transformers",
    "int8-dynamic": "ONNX Runtime, weights in INT8, ranges of activations taken at run time",
    "int8-static": "ONNX Runtime, weights in INT8, ranges of activations from calibration data",
    "fp16": "ONNX Runtime, weights and layers in FP16",
    "cuda": "PyTorch on an NVIDIA GPU, FP32",
    "cuda-fp16": "PyTorch on an NVIDIA GPU, layers in FP16",
}
LEVELS = {
    "onnx-none": "ORT_DISABLE_ALL",
    "onnx-basic": "ORT_ENABLE_BASIC",
    "onnx-extended": "ORT_ENABLE_EXTENDED",
    "onnx-all": "ORT_ENABLE_ALL",
}


class VariantError(RuntimeError):
    """A technique that nobody knows, or that this machine lacks something for."""


@dataclass(frozen=True, eq=False)
class Variant:
    """One network, made faster by one technique.

    Attributes:
        technique: a key of `TECHNIQUES`.
        network: what it computes.
        run: inputs -> scores, FP32, shape ``(batch, classes)``.
        path: the ONNX file that runs; None where torch does.
    """

    technique: str
    network: Network
    run: Callable[[Feed], np.ndarray]
    path: Path | None = None

    @property
    def megabytes(self) -> float:
        """Size of the file that runs; of the network's own file where torch runs."""
        return (self.path or self.network.path).stat().st_size / 1e6

    def __str__(self) -> str:
        return f"{self.network.name}, {self.technique}: {TECHNIQUES[self.technique]}"


def make(network: Network, technique: str, *, threads: int = 0) -> Variant:
    """Return a network made faster by one technique.

    Args:
        network: from `batchlab.networks`.
        technique: a key of `TECHNIQUES`.
        threads: of ONNX Runtime; by default one for each core that this process may use.

    Raises:
        VariantError: no such technique, or the machine lacks a compiler or a GPU for it; the message says which.
        NetworkError: the network has not been built.
    """
    if technique not in TECHNIQUES:
        raise VariantError(f"There is no technique {technique!r}. {nearest(technique, list(TECHNIQUES))}")
    if technique in LEVELS:
        return _onnx(network, technique, network.found(), LEVELS[technique], threads)
    if technique in editions.KINDS:
        return _onnx(network, technique, editions.edition(network, technique), "ORT_ENABLE_ALL", threads)
    if technique in ("cuda", "cuda-fp16"):
        return _on_gpu(network, technique)
    if technique == "compiled":
        return _compiled(network)
    return Variant(technique, network, _in_torch(network, network.module()))


def session(path: Path, level: str = "ORT_ENABLE_ALL", threads: int = 0) -> Any:
    """Return ONNX Runtime on this machine's processor with a file, its graph optimised up to a level."""
    import onnxruntime

    chosen = onnxruntime.SessionOptions()
    chosen.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    chosen.intra_op_num_threads = threads or cores()
    # Threads that wait in a loop for their next work would take the cores from whoever runs next in a race.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"])


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _onnx(network: Network, technique: str, path: Path, level: str, threads: int) -> Variant:
    ready = session(path, level, threads)

    def run(feed: Feed) -> np.ndarray:
        return np.asarray(ready.run([network.output], dict(feed))[0], dtype=np.float32)

    return Variant(technique, network, run, path)


def _in_torch(network: Network, module: Any, device: str = "cpu") -> Callable[[Feed], np.ndarray]:
    import torch

    def run(feed: Feed) -> np.ndarray:
        with torch.inference_mode():
            scores = module(*(torch.from_numpy(feed[name]).to(device) for name in network.inputs))
        # Copying to the processor waits for the GPU: what is timed is finished work.
        return np.asarray(scores.float().cpu().numpy(), dtype=np.float32)

    return run


def _compiled(network: Network) -> Variant:
    lacking = compiler.problem()
    if lacking:
        raise VariantError(lacking)
    with editions.quiet():
        importlib.import_module("torch.utils.cpp_extension")  # says on a machine without a GPU that it found none
    module = network.module()
    # Any size: compiled once, and kept in torch's own cache on disk. Inductor's pattern matcher is left out: where the
    # length is free, torch 2.14 tries its attention patterns with sizes that do not broadcast, and gives up.
    for region in network.regions(module):
        region.compile(dynamic=True, options={"pattern_matcher": False})
    return Variant("compiled", network, _in_torch(network, module))


def _on_gpu(network: Network, technique: str) -> Variant:
    lacking = "there is none with a driver" if not gpu.gpus() else gpu.torch_problem()
    if lacking:
        raise VariantError(f"{technique!r} needs an NVIDIA GPU: {lacking}. Its figures are published in the profiles.")
    module = network.module().to("cuda")
    if technique == "cuda-fp16":
        if not hasattr(module, "body"):
            raise VariantError(f"{network.name} has no body to halve. Use resnet50.")
        module.body.half()
    return Variant(technique, network, _in_torch(network, module, "cuda"))
