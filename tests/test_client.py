"""The calls to a running Triton."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import small_models
from remains import until

from batchlab import gpu, server
from batchlab.changes import ChangeError
from batchlab.client import Client
from batchlab.gpu import Gpu
from batchlab.repository import InstanceGroup, RepositoryError
from batchlab.server import ModelError, RequestError, Server, ServerError

pytestmark = pytest.mark.server

ONE = {"item": np.ones((1, 1), np.int32)}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Triton with a null model, an emulated one, and folders that hold faults."""
    repository = tmp_path_factory.mktemp("repository")
    small_models.put_null(repository)
    small_models.put_emulated(repository, "played", "1:2,8:9", "d")
    small_models.put_null(repository, "broken")
    (repository / "broken" / "1" / "model.py").write_text("import nil\n")
    small_models.put_null(repository, "versionless")
    (repository / "versionless" / "1" / "model.py").unlink()
    (repository / "versionless" / "1").rmdir()
    on_gpu = small_models.put_null(repository, "gpu").replace(instance_groups=(InstanceGroup(1, "KIND_GPU"),))
    (repository / "gpu" / "config.pbtxt").write_text(on_gpu.to_pbtxt())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        with server.start(["null", "played"], repository=repository, reuse=False) as started:
            yield started


def test_it_says_what_it_is(served: Server) -> None:
    assert served.embedded
    assert served.alive
    assert served.version.startswith("2.")
    assert served.loaded() == ["null", "played"]
    assert served.metadata("null")["inputs"] == [{"name": "item", "datatype": "INT32", "shape": [-1, 1]}]
    assert "successfully loaded 'null'" in served.log_tail()
    assert "NVML" not in served.log_tail(1000)


def test_answers_come_back_by_name(served: Server) -> None:
    answer = served.infer("played", ONE, outputs=["batch_size"])
    assert {name: array.tolist() for name, array in answer.items()} == {"batch_size": [[1]]}


def test_threads_share_a_server(served: Server) -> None:
    def ask(number: int) -> int:
        return int(served.infer("null", {"item": np.array([[number]], np.int32)})["item"][0, 0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))


def test_a_bad_request_is_refused_before_it_is_sent(served: Server) -> None:
    served.load("null")  # its counts begin anew, without requests of other tests that Triton counts a moment late
    before = served.statistics("null")
    for wrong in (
        {"items": ONE["item"]},
        {"item": ONE["item"].astype(np.int64)},
        {"item": np.ones((1, 2), np.int32)},
        {"item": np.ones((0, 1), np.int32)},
        {"item": np.ones((129, 1), np.int32)},
    ):
        with pytest.raises(RequestError, match=r"'null'|empty batch"):
            served.infer("null", wrong)
    after = served.statistics("null")
    assert (after.requests, after.failures) == (before.requests, before.failures)


def test_a_model_that_is_not_loaded_is_told(served: Server) -> None:
    with pytest.raises(ModelError, match=r"'nul' is not loaded. Did you mean 'null'\?"):
        served.infer("nul", ONE)
    with pytest.raises(ModelError, match="'nul' is not loaded"):
        served.unload("nul")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere", "There is no model 'nowhere' in .*It holds: broken, gpu, null, played, versionless"),
        ("broken", "'broken' did not load: ModuleNotFoundError: No module named 'nil'"),
        ("versionless", "make `versionless/1/` and put the model in it"),
        ("gpu", "no GPUs are available. This server sees no NVIDIA GPU"),
    ],
)
def test_a_model_that_does_not_load_says_why_in_one_line(served: Server, model: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        served.load(model)
    assert "\n" not in str(caught.value)
    assert served.infer("null", ONE)["item"].tolist() == [[1]]


def test_unloading_is_over_when_it_returns(served: Server) -> None:
    served.unload("null")
    assert served.loaded() == ["played"]
    served.load("null")
    assert served.infer("null", ONE)["item"].tolist() == [[1]]


def test_reconfiguring_tells_the_difference_and_leaves_the_file(served: Server) -> None:
    process = served._process
    assert process is not None
    file = served._repository / "null" / "config.pbtxt"  # type: ignore[operator]
    text = file.read_text()
    other = Client(served.url, served.grpc_url, served.metrics_url)
    other.signature("null")

    told = served.reconfigure("null", max_batch_size=16, max_queue_delay_microseconds=2000, instances=2)
    assert "max_batch_size: 128 -> 16" in told
    assert any("max_queue_delay_microseconds: 2000" in line for line in told)
    assert any("count: 1 -> 2" in line for line in told)
    assert file.read_text() == text
    config = served.config("null")
    assert (config.max_batch_size, config.instance_groups[0].count) == (16, 2)
    with pytest.raises(RequestError, match="above the max_batch_size 16"):
        served.infer("null", {"item": np.ones((17, 1), np.int32)})

    assert served.reconfigure("null", max_queue_delay_microseconds=5000) == [
        "dynamic_batching.max_queue_delay_microseconds: 2000 -> 5000"
    ]
    assert any("max_batch_size: 16 -> 256" in line for line in served.reconfigure("null", max_batch_size=256))
    # Another handle still remembers 128: it looks again before it refuses.
    assert len(other.infer("null", {"item": np.ones((200, 1), np.int32)})["item"]) == 200
    served.load("null")
    assert served.config("null").max_batch_size == 128


def test_a_change_that_fails_leaves_the_model_serving(served: Server) -> None:
    with pytest.raises(ModelError, match="lies beyond the largest published batch"):
        served.reconfigure("played", max_batch_size=64)
    assert served.config("played").max_batch_size == 8
    assert served.infer("played", ONE)["batch_size"].tolist() == [[1]]
    with pytest.raises(ChangeError, match="Valid are"):
        served.reconfigure("played", wait=3)
    with pytest.raises(RepositoryError):
        served.reconfigure("played", max_batch_size="many")


def test_statistics_and_metrics_agree(served: Server) -> None:
    before = served.statistics("played")
    for _ in range(3):
        served.infer("played", {"item": np.ones((2, 1), np.int32)})
    # Triton counts a request after its answer has left.
    until(lambda: (served.statistics("played") - before).requests == 3)
    activity = served.statistics("played") - before
    assert (activity.requests, activity.inferences, activity.batches) == (3, 6, {2: 3})
    counted = {labels["model"]: value for labels, value in served.metrics()["nv_inference_count"]}
    assert counted["played"] == served.statistics("played").inferences


def test_provenance_tells_tier_and_profile(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    told = served.provenance("played", seed=3, note="x")
    assert (told.tier, told.model, told.profile, told.seed) == ("emulated", "played", "made-up", 3)
    assert told.server == f"Triton {served.version} (embedded)"
    assert told.details["note"] == "x"
    assert served.provenance("null").tier == served.tier("null") == "cpu"
    assert "no model computes" in served.provenance("null").caption()
    assert "no model computes" not in told.caption()
    assert "pace" not in told.details
    monkeypatch.setenv("BATCHLAB_PACE", "0.2")
    assert served.provenance("null").details["pace"] == "0.2"


def test_the_servers_own_refusal_is_told(served: Server) -> None:
    served.reconfigure("played", max_queue_size=1)
    with ThreadPoolExecutor(16) as pool:
        errors = [future.exception() for future in [pool.submit(served.infer, "played", ONE) for _ in range(64)]]
    served.load("played")
    refused = [error for error in errors if error is not None]
    assert refused
    assert all(isinstance(error, ServerError) and "maximum queue size" in str(error) for error in refused)


def test_loading_anew_takes_the_folder_as_it_is_now(served: Server) -> None:
    far = Client(served.url, served.grpc_url, served.metrics_url)
    for handle in (served, far):
        served.reconfigure("null", max_batch_size=16)
        handle.load("null")
        assert served.config("null").max_batch_size == 128
    file = served._repository / "null" / "config.pbtxt"  # type: ignore[operator]
    text = file.read_text()
    file.write_text(text.replace("128", "64"))
    served.load("null")
    assert served.config("null").max_batch_size == 64
    file.write_text(text + "nonsense: 3\n")
    with pytest.raises(ModelError, match="nonsense"):
        served.load("null")
    assert served.infer("null", ONE)["item"].tolist() == [[1]]
    file.write_text(text)
    served.load("null")


def test_a_gpu_is_named_beside_its_numbers(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Gpu(0, "NVIDIA T4", 15.0, mig=False)
    monkeypatch.setattr(gpu, "gpus", lambda: [card])
    monkeypatch.setattr(served, "tier", lambda model: "gpu")
    assert served.provenance("null").details["gpu"] == str(card)
