"""The three Python-based backends: on a real Triton, and in this process where time or a fault must be arranged."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import backend_modules
import numpy as np
import pytest
import small_models

from batchlab import server
from batchlab.repository import InstanceGroup, ModelConfig, TensorSpec
from batchlab.server import ModelError, Server

pytestmark = [pytest.mark.server, pytest.mark.alone]

ONE = {"item": np.zeros((1, 1), np.int32)}
MS = 1_000_000


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Triton with small models of our backends; its devices' locks lie in a folder of the test's own."""
    repository = tmp_path_factory.mktemp("repository")
    small_models.put_emulated(repository, "left", "1:60,8:130", "shared")
    small_models.put_emulated(repository, "right", "1:60,8:130", "shared")
    small_models.put_emulated(repository, "elsewhere", "1:60,8:130", "apart")
    small_models.put_emulated(repository, "beyond", "1:60,8:130", "shared", max_batch_size=16)
    small_models.put_emulated(repository, "scribble", "1:60,eight", "shared")
    small_models.put_onnx(repository, "double")
    small_models.put_onnx(repository, "misnamed", inputs=(TensorSpec("image", "FP32", (3,)),))
    small_models.put_onnx(repository, "absent").unlink()
    cut = small_models.put_onnx(repository, "cut")
    cut.write_bytes(cut.read_bytes()[:40])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        with server.start(["left", "right", "elsewhere", "double"], repository=repository, reuse=False) as started:
            yield started


def test_an_emulated_answer_tells_its_batch_and_the_interpolated_time(played: Server) -> None:
    answer = played.infer("left", {"item": np.zeros((4, 1), np.int32)})
    assert answer["batch_size"].ravel().tolist() == [4, 4, 4, 4]
    assert answer["device_ms"].ravel() == pytest.approx([90.0] * 4)


def test_an_emulated_batch_takes_the_published_time(played: Server) -> None:
    before = played.statistics("left")
    for _ in range(8):
        played.infer("left", ONE)
    played_ms = (played.statistics("left") - before).batch_compute_ms[1]
    # Never early; late by what a busy machine takes, which is far from the next published size.
    assert 59.9 <= played_ms < 75


def seconds_for_both(played: Server, first: str, second: str) -> float:
    begin = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(lambda m=m: [played.infer(m, ONE) for _ in range(4)]) for m in (first, second)]:
            future.result()
    return time.monotonic() - begin


def test_models_on_one_device_queue_for_it_and_on_two_do_not(played: Server) -> None:
    assert seconds_for_both(played, "left", "right") >= 8 * 0.060
    assert seconds_for_both(played, "left", "elsewhere") < 7 * 0.060


def test_a_curve_is_not_drawn_out_beyond_its_end(played: Server) -> None:
    with pytest.raises(ModelError, match="max_batch_size 16 of beyond lies beyond the largest published batch, 8"):
        played.load("beyond")


def test_a_curve_that_cannot_be_read_is_shown(played: Server) -> None:
    with pytest.raises(ModelError, match=r"curve_ms is '1:60,eight'; write batch size and ms like"):
        played.load("scribble")


def test_onnx_answers(played: Server) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert played.infer("double", {"x": x})["y"].tolist() == (2 * x).tolist()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("absent", r"model.onnx is missing. It is built, not committed: run `make lab`"),
        ("cut", r"model.onnx \(40 bytes\) cannot be read; it may have been cut short. Delete it and run `make lab`"),
        ("misnamed", r"names the inputs \['image'\], but model.onnx has \['x'\]"),
    ],
)
def test_a_faulty_onnx_model_says_why_and_harms_no_other(played: Server, model: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        played.load(model)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert played.alive
    assert played.infer("double", {"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2, 2, 2]]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("BATCHLAB_DEVICES", str(tmp_path / "devices"))
    return backend_modules.load("emulated", monkeypatch)


def took_ms(device: Any, entry_ns: int, busy_ms: float) -> float:
    begin = time.monotonic_ns()
    device.occupy(entry_ns, int(busy_ms * MS))
    return (time.monotonic_ns() - begin) / MS


def test_the_deadline_counts_from_the_entry(emulated: Any) -> None:
    device = emulated.Device("d")
    assert took_ms(device, time.monotonic_ns() - 150 * MS, 200) == pytest.approx(50, abs=45)


def test_batches_run_in_the_order_in_which_they_came(emulated: Any) -> None:
    done: list[int] = []

    def compute(place: int) -> None:
        emulated.Device("d").occupy(time.monotonic_ns(), 60 * MS)
        done.append(place)

    began = time.monotonic()
    waiting = [threading.Thread(target=compute, args=(place,)) for place in range(8)]
    for thread in waiting:
        thread.start()
        time.sleep(0.02)  # the first still computes when the third comes
    for thread in waiting:
        thread.join()
    assert done == list(range(8))
    assert time.monotonic() - began == pytest.approx(0.48, abs=0.2)


def test_a_time_of_another_boot_is_ignored(emulated: Any, tmp_path: Path) -> None:
    device, path = emulated.Device("d"), tmp_path / "devices" / "d.lock"
    for left in (str(10**18), f"{'0' * len(device.boot)} {10**18:020d}", f"{device.boot.decode()} not a number"):
        path.write_text(left)
        assert took_ms(device, time.monotonic_ns(), 1) < 500
    path.write_text(f"{device.boot.decode()} {time.monotonic_ns() + 300 * MS:020d}")
    assert took_ms(device, time.monotonic_ns(), 1) > 250


def test_a_killed_process_leaves_the_device_busy_to_the_end_of_its_batch(emulated: Any) -> None:
    script = """
import time
from batchlab.played_device import emulated
device = emulated().Device("d")
device._reserve(time.monotonic_ns(), 600_000_000)
print("held", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
    assert 50 < took_ms(emulated.Device("d"), time.monotonic_ns(), 1) < 1000


def test_the_devices_folder_is_the_users_own(emulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHLAB_DEVICES")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / f"batchlab-{os.getuid()}"
    assert emulated.device_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (tmp_path / "real").mkdir()
    folder.symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match="belongs to somebody else; set BATCHLAB_DEVICES"):
        emulated.device_folder()


@pytest.mark.parametrize("text", ["", "1", "1:0", "1:-2", "0:3", "1:2,1:3", "1:nan", "1:2;2:3"])
def test_curves_that_are_none(emulated: Any, text: str) -> None:
    with pytest.raises(ValueError, match="curve_ms"):
        emulated.parse_curve(text)


def test_a_device_needs_a_name(emulated: Any) -> None:
    with pytest.raises(ValueError, match="parameter device"):
        emulated.Device("../t4")


def pick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An ONNX model that gives the row of a table of five that `index` names, and fails outside the table."""
    import onnx
    from onnx import TensorProto, helper

    config = ModelConfig(
        "pick",
        "onnxruntime",
        max_batch_size=8,
        inputs=(TensorSpec("index", "INT64", (1,)),),
        outputs=(TensorSpec("value", "FP32", (1,)),),
    )
    table = helper.make_tensor("table", TensorProto.FLOAT, [5], [0.0, 10.0, 20.0, 30.0, 40.0])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        "pick",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])],
        [table],
    )
    version = small_models.put(tmp_path, config)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), version / "model.onnx"
    )
    model = backend_modules.load("onnxruntime", monkeypatch).TritonPythonModel()
    model.initialize(backend_modules.arguments(config, tmp_path))
    return model


def test_requests_are_computed_together_and_given_back_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = pick(monkeypatch, tmp_path)
    calls: list[int] = []
    session = model.session
    model.session = SimpleNamespace(run=lambda names, feed: calls.append(1) or session.run(names, feed))
    answers = model.execute([{"index": np.array([[1], [2]])}, {"index": np.array([[4]])}])
    assert [answer.outputs["value"].tolist() for answer in answers] == [[[10.0], [20.0]], [[40.0]]]
    assert len(calls) == 1


def test_a_request_that_fails_does_so_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good, bad = {"index": np.array([[3]])}, {"index": np.array([[99]])}
    first, second, third = pick(monkeypatch, tmp_path).execute([good, bad, good])
    assert first.outputs["value"].tolist() == third.outputs["value"].tolist() == [[30.0]]
    assert "ONNX Runtime" in str(second.error)


def test_session_options_follow_the_native_names(monkeypatch: pytest.MonkeyPatch) -> None:
    module = backend_modules.load("onnxruntime", monkeypatch)
    parameters = {"intra_op_thread_count": {"string_value": "3"}, "execution_mode": {"string_value": "1"}}
    chosen = module.options({"parameters": parameters, "optimization": {"graph": {"level": 2}}})
    assert chosen.intra_op_num_threads == 3
    assert chosen.execution_mode == module.onnxruntime.ExecutionMode.ORT_PARALLEL
    assert chosen.graph_optimization_level == module.onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert module.options({}).intra_op_num_threads == len(os.sched_getaffinity(0))
    with pytest.raises(module.pb_utils.TritonModelException, match="write a whole number"):
        module.options({"parameters": {"intra_op_thread_count": {"string_value": "many"}}})


def vision(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str], tmp_path: Path) -> tuple[Any, dict[str, str]]:
    """The torchvision backend with a body of one convolution in ResNet-50's place."""
    import torch

    from batchlab.resnet import ResNet50

    stand_in: Any = ModuleType("batchlab.vision")

    def torch_model(_weights: Path | None) -> Any:
        torch.manual_seed(1)
        pool, flat = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        return ResNet50(torch.nn.Sequential(torch.nn.Conv2d(3, 1000, 1), pool, flat))

    stand_in.torch_model = torch_model
    monkeypatch.setitem(sys.modules, "batchlab.vision", stand_in)
    config = ModelConfig(
        "resnet50_cuda",
        "torchvision",
        max_batch_size=8,
        instance_groups=(InstanceGroup(1, "KIND_GPU"),),
        parameters=parameters,
    )
    module = backend_modules.load("torchvision", monkeypatch)
    return module, backend_modules.arguments(config, tmp_path, kind="GPU")


def test_torch_scores_images_in_one_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, arguments = vision(monkeypatch, {"device": "cpu"}, tmp_path)
    model = module.TritonPythonModel()
    model.initialize(arguments)
    images = np.random.default_rng(0).integers(0, 255, (3, 224, 224, 3), dtype=np.uint8)
    first, second = model.execute([{"image": images[:2]}, {"image": images[2:]}])
    assert first.outputs["scores"].shape == (2, 1000)
    assert second.outputs["scores"].dtype == np.float32
    weight, bias = (value.detach().numpy() for value in model.model.body[0].parameters())
    # Normalised once, as ImageNet's weights want it: not twice, by the backend and by the network.
    mean = (images[2].reshape(-1, 3).mean(0) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    assert second.outputs["scores"][0] == pytest.approx(weight[:, :, 0, 0] @ mean + bias, abs=1e-3)


def test_torch_says_when_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, arguments = vision(monkeypatch, {}, tmp_path)
    blind = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False), __version__="2")
    with pytest.raises(module.pb_utils.TritonModelException, match=r"needs an NVIDIA GPU .* Use the model resnet50"):
        module.chosen_device(arguments, {}, blind)
    seeing = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True), __version__="2")
    assert module.chosen_device(arguments, {}, seeing) == "cuda:0"


def test_torch_computes_in_half_precision_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, _ = vision(monkeypatch, {}, tmp_path)
    torch = sys.modules["torch"]
    assert module.chosen_precision({"precision": "FP16"}, torch, SimpleNamespace(type="cuda")) is torch.float16
    with pytest.raises(module.pb_utils.TritonModelException, match="'fp16' on cpu"):
        module.chosen_precision({"precision": "fp16"}, torch, SimpleNamespace(type="cpu"))
