"""Loads a backend's model.py into the test's own process, with a stand-in for what Triton's stub gives it."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from batchlab.repository import ModelConfig

BACKENDS = Path(__file__).parent.parent / "batchlab" / "backends"


class Tensor:
    """A named array."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> np.ndarray:
        """Return the array."""
        return self.array


class InferenceResponse:
    """Outputs by name, or an error."""

    def __init__(self, output_tensors: Any = (), error: Exception | None = None) -> None:
        self.outputs = {tensor.name: tensor.array for tensor in output_tensors}
        self.error = error


def load(backend: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the backend's module."""
    utilities: Any = ModuleType("triton_python_backend_utils")
    utilities.Tensor, utilities.InferenceResponse = Tensor, InferenceResponse
    utilities.TritonModelException = type("TritonModelException", (Exception,), {})
    utilities.TritonError = type("TritonError", (Exception,), {})
    utilities.get_input_tensor_by_name = lambda request, name: Tensor(name, request[name])
    monkeypatch.setitem(sys.modules, utilities.__name__, utilities)
    spec = importlib.util.spec_from_file_location(f"backend_{backend}", BACKENDS / backend / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(config: ModelConfig, repository: Path, kind: str = "CPU") -> dict[str, str]:
    """Return what Triton passes to ``initialize``."""
    values = json.loads(config.to_json())
    return {
        "model_config": json.dumps({"parameters": {}, **values}),
        "model_repository": str(repository / config.name),
        "model_version": "1",
        "model_name": config.name,
        "model_instance_kind": kind,
        "model_instance_device_id": "0",
    }
