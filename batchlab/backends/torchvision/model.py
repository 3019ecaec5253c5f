"""ResNet-50 in PyTorch: a Python-based Triton backend that puts the model on an NVIDIA GPU without Docker.

Takes ``image`` UINT8 [224, 224, 3], gives ``scores`` FP32 [1000], as the ONNX model `resnet50` does. It serves the
network that `batchlab.vision.torch_model` makes, which normalises the images itself, on the device. Parameters of the
model's configuration:

* ``precision``: ``fp32`` (default) or ``fp16``;
* ``device``: ``cpu`` computes on the processor, for tests without a GPU.

An instance of ``KIND_GPU`` uses the GPU that Triton gives it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of ResNet-50."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the model and run it once, so that the first request does not pay for the warm-up.

        Raises:
            TritonModelException: a parameter is wrong, or a GPU is asked for and there is none.
        """
        import torch

        from batchlab.vision import torch_model

        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self.torch = torch
        self.device = torch.device(chosen_device(args, parameters, torch))
        dtype = chosen_precision(parameters, torch, self.device)
        weights = Path(args["model_repository"]) / args["model_version"] / "weights.pt"
        model = torch_model(weights if weights.is_file() else None)
        self.model = model.eval().to(self.device, memory_format=torch.channels_last)
        self.model.body.to(dtype)
        self._scores(np.zeros((1, 224, 224, 3), np.uint8))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Compute all requests in one batch."""
        images = [pb_utils.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        try:
            scores = self._scores(np.concatenate(images))
        except self.torch.cuda.OutOfMemoryError as error:
            message = f"the GPU's memory does not hold a batch of {sum(map(len, images))}: {error}"
            return [pb_utils.InferenceResponse(error=pb_utils.TritonError(message)) for _ in requests]
        parts = np.split(scores, np.cumsum([len(part) for part in images])[:-1])
        return [pb_utils.InferenceResponse([pb_utils.Tensor("scores", part)]) for part in parts]

    def _scores(self, images: np.ndarray) -> np.ndarray:
        torch = self.torch
        with torch.inference_mode():
            # The bytes travel as they are; the network normalises them and takes them channels-last, without a copy.
            scores = self.model(torch.from_numpy(images).to(self.device))
            # Copying to the host waits for the device: the time Triton measures is the whole computing.
            return scores.float().cpu().numpy()


def chosen_device(args: dict[str, str], parameters: dict[str, str], torch: Any) -> str:
    """Return the torch device of this instance.

    Raises:
        TritonModelException: CUDA is asked for and not there.
    """
    if parameters.get("device") == "cpu":
        return "cpu"
    if args["model_instance_kind"] != "GPU" or not torch.cuda.is_available():
        raise pb_utils.TritonModelException(
            f"{args['model_name']} needs an NVIDIA GPU and its driver, and torch {torch.__version__} sees none. "
            "Use the model resnet50, which computes on the processor."
        )
    return f"cuda:{args['model_instance_device_id']}"


def chosen_precision(parameters: dict[str, str], torch: Any, device: Any) -> Any:
    """Return the torch type to compute in.

    Raises:
        TritonModelException: an unknown precision.
    """
    precision = parameters.get("precision", "fp32").lower()
    if precision not in ("fp32", "fp16") or (precision == "fp16" and device.type == "cpu"):
        raise pb_utils.TritonModelException(
            f"parameter precision is {precision!r} on {device.type}; write 'fp32', or on a GPU 'fp16'."
        )
    return torch.float16 if precision == "fp16" else torch.float32
