"""Graph fusion: which nodes became which, on graphs small enough to count by hand and on the networks of the lab."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from toy_network import toy

from batchlab import fusion, networks, text_model
from batchlab.fusion import FusionError


def graph(*steps: tuple[str, list[str], str]) -> onnx.GraphProto:
    nodes = [helper.make_node(operator, inputs, [output], name=output) for operator, inputs, output in steps]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("x", "y"))
    return helper.make_graph(nodes, "made up", [x], [y])


def test_what_lies_between_two_kept_tensors_was_replaced() -> None:
    before = graph(("Conv", ["x"], "a"), ("Relu", ["a"], "b"), ("Neg", ["b"], "c"), ("Identity", ["c"], "y"))
    after = graph(("FusedConv", ["x"], "b"), ("Neg", ["b"], "y"))
    found = fusion.compare(before, after)
    assert [(node.operator, node.parts) for node in found.nodes] == [
        ("FusedConv", ("Conv", "Relu")),
        ("Neg", ("Neg", "Identity")),
    ]
    assert found.table()["saved"].tolist() == [1, 1]


def test_nodes_that_nobody_stands_for_were_left_out() -> None:
    before = graph(("Abs", ["x"], "dead"), ("Neg", ["x"], "y"))
    found = fusion.compare(before, graph(("Neg", ["x"], "y")))
    assert found.left_out == {"Abs": 1}
    assert not found.fused
    assert found.table().to_dict("records") == [{"from": "Abs", "became": "nothing", "times": 1, "saved": 1}]


def test_a_dense_layer_becomes_one_node(tmp_path: Path) -> None:
    found = fusion.fuse(toy(tmp_path).path, "basic")
    assert found.before.total() == 5
    assert found.after["Gemm"] == 2
    assert ("MatMul", "Add") in [node.parts for node in found.fused]
    assert found.counts().loc["MatMul"].tolist() == [2, 0]


def test_the_text_encoders_normalisations_take_both_additions_in() -> None:
    text_model.build()
    found = fusion.fuse(networks.text_encoder().path, "extended")
    skips = [node for node in found.fused if node.operator == "SkipLayerNormalization"]
    assert len(skips) == 12  # two in each of six layers
    assert {node.parts for node in skips} == {("Add", "Add", "LayerNormalization")}
    assert len(found.nodes) < found.before.total() - 2 * len(skips)
    assert f"{found.before.total()} nodes became {len(found.nodes)}" in str(found)


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FusionError, match=r"no level 'most'\. Use one of: basic, extended, all"):
        fusion.fuse(tmp_path / "model.onnx", "most")
    with pytest.raises(FusionError, match="is missing"):
        fusion.fuse(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_text("no graph")
    with pytest.raises(FusionError, match="no ONNX graph"):
        fusion.fuse(tmp_path / "model.onnx")
