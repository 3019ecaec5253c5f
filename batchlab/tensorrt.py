"""TensorRT inside Triton's ONNX Runtime backend: the part of a configuration that asks for it.

The plan is built by the machine that runs it, when the model loads, and kept in `PLANS`. It fits one GPU, one driver
and one version of TensorRT, so it is never shipped.

Source: "ONNX Runtime with TensorRT optimization" in the README of triton-inference-server/onnxruntime_backend.
"""

from collections.abc import Mapping, Sequence

from batchlab.configuration import TensorSpec

PLANS = "/plans"
"""Where NVIDIA's container keeps plans: a volume of docker/compose.yaml."""
WORKSPACE_BYTES = 2**30

Shape = tuple[int, ...]


def accelerator(model: str, shapes: Sequence[Mapping[str, Shape]], priority: str = "") -> str:
    """Return the ``optimization`` of a configuration that has ONNX Runtime run it by TensorRT in FP16.

    What TensorRT cannot run falls back to CUDA. The range of shapes is told beforehand: otherwise each larger batch
    would have the plan built anew, for a minute, while requests wait.

    Args:
        model: begins the file names of its plans, so that models do not mix.
        shapes: three times the shape of each input with the batch in front: the smallest, the usual, for which the
            plan is tuned, and the largest.
        priority: of the model's CUDA streams, ``"PRIORITY_MAX"`` or ``"PRIORITY_MIN"``.
    """
    smallest, usual, largest = shapes
    options = {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": str(WORKSPACE_BYTES),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": PLANS,
        "trt_engine_cache_prefix": model,
        # Normalisation sums many squares, which FP16 cannot hold.
        "trt_layer_norm_fp32_fallback": "1",
        "trt_profile_min_shapes": _shapes(smallest),
        "trt_profile_opt_shapes": _shapes(usual),
        "trt_profile_max_shapes": _shapes(largest),
    }
    told = " ".join(f'parameters {{ key: "{key}" value: "{value}" }}' for key, value in options.items())
    first = f"priority: {priority} " if priority else ""
    return (
        f"optimization {{ {first}execution_accelerators {{ "
        f'gpu_execution_accelerator {{ name: "tensorrt" {told} }} }} }}'
    )


def warm_up(batch: int, inputs: Sequence[TensorSpec], shape: Mapping[str, Shape]) -> str:
    """Return the ``model_warmup`` of a configuration: one batch of zeros before the model counts as loaded.

    It is what has the plan built at load time, and not by the first learner's request.

    Args:
        batch: its size.
        inputs: the model's inputs.
        shape: of each, without the batch.
    """
    told = " ".join(
        f'inputs {{ key: "{spec.name}" value {{ data_type: TYPE_{spec.data_type} '
        f"dims: [{', '.join(map(str, shape[spec.name]))}] zero_data: true }} }}"
        for spec in inputs
    )
    return f'model_warmup {{ name: "builds the plan" batch_size: {batch} {told} }}'


def _shapes(shapes: Mapping[str, Shape]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
