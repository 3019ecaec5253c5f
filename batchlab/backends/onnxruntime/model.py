"""ONNX Runtime on the processor: the embedded server's stand-in for Triton's native `onnxruntime` backend.

The same folder (``config.pbtxt`` beside ``1/model.onnx``) runs here and on Triton in Docker. Understood of the
configuration, under the native backend's names:

* ``intra_op_thread_count``, ``inter_op_thread_count``, ``execution_mode`` (0 sequential, 1 parallel) as parameters;
* ``optimization { graph { level } }``: -1 basic, 1 extended, 2 none, otherwise all.

Source of the names: README.md and ``src/onnxruntime.cc``, triton-inference-server/onnxruntime_backend.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class TritonPythonModel:
    """One instance of an ONNX model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load ``model.onnx``.

        Raises:
            TritonModelException: the file is missing or damaged, or does not fit the configuration.
        """
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        if not path.is_file():
            raise pb_utils.TritonModelException(f"{path} is missing. It is built, not committed: run `make lab`.")
        try:
            self.session = onnxruntime.InferenceSession(path, options(config), providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime raises a type of its own per kind of damage.
            size = path.stat().st_size
            raise pb_utils.TritonModelException(
                f"{path} ({size} bytes) cannot be read; it may have been cut short. Delete it and run `make lab` to "
                f"build it anew. ONNX Runtime says: {error}"
            ) from error
        self.batched = config["max_batch_size"] > 0
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]
        check_names(config["name"], "input", self.inputs, [node.name for node in self.session.get_inputs()])
        check_names(config["name"], "output", self.outputs, [node.name for node in self.session.get_outputs()])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Compute all requests in one run where they allow it; a request that fails does so alone."""
        feeds = [self._feed(request) for request in requests]
        if not self.batched or len({signature(feed) for feed in feeds}) > 1:
            return [self._alone(feed) for feed in feeds]
        try:
            together = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
            results = self.session.run(self.outputs, together)
            rows = np.cumsum([len(feed[self.inputs[0]]) for feed in feeds])
            if any(len(result) != rows[-1] for result in results):
                raise ValueError("the model's outputs do not keep the batch dimension")
        except Exception as error:
            return [self._alone(feed) for feed in feeds] if len(feeds) > 1 else [failure(error)]
        parts = [np.split(result, rows[:-1]) for result in results]
        return [self._response([part[number] for part in parts]) for number in range(len(feeds))]

    def _feed(self, request: Any) -> dict[str, np.ndarray]:
        feed = {}
        for name in self.inputs:
            array = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            # Triton carries text as bytes, ONNX Runtime takes str.
            feed[name] = np.char.decode(array.astype(bytes), "utf-8").astype(object) if array.dtype == object else array
        return feed

    def _alone(self, feed: dict[str, np.ndarray]) -> Any:
        try:
            return self._response(self.session.run(self.outputs, feed))
        except Exception as error:
            return failure(error)

    def _response(self, results: list[np.ndarray]) -> Any:
        pairs = zip(self.outputs, results, strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.ascontiguousarray(part)) for name, part in pairs])


def options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    """Return ONNX Runtime's session options for a Triton configuration.

    Raises:
        TritonModelException: a parameter that is not a number.
    """
    chosen = onnxruntime.SessionOptions()
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    chosen.graph_optimization_level = LEVELS.get(level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    # Without a count ONNX Runtime pins one thread to each core of the machine, also those this process may not use.
    chosen.intra_op_num_threads = number(config, "intra_op_thread_count") or len(os.sched_getaffinity(0))
    chosen.inter_op_num_threads = number(config, "inter_op_thread_count")
    if number(config, "execution_mode"):
        chosen.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    return chosen


def number(config: dict[str, Any], name: str) -> int:
    """Return a parameter as a whole number, 0 where it is not given."""
    text = config.get("parameters", {}).get(name, {}).get("string_value", "0")
    if not text.isdecimal():
        raise pb_utils.TritonModelException(f"parameter {name} is {text!r}; write a whole number such as '2'.")
    return int(text)


def check_names(model: str, what: str, configured: list[str], real: list[str]) -> None:
    """Refuse a configuration whose inputs or outputs the ONNX model does not have.

    Raises:
        TritonModelException: names both sides.
    """
    unknown = [name for name in configured if name not in real]
    unfed = [name for name in real if name not in configured] if what == "input" else []
    if unknown or unfed:
        raise pb_utils.TritonModelException(
            f"config.pbtxt of {model} names the {what}s {configured}, but model.onnx has {real}. Use the model's names."
        )


def signature(feed: dict[str, np.ndarray]) -> tuple[Any, ...]:
    """Return what must agree for requests to be computed together: types, and shapes but for the batch."""
    return tuple((name, array.dtype.str, array.shape[1:]) for name, array in feed.items())


def failure(error: Exception) -> Any:
    """Return the response of a request that could not be computed."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"ONNX Runtime: {error}"))
