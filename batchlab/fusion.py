"""Graph fusion: an ONNX graph before and after ONNX Runtime optimised it, node by node.

A fused node keeps the name of the tensor that the last of its parts gave, and reads tensors that others still give.
What lies between the two in the original graph is what it replaced: found by walking backwards from its outputs to
its inputs. Nodes that no new node accounts for were computed beforehand, or found to be superfluous.

Source: ONNX Runtime's documentation, *Graph optimizations*: what each level may do.
"""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

LEVELS = {"basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED", "all": "ORT_ENABLE_ALL"}


class FusionError(ValueError):
    """A level that does not exist, or a file that is no ONNX graph."""


@dataclass(frozen=True)
class Node:
    """A node of the optimised graph, and what it replaced.

    Attributes:
        operator: such as ``"SkipLayerNormalization"``.
        name: in the optimised graph.
        parts: operators of the nodes that it stands for, in their order; itself alone where nothing was fused.
    """

    operator: str
    name: str
    parts: tuple[str, ...]

    @property
    def fused(self) -> bool:
        """Whether it stands for several nodes."""
        return len(self.parts) > 1


@dataclass(frozen=True)
class Fusion:
    """Two graphs, and how one became the other.

    Attributes:
        level: a key of `LEVELS`.
        before: operator -> nodes in the file.
        nodes: of the optimised graph, in its order.
        left_out: operator -> nodes of the file that no new node stands for.
    """

    level: str
    before: Counter[str]
    nodes: tuple[Node, ...]
    left_out: Counter[str]

    @property
    def after(self) -> Counter[str]:
        """Operator -> nodes in the optimised graph."""
        return Counter(node.operator for node in self.nodes)

    @property
    def fused(self) -> list[Node]:
        """The nodes that stand for several."""
        return [node for node in self.nodes if node.fused]

    def table(self) -> pd.DataFrame:
        """Return what became what: ``from``, ``became``, ``times``, and the nodes ``saved``, most saved first."""
        kinds = Counter((" + ".join(node.parts), node.operator, len(node.parts)) for node in self.fused)
        rows = [
            {"from": parts, "became": operator, "times": times, "saved": times * (size - 1)}
            for (parts, operator, size), times in kinds.items()
        ]
        rows += [
            {"from": operator, "became": "nothing", "times": times, "saved": times}
            for operator, times in self.left_out.items()
        ]
        table = pd.DataFrame(rows, columns=["from", "became", "times", "saved"])
        return table.sort_values(["saved", "from"], ascending=[False, True], ignore_index=True)

    def counts(self) -> pd.DataFrame:
        """Return nodes by operator: ``before`` and ``after``, most before first."""
        found = pd.DataFrame({"before": pd.Series(self.before), "after": pd.Series(self.after)})
        return found.fillna(0).astype(int).sort_values(["before", "after"], ascending=False)

    def __str__(self) -> str:
        return (
            f"level {self.level}: {self.before.total()} nodes became {len(self.nodes)}, "
            f"{len(self.fused)} of them fused from {sum(len(node.parts) for node in self.fused)}"
        )


def fuse(path: Path, level: str = "extended") -> Fusion:
    """Let ONNX Runtime optimise a file up to a level, and compare.

    Args:
        path: an ONNX file.
        level: ``"basic"``, ``"extended"`` or ``"all"``; the last also changes how memory is laid out, which gives
            tensors new names and hides part of what became what.

    Raises:
        FusionError: no such level, no such file, or not an ONNX graph.
    """
    import onnx

    if level not in LEVELS:
        raise FusionError(f"There is no level {level!r}. Use one of: {', '.join(LEVELS)}.")
    if not path.is_file():
        raise FusionError(f"{path} is missing. Built models are made by `make lab`.")
    with tempfile.TemporaryDirectory(prefix="batchlab-fusion-") as scratch:
        optimised = Path(scratch) / "optimised.onnx"
        _optimise(path, level, optimised)
        return compare(onnx.load(path).graph, onnx.load(optimised).graph, level)


def compare(before: Any, after: Any, level: str = "extended") -> Fusion:
    """Compare two graphs (``onnx.GraphProto``), the second made from the first."""
    makers = {name: index for index, node in enumerate(before.node) for name in node.output if name}
    given = {name for node in after.node for name in node.output if name} | {one.name for one in after.initializer}
    claimed: set[int] = set()
    nodes = []
    for node in after.node:
        own = set(node.output)
        parts = _between(before, makers, own, (given - own) | set(node.input))
        # A constant is no step of the computation.
        steps = [before.node[index].op_type for index in sorted(parts) if before.node[index].op_type != "Constant"]
        claimed |= parts
        nodes.append(Node(node.op_type, node.name, tuple(steps) or (node.op_type,)))
    left_out = Counter(node.op_type for index, node in enumerate(before.node) if index not in claimed)
    return Fusion(level, Counter(node.op_type for node in before.node), tuple(nodes), left_out)


def _between(before: Any, makers: dict[str, int], outputs: set[str], ends: set[str]) -> set[int]:
    """Return the original nodes on the way from `ends` to `outputs`."""
    found: set[int] = set()
    open_ends = list(outputs)
    while open_ends:
        index = makers.get(open_ends.pop())
        if index is None or index in found:
            continue
        found.add(index)
        open_ends += [name for name in before.node[index].input if name and name not in ends]
    return found


def _optimise(path: Path, level: str, target: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[level])
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3  # it warns that the file suits this machine, which is the point
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises a type of its own per kind of damage.
        raise FusionError(f"{path} is no ONNX graph that ONNX Runtime reads: {error}") from error
