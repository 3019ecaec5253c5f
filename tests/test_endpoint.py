"""The HTTP calls and their failures."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from batchlab.endpoint import Endpoint, RequestError, ServerError, ServerGone, parse_url


@pytest.fixture
def fake() -> Iterator[str]:
    """A server that answers by path: its status, or what it was sent; ``/slow`` never."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/slow":
                released.wait(20)
            status = int(self.path[1:]) if self.path[1:].isdigit() else 200
            answer = body if status == 200 else b'{"error": "the words"}' if status < 502 else b"plain words"
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            if self.path == "/close":
                self.close_connection = True

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    released = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_json_goes_and_comes(fake: str) -> None:
    assert Endpoint(fake).post("/echo", {"a": 1}) == {"a": 1}
    assert Endpoint(fake).get("/empty") is None


def test_a_kept_connection_that_was_dropped_is_opened_again(fake: str) -> None:
    endpoint = Endpoint(fake)
    for _ in range(3):
        assert endpoint.post("/close", {"a": 1}) == {"a": 1}


def test_threads_share_an_endpoint(fake: str) -> None:
    endpoint = Endpoint(fake)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: endpoint.post("/echo", {"n": n}), range(100)))
    assert answers == [{"n": n} for n in range(100)]


@pytest.mark.parametrize(("status", "kind", "words"), [(400, RequestError, "the words"), (503, ServerError, "plain")])
def test_the_servers_own_words_are_told(fake: str, status: int, kind: type[ServerError], words: str) -> None:
    with pytest.raises(kind, match=words):
        Endpoint(fake).post(f"/{status}", {})


def test_silence_ends_by_the_time_limit_and_the_next_call_works(fake: str) -> None:
    endpoint = Endpoint(fake)
    with pytest.raises(ServerError, match=r"gave no answer within 0.2 s to POST /slow"):
        endpoint.post("/slow", {}, timeout_s=0.2)
    assert endpoint.post("/echo", {"a": 1}) == {"a": 1}


def test_nobody_there_is_told_with_the_obituary() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(ServerGone, match=rf"No Triton answers at {url} \(Connection refused\). Start one"):
            Endpoint(url).get("/v2")
        with pytest.raises(ServerGone, match="It fell asleep"):
            Endpoint(url, lambda: "It fell asleep.").get("/v2")


def test_addresses() -> None:
    assert parse_url("box") == ("box", 8000)
    assert parse_url("box:81") == ("box", 81)
    assert parse_url("http://box:81/") == ("box", 81)
    for wrong in ("", "box:x", "https://box:1", "box:1/path", "box:99999"):
        with pytest.raises(ServerError, match="host:port"):
            parse_url(wrong)
    assert json.dumps(Endpoint("box:81").url) == '"box:81"'
