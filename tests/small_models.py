"""Small models that tests write into a repository of their own."""

import shutil
from pathlib import Path

from batchlab import committed, workspace
from batchlab.repository import DynamicBatching, InstanceGroup, ModelConfig, TensorSpec

ITEM = TensorSpec("item", "INT32", (1,))
ONE_CPU = (InstanceGroup(1, "KIND_CPU"),)


def put(repository: Path, config: ModelConfig) -> Path:
    """Write a model's folder with its configuration; return the version folder."""
    version = repository / config.name / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config.to_pbtxt())
    return version


def put_null(repository: Path, name: str = "null") -> ModelConfig:
    """Copy the project's null model under a name."""
    config = committed.null().replace(name=name)
    version = put(repository, config)
    shutil.copy(workspace.repository_dir() / "null" / "1" / "model.py", version)
    return config


def put_emulated(repository: Path, name: str, curve_ms: str, device: str, max_batch_size: int = 8) -> ModelConfig:
    """Write an emulated model with dynamic batching."""
    config = ModelConfig(
        name,
        "emulated",
        max_batch_size=max_batch_size,
        inputs=(ITEM,),
        outputs=(TensorSpec("batch_size", "INT32", (1,)), TensorSpec("device_ms", "FP32", (1,))),
        dynamic_batching=DynamicBatching(),
        instance_groups=ONE_CPU,
        parameters={"profile": "made-up", "curve_ms": curve_ms, "device": device},
    )
    put(repository, config)
    return config


def put_onnx(repository: Path, name: str = "double", **changes: object) -> Path:
    """Write an ONNX model that doubles FP32 rows of three; return the path of its model.onnx."""
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["batch", 3]) for tensor in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], name, [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    config = ModelConfig(
        name,
        "onnxruntime",
        max_batch_size=8,
        inputs=(TensorSpec("x", "FP32", (3,)),),
        outputs=(TensorSpec("y", "FP32", (3,)),),
        instance_groups=ONE_CPU,
    )
    path = put(repository, config.replace(**changes)) / "model.onnx"
    onnx.save(model, path)
    return path
