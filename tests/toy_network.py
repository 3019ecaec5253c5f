"""A toy network for tests: two dense layers in ONNX and in torch, with the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from batchlab.networks import Network

WIDTH, HIDDEN, CLASSES = 16, 64, 4


def toy(folder: Path, name: str = "toy") -> Network:
    """Write the ONNX file into a folder and return the network."""
    draw = np.random.default_rng(3)
    shapes = {"w1": (WIDTH, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, CLASSES), "b2": (CLASSES,)}
    values = {key: draw.normal(0, 0.5, shape).astype(np.float32) for key, shape in shapes.items()}
    steps = [
        ("MatMul", ["x", "w1"], "m1"),
        ("Add", ["m1", "b1"], "a1"),
        ("Relu", ["a1"], "r1"),
        ("MatMul", ["r1", "w2"], "m2"),
        ("Add", ["m2", "b2"], "scores"),
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output], name=output) for operator, inputs, output in steps],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, key) for key, array in values.items()],
    )
    path = folder / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)

    def module() -> Any:
        import torch

        first, second = torch.nn.Linear(WIDTH, HIDDEN), torch.nn.Linear(HIDDEN, CLASSES)
        with torch.no_grad():
            for layer, weight, bias in ((first, "w1", "b1"), (second, "w2", "b2")):
                layer.weight.copy_(torch.from_numpy(values[weight].T.copy()))
                layer.bias.copy_(torch.from_numpy(values[bias]))
        return torch.nn.Sequential(first, torch.nn.ReLU(), second).eval()

    return Network(
        name=name,
        path=path,
        inputs=("x",),
        output="scores",
        module=module,
        feed=feed,
        lessons=lambda: [feed(batch) for batch in (1, 5, 8)],
        operators=("MatMul", "Gemm"),
    )


def feed(batch: int) -> dict[str, np.ndarray]:
    """Return a batch of inputs, the same for the same size."""
    return {"x": np.random.default_rng(batch).normal(size=(batch, WIDTH)).astype(np.float32)}
