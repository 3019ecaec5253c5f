"""The network: fetched in bounded time or made of seeded chance, exported for old and new ONNX Runtime, checked."""

import hashlib
import http.server
import threading
import time
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torchvision import models

from batchlab import resnet, vision
from batchlab.vision import VisionError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One real build without a network: the repository, the record and what was printed."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_OFFLINE", "1")
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        return folder, vision.build(folder)


@pytest.fixture
def no_proxy(monkeypatch, tmp_path):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("BATCHLAB_OFFLINE", raising=False)


def test_the_built_file_computes_what_torch_computes(made):
    folder, record = made
    assert record.weights == "random"
    assert record.max_abs_difference < 1e-3
    session = onnxruntime.InferenceSession(str(vision.model_path(folder)), providers=["CPUExecutionProvider"])
    network = resnet.network(random=True)
    for batch in (1, 2, 7):
        scores = session.run(["scores"], {"image": vision.images(batch)})[0]
        with torch.inference_mode():
            expected = network(torch.from_numpy(vision.images(batch))).numpy()
        assert scores.shape == (batch, 1000)
        assert np.abs(scores - expected).max() < 1e-3


def test_the_built_file_is_one_that_tritons_of_2024_read(made):
    model = onnx.load(vision.model_path(made[0]))
    assert model.ir_version <= 10
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    onnx.checker.check_model(model)
    (image,), (scores,) = model.graph.input, model.graph.output
    assert (image.name, scores.name) == ("image", "scores")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [axis.dim_param or axis.dim_value for axis in image.type.tensor_type.shape.dim]
    assert sizes == ["batch", 224, 224, 3]
    assert not [initial for initial in model.graph.initializer if initial.external_data]


def test_the_built_file_tells_nothing_of_the_machine(made):
    assert resnet.__file__.rpartition("/")[0].encode() not in vision.model_path(made[0]).read_bytes()


def test_random_weights_are_the_same_each_time_and_sane():
    state = torch.random.get_rng_state()
    one, two = resnet.network(random=True), resnet.network(random=True)
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.inference_mode():
        scores = one(torch.from_numpy(vision.images(3)))
        assert torch.allclose(scores, two(torch.from_numpy(vision.images(3))), atol=1e-4)
    assert torch.isfinite(scores).all()
    assert scores.abs().max() < 100
    assert not torch.allclose(scores[0], scores[1], atol=1e-2)


def test_normalised_floats_are_taken_as_they_are():
    network = resnet.network(random=True)
    pixels = torch.from_numpy(vision.images(2))
    normalised = ((pixels.float() - network.mean) / network.deviation).permute(0, 3, 1, 2)
    with torch.inference_mode():
        assert torch.allclose(network(pixels), network(normalised), atol=1e-4)


def test_images_are_normalised_in_single_precision_for_a_body_of_half():
    class Body(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, image):
            return image

    made = resnet.ResNet50(Body())
    pixels = torch.from_numpy(vision.images(2))
    single = made(pixels)
    made.body.half()
    assert torch.equal(made(pixels), single.half())


def test_weights_are_read_from_a_file(tmp_path):
    torch.save(models.resnet50(weights=None).state_dict(), tmp_path / "weights.pt")
    wanted = torch.load(tmp_path / "weights.pt", weights_only=True)["fc.weight"]
    assert torch.equal(vision.torch_model(tmp_path / "weights.pt").body.fc.weight, wanted)
    (tmp_path / "cut.pt").write_bytes((tmp_path / "weights.pt").read_bytes()[:1000])
    with pytest.raises(VisionError, match=r"cut\.pt does not hold ResNet-50's weights"):
        resnet.network(tmp_path / "cut.pt")


def test_a_network_that_computes_something_else_is_refused(made):
    other = resnet.network(random=True)
    with torch.no_grad():
        other.body.fc.bias += 1
    with pytest.raises(VisionError, match=r"differ by 1 in a score; 0\.001 is allowed"):
        resnet.check(other, vision.model_path(made[0]))


@pytest.fixture
def served(monkeypatch, no_proxy):
    """A web server on this machine that hands out `body`; returns a setter of the file's name."""
    body = b"weights of a kind"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def offer(digest):
        url = f"http://127.0.0.1:{server.server_port}/resnet50-{digest[:8]}.pth"
        monkeypatch.setattr(resnet, "WEIGHTS", SimpleNamespace(url=url))
        return hashlib.sha256(body).hexdigest()

    yield offer
    server.shutdown()
    server.server_close()


def test_weights_are_fetched_once(served, capsys):
    served(served("00000000"))
    path = resnet.imagenet_weights()
    assert path is not None
    assert path.read_bytes() == b"weights of a kind"
    assert "fetching ImageNet's weights, once" in capsys.readouterr().out
    assert resnet.imagenet_weights() == path
    assert capsys.readouterr().out == ""
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_wrong_file_is_not_kept(served, capsys, tmp_path):
    served("00000000")
    assert resnet.imagenet_weights() is None
    assert "the file that came is not the one asked for" in capsys.readouterr().out
    assert not list((tmp_path / "torch").rglob("*.pth"))


def test_a_cached_file_cut_short_is_fetched_anew(served):
    served(served("00000000"))
    path = resnet.imagenet_weights()
    path.write_bytes(b"weights")
    assert resnet.imagenet_weights().read_bytes() == b"weights of a kind"


def test_offline_is_one_warning(monkeypatch, no_proxy, capsys):
    monkeypatch.setenv("BATCHLAB_OFFLINE", "1")
    assert resnet.imagenet_weights() is None
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "WARNING" in out
    assert "BATCHLAB_OFFLINE is set" in out
    assert "vision.build(force=True)" in out


def test_a_name_that_is_looked_up_for_ever_does_not_hang(monkeypatch, no_proxy, capsys):
    release = threading.Event()

    def hang(*arguments):
        release.wait(30)
        raise OSError("late")

    monkeypatch.setattr("socket.create_connection", hang)
    monkeypatch.setattr(resnet, "CONNECT_TIMEOUT_S", 0.2)
    began = time.monotonic()
    assert resnet.imagenet_weights() is None
    assert time.monotonic() - began < 10
    release.set()
    assert "no answer in 0.2 s" in capsys.readouterr().out


def test_a_refused_connection_is_told(monkeypatch, no_proxy, capsys):
    monkeypatch.setattr(resnet, "WEIGHTS", SimpleNamespace(url="http://127.0.0.1:9/resnet50-00000000.pth"))
    assert resnet.imagenet_weights() is None
    assert "Connection refused" in capsys.readouterr().out
