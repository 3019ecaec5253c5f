"""A server that is no Triton, by URL: bodies, provenance, load with lateness, and answers that are garbage."""

import json
import socket
import threading

import numpy as np
import pytest
from fake_server import FakeServer

from batchlab import arrivals, load, protocol
from batchlab.endpoint import ServerError, ServerGone
from batchlab.http_server import HttpServer
from batchlab.inputs import InputsError
from batchlab.plan import PlanError

MOSEC = protocol.named("mosec")


@pytest.fixture(autouse=True)
def _home(home, monkeypatch):
    monkeypatch.setenv("BATCHLAB_PROGRESS", "0")


def speaking(text):
    """Answer one connection with raw text; return its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        with listener, listener.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(text)

    threading.Thread(target=answer, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_bodies_come_from_the_protocol_a_file_or_values(tmp_path):
    server = HttpServer(protocol.named("torchserve"), "http://127.0.0.1:1", tier="cpu")
    assert server.url == "127.0.0.1:1"
    (body,), choice = server.bodies("m", None)
    assert (body.data, body.path, choice) == (b'{"item": 1}', "/predictions/m", None)
    bodies, choice = server.bodies("m", None, np.array([5, 2, 5]))
    assert [body.data for body in bodies] == [b'{"item": 2}', b'{"item": 5}']
    assert choice.tolist() == [1, 0, 1]
    (tmp_path / "image.bin").write_bytes(b"\x00\xff")
    assert server.bodies("m", tmp_path / "image.bin")[0][0].data == b"\x00\xff"
    assert json.loads(server.bodies("m", {"text": "hi"})[0][0].data) == {"text": "hi"}


def test_inputs_that_cannot_be_posted_are_refused(tmp_path):
    server = HttpServer(MOSEC, "127.0.0.1:1", tier="cpu")
    with pytest.raises(InputsError, match="cannot be posted"):
        server.bodies("m", tmp_path / "none")
    with pytest.raises(InputsError, match="values that JSON can hold"):
        server.bodies("m", {"item": np.zeros(2)})
    with pytest.raises(InputsError, match="leave the inputs out"):
        server.bodies("m", {"item": 1}, np.array([1]))


def test_a_load_has_the_lateness_and_no_account_of_the_server():
    with FakeServer(service_ms=2) as fake:
        server = HttpServer(MOSEC, fake.url, tier="cpu", name="fake 1.0")
        run = load.open_loop(server, "m", arrivals.constant(50, 1), settings={"why": "test"})
        assert len(run.answered) == len(run.samples) == 50
        assert len(run.lateness_ms) == 50
        assert run.server is None
        assert run.provenance.server == f"fake 1.0 ({fake.url})"
        assert run.provenance.details["protocol"] == "mosec"
        assert set(fake.fetch("/arrivals")["paths"]) == {"/inference"}
        closed = load.closed_loop(server, "m", clients=2, seconds=0.5, warmup_s=0)
        assert closed.throughput_rps > 0


def test_what_only_triton_knows_is_refused():
    with FakeServer() as fake:
        server = HttpServer(MOSEC, fake.url, tier="cpu")
        with pytest.raises(PlanError, match="Triton's own"):
            load.open_loop(server, "m", arrivals.constant(50, 1), priority=1)
        with pytest.raises(InputsError, match="requests of one item"):
            load.closed_loop(server, "m", batch_size=4)
        assert fake.fetch("/arrivals")["arrivals"] == []


def test_one_request_is_asked_and_every_failure_told():
    with FakeServer() as fake:
        server = HttpServer(MOSEC, fake.url, tier="cpu")
        assert json.loads(server.ask("m"))["model_name"]
    with pytest.raises(ServerGone, match="No mosec server at"):
        server.ask("m")
    with FakeServer(fail_status=404, fail_text="no such route") as fake, pytest.raises(ServerError, match="404"):
        HttpServer(MOSEC, fake.url, tier="cpu").ask("m")
    html = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    with pytest.raises(ServerError, match="is no mosec server: it answers b'<html>', which is no JSON"):
        HttpServer(MOSEC, speaking(html), tier="cpu").ask("m")
    with pytest.raises(ServerError, match="does not speak HTTP"):
        HttpServer(MOSEC, speaking(b"SSH-2.0-x\r\n\r\n"), tier="cpu").ask("m")


def test_silence_is_told_with_its_length():
    with FakeServer(service_ms=3000) as fake, pytest.raises(ServerError, match=r"no answer within 0\.3 s"):
        HttpServer(MOSEC, fake.url, tier="cpu").ask("m", timeout_s=0.3)
