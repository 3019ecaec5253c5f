"""INT8, FP16 and rewritten editions: what is in the file, that it is built once, and what is refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from toy_network import toy

from batchlab import cpu, editions
from batchlab.editions import EditionError
from batchlab.networks import NetworkError


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_dynamic_int8_takes_ranges_at_run_time(tmp_path: Path, home: Path) -> None:
    network = toy(tmp_path)
    found = operators(editions.edition(network, "int8-dynamic"))
    assert found["MatMulInteger"] == 2
    assert found["DynamicQuantizeLinear"] == 2
    assert found["MatMul"] == 0


def test_static_int8_has_its_ranges_in_the_file(tmp_path: Path, home: Path) -> None:
    found = operators(editions.edition(toy(tmp_path), "int8-static"))
    assert found["QuantizeLinear"] >= 2
    assert found["DequantizeLinear"] >= 4
    assert found["DynamicQuantizeLinear"] == 0


def test_fp16_halves_the_weights_and_keeps_inputs_and_outputs(tmp_path: Path, home: Path) -> None:
    graph = onnx.load(editions.edition(toy(tmp_path), "fp16")).graph
    assert {one.data_type for one in graph.initializer} == {TensorProto.FLOAT16}
    kinds = [one.type.tensor_type.elem_type for one in (*graph.input, *graph.output)]
    assert set(kinds) == {TensorProto.FLOAT}


def test_weights_keep_to_seven_bits_where_sums_would_saturate(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def largest(saturates: bool) -> int:
        flags = frozenset() if saturates else frozenset({"avx512_vnni"})
        monkeypatch.setattr(cpu, "read", lambda: cpu.Cpu("made up", flags))
        graph = onnx.load(editions.edition(toy(tmp_path), "int8-dynamic")).graph
        weights = [numpy_helper.to_array(one) for one in graph.initializer if one.data_type == TensorProto.INT8]
        return max(int(np.abs(one.astype(int)).max()) for one in weights)

    assert largest(saturates=False) > 100
    assert largest(saturates=True) <= 64


def test_it_is_built_once_and_anew_for_another_network(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = toy(tmp_path)
    path = editions.edition(network, "fp16")
    assert path.is_relative_to(home)
    assert "toy in the edition fp16: converting, once" in capsys.readouterr().out
    first = path.read_bytes()
    editions.edition(network, "fp16")
    assert capsys.readouterr().out == ""
    changed = onnx.load(network.path)
    changed.graph.initializer[1].raw_data = np.ones(64, np.float32).tobytes()
    onnx.save(changed, network.path)
    assert editions.edition(network, "fp16").read_bytes() != first


def test_nonsense_is_refused(tmp_path: Path, home: Path) -> None:
    network = toy(tmp_path)
    with pytest.raises(EditionError, match=r"no edition 'int4'\. Use one of: int8-dynamic"):
        editions.edition(network, "int4")
    with pytest.raises(EditionError, match="toy has no attention heads"):
        editions.edition(network, "transformer")
    network.path.unlink()
    with pytest.raises(NetworkError, match="missing"):
        editions.edition(network, "fp16")
