"""Requests on the wire: reuse of connections, errors as answers, no wait for a connection."""

import time

import gevent
import pytest
from fake_server import MODEL, FakeServer
from gevent import socket

from batchlab.plan import Body
from batchlab.wire import Wire, encode_request

BODY = Body(b"{}tensor", 2)


def wire_to(server, **options):
    return Wire(server.url, **{"timeout_s": 5.0, "max_connections": 50, **options})


def test_a_request_is_one_piece_with_its_lengths():
    request = encode_request("host:1", "a model", BODY)
    assert request.startswith(b"POST /v2/models/a%20model/infer HTTP/1.1\r\nHost: host:1\r\n")
    assert b"Content-Length: 8\r\n" in request
    assert b"Inference-Header-Content-Length: 2\r\n" in request
    assert request.endswith(b"\r\n\r\n{}tensor")
    assert b"Inference-Header" not in encode_request("host:1", "m", Body(b"{}"))


def test_an_idle_connection_is_used_again():
    with FakeServer(service_ms=1) as server:
        wire = wire_to(server)
        answers = [wire.send(encode_request(server.url, MODEL, BODY)) for _ in range(5)]
        assert [answer.error for answer in answers] == [""] * 5
        assert all(answer.done - answer.sent >= 0.001 for answer in answers)
        assert len(wire._idle) == 1
        assert (wire.peak, wire.in_flight) == (1, 0)
        wire.close()


def test_requests_at_once_have_a_connection_each():
    with FakeServer(service_ms=100) as server:
        wire = wire_to(server)
        request = encode_request(server.url, MODEL, BODY)
        begun = time.monotonic()
        tasks = [gevent.spawn(wire.send, request) for _ in range(20)]
        gevent.joinall(tasks)
        assert time.monotonic() - begun < 20 * 0.1 / 2
        assert wire.peak == 20
        assert all(not task.value.error for task in tasks)
        wire.close()


def test_above_the_cap_nothing_is_sent():
    with FakeServer(service_ms=200) as server:
        wire = wire_to(server, max_connections=1)
        request = encode_request(server.url, MODEL, BODY)
        first = gevent.spawn(wire.send, request)
        gevent.sleep(0.02)
        refused = wire.send(request)
        assert refused.capped
        assert refused.error == "not sent: 1 requests in flight"
        assert not first.get().error
        assert len(server.fetch("/arrivals")["arrivals"]) == 1
        wire.close()


@pytest.mark.parametrize(("text", "shown"), [("queue is full", "503 queue is full"), ("x" * 500, "503 " + "x" * 156)])
def test_an_error_of_the_server_is_told_in_short(text, shown):
    with FakeServer(fail_status=503, fail_text=text) as server:
        answer = wire_to(server).send(encode_request(server.url, MODEL, BODY))
    assert answer.error == shown
    assert not answer.unreachable


def test_a_timeout_is_an_answer_and_gives_the_place_back():
    with FakeServer(service_ms=2000) as server:
        wire = wire_to(server, timeout_s=0.1)
        answer = wire.send(encode_request(server.url, MODEL, BODY))
    assert answer.error == "timeout after 0.1 s"
    assert 0.1 <= answer.done - answer.sent < 1
    assert wire.in_flight == 0


def test_a_server_that_is_gone_is_unreachable():
    with FakeServer() as server:
        wire = wire_to(server)
        wire.warm(3)
        assert len(wire._idle) == 3
        server.kill()
        answer = wire.send(encode_request(server.url, MODEL, BODY))
    assert answer.unreachable
    assert answer.error == "Connection refused"
    assert wire._idle == []


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_silently():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve():
        stale, _ = listener.accept()
        stale.close()
        fresh, _ = listener.accept()
        fresh.recv(1000)
        fresh.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server = gevent.spawn(serve)
    url = f"127.0.0.1:{listener.getsockname()[1]}"
    wire = Wire(url, timeout_s=5, max_connections=5)
    wire.warm(1)
    gevent.sleep(0.05)
    assert wire.send(encode_request(url, MODEL, BODY)).error == ""
    server.join()
    listener.close()


def test_a_name_with_several_addresses_finds_the_one_that_answers(monkeypatch):
    with FakeServer(service_ms=1) as server:
        wire = wire_to(server)
        right = wire._addresses[0]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            wrong = (right[0], probe.getsockname())
        wire._addresses = [wrong, right]
        assert wire.send(encode_request(server.url, MODEL, BODY)).error == ""
        assert wire._addresses == [right, wrong]
        wire.close()


def test_half_an_answer_is_an_error():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
        connection.close()

    gevent.spawn(serve)
    url = f"127.0.0.1:{listener.getsockname()[1]}"
    answer = Wire(url, timeout_s=5, max_connections=5).send(encode_request(url, MODEL, BODY))
    assert answer.error != ""
    assert answer.unreachable
    listener.close()


def test_a_body_with_a_path_of_its_own_goes_there_with_its_headers():
    request = encode_request("host:1", "m", Body(b"hi", path="/predict", headers=(("X-Key", "1"),)))
    assert request == (
        b"POST /predict HTTP/1.1\r\nHost: host:1\r\nConnection: keep-alive\r\nContent-Length: 2\r\nX-Key: 1\r\n\r\nhi"
    )


@pytest.mark.parametrize(("status", "refused", "failed"), [(201, False, False), (429, True, True), (503, True, True)])
def test_a_full_queue_is_told_from_a_good_answer(status, refused, failed):
    with FakeServer(fail_status=status, fail_text="full") as server:
        answer = wire_to(server).send(encode_request(server.url, MODEL, BODY))
        assert answer.refused == refused
        assert bool(answer.error) == failed


def test_words_of_other_servers_are_found():
    from batchlab.wire import _error_text

    assert _error_text(404, b'{\n  "code": 404,\n  "message": "Model not found: m"\n}') == "404 Model not found: m"
    assert _error_text(422, b'{"detail": "no item"}') == "422 no item"
    assert _error_text(500, b"[1]\nmore") == "500 [1]"
