"""Multi-layer perceptrons that answer one probability: trained in torch, written as ONNX by hand in FP32 or FP16.

Numbers are standardised inside the network, so a client sends them as they are. Categories, where there are some, are
whole numbers taken modulo the size of their field; each has a vector of its own in one table.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10  # the newest that the ONNX Runtime of 2024's Triton images reads
BOUND = 1e3  # of a standardised number in FP16, whose largest is 65504
# Tensors that `halve` finds again.
STANDARD, LOGIT = "standard", "logit"


@dataclass(frozen=True)
class Examples:
    """Rows to learn from, or to be judged by.

    Attributes:
        numbers: FP32, shape ``(n, numbers)``.
        labels: 0 or 1, shape ``(n,)``.
        fields: categories, int64, shape ``(n, fields)``; none where there are no columns.
    """

    numbers: np.ndarray
    labels: np.ndarray
    fields: np.ndarray


class Perceptron(torch.nn.Module):
    """Categories and numbers in, the logit of one probability out."""

    mean: torch.Tensor
    deviation: torch.Tensor
    sizes: torch.Tensor
    offsets: torch.Tensor

    def __init__(self, numbers: int, widths: Sequence[int], sizes: Sequence[int] = (), vector: int = 0) -> None:
        """Lay out the network.

        Args:
            numbers: how many numbers a row has.
            widths: of the hidden layers.
            sizes: categories of each field.
            vector: length of a category's vector.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("deviation", torch.ones(numbers))
        self.register_buffer("sizes", torch.tensor(list(sizes), dtype=torch.int64))
        self.register_buffer("offsets", torch.tensor([0, *np.cumsum(sizes)][:-1], dtype=torch.int64))
        self.table = torch.nn.Embedding(sum(sizes), vector) if sizes else None
        if self.table is not None:
            torch.nn.init.normal_(self.table.weight, std=0.05)
        steps = [numbers + len(sizes) * vector, *widths, 1]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in pairwise(steps))

    def forward(self, numbers: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
        """Return logits, shape ``(n,)``."""
        row = (numbers - self.mean) / self.deviation
        if self.table is not None:
            row = torch.cat([self.table(fields % self.sizes + self.offsets).flatten(1), row], dim=1)
        *hidden, last = self.layers
        for layer in hidden:
            row = torch.relu(layer(row))
        return last(row).squeeze(1)


def train(
    examples: Examples,
    *,
    widths: Sequence[int],
    sizes: Sequence[int] = (),
    vector: int = 0,
    epochs: int,
    rate: float,
    decay: float = 0.0,
    batch: int = 256,
    seed: int,
) -> Perceptron:
    """Fit a network by Adam on the log loss, its step falling to 0 along a cosine; on one core, the same each time.

    Source: D. Kingma and J. Ba, "Adam", 2015; I. Loshchilov and F. Hutter, "SGDR" and "Decoupled weight decay", 2017.
    """
    with _reproducible(seed):
        made = Perceptron(examples.numbers.shape[1], widths, sizes, vector)
        numbers, fields = torch.from_numpy(examples.numbers), torch.from_numpy(examples.fields)
        labels = torch.from_numpy(examples.labels.astype(np.float32))
        made.mean.copy_(numbers.mean(0))
        made.deviation.copy_(numbers.std(0).clamp(min=1e-6))
        optimiser = torch.optim.AdamW(made.parameters(), lr=rate, weight_decay=decay, fused=False)
        steps = epochs * -(-len(labels) // batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(labels)).split(batch):
                optimiser.zero_grad()
                logits = made(numbers[chosen], fields[chosen])
                torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen]).backward()
                optimiser.step()
                schedule.step()
    return made.eval()


def probabilities(made: Perceptron, examples: Examples) -> np.ndarray:
    """Return what torch says, FP32, shape ``(n,)``."""
    with torch.inference_mode():
        logits = made(torch.from_numpy(examples.numbers), torch.from_numpy(examples.fields))
    return torch.sigmoid(logits).numpy()


def export(made: Perceptron, path: Path, *, numbers: str, fields: str = "", output: str) -> None:
    """Write the network as ONNX in FP32; the file's bytes depend on the weights alone.

    Args:
        made: the network.
        path: the file.
        numbers, fields, output: names of the tensors, shapes ``(batch, n)`` and ``(batch, 1)``; categories are INT64.
    """
    nodes, constants = [], []

    def constant(name: str, values: torch.Tensor) -> str:
        constants.append(numpy_helper.from_array(values.detach().numpy(), name))
        return name

    def node(operator: str, inputs: list[str], result: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [result], **attributes))
        return result

    centred = node("Sub", [numbers, constant("mean", made.mean)], "centred")
    row = node("Div", [centred, constant("deviation", made.deviation)], STANDARD)
    shapes = [helper.make_tensor_value_info(numbers, TensorProto.FLOAT, ["batch", len(made.mean)])]
    if made.table is not None:
        shapes.insert(0, helper.make_tensor_value_info(fields, TensorProto.INT64, ["batch", len(made.sizes)]))
        within = node("Mod", [fields, constant("sizes", made.sizes)], "within")
        place = node("Add", [within, constant("offsets", made.offsets)], "place")
        vectors = node("Gather", [constant("table", made.table.weight), place], "vectors")
        row = node("Concat", [node("Flatten", [vectors], "flat", axis=1), row], "row", axis=1)
    for number, layer in enumerate(made.layers):
        assert isinstance(layer, torch.nn.Linear)
        names = [constant(f"weight_{number}", layer.weight), constant(f"bias_{number}", layer.bias)]
        last = number + 1 == len(made.layers)
        row = node("Gemm", [row, *names], LOGIT if last else f"layer_{number}", transB=1)
        if not last:
            row = node("Relu", [row], f"relu_{number}")
    node("Sigmoid", [row], output)
    answer = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 1])
    _write(helper.make_graph(nodes, "perceptron", shapes, [answer], constants), path)


def halve(whole: Path, path: Path) -> None:
    """Write the FP16 edition of a file that `export` wrote: weights and layers in FP16, inputs and output as they were.

    Numbers are standardised in FP32 first, because a raw one may lie beyond what FP16 holds, and then bounded.
    """
    graph = onnx.load(whole).graph
    kept = {"mean", "deviation"}
    constants = [
        numpy_helper.from_array(np.array(bound, np.float32), name) for name, bound in (("low", -BOUND), ("high", BOUND))
    ]
    for one in graph.initializer:
        array = numpy_helper.to_array(one)
        shrinks = array.dtype == np.float32 and one.name not in kept
        constants.append(numpy_helper.from_array(array.astype(np.float16), one.name) if shrinks else one)
    nodes = []
    for one in graph.node:
        inputs = [{STANDARD: "standard_half", LOGIT: "logit_whole"}.get(name, name) for name in one.input]
        if LOGIT in one.input:
            nodes.append(helper.make_node("Cast", [LOGIT], ["logit_whole"], to=TensorProto.FLOAT))
        one.ClearField("input")
        one.input.extend(inputs)
        nodes.append(one)
        if STANDARD in one.output:
            nodes.append(helper.make_node("Clip", [STANDARD, "low", "high"], ["bounded"]))
            nodes.append(helper.make_node("Cast", ["bounded"], ["standard_half"], to=TensorProto.FLOAT16))
    _write(helper.make_graph(nodes, "perceptron_half", graph.input, graph.output, constants), path)


def _write(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Draw from a seed and sum in one order, and leave torch as it was."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
