"""INT8, FP16 and rewritten editions: what is in the file, that it is built once for all homes, and what is refused."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from toy_network import feed, toy

from batchlab import cpu, editions
from batchlab.editions import EditionError
from batchlab.networks import Network, NetworkError


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
    assert "toy in the edition fp16: converting, once" in capsys.readouterr().out
    first = path.read_bytes()
    assert editions.edition(network, "fp16") == path
    assert capsys.readouterr().out == ""
    changed = onnx.load(network.path)
    changed.graph.initializer[1].raw_data = np.ones(64, np.float32).tobytes()
    onnx.save(changed, network.path)
    again = editions.edition(network, "fp16")
    assert again != path
    assert again.read_bytes() != first
    assert path.read_bytes() == first


def clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """Make a clone of the project with the toy as its only model."""
    version = folder / "triton_repo" / "toy" / "1"
    version.mkdir(parents=True)
    monkeypatch.setenv("BATCHLAB_PROJECT", str(folder))
    return toy(version)


def test_every_home_of_a_clone_shares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = clone(tmp_path / "clone", monkeypatch)
    paths = set()
    for home in ("first", "second"):
        monkeypatch.setenv("BATCHLAB_HOME", str(tmp_path / home))
        paths.add(editions.edition(network, "int8-static"))
        assert list((tmp_path / home).iterdir()) == []
    (path,) = paths
    assert path.parent.parent == tmp_path / "clone" / ".batchlab" / "editions"
    assert capsys.readouterr().out.count("converting, once") == 1
    assert list(network.path.parent.iterdir()) == [network.path]


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (lambda network, patch: patch.setattr(editions, "RECIPE", editions.RECIPE + 1), {"fp16", "int8-static"}),
        (
            lambda network, patch: patch.setattr(editions, "libraries", lambda: {"onnx": "0.0.1"}),
            {"fp16", "int8-static"},
        ),
        (lambda network, patch: replace(network, half=("Relu",)), {"fp16", "int8-static"}),
        (lambda network, patch: replace(network, lessons=lambda: [feed(3)]), {"int8-static"}),
        (lambda network, patch: None, set()),
    ],
    ids=["recipe", "library", "settings", "calibration data", "nothing"],
)
def test_another_recipe_is_another_edition(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, change: Callable, kinds: set[str]
) -> None:
    network = toy(tmp_path)
    before = {kind: editions.edition(network, kind) for kind in ("fp16", "int8-static")}
    network = change(network, monkeypatch) or network
    after = {kind: editions.edition(network, kind) for kind in before}
    assert {kind for kind in before if before[kind] != after[kind]} == kinds
    assert all(path.is_file() for path in (*before.values(), *after.values()))


BUILD = """
import sys
from pathlib import Path
from toy_network import toy
from batchlab import editions
network = toy(Path(sys.argv[1]) / sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(editions.edition(network, "int8-static"))
"""


def test_two_processes_at_once_build_it_once(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    processes = []
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        # The same network by two paths, and one folder of editions.
        (tmp_path / number / "editions").symlink_to(tmp_path / "editions")
        (tmp_path / "editions").mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "BATCHLAB_HOME": str(tmp_path / f"home-{number}"),
            "PYTHONPATH": f"{tests.parent}:{tests}",
        }
        command = [sys.executable, "-c", BUILD, str(tmp_path), number]
        processes.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert "".join(said).count("converting, once") == 1
    first, second = (Path(text.splitlines()[-1]).resolve() for text in said)
    assert first == second
    assert operators(first)["QuantizeLinear"] >= 2


def test_where_the_shared_folder_is_read_only_the_home_keeps_it(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = clone(tmp_path / "clone", monkeypatch)
    # A file in the folder's place refuses root, too.
    (tmp_path / "clone" / ".batchlab").touch()
    path = editions.edition(network, "fp16")
    assert path.is_relative_to(home / "editions")
    assert editions.edition(network, "fp16") == path
    assert capsys.readouterr().out.count("converting, once") == 1


def test_a_damaged_edition_is_built_anew(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = editions.edition(toy(tmp_path), "fp16")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert editions.edition(toy(tmp_path), "fp16") == path
    assert path.read_bytes() == whole
    assert capsys.readouterr().out.count("converting, once") == 2


def test_nonsense_is_refused(tmp_path: Path, home: Path) -> None:
    network = toy(tmp_path)
    with pytest.raises(EditionError, match=r"no edition 'int4'\. Use one of: int8-dynamic"):
        editions.edition(network, "int4")
    with pytest.raises(EditionError, match="toy has no attention heads"):
        editions.edition(network, "transformer")
    network.path.unlink()
    with pytest.raises(NetworkError, match="missing"):
        editions.edition(network, "fp16")
